"""Each draw's own best size at a budget, its loss there, and how it grows with compute.

Along a curve of equal compute the log loss of every law here is convex in log N, and so is that of a blend. Its minimum
lies between the laws' own, which are known in closed form or by bisection, and is searched for there; the misplacement
then moves it. Only where the discrepancy of N or of D reaches into that curve, and falls steeply enough to make another
minimum, is the whole range searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.laws.compute import SIZES
from bayes_scaling.prediction.discrepancy import distance
from bayes_scaling.prediction.optimum import SMALLEST_PARAMS, SMALLEST_TOKENS, optimal_params
from bayes_scaling.prediction.search import CLOSE, minimise

if TYPE_CHECKING:
    from bayes_scaling.prediction.predictive import Predictive

# Points at which a bracket between laws' optima is looked at first, and log N between points of the whole range.
BRACKET, STEP = 5, 0.4
# A curve that rises by less than this share of the loss a factor e either side has no minimum.
FLAT = 1e-9
# The local exponent is the slope of log N* across this factor of compute around a budget.
EXPONENT_STEP = 1.05
# Of the differences that give a blend's exponent, in log N and log C.
DIFFERENCE = 0.02


@dataclass(frozen=True, eq=False)
class Best:
    """Each draw's own best plan.

    Parameters
    ----------
    log_params
        Log of N*, dims (draw, budget); NaN where the loss has no minimum inside the search.
    log_loss
        Log of its expected loss, nats per token, dims (draw, budget); NaN with it.
    """

    log_params: np.ndarray
    log_loss: np.ndarray

    @property
    def params(self) -> np.ndarray:
        """Counts, dims (draw, budget)."""
        return np.exp(self.log_params)

    @property
    def missing(self) -> np.ndarray:
        """Share of draws without one, dims (budget,)."""
        return np.asarray(np.isnan(self.log_params).mean(axis=0))


def best_sizes(worlds: Predictive, budgets: np.ndarray, method: str = "auto") -> Best:
    """At budgets with dims (budget,), FLOP; `method` as in `optimum.optimal_params`."""
    budgets = np.atleast_1d(np.asarray(budgets, float))
    low, high = _laws_range(worlds, budgets, method)
    shift = worlds.shift(budgets)
    u, value = np.empty(low.shape), np.empty(low.shape)
    for j, c in enumerate(budgets):
        u[:, j] = _laws_best(worlds, low[:, j], high[:, j], c) + shift[:, j]
        u[:, j] = _settled(worlds, u[:, j], shift[:, j], float(c))
        known = np.where(np.isnan(u[:, j]), 0.0, u[:, j])[:, None]
        value[:, j] = np.where(np.isnan(u[:, j]), np.nan, along(worlds, known, c)[:, 0])
    return Best(u, value)


def along(worlds: Predictive, log_params: np.ndarray, flops: float) -> np.ndarray:
    """Log loss at log N with dims (1, point) or (draw, point), on one budget: dims (draw, point)."""
    n = np.exp(log_params)
    return worlds.log_curve(n, worlds.compute.tokens(n, flops))


def _laws_range(worlds: Predictive, budgets: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest log N* of each draw's laws, dims (draw, budget); NaN where a law has none."""
    shape = worlds.n_draws, len(budgets)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    for m in worlds.members:
        if not set(m.law.inputs) <= set(SIZES):
            low[m.rows] = high[m.rows] = np.nan  # its other inputs are part of the plan: the whole range is searched
        elif len(m.rows):
            own = np.log(optimal_params(m.law, m.values, budgets, worlds.compute, method))
            low[m.rows] = np.minimum(low[m.rows], own)  # NaN stays
            high[m.rows] = np.maximum(high[m.rows], own)
    return low, high


def _laws_best(worlds: Predictive, low: np.ndarray, high: np.ndarray, flops: float) -> np.ndarray:
    """Where the draw's laws together are lowest, log N without misplacement, dims (draw,)."""
    if worlds.alone and worlds.sized:
        return low
    out = np.full(len(low), np.nan)
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    if len(known):
        part = worlds if len(known) == worlds.n_draws else worlds.take(known)
        start, width = low[known], np.maximum(high[known] - low[known], 1e-9)

        def curve(v: np.ndarray) -> np.ndarray:
            n = np.exp(start[:, None] + width[:, None] * v)
            return part.laws_curve({"params": n, "tokens": np.asarray(part.compute.tokens(n, flops))})

        grid = np.linspace(0, 1, BRACKET)
        close = min(0.1, CLOSE / float(width.max()))
        v = minimise(curve, grid, curve(np.broadcast_to(grid, (len(known), BRACKET))), close)[0]
        out[known] = start + width * v
    wide = np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high))
    if len(wide):
        part = worlds.take(wide)
        grid = _whole(part, flops)

        def whole(u: np.ndarray) -> np.ndarray:
            n = np.exp(u)
            return part.laws_curve({"params": n, "tokens": np.asarray(part.compute.tokens(n, flops))})

        u = minimise(whole, grid, whole(grid[None]))[0]
        rise = whole(np.stack([u - 1, u, u + 1], axis=1))
        inside = (u > grid[1]) & (u < grid[-2]) & (np.minimum(rise[:, 0], rise[:, 2]) - rise[:, 1] > FLAT)
        out[wide] = np.where(inside, u, np.nan)
    return out


