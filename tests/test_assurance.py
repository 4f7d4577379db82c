"""Budgets that make a target safe."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import HOFFMANN, by_hand, loss_at
from scipy import stats
from scipy.optimize import brentq

from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.decisions.assurance import assure
from bayes_scaling.decisions.limits import Limits
from bayes_scaling.decisions.paths import budget_grid, trace
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.forecasting import forecast
from bayes_scaling.prediction.optimum import optimal_params


def test_assurance_of_one_draw_is_the_quantile_of_its_noise(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, noise="normal", sigma=0.02, draws=2)
    found = assure(predictive(fit), 2.0, 0.9)
    law, p = get_law("chinchilla"), {k: v[:1] for k, v in fit.draws(*get_law("chinchilla").parameters).items()}

    def short(log_c):
        n = optimal_params(law, p, np.exp([log_c]))[0, 0]
        return np.log(loss_at(HOFFMANN, n, np.exp(log_c) / 6 / n)) + 0.02 * stats.norm.ppf(0.9) - np.log(2.0)

    assert found.flops == pytest.approx(np.exp(brentq(short, np.log(1e20), np.log(1e28))), rel=1e-3)
    assert found.attained == pytest.approx(0.9, abs=1e-3)
    # Had the truth been known, the curve itself would have had to be at the target.
    known = brentq(lambda c: short(c) - 0.02 * stats.norm.ppf(0.9), np.log(1e20), np.log(1e28))
    np.testing.assert_allclose(found.needed, np.exp(known), rtol=0.02)
    assert found.overspend == pytest.approx(found.flops - found.needed[0])


def test_an_assured_plan_reaches_its_target_as_often_as_it_says(blend):
    found = assure(predictive(blend), 2.0, 0.8)
    seen = forecast(blend, params=found.params, tokens=found.tokens, random_seed=0).draws[:, 0]
    assert (seen <= 2.0).mean() == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(len(seen)) + 4 * found.attained_mcse)
    assert 6 * found.params * found.tokens == pytest.approx(found.flops)
    assert np.all(np.diff(found.probabilities) >= 0)
    less = assure(predictive(blend), 2.0, 0.5)
    assert less.flops < found.flops
    body = found.to_dict()
    assert body["needed"]["lower"] < body["needed"]["median"] < body["needed"]["upper"]
    assert 0 < body["overspend_share"] < 1


def test_the_path_over_budgets_is_the_frontier(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)
    worlds = predictive(fit)
    path = trace(worlds, budget_grid(worlds))
    truth = optimal_params(fit.law, {k: v[:1] for k, v in fit.draws(*fit.law.parameters).items()}, path.budgets)[0]
    np.testing.assert_allclose(path.params, truth, rtol=1e-3)


def test_targets_out_of_reach(cloud):
    with pytest.raises(
        InfeasibleError,
        match=r"1\.7 cannot be reached with probability 0\.9 by 1e32 FLOP: at most a probability of 0\.",
    ):
        assure(predictive(cloud), 1.7, 0.9)
    with pytest.raises(InfeasibleError, match="The limit on parameters binds: without it about"):
        assure(predictive(cloud), 2.0, 0.9, limits=Limits(max_params=1e9))
    with pytest.raises(InfeasibleError, match="The limit on tokens binds: without it about"):
        assure(predictive(cloud), 2.0, 0.9, limits=Limits(max_tokens=1e11))
    # What is said to be attainable is: 1e32 FLOP reach the loss named, with that probability.
    with pytest.raises(InfeasibleError) as caught:
        assure(predictive(cloud), 1.7, 0.9)
    named = float(str(caught.value).split()[-1].rstrip("."))
    assert assure(predictive(cloud), named + 0.002, 0.9).flops <= 1e32
