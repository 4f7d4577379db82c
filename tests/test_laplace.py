"""The fast approximation: where it may be used it agrees with closed forms and with NUTS, where not it says so."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from conftest import design

from bayes_scaling import fit, load_runs
from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.backend import jax_ready
from bayes_scaling.engine.coordinates import learned, to_x
from bayes_scaling.engine.model import columns, specify
from bayes_scaling.engine.modes import Modes
from bayes_scaling.engine.program import program_for, program_of
from bayes_scaling.engine.tables import Table
from bayes_scaling.evidence.bridge import log_evidence
from bayes_scaling.inference.laplace import Approximation, Proposal, approximate, laplace_tables
from bayes_scaling.inference.psis import k_limit
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.laws.registry import get_law

SHORT = Settings(draws=200, chains=2, warmup=150)


def simulated(n: int, seed: int):
    law = get_law("chinchilla")
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(9, 12, n)
    loss = law.loss(law.published[0].values, {"params": params, "tokens": tokens})
    return design(params, tokens, loss * np.exp(0.005 * rng.standard_normal(n)), f"simulated {seed}")


def bent_draws(n: int, seed: int) -> np.ndarray:
    """A banana whose quadratic is known: x1 = x0^2 / 2 + 0.1 e."""
    rng = np.random.default_rng(seed)
    x0 = rng.standard_normal(n)
    return np.column_stack([x0, 0.5 * x0**2 + 0.1 * rng.standard_normal(n)])


def test_the_map_and_its_inverse_agree_with_the_compiled_one():
    jax_ready()
    where = learned(bent_draws(2000, 1))
    z = np.random.default_rng(2).standard_normal((50, 2))
    x = where.from_z(z)
    np.testing.assert_allclose(where.to_z(x), z, atol=1e-9)
    np.testing.assert_allclose(x, [to_x(where.arrays, row) for row in z], atol=1e-9)
    step = 1e-6
    jacobian = np.column_stack([(where.from_z(z[0] + step * e) - where.from_z(z[0] - step * e)) for e in np.eye(2)])
    assert np.linalg.slogdet(jacobian / (2 * step))[1] == pytest.approx(where.log_det, abs=1e-5)


def test_weights_count_as_repetition_does():
    x, times = bent_draws(400, 3), np.random.default_rng(4).integers(1, 4, 400)
    repeated, weighted = learned(np.repeat(x, times, axis=0)), learned(x, times.astype(float))
    np.testing.assert_allclose(weighted.centre, repeated.centre, rtol=1e-12)
    np.testing.assert_allclose(np.abs(weighted.quadratic), np.abs(repeated.quadratic), rtol=0.05, atol=0.02)


def test_a_proposal_is_a_density_and_draws_from_itself():
    parts = (learned(bent_draws(2000, 5)), learned(3 + bent_draws(2000, 6)))
    proposal = Proposal(parts, np.array([0.3, 0.7]))
    x = proposal.draw(np.random.default_rng(7), 40_000)
    grid = np.linspace(-20, 30, 901), np.linspace(-40, 50, 1601)
    cell = (grid[0][1] - grid[0][0]) * (grid[1][1] - grid[1][0])
    points = np.stack(np.meshgrid(*grid[:2], indexing="ij"), axis=-1)
    inside = np.concatenate([np.exp(proposal.log_pdf(row)) for row in points])
    total = inside.sum() * cell
    assert total == pytest.approx(1, abs=0.01)
    # The mean of log q under q, by the grid and by the draws.
    entropy = np.sum(inside * np.log(np.maximum(inside, 1e-300))) * cell / total
    mine = proposal.log_pdf(x)
    assert abs(mine.mean() - entropy) < 5 * mine.std() / np.sqrt(len(x)) + 0.02


def test_weights_give_the_evidence_and_moments_of_a_normal():
    """Two correlated unknowns with a normal likelihood: everything is known in closed form."""
    y = np.array([0.3, 1.2, -0.4, 0.9])
    design_matrix = np.column_stack([np.ones(4), np.arange(4.0)])
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        pm.Normal("y", pm.math.dot(design_matrix, b), 0.5, observed=y)
    cov = 4 * design_matrix @ design_matrix.T + 0.25 * np.eye(4)
    log_z = -0.5 * y @ np.linalg.solve(cov, y) - 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    precision = np.eye(2) / 4 + design_matrix.T @ design_matrix / 0.25
    mean = np.linalg.solve(precision, design_matrix.T @ y / 0.25)
    program, table = program_of(model)
    (made,) = laplace_tables(program, [table], [1], draws=4000)
    assert made is not None
    assert made.ok
    assert abs(made.log_evidence - log_z) < 5 * made.log_evidence_sd
    assert made.log_evidence_sd < 0.05
    weight = np.exp(made.log_weights)
    assert weight.sum() == pytest.approx(1)
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    np.testing.assert_array_less(np.abs(weight @ made.x - mean), 5 * sd / np.sqrt(made.ess))


@pytest.mark.parametrize(("name", "seed"), [("pile", 1), ("simulated", 2)])
def test_it_agrees_with_nuts(name, seed):
    runs = load_runs("pile") if name == "pile" else simulated(120, seed)
    fast = fit(runs, "chinchilla", method="auto", draws=500, random_seed=seed)
    slow = fit(runs, "chinchilla", draws=500, random_seed=seed + 10)
    assert fast.diagnostics.method == "laplace"
    assert fast.diagnostics.pareto_k < 0.7
    assert fast.diagnostics.importance_ess > 400
    assert fast.diagnostics.divergences == 0
    assert slow.diagnostics.pareto_k is None
    mine, theirs = fast.summary(), slow.summary()
    for parameter in fast.law.parameters:
        a, b = fast.draws(parameter)[parameter], slow.draws(parameter)[parameter]
        se = np.hypot(*(v[parameter]["sd"] / np.sqrt(v[parameter]["ess_bulk"]) for v in (mine, theirs)))
        assert abs(a.mean() - b.mean()) < 5 * se, parameter
        worth = min(v[parameter]["ess_tail"] for v in (mine, theirs))
        assert abs(np.log(a.std() / b.std())) < 5 / np.sqrt(worth), parameter
    # Bridge sampling takes these draws like any others.
    z, reference = log_evidence(fast), log_evidence(slow)
    assert abs(z.value - reference.value) < 5 * np.hypot(z.sd, reference.sd) + 0.05


def funnel() -> pm.Model:
    """Neal's funnel: no Gaussian about its mode covers its mouth."""
    with pm.Model() as model:
        v = pm.Normal("v", 0, 3)
        pm.Normal("x", 0, pm.math.exp(v / 2), shape=9)
    return model


