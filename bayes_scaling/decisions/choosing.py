"""The plan that each rule takes among those of a budget, and where each draw's own best plan lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.decisions.rules import RULES
from bayes_scaling.decisions.rules.rule import Question
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.frontiers import no_optimum
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.prediction.search import minimise


@dataclass(frozen=True, eq=False)
class Choices:
    """What each rule chooses.

    Parameters
    ----------
    rules
        Names.
    params
        Counts, dims (rule,).
    expected_params
        That of least expected loss, whether or not it was asked for.
    optimum
        Each draw's own best model among the plans, were it known to be the truth, a count, dims (draw,); NaN where
        there is none inside the search.
    best_loss
        Its loss, nats per token, dims (draw,): what regret is counted from.
    grid, expected_on_grid
        Sizes that were searched, and the expected loss of each, dims (point,).
    """

    rules: tuple[str, ...]
    params: np.ndarray
    expected_params: float
    optimum: np.ndarray
    best_loss: np.ndarray
    grid: np.ndarray
    expected_on_grid: np.ndarray


def choose(
    worlds: Predictive, allocations: Allocations, rules: Sequence[str], asked: Question | None = None
) -> Choices:
    """The model size that each rule chooses among the plans of a budget.

    Every rule meets the same draws. Sizes are searched along log N; with one draw and no limit each rule gives the
    law's own optimum.
    """
    question = asked or Question()
    grid = allocations.grid()
    n = np.exp(grid)
    on_grid_losses = worlds.at(n, allocations.tokens(n))
    wanted = list(dict.fromkeys(["expected", *rules]))
    plain = [RULES[r] for r in wanted if RULES[r].as_rule is None and RULES[r].search is None]
    on_grid = np.stack([r.objective(on_grid_losses, question) for r in plain])

    def objective(u: np.ndarray) -> np.ndarray:
        sizes, points = np.exp(u.ravel()), u.shape[1]
        losses = worlds.at(sizes, allocations.tokens(sizes))
        parts = [losses.of(np.arange(i * points, (i + 1) * points)) for i in range(len(plain))]
        return np.stack([r.objective(part, question) for r, part in zip(plain, parts, strict=True)])

    at = (
        grid[np.argmin(on_grid, axis=1)]
        if allocations.menu is not None
        else minimise(objective, grid, on_grid, allocations.close)[0]
    )
    places: dict[str, float] = {r.name: float(u) for r, u in zip(plain, at, strict=True)}
    for r, values in zip(plain, on_grid, strict=True):
        if not np.isfinite(values.min()):
            places[r.name] = places["expected"]  # a target out of reach, or certain, whatever is done
    for rule in (RULES[name] for name in wanted):
        if rule.search is not None:
            found = rule.search(worlds, allocations, grid)
            places[rule.name] = places["expected"] if found is None else found
        elif rule.as_rule is not None:
            places[rule.name] = places[rule.as_rule]
    optimum, best = optima(worlds, allocations, grid, on_grid_losses.log_curve)
    chosen = np.exp(np.array([places[r] for r in wanted]))
    # No plan is better than a draw's best, rounding of the search included.
    best = np.minimum(best, worlds.loss(chosen, allocations.tokens(chosen)).min(axis=1))
    return Choices(
        rules=tuple(rules),
        params=np.exp(np.array([places[r] for r in rules])),
        expected_params=float(np.exp(places["expected"])),
        optimum=optimum,
        best_loss=best,
        grid=n,
        expected_on_grid=on_grid[0],
    )


def optima(
    worlds: Predictive, allocations: Allocations, grid: np.ndarray | None = None, log_curve: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Each draw's own best model among the plans of a budget, and its loss there, dims (draw,) each.

    Where the compute alone decides it is what the frontier says.

    Raises
    ------
    InfeasibleError
        Where no draw has a best size.
    """
    if grid is None:
        grid = allocations.grid()
    if log_curve is None:
        log_curve = worlds.log_curve(np.exp(grid), allocations.tokens(np.exp(grid)))
    if allocations.menu is not None:
        return np.exp(grid[np.argmin(log_curve, axis=1)]), np.exp(log_curve.min(axis=1))
    if allocations.free:
        best = best_sizes(worlds, np.array([allocations.typical]))
        params, value = best.params[:, 0], best.log_loss[:, 0]
        if np.isnan(params).all():
            raise InfeasibleError(no_optimum([m.law.name for m in worlds.members], allocations.typical))
        # Where there is none, the draw's least loss on the grid is what regret is counted from.
        return params, np.exp(np.where(np.isnan(params), log_curve.min(axis=1), value))

    def own(u: np.ndarray) -> np.ndarray:
        n = np.exp(u)
        return worlds.log_curve(n, allocations.tokens(n))

    u, value = minimise(own, grid, log_curve, allocations.close)
    return np.exp(u), np.exp(value)
