"""Rules of decision: what a plan is worth when its loss is uncertain, and the plan each rule would choose.

Losses are those of the curve plus the discrepancy: under Student-t noise a new run's loss has no mean, and its luck is
the same whatever is planned. Noise enters the probability of a target only, which is about the run that will be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.decisions.search import minimise
from bayes_scaling.prediction.outcomes import Outcomes

RULES: Mapping[str, str] = {
    "expected": "lowest expected loss",
    "quantile": "lowest loss at the level's quantile",
    "cvar": "lowest mean of the worst losses",
    "target": "highest probability of the target",
    "regret": "lowest expected regret",
    "minimax": "lowest regret under the least favourable law",
}
"""Rules by name, and what each looks for."""

BATCHES = 40
# Laws of less weight have no say in the minimax rule, which asks of no law how likely it is.
MINIMAX_WEIGHT = 0.01


def expected(loss: np.ndarray) -> np.ndarray:
    """Mean over draws, dims (plan,), of losses with dims (draw, plan)."""
    return loss.mean(axis=0)


def quantile(loss: np.ndarray, level: float) -> np.ndarray:
    """The loss that is not exceeded with probability `level`, dims (plan,)."""
    value: np.ndarray = np.quantile(loss, level, axis=0)
    return value


def cvar(loss: np.ndarray, level: float) -> np.ndarray:
    """Mean of the worst, that is the highest, 1 - level of the losses, dims (plan,).

    The draw that straddles the level counts by the part of it beyond (Rockafellar and Uryasev, 2002, prop. 8).
    """
    tail = (1 - level) * len(loss)
    whole = int(np.floor(tail + 1e-9))
    worst = -np.partition(-loss, min(whole, len(loss) - 1), axis=0)[: whole + 1]
    part = tail - whole
    total = worst[:whole].sum(axis=0)
    if part > 1e-9:
        total = total + part * worst[whole]
    return total / tail


def mcse(influence: np.ndarray) -> np.ndarray:
    """Standard error of a mean over draws with dims (draw, ...), by batch means: neighbours in a chain are alike."""
    n = len(influence)
    if n < 2 * BATCHES:
        return influence.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(influence.shape[1:], np.nan)
    size = n // BATCHES
    means = influence[: size * BATCHES].reshape(BATCHES, size, *influence.shape[1:]).mean(axis=1)
    error: np.ndarray = means.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    return error


def cvar_mcse(loss: np.ndarray, level: float) -> np.ndarray:
    """Monte-Carlo error of `cvar`: that of the mean of q + (loss - q)+ / (1 - level)."""
    q = quantile(loss, level)
    return mcse(q + np.maximum(loss - q, 0.0) / (1 - level))


def quantile_mcse(loss: np.ndarray, level: float) -> np.ndarray:
    """Monte-Carlo error of `quantile`: half the gap between the quantiles a standard error of the level each way."""
    error = mcse((loss <= quantile(loss, level)).astype(float))
    out = np.empty(loss.shape[1])
    for j, e in enumerate(np.nan_to_num(error)):
        low, high = np.quantile(loss[:, j], [max(0.0, level - e), min(1.0, level + e)])
        out[j] = (high - low) / 2
    return out


def log_odds_of_missing(
    outcomes: Outcomes, log_curve: np.ndarray, flops: Any, target: float
) -> tuple[np.ndarray, np.ndarray]:
    """Log odds that the run which will be seen misses the target, and the probability that it reaches it.

    Both have dims (plan,).
    """
    hit, miss = outcomes.p_below(target, log_curve, flops)
    reached, missed = hit.mean(axis=0), miss.mean(axis=0)
    with np.errstate(divide="ignore"):
        return np.log(missed) - np.log(reached), reached


@dataclass(frozen=True, eq=False)
class Choices:
    """What each rule chooses.

    Parameters
    ----------
    rules
        Names.
    params
        Counts, dims (rule,).
    optimum
        Each draw's own best model, were it known to be the truth, a count, dims (draw,).
    best_loss
        Its loss, nats per token, dims (draw,): what regret is counted from.
    grid, expected_on_grid
        Sizes that were searched, and the expected loss of each, dims (point,).
    """

    rules: tuple[str, ...]
    params: np.ndarray
    optimum: np.ndarray
    best_loss: np.ndarray
    grid: np.ndarray
    expected_on_grid: np.ndarray


def check_rules(rules: Sequence[str] | None, target_loss: float | None) -> tuple[str, ...]:
    """The rules asked for, or every one that applies.

    Raises
    ------
    UsageError
        For an unknown rule, or a target rule without a target.
    """
    if rules is None:
        return tuple(name for name in RULES if name != "target" or target_loss is not None)
    for name in rules:
        if name not in RULES:
            raise unknown("rule", name, RULES, "")
    if "target" in rules and target_loss is None:
        raise UsageError("The rule 'target' needs a target loss: --target-loss 2.05.")
    return tuple(dict.fromkeys(rules))


def choose(
    outcomes: Outcomes,
    allocations: Allocations,
    rules: Sequence[str],
    *,
    level: float = 0.9,
    target_loss: float | None = None,
) -> Choices:
    """The model size that each rule chooses among the plans of a budget.

    Every rule meets the same draws. Sizes are searched along log N; with one draw and no limit each rule gives the
    law's own optimum.
    """
    grid = allocations.grid()
    laws = [i for i, m in enumerate(outcomes.members) if m.shares.sum() >= MINIMAX_WEIGHT * outcomes.n_draws]
    wanted = [r for r in dict.fromkeys(["expected", *rules]) if r != "regret"]
    log_curve = outcomes.log_curve(np.exp(grid), allocations.tokens(np.exp(grid)))

    def scored(rule: str, u: np.ndarray, curve: np.ndarray) -> np.ndarray:
        """A rule's values at log sizes `u`, dims (point,), from the log losses there."""
        if rule == "target":
            assert target_loss is not None
            flops = allocations.training_flops(np.exp(u), allocations.tokens(np.exp(u)))
            return log_odds_of_missing(outcomes, curve, flops, target_loss)[0]
        if rule == "quantile":
            return quantile(np.exp(curve), level)
        return cvar(np.exp(curve), level) if rule == "cvar" else expected(np.exp(curve))

    plain = [r for r in wanted if r != "minimax"]
    on_grid = np.stack([scored(r, grid, log_curve) for r in plain])

    def objective(u: np.ndarray) -> np.ndarray:
        n = np.exp(u.ravel())
        curve = outcomes.log_curve(n, allocations.tokens(n)).reshape(outcomes.n_draws, *u.shape)
        return np.stack([scored(r, u[i], curve[:, i]) for i, r in enumerate(plain)])

    if allocations.menu is not None:
        places = dict(zip(plain, grid[np.argmin(on_grid, axis=1)], strict=True))
    else:
        places = dict(zip(plain, minimise(objective, grid, on_grid)[0], strict=True))
    if "target" in places and not np.isfinite(on_grid[plain.index("target")].min()):
        places["target"] = places["expected"]  # out of reach, or certain, whatever is done
    if "minimax" in wanted:
        places["minimax"] = _minimax(outcomes, allocations, laws, grid) if len(laws) > 1 else places["expected"]
    # Regret is the loss less what knowing the truth would give, which no plan changes: its best plan is the expected's.
    places["regret"] = places["expected"]
    optimum, best = optima(outcomes, allocations, grid, log_curve)
    return Choices(
        rules=tuple(rules),
        params=np.exp(np.array([places[r] for r in rules])),
        optimum=optimum,
        best_loss=best,
        grid=np.exp(grid),
        expected_on_grid=on_grid[0],
    )