def _whole(worlds: Predictive, flops: float) -> np.ndarray:
    """Log N from end to end of what anybody trains, dims (point,)."""
    low = np.log(SMALLEST_PARAMS)
    high = max(low + STEP, float(np.log(worlds.compute.tokens(SMALLEST_TOKENS, flops))))
    return np.linspace(low, high, max(2, int((high - low) / STEP) + 2))


def _settled(worlds: Predictive, u: np.ndarray, shift: np.ndarray, flops: float) -> np.ndarray:
    """The minimum of the whole surface, where the laws' moved one is at `u`, dims (draw,)."""
    falling = np.minimum(worlds.slopes[:, 1:], 0.0).sum(axis=1) / np.log(10)  # of log loss, an e-fold, at the most
    if not worlds.slopes[:, 1:].any():
        return u
    grid = _whole(worlds, flops)
    n = np.exp(grid)
    where = distance(worlds.runs, n, np.asarray(worlds.compute.tokens(n, flops)), worlds.compute)
    calm = np.flatnonzero((where.params == 0) & (where.tokens == 0))
    if len(calm) == len(grid):
        return u
    if len(calm):
        first, last = grid[calm[0]], grid[calm[-1]]
        ends = np.stack([first - shift, last - shift], axis=1)
        sizes = np.exp(np.concatenate([ends - 1e-3, ends + 1e-3], axis=1))
        curve = worlds.laws_curve({"params": sizes, "tokens": np.asarray(worlds.compute.tokens(sizes, flops))})
        slope = (curve[:, 2:] - curve[:, :2]) / 2e-3
        lower_left = (slope[:, 0] - falling > 0) & (calm[0] > 0)
        lower_right = (slope[:, 1] + falling < 0) & (calm[-1] < len(grid) - 1)
        again = (u < first) | (u > last) | lower_left | lower_right
    else:
        again = np.full(len(u), True)
    rows = np.flatnonzero(again & ~np.isnan(u))
    if not len(rows):
        return u
    part = worlds.take(rows)
    found = minimise(lambda v: along(part, v, flops), grid, along(part, grid[None], flops), close=1e-3)[0]
    out = np.array(u)
    out[rows] = np.where((found > grid[0]) & (found < grid[-1]), found, np.nan)
    return out


def exponents_at(worlds: Predictive, budgets: np.ndarray, best: Best, method: str = "auto") -> np.ndarray:
    """a = d log N* / d log C of each draw, misplacement included, dims (draw, budget).

    Of a law by central differences of its own optimum; of a blend by the implicit function theorem at the minimum.
    """
    around = np.concatenate([budgets * EXPONENT_STEP, budgets / EXPONENT_STEP])
    span = 2 * np.log(EXPONENT_STEP)
    moved = worlds.shift(around)
    more = (moved[:, : len(budgets)] - moved[:, len(budgets) :]) / span
    if worlds.alone and worlds.sized:
        own = _laws_range(worlds, around, method)[0]
        return np.asarray((own[:, : len(budgets)] - own[:, len(budgets) :]) / span + more)
    h = DIFFERENCE
    du, dc = (v.ravel() for v in np.meshgrid([-h, 0.0, h], [-h, 0.0, h], indexing="ij"))
    out = np.empty(best.log_params.shape)
    for j, c in enumerate(budgets):
        centre = best.log_params[:, j] - worlds.shift(c)[:, 0]
        n = np.exp(centre[:, None] + du)
        f = worlds.laws_curve({"params": n, "tokens": np.asarray(worlds.compute.tokens(n, c * np.exp(dc)))})
        f = f.reshape(-1, 3, 3)
        bend = f[:, 2, 1] - 2 * f[:, 1, 1] + f[:, 0, 1]
        mixed = 0.25 * (f[:, 2, 2] - f[:, 2, 0] - f[:, 0, 2] + f[:, 0, 0])
        out[:, j] = -mixed / bend + more[:, j]
    return out
