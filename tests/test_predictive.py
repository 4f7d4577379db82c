"""Paired draws of what plans lead to: those of forecasts, whatever they are made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from by_hand import HOFFMANN, POINTS, by_hand, loss_at

import bayes_scaling as bs
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import ensemble
from bayes_scaling.prediction.forecasting import forecast


def test_its_draws_are_those_of_the_forecast(blend):
    n, d = np.array([1e9, 70e9, 4e11]), np.array([2e10, 1.4e12, 1e12])
    worlds = predictive(blend, random_seed=5)
    told = forecast(blend, params=n, tokens=d, kind="curve", random_seed=5)
    np.testing.assert_allclose(worlds.loss(n, d), told.draws, rtol=1e-12)
    # Each draw with plans of its own: the same numbers where the plans are the same.
    own = np.broadcast_to(n, (worlds.n_draws, 3))
    np.testing.assert_allclose(worlds.loss(own, d), told.draws, rtol=1e-12)
    some = np.array([3, 999, 42])
    np.testing.assert_allclose(worlds.take(some).loss(n, d), told.draws[some], rtol=1e-12)


def test_evidence_and_runs_are_averaged_as_forecasts_are(tiny_runs, blend, monkeypatch):
    from bayes_scaling.evidence.result import Evidence
    from bayes_scaling.validation import averaging as module

    asked = []
    monkeypatch.setattr(module, "validated_average", lambda fits, random_seed: (asked.append(fits), (blend, None))[1])
    monkeypatch.setattr(module, "average", lambda runs, **k: (asked.append(runs), blend)[1])
    probability = {f.law.name: 0.5 for f in blend.fits}
    evidence = Evidence(tiny_runs, blend.fits, {}, {}, {}, probability, ())
    by_evidence = bs.decide(evidence, budget=1e24, rules=["expected"])
    by_runs = bs.decide(tiny_runs, budget=1e24, rules=["expected"])
    assert asked == [blend.fits, tiny_runs]
    assert by_evidence.decisions == by_runs.decisions == bs.decide(blend, budget=1e24, rules=["expected"]).decisions
    # By evidence alone where that is asked for: no discrepancy, equal weights.
    alone = bs.decide(evidence.ensemble(), budget=1e24, rules=["expected"])
    assert alone.weights_from == "evidence"
    assert alone.law_weights == pytest.approx(probability)


def test_a_mixture_has_as_many_draws_of_each_law_as_it_weighs(tiny_runs):
    low, high = (
        by_hand(tiny_runs, HOFFMANN, draws=400),
        by_hand(tiny_runs, POINTS["coupled"], law="coupled", draws=1000),
    )
    worlds = predictive(ensemble([low, high], [0.25, 0.75]))
    assert [len(m.rows) for m in worlds.members] == [250, 750]
    loss = worlds.loss([7e9], [1e11])[:, 0]
    assert np.mean(np.isclose(loss, loss_at(HOFFMANN, 7e9, 1e11))) == 0.25


def test_the_probability_of_a_target_counts_the_noise(cloud):
    worlds = predictive(cloud)
    n, d = [4e10], [4e12]
    losses = worlds.at(n, d)
    hit, miss = losses.p_below(1.95)
    seen = forecast(cloud, params=n, tokens=d, random_seed=9).draws[:, 0]
    assert hit.mean() == pytest.approx((seen <= 1.95).mean(), abs=4 * 0.5 / np.sqrt(len(seen)))
    np.testing.assert_allclose(hit + miss, 1, atol=1e-12)
    mine = losses.with_one_luck([3])[:, 0]
    assert (mine <= 1.95).mean() == pytest.approx(hit.mean(), abs=4 * 0.5 / np.sqrt(len(seen)))


def test_the_discrepancy_cancels_between_plans_of_equal_compute(blend):
    """Inside the runs' range of N and D, and along C, it moves every plan alike."""
    worlds = predictive(blend)
    n = np.array([4e9, 8e9])  # neither N nor D is further from the runs than C is
    d = 1e22 / (6 * n)
    shift = worlds.log_curve(n, d) - replace(worlds, slopes=np.zeros_like(worlds.slopes)).log_curve(n, d)
    assert shift.std() > 0.001
    np.testing.assert_allclose(shift[:, 0], shift[:, 1], atol=1e-12)