def optima(
    outcomes: Outcomes, allocations: Allocations, grid: np.ndarray | None = None, log_curve: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Each draw's own best model and its loss there: where the true optimum may lie, dims (draw,) each."""
    if grid is None:
        grid = allocations.grid()
    if log_curve is None:
        log_curve = outcomes.log_curve(np.exp(grid), allocations.tokens(np.exp(grid)))
    if allocations.menu is not None:
        return np.exp(grid[np.argmin(log_curve, axis=1)]), np.exp(log_curve.min(axis=1))

    def own(u: np.ndarray) -> np.ndarray:
        n = np.exp(u)
        return outcomes.log_curve(n, allocations.tokens(n))

    u, value = minimise(own, grid, log_curve)
    return np.exp(u), np.exp(value)


def _minimax(outcomes: Outcomes, allocations: Allocations, laws: Sequence[int], grid: np.ndarray) -> float:
    """Log size whose expected loss, under whichever law is least kind to it, is closest to the best under that law."""
    alone = [outcomes.of_law(i) for i in laws]
    rows = [outcomes.members[i].rows for i in laws]

    def losses(u: np.ndarray) -> np.ndarray:
        """Expected loss under each law, dims (law, point), of sizes with dims (law, point) or (1, point)."""
        n = np.exp(u)
        d = [allocations.tokens(n[min(i, len(n) - 1)]) for i in range(len(alone))]
        picked = [t if t.ndim == 1 else t[r] for t, r in zip(d, rows, strict=True)]
        sizes = [n[min(i, len(n) - 1)] for i in range(len(alone))]
        return np.stack([expected(a.loss(s, t)) for a, s, t in zip(alone, sizes, picked, strict=True)])

    on_grid = losses(grid[None])
    if allocations.menu is not None:
        return float(grid[np.argmin((on_grid - on_grid.min(axis=1, keepdims=True)).max(axis=0))])
    best = minimise(losses, grid, on_grid)[1][:, None]

    def worst(u: np.ndarray) -> np.ndarray:
        return np.asarray((losses(u) - best).max(axis=0, keepdims=True))

    # Where two laws are equally unkind there is a corner.
    return float(minimise(worst, grid, (on_grid - best).max(axis=0, keepdims=True), close=1e-5)[0][0])
