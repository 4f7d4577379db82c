"""A fit is an ordinary member of its field: ArviZ's groups, PyMC's names, plots and predictions as delivered."""

from __future__ import annotations

import arviz as az
import numpy as np
import pymc as pm
import pytest

import bayes_scaling as bs
from bayes_scaling.inference import idata
from bayes_scaling.inference.idata import given, sampled

GROUPS = {
    *("posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data", "unconstrained_posterior"),
    *("prior", "prior_predictive", "posterior_predictive", "log_prior"),
}


@pytest.fixture(scope="module")
def fitted() -> bs.Fit:
    return bs.fit("pile", "chinchilla", draws=500, chains=2, warmup=200, random_seed=5)


def test_every_group_is_there_under_the_models_names(fitted):
    tree, model = fitted.idata, fitted.model
    assert set(tree.children) == GROUPS
    assert tree is fitted.idata
    free = [v.name for v in model.free_RVs]
    (observed,) = (v.name for v in model.observed_RVs)
    for group in ("posterior", "prior"):
        assert set(free) | {v.name for v in model.deterministics} == set(tree[group].data_vars), group
    for group in ("observed_data", "log_likelihood", "posterior_predictive", "prior_predictive"):
        assert list(tree[group].data_vars) == [observed], group
    data = {v.name: v.get_value() for v in model.data_vars}
    for name, values in tree["constant_data"].data_vars.items():
        np.testing.assert_array_equal(values, data[name])
    np.testing.assert_array_equal(data.pop("log_loss_data"), tree["observed_data"][observed])
    assert set(data) == set(tree["constant_data"].data_vars)
    assert observed not in data
    assert dict(tree["posterior_predictive"].sizes) == {"chain": 2, "draw": 500, "run": fitted.runs.n}
    np.testing.assert_array_equal(tree["posterior_predictive"]["run"], tree["observed_data"]["run"])


def test_the_posterior_predictive_is_pymcs(fitted):
    """Quantiles of each run's predicted log loss agree within Monte-Carlo error; neither is a copy of the data."""
    theirs = pm.sample_posterior_predictive(fitted.idata, model=fitted.model, progressbar=False, random_seed=1)
    assert list(theirs["posterior_predictive"].data_vars) == ["log_loss"]
    a = theirs["posterior_predictive"]["log_loss"].to_numpy().reshape(1000, -1)
    b = fitted.idata["posterior_predictive"]["log_loss"].to_numpy().reshape(1000, -1)
    assert a.shape == b.shape == (1000, fitted.runs.n)
    for prob in (0.1, 0.5, 0.9):
        low, high = (np.quantile(b, prob + d, axis=0) for d in (-0.02, 0.02))
        # Of a quantile at p from 1000 draws, in twice: sqrt(2 p (1 - p) / 1000), at its density there.
        error = (high - low) / 0.04 * np.sqrt(2 * prob * (1 - prob) / 1000)
        gap = np.quantile(a, prob, axis=0) - np.quantile(b, prob, axis=0)
        assert np.abs(gap / error).max() < 5, prob
    assert a.std(axis=0).min() > 0.003


def test_the_prior_and_its_predictions_are_pymcs(fitted):
    with fitted.model:
        theirs = pm.sample_prior_predictive(1000, random_seed=1)
    ours = fitted.idata
    for group in ("prior", "prior_predictive"):
        assert set(ours[group].data_vars) == set(theirs[group].data_vars)
        for name, values in ours[group].data_vars.items():
            a, b = (np.sort(v.to_numpy().reshape(1000, -1), axis=0) for v in (values, theirs[group][name]))
            # Kolmogorov and Smirnov's distance, of which 1.95 sqrt(2 / 1000) is exceeded once in a thousand.
            gap = np.array([np.searchsorted(y, x, side="right") for x, y in zip(a.T, b.T, strict=True)])
            assert np.abs(gap - np.arange(1, 1001)).max() / 1000 < 1.95 * np.sqrt(2 / 1000) * 1.5, (group, name)
    np.testing.assert_allclose(
        ours["log_prior"]["parameters"],
        sum(
            p.prior.dist.logpdf(ours["posterior"][name])
            for name, p in {**fitted.law.parameters, **fitted.noise.parameters}.items()
        ),
    )


