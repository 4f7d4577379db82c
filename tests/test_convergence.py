"""Diagnostics in NumPy against ArviZ's, random keys against JAX's, and the DataTree against ArviZ's."""

from __future__ import annotations

import arviz_base
import jax
import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayes_scaling.engine.backend import fold, key_of, typed
from bayes_scaling.inference import convergence, idata
from bayes_scaling.inference.diagnostics import ess_and_rhat


def chains(persistence: float, n_chains: int, draws: int) -> np.ndarray:
    """Chains of a first-order autoregression with unit variance, dims (chain, draw)."""
    rng = np.random.default_rng([n_chains, draws])
    noise = rng.standard_normal((n_chains, draws))
    x = noise.copy()
    for t in range(1, draws):
        x[:, t] = persistence * x[:, t - 1] + np.sqrt(1 - persistence**2) * noise[:, t]
    return x


@pytest.mark.parametrize("shape", [(2, 50), (4, 51), (4, 1000), (1, 60), (3, 77)], ids=str)
@pytest.mark.parametrize("persistence", [-0.9, 0.0, 0.5, 0.95, 0.999])
def test_diagnostics_are_arviz_s(persistence, shape):
    x = chains(persistence, *shape)
    apart = x + np.arange(shape[0])[:, None]
    for values in (x, np.round(x, 1), np.exp(3 * x), apart, np.sort(x, axis=1), np.where(x > 2, 1.0, 0.0)):
        axes = {"chain_axis": 0, "draw_axis": 1}
        bulk, tail, rhat = ess_and_rhat(values)
        np.testing.assert_allclose(bulk, array_stats.ess(values, method="bulk", **axes), rtol=1e-9)
        expected = array_stats.ess(values, method="tail", prob=(0.05, 0.95), **axes)
        np.testing.assert_allclose(tail, expected, rtol=1e-9)
        np.testing.assert_allclose(convergence.ess_mean(values), array_stats.ess(values, method="mean", **axes), 1e-9)
        if shape[0] > 1 and np.ptp(values) > 0:
            np.testing.assert_allclose(rhat, array_stats.rhat(values, **axes), rtol=1e-9)
    np.testing.assert_allclose(convergence.bfmi(x), array_stats.bfmi(x, chain_axis=0, draw_axis=1), rtol=1e-12)


def test_many_quantities_at_once_are_each_alone():
    many = np.stack([chains(r, 4, 200) for r in (0.0, 0.5, 0.9)])
    for measure in (convergence.ess_bulk, convergence.ess_tail, convergence.ess_mean, convergence.rhat):
        np.testing.assert_allclose(measure(many), [measure(x) for x in many], rtol=1e-12)


def test_what_cannot_be_judged():
    assert np.isnan(ess_and_rhat(chains(0.0, 1, 100))[2])
    assert ess_and_rhat(np.full((2, 60), np.nan)) == (0.0, 0.0, float("inf"))
    still = ess_and_rhat(np.ones((2, 60)))
    assert still[:2] == (120.0, 120.0)
    assert np.isnan(still[2])


@pytest.mark.parametrize("seed", [0, 1, 7919, 2**31, 2**33 + 5, 4 * 1_000_003 + 1])
def test_keys_are_jax_s(seed):
    with jax.enable_x64(True):
        key = jax.random.key(seed)
        split = jax.random.key_data(jax.random.split(key, 5))
        np.testing.assert_array_equal(key_of(seed), jax.random.key_data(key))
        np.testing.assert_array_equal([fold(key_of(seed), i) for i in range(5)], split)
        folded = jax.random.fold_in(key, 299)
        np.testing.assert_array_equal(fold(key_of(seed), 299), jax.random.key_data(folded))
        assert jax.random.normal(typed(fold(key_of(seed), 299))) == jax.random.normal(folded)


def test_groups_are_arviz_s():
    rng = np.random.default_rng(0)
    values = {"E": rng.normal(size=(2, 5)), "theta": rng.normal(size=(2, 5, 3)), "by_run": rng.normal(size=(2, 5, 4))}
    dims, coords = {"by_run": ["run"], "loss": ["run"]}, {"run": list("abcd")}
    observed = {"loss": rng.normal(size=4)}
    theirs = arviz_base.from_dict({"posterior": values, "observed_data": observed}, dims=dims, coords=coords)
    ours = idata.dataset(values, dims, coords)
    assert ours.identical(theirs["posterior"].to_dataset().assign_attrs(ours.attrs))
    assert ours.attrs["sample_dims"] == theirs["posterior"].attrs["sample_dims"]
    ours = idata.dataset(observed, dims, coords, sampled=())
    assert ours.identical(theirs["observed_data"].to_dataset().assign_attrs(ours.attrs))