def test_a_funnel_is_refused():
    program, table = program_of(funnel())
    (made,) = laplace_tables(program, [table], [3], draws=4000, located=[_at_origin(10)])
    assert made is not None
    assert not made.ok
    assert made.pareto_k > k_limit(4000)


def _at_origin(size: int) -> Modes:
    return Modes(np.zeros((1, size)), np.zeros(1), np.eye(size)[None], np.ones(1, int), 1)


def test_where_it_is_refused_nuts_takes_over(monkeypatch):
    """The refusal is forced by a limit that nothing meets; the draws are then NUTS's own."""
    law, noise = specify("chinchilla")
    frame = columns(law, noise, simulated(60, 3))
    program, table = program_for(law, noise, frame), Table.padded(frame)
    auto = Settings(SHORT.draws, SHORT.chains, SHORT.warmup, method="auto")
    monkeypatch.setattr(Approximation, "ok", property(lambda self: False))
    refused, alone = (sample_tables(program, [table], how, [4])[0] for how in (auto, SHORT))
    assert refused.diagnostics.method == "nuts"
    assert refused.diagnostics.pareto_k is not None
    assert "Pareto k" in str(refused.diagnostics)
    np.testing.assert_array_equal(refused.x, alone.x)


@pytest.mark.parametrize("seed", range(4))
def test_few_independent_draws_are_not_refused_for_their_r_hat(seed):
    made = fit(simulated(2000, 30), draws=100, chains=4, method="auto", random_seed=seed, cache=False)
    assert made.diagnostics.method == "laplace"
    assert made.diagnostics.verdict == "ok"


def test_a_bad_approximation_asked_for_is_a_failed_fit(tiny_runs, monkeypatch):
    monkeypatch.setattr("bayes_scaling.inference.psis.K_LIMIT", -5.0)
    made = fit(tiny_runs, "chinchilla", method="laplace", draws=SHORT.draws, random_seed=1)
    assert made.diagnostics.method == "laplace"
    assert made.diagnostics.verdict == "failed"
    assert "Pareto k" in made.diagnostics.messages[0]


def test_same_seed_same_draws_whoever_else_is_there():
    law, noise = specify("chinchilla")
    frames = [columns(law, noise, simulated(40, s)) for s in (1, 2)]
    program, tables = program_for(law, noise, frames[0]), [Table.padded(f) for f in frames]
    both = laplace_tables(program, tables, [5, 6], draws=1000)
    (alone,) = laplace_tables(program, tables[1:], [6], draws=1000)
    np.testing.assert_array_equal(both[1].x, alone.x)
    np.testing.assert_array_equal(both[1].log_weights, alone.log_weights)
    assert not np.array_equal(both[0].x, both[1].x)


def test_no_mode_no_approximation(tiny_runs):
    law, noise = specify("chinchilla")
    frame = columns(law, noise, tiny_runs)
    assert approximate(program_for(law, noise, frame), Table.padded(frame), None, 0, 1000) is None


def test_the_limit_follows_the_number_of_draws():
    assert k_limit(100) == pytest.approx(0.5)
    assert k_limit(1000) == pytest.approx(1 - 1 / 3)
    assert k_limit(10_000) == 0.7


def test_an_unknown_method_is_named():
    with pytest.raises(UsageError, match="auto, laplace, nuts"):
        Settings(method="vi")
