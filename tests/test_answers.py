"""Forecasts and frontiers, held against formulas worked out here from posteriors made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from by_hand import BESIROGLU, HOFFMANN, by_hand, loss_at

from bayes_scaling import forecast, frontier
from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.intervals import weighted_quantile
from bayes_scaling.laws.compute import SIX_ND
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.ensemble import ensemble
from bayes_scaling.prediction.forecasting import decades_beyond
from bayes_scaling.prediction.optimum import optimal_params


def test_a_point_like_posterior_forecasts_the_formula(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN)
    n, d = np.array([1e9, 70e9]), np.array([2e10, 1.4e12])
    answer = forecast(fit, params=n, tokens=d, kind="curve")
    expected = loss_at(HOFFMANN, n, d)
    np.testing.assert_allclose(answer.draws, np.broadcast_to(expected, (400, 2)), rtol=1e-12)
    for row, value in zip(answer.rows(), expected, strict=True):
        for key in ("mean", "median", "lower", "upper"):
            assert row[key] == pytest.approx(value, rel=1e-12)
        assert row["sd"] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(answer.flops, 6 * n * d)


def test_a_new_run_is_the_curve_with_its_noise(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, noise="normal", sigma=0.02, draws=40_000)
    new = forecast(fit, params=7e9, tokens=1e11)
    curve = forecast(fit, params=7e9, tokens=1e11, kind="curve")
    assert new.rows()[0]["upper"] - new.rows()[0]["lower"] > curve.rows()[0]["upper"] - curve.rows()[0]["lower"]
    # Log-normal about the curve: the 5, 50 and 95 % points by the normal's quantile 1.6449.
    middle = loss_at(HOFFMANN, 7e9, 1e11)
    expected = middle * np.exp(0.02 * np.array([-1.6449, 0, 1.6449]))
    np.testing.assert_allclose(new.quantile([0.05, 0.5, 0.95])[:, 0], expected, rtol=0.02 * 4 * 2 / 200)


def test_student_t_noise_has_no_mean_and_a_curve_has(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.01)
    new, curve = (forecast(fit, params=7e9, tokens=1e11, kind=k).rows()[0] for k in ("new-run", "curve"))
    assert new["mean"] is None
    assert new["sd"] is None
    assert curve["mean"] is not None
    assert by_hand(tiny_runs, HOFFMANN, noise="laplace").noise.finite_mean


def test_a_forecast_does_not_depend_on_what_else_is_asked(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.02)
    alone = forecast(fit, params=7e9, tokens=1e11, random_seed=3)
    among = forecast(fit, params=[1e9, 7e9, 70e9], tokens=[1e11, 1e11, 1e12], random_seed=3)
    np.testing.assert_array_equal(alone.draws[:, 0], among.draws[:, 1])
    other = forecast(fit, params=7e9, tokens=1e11, random_seed=4)
    assert not np.array_equal(alone.draws, other.draws)
    # Two new runs scatter apart, each in its own way.
    noise = among.draws / forecast(fit, params=among.params, tokens=among.tokens, kind="curve").draws
    assert abs(np.corrcoef(np.log(noise[:, 0]), np.log(noise[:, 1]))[0, 1]) < 0.25


def test_weights_are_respected(tiny_runs):
    low = by_hand(tiny_runs, HOFFMANN, draws=400)
    high = replace(by_hand(tiny_runs, BESIROGLU, draws=200), law=replace(get_law("chinchilla"), name="other"))
    a, b = loss_at(HOFFMANN, 7e9, 1e11), loss_at(BESIROGLU, 7e9, 1e11)
    for weight in (0.0, 0.3, 1.0):
        where = {"params": 7e9, "tokens": 1e11, "kind": "curve"}
        row = forecast([low, high], weights=[weight, 1 - weight], **where).rows()[0]
        assert row["mean"] == pytest.approx(weight * a + (1 - weight) * b)
        assert row["law_weights"] == pytest.approx({"chinchilla": weight, "other": 1 - weight})
        by_name = forecast([low, high], weights={"other": 1 - weight, "chinchilla": weight}, **where)
        assert by_name.rows()[0]["mean"] == row["mean"]
    assert forecast([low, high], **where).rows()[0]["mean"] == pytest.approx((a + b) / 2)
    with pytest.raises(UsageError, match="none negative"):
        ensemble([low, high], [1.0, -1.0])
    with pytest.raises(UsageError, match="No weight for other"):
        ensemble([low, high], {"chinchilla": 1.0})


def test_quantiles_of_a_weighted_mixture_against_brute_force():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 3000), rng.normal(3, 0.5, 1000)
    weights = np.concatenate([np.full(a.size, 0.25 / a.size), np.full(b.size, 0.75 / b.size)])
    probs = [0.05, 0.25, 0.5, 0.75, 0.95]
    found = weighted_quantile(np.concatenate([a, b]), probs, weights)
    # Brute force: each draw repeated in proportion to its weight (1 : 9).
    repeated = np.sort(np.concatenate([a, np.repeat(b, 9)]))
    expected = np.quantile(repeated, probs)
    np.testing.assert_allclose(found, expected, atol=0.01)
    equal = weighted_quantile(a, probs, np.full(a.size, 1 / a.size))
    np.testing.assert_allclose(equal, np.quantile(a, probs), atol=0.01)
    assert weighted_quantile(np.array([1.0, 2.0, 9.0]), [0.5], np.array([0.5, 0.5, 0.0])) < 2.01


def test_decades_beyond_are_counted_outside_only(tiny_runs):
    top, least = tiny_runs.params.max(), tiny_runs.tokens.min()
    found = decades_beyond(tiny_runs, [100 * top, top], [least / 10, least])
    np.testing.assert_allclose(found["params"], [2, 0], atol=1e-12)
    np.testing.assert_allclose(found["tokens"], [1, 0], atol=1e-12)
    fit = by_hand(tiny_runs, HOFFMANN)
    row = forecast(fit, params=10 * top, tokens=10 * tiny_runs.tokens.max()).rows()[0]
    assert row["decades_beyond"]["flops"] == pytest.approx(2)


def test_frontier_is_the_closed_form(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.02)
    p = fit.draws(*fit.law.parameters)
    big_a, big_b = p["gap_params"] * 1e9 ** p["alpha"], p["gap_tokens"] * 2e10 ** p["beta"]
    # Eq. 4 of Hoffmann et al. (2022): N* = G (C/6)^a, D* = (C/6)^b / G.
    a = p["beta"] / (p["alpha"] + p["beta"])
    g = (p["alpha"] * big_a / (p["beta"] * big_b)) ** (1 / (p["alpha"] + p["beta"]))
    budgets = np.array([1e21, 1e24])
    n = g[:, None] * (budgets / 6) ** a[:, None]
    answer = frontier(fit, budgets)
    np.testing.assert_allclose(answer.draws("params"), n, rtol=1e-9)
    np.testing.assert_allclose(answer.draws("tokens"), budgets / (6 * n), rtol=1e-9)
    np.testing.assert_allclose(answer.draws("exponent_params"), np.stack([a, a], 1), rtol=1e-6)
    numeric = optimal_params(fit.law, p, budgets, SIX_ND, "numeric")
    np.testing.assert_allclose(numeric, n, rtol=1e-6)
    for j in range(2):  # a grid of sizes at equal compute finds nothing better
        trial = n[:20, [j]] * np.exp(np.linspace(-0.5, 0.5, 101))
        c = {"E": p["E"][:20, None], "A": big_a[:20, None], "B": big_b[:20, None]}
        c |= {"alpha": p["alpha"][:20, None], "beta": p["beta"][:20, None]}
        best = loss_at(c, trial, budgets[j] / (6 * trial)).min(axis=1)
        assert np.all(answer.draws("loss")[:20, j] <= best + 1e-12)


def test_rounded_hoffmann_constants_give_the_published_kind_of_optimum(tiny_runs):
    """At Gopher's 5.76e23 FLOP approach 3 gives 40B parameters (Hoffmann et al. 2022, figure 4); here the
    constants are the rounded ones."""
    row = frontier(by_hand(tiny_runs, HOFFMANN), 5.76e23).rows()[0]
    assert 30e9 < row["params"]["median"] < 45e9
    assert row["tokens"]["median"] * row["params"]["median"] * 6 == pytest.approx(5.76e23, rel=1e-9)


def test_flat_range_holds_the_optimum_and_is_flat(tiny_runs):
    answer = frontier(by_hand(tiny_runs, HOFFMANN), [1e23])
    low, high = answer.flat[0]
    best = answer.draws("params")[0, 0]
    assert low < best < high
    least = loss_at(HOFFMANN, best, 1e23 / 6 / best)
    for n in (low, high):
        assert loss_at(HOFFMANN, n, 1e23 / 6 / n) == pytest.approx(1.005 * least, rel=1e-3)


def test_json_keys_of_the_contract(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.01)
    interval = {"mean", "sd", "median", "lower", "upper"}
    common = {"schema_version", "command", "ci_prob", "ci_kind", "seconds", "provenance", "warnings"}
    made = forecast(fit, params=7e9, tokens=1e11, ci_prob=0.8, random_seed=9).to_dict()
    assert common | {"forecasts"} <= set(made)
    (row,) = made["forecasts"]
    assert interval | {"params", "tokens", "flops", "kind", "decades_beyond", "law_weights"} <= set(row)
    assert set(row["decades_beyond"]) == {"flops", "params", "tokens"}
    assert (made["command"], made["ci_prob"], made["provenance"]["seed"]) == ("forecast", 0.8, 9)
    assert made["seconds"]["total"] > 0
    best = frontier(fit, [1e22, 1e24]).to_dict()
    assert common | {"frontier", "exponents", "decades_beyond"} <= set(best)
    for row in best["frontier"]:
        assert {"flops", "params", "tokens", "tokens_per_param", "loss"} <= set(row)
        assert all(interval <= set(row[k]) for k in ("params", "tokens", "tokens_per_param", "loss"))
    assert interval <= set(best["exponents"]["params"])
    assert interval <= set(best["exponents"]["tokens"])
    assert best["provenance"]["seed"] == 11
    assert best["seconds"]["total"] > 0
    for whole in (made, best):
        keys = {"versions", "platform", "device", "seed", "runs_sha256", "command_line"}
        assert keys <= set(whole["provenance"])
        json.dumps(whole, allow_nan=False)


def test_impossible_questions_are_refused(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN)
    with pytest.raises(UsageError, match="new-run or curve"):
        forecast(fit, params=1e9, tokens=1e10, kind="mean")
    for bad in (0, -1e9, np.nan, np.inf):
        with pytest.raises(UsageError, match="positive counts"):
            forecast(fit, params=bad, tokens=1e10)
        with pytest.raises(UsageError, match="positive FLOP"):
            frontier(fit, bad)


def test_a_query_far_beyond_the_runs_says_so(tiny_runs):
    fitted, runs = by_hand(tiny_runs, BESIROGLU), tiny_runs
    largest = int(runs.flops.argmax())
    for decades, codes in ((0.5, []), (4.0, ["far"])):
        more = 10 ** (decades / 2)
        told = forecast(fitted, params=more * runs.params[largest], tokens=more * runs.tokens[largest]).notices
        assert [n.code for n in told if n.code == "far"] == codes
        told = frontier(fitted, 10**decades * float(runs.flops.max())).notices
        assert [n.code for n in told if n.code == "far"] == codes
