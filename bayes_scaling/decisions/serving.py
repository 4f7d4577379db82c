"""A model that is trained once and served often: the sizes that are cheapest over its life.

Sardana et al. (2023), arXiv:2401.00448, eq. 3: minimise 6 N D + 2 N T subject to L(N, D) = l, T the tokens served. Or,
for a total budget, the least loss under 6 N D + 2 N T = C. Each draw of the posterior has its own answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.units import format_count, parse_count
from bayes_scaling.decisions.limits import CORNER, NO_LIMITS, SERVING_FLOP, Limits
from bayes_scaling.laws.priors import Prior
from bayes_scaling.prediction.optimum import SMALLEST_PARAMS, SMALLEST_TOKENS
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.prediction.search import CLOSE, minimise

MOST = 500
"""Draws: each is a nested search, and an interval needs no more."""

FEWEST_PARAMS, MOST_PARAMS = 1e5, 1e16
FEWEST_TOKENS, LARGEST_COUNT = 1e6, 1e21
TOKEN_STEPS = 31
BISECTIONS = 13
SECANTS = 3
UNREACHED = 600.0
"""Log FLOP that stand for a loss which is not reached."""
STEP = 0.4


@dataclass(frozen=True, eq=False)
class Lifetime:
    """A plan for each draw, were the draw known to be the truth.

    Parameters
    ----------
    params, tokens
        Counts, dims (draw,); NaN where the target is out of the draw's reach.
    served
        Tokens served, dims (draw,).
    flops
        Of training and serving, FLOP, dims (draw,).
    loss
        Nats per token, dims (draw,).
    """

    params: np.ndarray
    tokens: np.ndarray
    served: np.ndarray
    flops: np.ndarray
    loss: np.ndarray

    def to_dict(self, ci_prob: float) -> dict[str, Any]:
        """Interval values of the optimum over the model's life, over the draws that have one; null where none has."""
        values = {"params": self.params, "tokens": self.tokens, "flops": self.flops, "loss": self.loss}
        known = np.isfinite(self.params)
        return {k: interval_value(v[known], ci_prob) if known.any() else None for k, v in values.items()}


def demand_draws(tokens: Any, draws: int, random_seed: int = 0) -> np.ndarray:
    """Tokens served over the model's life, spread evenly over what is expected, dims (draw,).

    Parameters
    ----------
    tokens
        A count, its text ("2T"), a prior, or a prior's text.

    Raises
    ------
    InfeasibleError
        If it may be negative.
    """
    if isinstance(tokens, str) and "(" in tokens:
        tokens = Prior.parse(tokens)
    if isinstance(tokens, Prior):
        order = np.random.default_rng([random_seed, 409]).permutation(draws)
        found = np.asarray(tokens.dist.ppf((order + 0.5) / draws), float)
    else:
        try:
            value = parse_count(tokens) if isinstance(tokens, str) and tokens.strip() != "0" else float(tokens)
        except ValueError as error:
            raise InfeasibleError(f"Tokens served '{tokens}' cannot be used: {error}.") from None
        found = np.full(draws, value)
    if not np.all(np.isfinite(found)) or found.min() < 0:
        raise InfeasibleError(f"Tokens served over the model's life, {tokens}, may be negative: give 0 or more.")
    return found


