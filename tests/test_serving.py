"""The optimum over a model's life, and Sardana et al.'s case."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import HOFFMANN, by_hand, loss_at
from scipy.optimize import brentq

import bayes_scaling as bs
from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.decisions.serving import best_for_budget, cheapest, demand_draws, demand_for
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.optimum import optimal_params

SARDANA = {**HOFFMANN, "alpha": 0.336, "beta": 0.283}


def test_sardanas_case(tiny_runs):
    """Reference case of Sardana et al. (2023): a 7B-quality model, 1e11 tokens served."""
    law = get_law("chinchilla")
    for point, size, data in ((SARDANA, 6.00e9, 1.18), (HOFFMANN, 6.34e9, 1.11)):
        fit = by_hand(tiny_runs, point, draws=2)
        p = {k: v[:1] for k, v in fit.draws(*law.parameters).items()}

        def too_small(log_c, p=p):
            return np.log(optimal_params(law, p, np.exp([log_c]))[0, 0] / 7e9)

        d = np.exp(brentq(too_small, np.log(1e20), np.log(1e26))) / (6 * 7e9)
        if point is SARDANA:
            assert d == pytest.approx(276e9, rel=0.005)
        found = cheapest(predictive(fit), loss_at(point, 7e9, d), np.full(2, 1e11))
        assert found.params[0] == pytest.approx(size, rel=0.002)
        assert found.tokens[0] / d == pytest.approx(data, abs=0.005)
        nothing = cheapest(predictive(fit), loss_at(point, 7e9, d), np.zeros(2))
        assert nothing.params[0] == pytest.approx(7e9, rel=1e-6)  # without demand: the training optimum


def test_serving_within_a_budget(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)
    worlds, budget, served = predictive(fit), 1e24, 2e12
    truth = optimal_params(fit.law, {k: v[:1] for k, v in fit.draws(*fit.law.parameters).items()}, np.array([budget]))
    nothing = best_for_budget(worlds, budget, np.zeros(2))
    assert nothing.params[0] == pytest.approx(truth[0, 0], rel=1e-6)
    found = best_for_budget(worlds, budget, np.full(2, served))
    n = np.geomspace(1e9, 2e11, 20_001)
    d = (budget - 2 * n * served) / (6 * n)
    inside = d > 0
    loss = loss_at(HOFFMANN, n[inside], d[inside])
    assert found.params[0] == pytest.approx(n[inside][np.argmin(loss)], rel=1e-3)
    assert 6 * found.params[0] * found.tokens[0] + 2 * found.params[0] * served == pytest.approx(budget)
    made = bs.decide(fit, budget=budget, inference_tokens=served, rules=["expected"])
    assert made.decisions[0]["params"] == pytest.approx(found.params[0], rel=1e-6)
    assert made.decisions[0]["total_flops"] == pytest.approx(budget)
    assert made.serving["at_loss"]["saving"]["median"] > 0
    zero = bs.decide(fit, budget=budget, inference_tokens=0, rules=["expected"]).decisions[0]
    assert zero["params"] == pytest.approx(truth[0, 0], rel=1e-6)


def test_the_demand_at_which_a_plan_becomes_right(tiny_runs):
    worlds = predictive(by_hand(tiny_runs, HOFFMANN, draws=2))
    for served in (1e11, 3e12):
        found = cheapest(worlds, 2.1, np.full(2, served))
        right = demand_for(worlds, found.params[0], found.tokens[0])
        np.testing.assert_allclose(right, served, rtol=1e-4)
    assert (demand_for(worlds, 175e9, 300e9) < 0).all()  # larger than the training optimum: GPT-3


def test_tokens_served_have_a_distribution():
    drawn = demand_draws("lognormal(median=1e12, sigma=0.5)", 2000)
    assert np.median(drawn) == pytest.approx(1e12, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.5, rel=0.02)
    assert set(demand_draws("2T", 3)) == {2e12}
    for wrong in (-1.0, "normal(mu=0, sigma=1)", "some"):
        with pytest.raises(InfeasibleError):
            demand_draws(wrong, 100)
