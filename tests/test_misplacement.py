"""The discrepancy of best sizes: how it grows, whom it concerns, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayes_scaling import decide, forecast
from bayes_scaling.decisions.limits import Limits
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.frontiers import frontier
from bayes_scaling.prediction.misplacement import DEGREES, Misplacement


def test_it_is_an_offset_and_a_line_with_one_tail():
    drawn = Misplacement(offset=0.05, slope=0.1).draws(50_000, 1)
    for beyond, scale in ((0.0, 0.05), (2.0, np.hypot(0.05, 0.2))):
        assert stats.kstest((drawn @ [1, beyond]) / scale, stats.t(DEGREES).cdf).pvalue > 1e-3


def test_a_draws_minimum_moves_by_it_and_the_loss_there_stays(blend):
    """Held against brute force on a fine grid, inside the runs and beyond; the shift changes along compute."""
    worlds = predictive(blend).thinned(40)
    worlds = replace(worlds, slopes=np.zeros_like(worlds.slopes))
    still = replace(worlds, misplaced=np.zeros_like(worlds.misplaced))
    for budget in (1e20, 1e23):
        u = np.log(np.geomspace(1e7, 1e12, 4001))
        at, before = (w.log_curve(np.exp(u), budget / 6 / np.exp(u)) for w in (worlds, still))
        moved = u[at.argmin(axis=1)] - u[before.argmin(axis=1)]
        np.testing.assert_allclose(moved, worlds.shift(budget)[:, 0], atol=1.1 * (u[1] - u[0]))
        np.testing.assert_allclose(at.min(axis=1), before.min(axis=1), atol=1e-6)
        found = best_sizes(worlds, np.array([budget]))
        np.testing.assert_allclose(found.log_params[:, 0], u[at.argmin(axis=1)], atol=u[1] - u[0])
        np.testing.assert_allclose(found.log_loss[:, 0], at.min(axis=1), atol=1e-6)
    assert worlds.shift(1e23).std() > 2 * worlds.shift(1e20).std() > 0


def test_a_validated_average_carries_it_and_nothing_else_does(blend):
    budgets = float(blend.fits[0].runs.flops.max()) * np.array([1.0, 10.0, 1000.0])
    with_it, without = frontier(blend, budgets), frontier(blend, budgets, laws_alone=True)
    spread = [np.log10(f.draws("params")).std(axis=0) for f in (with_it, without)]
    more = np.sqrt(spread[0] ** 2 - spread[1] ** 2)
    # Of a Student-t of scale one the sd is sqrt(2) at 4 degrees of freedom, and slow to be seen.
    expected = np.sqrt(2) * np.hypot(Misplacement().offset, Misplacement().slope * np.array([0, 1, 3]))
    np.testing.assert_allclose(more, expected, rtol=0.35)
    np.testing.assert_allclose(6 * with_it.draws("params") * with_it.draws("tokens"), np.tile(budgets, (1000, 1)))
    assert with_it.to_dict()["misplacement"]["slope"] == Misplacement().slope
    assert without.to_dict()["misplacement"] is None
    alone = frontier(blend.fits[0], budgets)
    assert alone.misplacement is None


def test_the_loss_is_that_of_the_forecast_but_for_what_not_knowing_the_size_costs(blend):
    budgets = float(blend.fits[0].runs.flops.max()) * np.array([1.0, 10.0])
    made = frontier(blend, budgets)
    n = np.median(made.draws("params"), axis=0)
    told = forecast(blend, params=n, tokens=budgets / (6 * n), kind="curve").draws
    cost = told - made.draws("loss")
    assert cost.min() > -1e-12
    for j, budget in enumerate(budgets):
        worst = decide(blend, plans=[{"params": n[j], "tokens": budget / 6 / n[j]}]).comparison["plans"][0]
        assert worst["loss"]["mean"] - made._value("loss", j)["mean"] == pytest.approx(cost[:, j].mean())
        assert cost[:, j].mean() < 0.01


def test_the_exponent_is_as_uncertain_as_the_line_only_beyond_the_runs(blend):
    largest = float(blend.fits[0].runs.flops.max())
    gap = []
    for budget in (0.1 * largest, 10 * largest):
        a, b = (frontier(blend, budget, laws_alone=alone).draws("exponent_params")[:, 0] for alone in (False, True))
        gap.append(a - b)
    np.testing.assert_allclose(gap[0], 0, atol=1e-9)
    assert np.median(np.abs(gap[1])) == pytest.approx(Misplacement().slope * stats.t(DEGREES).ppf(0.75), rel=0.1)


def test_a_decision_says_the_same_of_the_best_size(blend):
    budget = 10 * float(blend.fits[0].runs.flops.max())
    asked = frontier(blend, budget)._value("params", 0)
    assert decide(blend, budget=budget).optimum["params"] == asked
    limited = decide(blend, budget=budget, limits=Limits(max_params=0.5 * asked["median"])).optimum
    assert limited["params"] == asked
    assert limited["limited"]["params"]["upper"] <= 0.5 * asked["median"] * (1 + 1e-9)