@pytest.mark.parametrize(
    "plot", [az.plot_loo_pit, az.plot_ppc_dist, az.plot_prior_posterior, az.plot_ppc_pit, az.plot_ppc_interval]
)
def test_arvizs_plots_work_as_delivered(fitted, plot):
    """Every number of a plot; which library paints it is the user's own."""
    assert plot(fitted.idata, backend="none") is not None


def test_loo_pit_sees_predictions_not_the_data(fitted):
    """Of data that come from the model, PIT values spread over the whole interval; a copy of them gives one value."""
    pit = az.loo_pit(fitted.idata)["log_loss"].to_numpy()
    assert pit.min() < 0.2
    assert pit.max() > 0.8
    assert 0.15 < pit.std() < 0.45


def test_a_table_of_another_length_can_be_predicted(fitted):
    sizes = {"params": np.array([1e10, 1e11, 7e10]), "tokens": np.array([1e12, 1e12, 1.4e12])}
    flops = np.log10(6 * sizes["params"] * sizes["tokens"]) - np.log10(fitted.runs.flops).mean()
    new = {**sizes, "decades": flops, "log_loss_sd": np.zeros(3), "log_loss_data": np.zeros(3)}
    with fitted.model as model:
        pm.set_data(new)
        assert model.coords["run"] == ("0", "1", "2")
        drawn = pm.sample_posterior_predictive(fitted.idata, progressbar=False, random_seed=1)
        pm.set_data(new, coords={"run": ["a", "b", "c"]})
        assert model.coords["run"] == ("a", "b", "c")
        pm.set_data({k: np.resize(v, 40) for k, v in new.items()})
        assert model.coords["run"] == tuple(map(str, range(40)))
    losses = np.exp(drawn["posterior_predictive"]["log_loss"].to_numpy()).reshape(1000, 3)
    ours = bs.forecast(fitted, **sizes)
    width = np.array([row["upper"] - row["lower"] for row in ours.rows()])
    gap = np.median(losses, axis=0) - [row["median"] for row in ours.rows()]
    assert np.abs(gap / width).max() < 0.085  # five standard errors of a difference of medians


def test_what_is_simulated_is_neither_saved_nor_shared(fitted, tmp_path):
    assert set(sampled(fitted).children) == GROUPS - {"prior", "prior_predictive", "posterior_predictive", "log_prior"}
    back = bs.load_fit(bs.save_fit(fitted, tmp_path / "fit.nc"))
    assert given(back) is sampled(back)
    for group in sorted(GROUPS):
        np.testing.assert_equal(
            {k: v.to_numpy() for k, v in back.idata[group].data_vars.items()},
            {k: v.to_numpy() for k, v in fitted.idata[group].data_vars.items()},
        )


def test_large_tables_are_not_simulated(fitted, monkeypatch, tmp_path):
    monkeypatch.setattr(idata, "SIMULATED_CELLS", 1000 * fitted.runs.n - 1)
    back = bs.load_fit(bs.save_fit(fitted, tmp_path / "fit.nc"))
    assert set(back.idata.children) == GROUPS - {"prior_predictive", "posterior_predictive"}


@pytest.mark.parametrize("noise", ["normal", "laplace", "student_t_growing"])
def test_every_noise_is_simulated(tiny_runs, noise):
    made = bs.fit(tiny_runs, "kaplan_floor", noise=noise, draws=60, chains=2, warmup=60)
    assert set(made.idata.children) == GROUPS
    gap = made.idata["posterior_predictive"]["log_loss"] - made.idata["observed_data"]["log_loss"]
    assert np.abs(gap.to_numpy()).max() < 1
