"""The engine: it recovers what made the data, repeats itself, and knows when it has failed."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from conftest import design

from bayes_scaling import fit, sample
from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.base.progress import _CURRENT, Lines
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine import backend, nuts
from bayes_scaling.engine.backend import key_of
from bayes_scaling.engine.coordinates import learned, to_x, whitened
from bayes_scaling.engine.density import density
from bayes_scaling.engine.fingerprint import identity
from bayes_scaling.engine.model import build, columns, specify
from bayes_scaling.engine.modes import Modes
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.inference.storage import load_fit, save_fit
from bayes_scaling.laws.registry import get_law

# Besiroglu et al. (2024): the truth that the simulated runs below are made from.
TRUTH = get_law("chinchilla").published[1].values
SIGMA = 0.004
# The short fits share their settings, and so one compiled program.
SHORT = Settings(draws=200, chains=2, warmup=150)


def simulated(n: int, seed: int, lowest: float = 18.5, highest: float = 22.0):
    rng = np.random.default_rng(seed)
    flops = 10 ** rng.uniform(lowest, highest, n)
    params = np.sqrt(flops / 120) * 10 ** rng.normal(0, 0.4, n)
    tokens = flops / (6 * params)
    curve = get_law("chinchilla").loss(TRUTH, {"params": params, "tokens": tokens})
    return design(params, tokens, curve * np.exp(SIGMA * rng.standard_normal(n)), f"simulated {seed}")


@pytest.fixture(scope="module")
def many():
    return fit(simulated(90, 1), "chinchilla", draws=500, random_seed=3)


@pytest.fixture(scope="module")
def small():
    def fitted(runs, random_seed=0):
        how = {"draws": SHORT.draws, "chains": SHORT.chains, "warmup": SHORT.warmup}
        return fit(runs, "chinchilla", random_seed=random_seed, **how)

    return fitted


def test_known_constants_are_recovered(many):
    assert many.diagnostics.verdict == "ok"
    assert min(many.diagnostics.ess_bulk_min, many.diagnostics.ess_tail_min) > 400
    found = many.summary()
    for name, truth in {**TRUTH, "sigma": SIGMA}.items():
        value = found[name]
        mcse = value["sd"] / np.sqrt(value["ess_bulk"])
        if name in (
            "A",
            "B",
            "sigma",
        ):  # skewed, and sigma is Student-t's: their logarithms are what is normal
            draws = np.log(many.draws(name)[name])
            value, truth = {"mean": draws.mean(), "sd": draws.std()}, np.log(truth)
            mcse = value["sd"] / np.sqrt(found[name]["ess_bulk"])
        assert abs(value["mean"] - truth) < 3.5 * value["sd"] + 5 * mcse, name
    # E, alpha and beta are known to a few per cent from ninety runs: the posterior is not just the prior.
    assert found["E"]["sd"] < 0.1
    assert found["alpha"]["sd"] < 0.06


def test_same_seed_same_numbers_on_one_core_or_two(tiny_runs, small, monkeypatch):
    first = small(tiny_runs, random_seed=5)
    monkeypatch.setattr(backend, "cores", lambda: 1)
    again = small(tiny_runs, random_seed=5)
    other = small(tiny_runs, random_seed=6)
    for name, values in first.draws().items():
        np.testing.assert_array_equal(values, again.draws()[name])
        assert not np.array_equal(values, other.draws()[name])


def test_draws_of_a_table_do_not_depend_on_its_company(tiny_runs):
    law, noise = specify("chinchilla")
    frames = [columns(law, noise, runs) for runs in (tiny_runs, simulated(14, 7))]
    program = program_for(law, noise, frames[0])
    settings = SHORT
    tables = [Table.padded(f) for f in frames]
    together = sample_tables(program, tables, settings, [1, 2], patient=False)
    alone = sample_tables(program, tables[1:], settings, [2], patient=False)
    np.testing.assert_array_equal(together[1].x, alone[0].x)


@pytest.mark.parametrize("law", ["kaplan", "kaplan_floor", "chinchilla", "coupled"])
def test_padding_changes_nothing(tiny_runs, law):
    spec, noise = specify(law)
    frame = columns(spec, noise, tiny_runs)
    program = program_for(spec, noise, frame)
    x = program.density.initial + 0.1
    exact, padded = Table.padded(frame, tiny_runs.n), Table.padded(frame, 40)
    both = jax.jit(jax.value_and_grad(program.density.log_density))
    (value, slope), (padded_value, padded_slope) = (both(x, t.data, t.mask) for t in (exact, padded))
    np.testing.assert_allclose(padded_value, value, rtol=1e-12)
    np.testing.assert_allclose(padded_slope, slope, rtol=1e-9, atol=1e-9)


def test_density_is_the_models_own(tiny_runs):
    model = build("coupled", tiny_runs)
    ours = density(model)
    point = {k: v + 0.1 for k, v in model.initial_point().items()}
    x = np.concatenate([np.ravel(point[f.name]) for f in model.value_vars])
    parts = [float(model.compile_logp(vars=v)(point)) for v in (model.free_RVs, model.observed_RVs)]
    np.testing.assert_allclose(ours.log_prior(x), parts[0], rtol=1e-10)
    np.testing.assert_allclose(ours.pointwise(x, ours.data).sum(), parts[1], rtol=1e-10)


def test_one_program_serves_every_table_of_a_padded_length(tiny_runs, small):
    small(tiny_runs, random_seed=1)
    spec, noise = specify("chinchilla")
    program = program_for(spec, noise, columns(spec, noise, tiny_runs))
    sizes = {key: f._cache_size() for key, f in program._jitted.items()}
    other = simulated(15, 8)
    assert padded_length(other.n) == padded_length(tiny_runs.n)
    assert program_for(spec, noise, columns(spec, noise, other)) is program
    frame = Table.padded(columns(spec, noise, other))
    program.locate(0, frame)
    where = whitened(Modes(program.density.initial[None], np.zeros(1), np.eye(7)[None], np.ones(1, int), 1))
    program.chain(key_of(0), program.density.initial, where, frame, SHORT)
    assert {key: f._cache_size() for key, f in program._jitted.items()} == sizes


def test_coordinates_go_there_and_back():
    rng = np.random.default_rng(0)
    size = 5
    base = rng.standard_normal((400, size)) * [3.0, 1.0, 0.5, 0.3, 0.1]
    base[:, 2] += 0.4 * base[:, 0] ** 2  # a banana
    draws = base @ np.linalg.qr(rng.standard_normal((size, size)))[0].T + 5
    hessian = np.linalg.inv(np.cov(draws.T))
    modes = Modes(draws.mean(0)[None], np.zeros(1), hessian[None], np.ones(1, int), 1)
    for where in (whitened(modes), learned(draws)):
        z = rng.standard_normal((20, size))
        x = np.stack([to_x(where.arrays, v) for v in z])
        np.testing.assert_allclose(where.to_z(x), z, atol=1e-9)
        np.testing.assert_allclose(where.to_z(x[0]), z[0], atol=1e-9)
        jacobian = jax.vmap(jax.jacfwd(lambda v, where=where: to_x(where.arrays, v)))(z)
        volumes = np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(volumes, volumes[0], atol=1e-9)
    bent = learned(draws).to_z(draws)
    # The shear straightens the banana: nothing quadratic is left to be seen.
    assert abs(np.corrcoef(bent[:, 0] ** 2, bent[:, 1])[0, 1]) < 0.05
    np.testing.assert_allclose(bent.std(axis=0)[1:], 1, atol=0.1)


def funnel():
    import pymc as pm

    with pm.Model() as model:
        v = pm.Normal("v", 0, 3)
        pm.Normal("theta", 0, pm.math.exp(v / 2), shape=9)
    return model


def two_peaks():
    import pymc as pm

    with pm.Model() as model:
        pm.NormalMixture("x", w=[0.5, 0.5], mu=[-10.0, 10.0], sigma=[0.5, 0.5])
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (funnel, ("divergent transitions", "Few effective", "chains disagree")),
        (two_peaks, ("separate modes",)),
    ],
)
def test_a_posterior_that_nuts_cannot_sample_is_called_so(model, words):
    verdict = sample(model(), draws=200, chains=2, random_seed=2)[1]
    assert verdict.verdict in ("failed", "warning")
    said = [m for m in verdict.messages if any(w in m for w in words)]
    assert said, verdict
    assert any(advice in said[0] for advice in ("Draw more", "prior"))
    assert verdict.verdict in str(verdict)


def test_three_runs_are_not_called_a_good_fit(small):
    verdict = small(simulated(3, 4)).diagnostics
    assert verdict.verdict in ("failed", "warning")
    assert any("3 runs for 7 unknowns" in m and "Add runs" in m for m in verdict.messages)


def test_a_fit_that_is_not_clean_is_tried_again(monkeypatch, tiny_runs, capsys):
    """The verdict is held unclean: all stages run, the careful one last, and progress grows with them."""
    from bayes_scaling.inference import sampling

    asked = []
    real = sampling._attempt

    def watched(program, tables, attempts):
        asked.append(next(iter(attempts.values())).settings)
        return real(program, tables, attempts)

    monkeypatch.setattr(sampling, "_unclean", lambda draws, last=False: True)
    monkeypatch.setattr(sampling, "_attempt", watched)
    monkeypatch.setattr(Settings, "careful", lambda self: replace(self, target_accept=0.98))
    law, noise = specify("chinchilla")
    frame = columns(law, noise, tiny_runs)
    lines = Lines()
    token = _CURRENT.set(lines)
    lines.stage("Sampling", total=1 + 2)
    try:
        (drawn,) = sample_tables(program_for(law, noise, frame), [Table.padded(frame)], SHORT, [0])
    finally:
        _CURRENT.reset(token)
        lines.close()
    assert [s.target_accept for s in asked] == [0.9, 0.95, 0.95, 0.98]
    assert asked[0].budget == asked[1].budget < asked[2].budget  # the first two may give up and be taught
    assert drawn.x.shape == (2, 200, 7)
    assert lines._count.done == lines._count.total == 1 + 4 * 2


def test_thinned_draws_are_fewer_transitions_apart():
    """Kept draws are every third, in the same order; a divergence counts in whichever kept draw it led to."""

    def normal(x):
        return -0.5 * (x**2).sum()

    key, start = jax.random.key(1), np.zeros(2)
    with jax.enable_x64(True):
        every, stats = chain(normal, key, start, draws=60, thin=1)
        third, kept = chain(normal, key, start, draws=20, thin=3)
    np.testing.assert_allclose(third, every[2::3])
    np.testing.assert_allclose(kept["energy"], stats["energy"][2::3])
    assert kept["gradients"] == stats["gradients"]


def chain(density, key, start, *, draws, thin, budget=10**9):
    how = {"warmup": 50, "draws": draws, "thin": thin}
    x, stats, done = nuts.chain(density, key, start, lambda z: z, target_accept=0.8, budget=budget, **how)
    return nuts.kept(np.asarray(x), {k: np.asarray(v) for k, v in stats.items()}, int(done), **how)


def test_a_chain_whose_budget_runs_out_gives_the_later_half_of_what_it_saw():
    with jax.enable_x64(True):
        x, stats = chain(lambda x: -0.5 * (x**2).sum(), jax.random.key(2), np.ones(3), draws=60, thin=1, budget=100)
    assert not stats["complete"]
    assert 100 <= stats["gradients"] < 100 + 2**10
    assert 0 < len(x) < 60
    assert np.isfinite(x).all()


def test_careful_settings_are_more_careful():
    usual = Settings(random_seed=4)
    careful = usual.careful()
    assert careful.warmup > usual.warmup
    assert careful.target_accept > usual.target_accept
    assert careful.thin == 4
    assert (careful.draws, careful.chains, careful.random_seed) == (usual.draws, usual.chains, 4)
    with pytest.raises(UsageError, match="at least 50 draws"):
        Settings(draws=10)


def test_a_saved_fit_comes_back_as_it_was(many, tmp_path):
    path = save_fit(many, tmp_path / "fit.nc")
    back = load_fit(path)
    for name, values in many.draws().items():
        np.testing.assert_array_equal(back.draws()[name], values)
    for group in ("unconstrained_posterior", "log_likelihood", "sample_stats"):
        for name, values in many.idata[group].data_vars.items():
            np.testing.assert_array_equal(back.idata[group][name], values)
    assert back.diagnostics == many.diagnostics
    assert back.settings == many.settings
    assert identity(back.law, back.noise) == identity(many.law, many.noise)
    assert back.runs.sha256 == many.runs.sha256
    assert back.summary() == many.summary()
    assert back.idata.attrs == many.idata.attrs


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused(many, tmp_path, keep):
    path = save_fit(many, tmp_path / "fit.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match="Make one with 'bayes-scaling fit"):
        load_fit(path)
