"""Given and counted compute are never mixed: one count in cuts, noise, distances, budgets and sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from by_hand import BESIROGLU, POINTS, by_hand

from bayes_scaling.decisions.limits import Limits
from bayes_scaling.engine.model import columns
from bayes_scaling.laws.compute import SIX_ND, as_counted
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.forecasting import decades_beyond, forecast
from bayes_scaling.prediction.frontiers import frontier
from bayes_scaling.prediction.optimum import optimal_params
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.validation.folds import forward_folds


def table(ratio=None, seed=0):
    """A factorial; with `ratio`, a column of compute that differs from 6·N·D by about it, run by run."""
    rng = np.random.default_rng(seed)
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 2e11, 6)))
    loss = (1.7 + 0.4 * (n / 1e9) ** -0.34 + 0.5 * (d / 2e10) ** -0.28) * np.exp(0.005 * rng.standard_normal(n.size))
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": loss})
    return frame if ratio is None else frame.assign(flops=6 * n * d * ratio * np.exp(0.4 * rng.standard_normal(n.size)))


@pytest.fixture(scope="module")
def both():
    return load_runs(table()), load_runs(table(2.0))


def test_the_factor_is_the_median_and_stays_with_parts(both):
    plain, given = both
    ratio = given.flops / (6 * given.params * given.tokens)
    assert plain.flops_factor == 1
    assert given.flops_factor == pytest.approx(float(np.median(ratio)))
    np.testing.assert_allclose(given.counted, given.flops_factor * plain.counted)
    small = given.subset(given.params < 1e9)
    assert small.flops_factor == given.flops_factor
    message = next(n.message for n in given.notices if n.code == "flops_differ")
    assert f"count {given.flops_factor:.3g} times 6·params·tokens" in message
    assert load_runs(table(1.002).assign(flops=lambda t: 6.01 * t.params * t.tokens)).flops_factor == 1


def test_a_compute_column_moves_no_cut_no_noise_and_no_distance(both):
    """The half-widths of averaged forecasts come from these alone: with and without the column they are the same."""
    plain, given = both
    for a, b in zip(forward_folds(plain), forward_folds(given), strict=True):
        np.testing.assert_array_equal(a.train, b.train)
        np.testing.assert_allclose(a.decades, b.decades, atol=1e-9)
    law, noise = get_law("chinchilla"), get_noise("student_t_growing")
    np.testing.assert_allclose(columns(law, noise, plain)["decades"], columns(law, noise, given)["decades"], atol=1e-12)
    for k, v in decades_beyond(plain, 1e11, 1e12).items():
        np.testing.assert_allclose(decades_beyond(given, 1e11, 1e12)[k], v)


def test_a_query_without_flops_is_counted_by_the_table_s_own_ratio(both):
    plain, given = (by_hand(runs, BESIROGLU, spread=0.02, draws=400, sigma=0.01) for runs in both)
    factor = both[1].flops_factor
    a, b = (forecast(fit, params=7e10, tokens=1.4e12) for fit in (plain, given))
    assert b.flops[0] == pytest.approx(factor * a.flops[0])
    np.testing.assert_allclose(b.draws, a.draws)
    np.testing.assert_allclose(b.decades_beyond["flops"], a.decades_beyond["flops"])
    one, two = frontier(plain, [1e24]), frontier(given, [1e24 * factor])
    np.testing.assert_allclose(two.draws("params"), one.draws("params"))
    assert two.decades_beyond["flops"][0] == pytest.approx(one.decades_beyond["flops"][0])
    assert two.compute.startswith(f"C = {factor:.4g} times 6 N D")
    row = two.rows()[0]
    assert factor * 6 * row["params"]["median"] * row["tokens"]["median"] == pytest.approx(row["flops"], rel=0.05)
    largest = float(both[1].counted.max())
    assert frontier(given, [10 * largest]).decades_beyond["flops"][0] == pytest.approx(1)


@pytest.mark.parametrize("law", ["chinchilla", "coupled"])
@pytest.mark.parametrize("method", ["auto", "numeric"])
def test_a_factor_to_compute_is_one_to_the_budget(both, law, method):
    fit = by_hand(both[1], POINTS[law], law=law, spread=0.02, draws=5)
    law, p = fit.law, fit.draws(*fit.law.parameters)
    compute = as_counted(SIX_ND, both[1])
    budgets = np.array([1e22, 1e25])
    wanted = optimal_params(law, p, budgets / compute.factor, SIX_ND, method)
    np.testing.assert_allclose(optimal_params(law, p, budgets, compute, method), wanted)
    np.testing.assert_allclose(
        compute.flops(wanted, compute.tokens(wanted, budgets)), np.broadcast_to(budgets, wanted.shape)
    )


def test_a_decision_spends_its_budget_in_the_table_s_count(both):
    from bayes_scaling.decisions.deciding import decide

    given = by_hand(both[1], BESIROGLU, spread=0.02, draws=400, sigma=0.01)
    found = decide(given, budget=1e23, limits=Limits())
    row = found.to_dict()["decisions"][0]
    assert both[1].flops_factor * 6 * row["params"] * row["tokens"] == pytest.approx(row["flops"], rel=1e-6)
    assert row["flops"] == pytest.approx(1e23, rel=1e-6)


def test_the_unit_and_the_count_are_kept_in_a_saved_fit(both, tmp_path):
    from dataclasses import replace

    from bayes_scaling import fit
    from bayes_scaling.inference.storage import load_fit, save_fit

    small = replace(both[1].subset(both[1].params < 3e9), loss_unit="error")
    made = fit(small, "chinchilla", draws=100, chains=2, cache=False, progressbar=False)
    again = load_fit(save_fit(made, tmp_path / "fit.nc"))
    assert again.runs.flops_factor == small.flops_factor
    assert made.to_dict()["runs"]["loss_unit"] == again.to_dict()["runs"]["loss_unit"] == "error"
