"""The discrepancy of best sizes: how it grows, whom it concerns, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from by_hand import POINTS, by_hand
from scipy import stats

from bayes_scaling import decide, forecast
from bayes_scaling.decisions.limits import Limits
from bayes_scaling.prediction.frontiers import frontier
from bayes_scaling.prediction.misplacement import DEGREES, Misplacement


def test_it_is_an_offset_and_a_line_with_one_tail():
    size = Misplacement(offset=0.05, slope=0.1)
    shift = size.log10_shift(50_000, np.array([0.0, 2.0]), 1)
    for column, scale in zip(shift.T, (0.05, np.hypot(0.05, 0.2)), strict=True):
        assert stats.kstest(column / scale, stats.t(DEGREES).cdf).pvalue > 1e-3
    alone = size.log10_shift(50_000, np.array([2.0]), 1)
    np.testing.assert_array_equal(alone[:, 0], shift[:, 1])


def test_a_validated_average_carries_it_and_nothing_else_does(blend):
    budgets = float(blend.fits[0].runs.flops.max()) * np.array([1.0, 10.0, 1000.0])
    with_it, without = frontier(blend, budgets), frontier(blend, budgets, laws_alone=True)
    spread = [np.log10(f.draws("params")).std(axis=0) for f in (with_it, without)]
    more = np.sqrt(spread[0] ** 2 - spread[1] ** 2)
    # Of a Student-t of scale one the sd is sqrt(2) at 4 degrees of freedom, and slow to be seen.
    expected = np.sqrt(2) * np.hypot(Misplacement().offset, Misplacement().slope * np.array([0, 1, 3]))
    np.testing.assert_allclose(more, expected, rtol=0.35)
    np.testing.assert_allclose(6 * with_it.draws("params") * with_it.draws("tokens"), np.tile(budgets, (1800, 1)))
    assert with_it.to_dict()["misplacement"]["slope"] == Misplacement().slope
    assert without.to_dict()["misplacement"] is None
    alone = frontier(blend.fits[0], budgets)
    assert alone.misplacement is None


def test_the_loss_is_what_a_forecast_says_there(blend, tiny_runs):
    second = by_hand(tiny_runs, POINTS["coupled"], law="coupled", spread=0.03, draws=1000, seed=2)
    blend = replace(blend, fits=(blend.fits[0], second))
    budgets = float(blend.fits[0].runs.flops.max()) * np.array([1.0, 10.0])
    made = frontier(blend, budgets)
    n = np.median(made.draws("params"), axis=0)
    foretold = forecast(blend, params=n, tokens=budgets / (6 * n), kind="curve", random_seed=made.random_seed).rows()
    for j, row in enumerate(foretold):
        for end in ("lower", "median", "upper"):
            assert made._value("loss", j)[end] == pytest.approx(row[end], rel=1e-4)


def test_the_exponent_is_as_uncertain_as_the_line_only_beyond_the_runs(blend):
    largest = float(blend.fits[0].runs.flops.max())
    gap = []
    for budget in (0.1 * largest, 10 * largest):
        a, b = (frontier(blend, budget, laws_alone=alone).draws("exponent_params")[:, 0] for alone in (False, True))
        gap.append(a - b)
    np.testing.assert_allclose(gap[0], 0, atol=1e-12)
    assert np.median(np.abs(gap[1])) == pytest.approx(Misplacement().slope * stats.t(DEGREES).ppf(0.75), rel=0.1)


def test_a_decision_says_the_same_of_the_best_size(blend):
    budget = 10 * float(blend.fits[0].runs.flops.max())
    asked = frontier(blend, budget)._value("params", 0)
    decided = decide(blend, budget=budget).optimum["params"]
    assert decided["median"] == pytest.approx(asked["median"], rel=0.15)
    width = [np.log(v["upper"] / v["lower"]) for v in (asked, decided)]
    assert width[1] == pytest.approx(width[0], rel=0.4)
    limited = decide(blend, budget=budget, limits=Limits(max_params=0.5 * asked["median"]))
    assert limited.optimum["params"]["upper"] <= 0.5 * asked["median"] * (1 + 1e-9)