def tokens_to_reach(worlds: Predictive, params: np.ndarray, log_target: Any) -> np.ndarray:
    """Training tokens at which each draw's expected loss is at a target, dims (draw, plan); inf out of reach.

    Parameters
    ----------
    params
        Counts, dims (plan,) or (draw, plan).
    log_target
        Log of nats per token, a number or dims (draw, 1).
    """
    n = np.broadcast_to(np.atleast_2d(params), (worlds.n_draws, np.atleast_2d(params).shape[1]))

    def gap(log_d: np.ndarray) -> np.ndarray:
        return np.asarray(worlds.log_curve(n, np.exp(log_d)) - log_target)

    # Where a discrepancy grows faster than the law falls, the loss turns up again: the first crossing counts.
    steps = np.linspace(np.log(FEWEST_TOKENS), np.log(LARGEST_COUNT), TOKEN_STEPS)
    low, high = np.full(n.shape, steps[0]), np.full(n.shape, steps[0])
    open_ = gap(high) > 0
    at_once = ~open_
    for before, after in pairwise(steps):
        if not open_.any():
            break
        crossed = open_ & (gap(np.full(n.shape, after)) <= 0)
        low, high = np.where(crossed, before, low), np.where(crossed, after, high)
        open_ &= ~crossed
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        above = gap(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    # The loss is smooth in log D: a few secant steps leave rounding only.
    a, b = low, high + 1e-4
    fa, fb = gap(a), gap(b)
    for _ in range(SECANTS):
        with np.errstate(invalid="ignore", divide="ignore"):
            step = np.where(fa != fb, fb * (b - a) / (fb - fa), 0.0)
        a, fa = b, fb
        b = np.clip(b - np.nan_to_num(step), low - 1e-4, high + 2e-4)
        fb = gap(b)
    return np.where(open_, np.inf, np.where(at_once, FEWEST_TOKENS, np.exp(b)))


def cheapest(worlds: Predictive, target_loss: Any, served: np.ndarray, limits: Limits = NO_LIMITS) -> Lifetime:
    """The plan of least total compute at a target loss, draw by draw, within limits.

    Parameters
    ----------
    target_loss
        Nats per token, a number or dims (draw,).
    served
        Tokens served, dims (draw,).

    Raises
    ------
    InfeasibleError
        Where no draw reaches the target.
    """
    log_target = np.broadcast_to(np.log(target_loss), (worlds.n_draws,))[:, None]
    most = _most_tokens(worlds, limits)

    def total(u: np.ndarray) -> np.ndarray:
        n = np.exp(u)
        d = tokens_to_reach(worlds, n, log_target)
        with np.errstate(invalid="ignore"):
            flops = worlds.compute.flops(n, d) + SERVING_FLOP * n * served[:, None]
            return np.asarray(np.log(np.where(d <= most, flops, np.exp(UNREACHED))).clip(max=UNREACHED))

    grid = _grid(limits)
    values = total(np.broadcast_to(grid, (worlds.n_draws, len(grid))))
    possible = (values < UNREACHED).any(axis=1)
    if not possible.any():
        ends = np.exp(grid[[-1]]), np.array([min(most, LARGEST_COUNT)])
        raise InfeasibleError(
            f"A loss of {np.min(target_loss):g} is below what any model within the limits reaches under these laws, "
            f"whatever it costs; the lowest is {np.exp(worlds.log_curve(*ends).min()):.4f}."
        )
    if limits.sizes or len(grid) == 1:
        best = np.argmin(values, axis=1)
        u, value = grid[best], values[np.arange(len(values)), best]
    else:
        u, value = minimise(total, grid, values)
    n = np.where(possible, np.exp(u), np.nan)
    d = tokens_to_reach(worlds, np.exp(u)[:, None], log_target)[:, 0]
    flops = np.where(possible, np.exp(value), np.nan)
    return Lifetime(n, np.where(possible, d, np.nan), served, flops, np.exp(log_target[:, 0]))


def _most_tokens(worlds: Predictive, limits: Limits) -> float:
    return np.inf if worlds.repeats or limits.max_tokens is None else limits.max_tokens


def _grid(limits: Limits) -> np.ndarray:
    """Log sizes within the limits, or those on offer, dims (point,)."""
    if limits.sizes:
        return np.log(np.array(limits.offered))
    low, high = limits.min_params or FEWEST_PARAMS, limits.max_params or MOST_PARAMS
    points = max(1, int(np.ceil(np.log(high / low) / STEP)))
    return np.linspace(np.log(low), np.log(high), points + 1) if high > low else np.log(np.array([low]))


def best_for_budget(worlds: Predictive, flops: Any, served: np.ndarray, limits: Limits = NO_LIMITS) -> Lifetime:
    """The plan of least loss for a total budget of training and serving, draw by draw, within limits.

    Parameters
    ----------
    flops
        FLOP, a number or dims (draw,).
    served
        Tokens served, dims (draw,).
    """
    c = np.broadcast_to(np.asarray(flops, float), (worlds.n_draws,))[:, None]
    per_param = c / worlds.compute.tokens(SMALLEST_TOKENS, c) + SERVING_FLOP * served[:, None]
    low = np.log(np.full_like(c, max(SMALLEST_PARAMS, limits.min_params or 0.0)))
    high = np.minimum(np.log(c / per_param), np.log(limits.max_params or np.inf))
    if np.any(high < low):
        floor = f" of at least {format_count(limits.min_params)} parameters" if limits.min_params else ""
        raise InfeasibleError(
            f"A budget of {float(c.min()):.3g} FLOP cannot serve {format_count(float(served.max()))} tokens with any "
            f"model{floor}. Serve fewer or raise the budget."
        )
    most = _most_tokens(worlds, limits)

    def tokens(n: np.ndarray) -> np.ndarray:
        left = np.maximum(c - SERVING_FLOP * n * served[:, None], 1.0)
        return np.asarray(np.minimum(worlds.compute.tokens(n, left), most))

    if limits.sizes:
        sizes = np.array(limits.offered)[None, :]
        loss = np.where(np.log(sizes) <= high, worlds.log_curve(sizes, tokens(sizes)), np.inf)
        best = np.argmin(loss, axis=1)
        if not np.all(np.isfinite(loss.min(axis=1))):
            offer = ", ".join(format_count(s) for s in limits.offered)
            raise InfeasibleError(f"A budget of {float(c.min()):.3g} FLOP trains and serves none of the sizes {offer}.")
        n, value = sizes[0, best], loss.min(axis=1)
    else:
        # One scale for all draws, whose ranges end at different sizes.
        width = high - low
        span = max(float(width.max()), 1e-9)

        def size(v: np.ndarray) -> np.ndarray:
            return np.asarray(np.exp(low + width * v / span))

        def curve(v: np.ndarray) -> np.ndarray:
            return worlds.log_curve(size(v), tokens(size(v)))

        grid = np.linspace(0, span, int(span / STEP) + 2)
        close = CLOSE if np.isinf(most) else CORNER
        v, value = minimise(curve, grid, curve(np.broadcast_to(grid, (worlds.n_draws, len(grid)))), close)
        n = size(v[:, None])[:, 0]
    d = tokens(n[:, None])[:, 0]
    spent = np.asarray(worlds.compute.flops(n, d)) + SERVING_FLOP * n * served
    return Lifetime(n, d, served, spent, np.exp(value))


def demand_for(worlds: Predictive, params: float, tokens: float, step: float = 1e-3) -> np.ndarray:
    """Tokens served at which a plan is the cheapest way to its own loss, dims (draw,); negative where it is larger than
    the training optimum, so that no demand makes it right.

    Along L(N, D) = l the total 6 N D + 2 N T is stationary where T = 3 D (L_logN / L_logD - 1), the derivatives of the
    loss in log N and log D. Sardana et al. (2023), eq. 3, solved for the demand.
    """
    n = params * np.exp(np.array([step, -step, 0.0, 0.0]))
    d = tokens * np.exp(np.array([0.0, 0.0, step, -step]))
    curve = worlds.log_curve(n, d)
    ratio = (curve[:, 0] - curve[:, 1]) / (curve[:, 2] - curve[:, 3])
    return np.asarray(3 * tokens * (ratio - 1))
