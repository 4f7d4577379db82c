"""The best plan at each of many budgets, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.base.intervals import tail_probs
from bayes_scaling.decisions.limits import NO_LIMITS, Allocations, Limits
from bayes_scaling.prediction.losses import Losses
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.prediction.search import minimise

LARGEST_FLOPS = 1e32
"""Beyond this no target is looked for: some millions of times the largest runs there have been."""

PER_DECADE = 8
COARSE_PER_DECADE = 2
PATH_DRAWS = 200


@dataclass(frozen=True, eq=False)
class Path:
    """The best plan at each of many budgets, and what comes of it.

    Parameters
    ----------
    budgets
        Compute of training and serving, FLOP, dims (budget,).
    params, tokens, training_flops
        The plan of least expected loss, dims (budget,).
    losses
        What may come of it, dims (draw, budget).
    """

    budgets: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    training_flops: np.ndarray
    losses: Losses

    def flops_at(self, place: float) -> float:
        """The budget at a fractional index."""
        return float(np.exp(np.interp(place, np.arange(len(self.budgets)), np.log(self.budgets))))

    def log_params_at(self, place: float) -> float:
        """log N on the path at `place`, a position among the budgets that need not be whole."""
        return float(np.interp(place, np.arange(len(self.budgets)), np.log(self.params)))


@dataclass(frozen=True)
class Rest:
    """What a plan has to meet besides its budget."""

    limits: Limits
    serving_tokens: float

    def allocations(self, worlds: Predictive, flops: float) -> Allocations:
        """The plans that this leaves of a budget, FLOP."""
        return Allocations(np.asarray(flops), self.limits, self.serving_tokens, worlds.compute, not worlds.repeats)


def trace(worlds: Predictive, budgets: np.ndarray, limits: Limits = NO_LIMITS, serving_tokens: float = 0.0) -> Path:
    """The plan of least expected loss at each budget, chosen on some of the draws: near it the loss is flat.

    Budgets that leave no plan within the limits are left out.
    """
    few, rest = worlds.thinned(PATH_DRAWS), Rest(limits, serving_tokens)
    if limits.sizes:
        return _trace_menu(worlds, few, budgets, rest)
    coarse = np.linspace(np.log(budgets[0]), np.log(budgets[-1]), _steps(budgets, COARSE_PER_DECADE))
    ends = []
    for c in coarse:
        try:
            ends.append(rest.allocations(worlds, float(np.exp(c))).range)
        except InfeasibleError:
            ends.append((np.nan, np.nan))
    known = np.isfinite([e[0] for e in ends])
    if not known.any():
        # The largest budget's own message says what binds.
        _ = rest.allocations(worlds, budgets[-1]).range
    coarse, low, high = coarse[known], *np.array(ends)[known].T
    # Every budget's range of log N is laid on one scale, so that they are searched together.
    width = np.maximum(high - low, 1e-9)
    span = float(width.max())
    each = [rest.allocations(worlds, float(np.exp(c))) for c in coarse]

    def losses(v: np.ndarray) -> np.ndarray:
        n = np.exp(low[:, None] + width[:, None] * v / span)
        d = np.stack([a.tokens(row) for a, row in zip(each, n, strict=True)])
        return few.loss(n.ravel(), d.ravel()).mean(axis=0).reshape(n.shape)

    grid = np.linspace(0, span, max(2, int(np.ceil(span / 0.5)) + 1))
    place = minimise(losses, grid, losses(np.broadcast_to(grid, (len(coarse), len(grid)))))[0]
    best = low + width * place / span
    inside = budgets[np.log(budgets) >= coarse[0] - 1e-9]
    params = np.exp(np.interp(np.log(inside), coarse, best))
    tokens = np.array([float(rest.allocations(worlds, c).tokens(n)) for c, n in zip(inside, params, strict=True)])
    return _path(worlds, inside, params, tokens)


def _trace_menu(worlds: Predictive, few: Predictive, budgets: np.ndarray, rest: Rest) -> Path:
    kept, params, tokens = [], [], []
    for c in budgets:
        allocations = rest.allocations(worlds, c)
        try:
            n = np.exp(allocations.offer)
        except InfeasibleError:
            continue
        d = allocations.tokens(n)
        j = int(np.argmin(few.loss(n, d).mean(axis=0)))
        kept.append(c)
        params.append(n[j])
        tokens.append(d[j])
    if not kept:
        _ = rest.allocations(worlds, budgets[-1]).offer
    return _path(worlds, np.array(kept), np.array(params), np.array(tokens))


def _path(worlds: Predictive, budgets: np.ndarray, params: np.ndarray, tokens: np.ndarray) -> Path:
    training = np.asarray(worlds.compute.flops(params, tokens))
    return Path(budgets, params, tokens, training, worlds.at(params, tokens))


def _steps(budgets: np.ndarray, per_decade: int) -> int:
    return max(2, int(np.ceil(np.log10(budgets[-1] / budgets[0]) * per_decade)) + 1)


def budget_grid(worlds: Predictive, serving_tokens: float = 0.0) -> np.ndarray:
    """Budgets from three decades below the smallest run to the largest that is looked at, FLOP."""
    low = np.log10(worlds.runs.counted.min()) - 3
    low = min(low, np.log10(LARGEST_FLOPS) - 1)
    return np.logspace(low, np.log10(LARGEST_FLOPS), int((np.log10(LARGEST_FLOPS) - low) * PER_DECADE) + 1)


def fan(worlds: Predictive, path: Path, ci_prob: float = 0.9) -> list[dict[str, float]]:
    """Quantiles of the loss that will be seen, noise included, over budgets: for the figure."""
    seen = path.losses.with_one_luck([worlds.random_seed, 307])
    low, high = tail_probs(ci_prob)
    lower, q1, median, q3, upper = np.quantile(seen, [low, 0.25, 0.5, 0.75, high], axis=0)
    columns = {
        "flops": path.budgets,
        "params": path.params,
        "tokens": path.tokens,
        "lower": lower,
        "q25": q1,
        "median": median,
        "q75": q3,
        "upper": upper,
    }
    return [{k: float(v[j]) for k, v in columns.items()} for j in range(len(path.budgets))]
