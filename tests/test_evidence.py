"""Log evidence by two estimators against closed forms and each other, and the verdicts that follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, gammainc, gammaln

from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.program import program_of
from bayes_scaling.evidence.bridge import LogEvidence, log_evidence_of
from bayes_scaling.evidence.nested import integrate, nested_evidence_of
from bayes_scaling.evidence.verdicts import DEPENDS, MENTION, agreeing, bayes_factors, word_of_range
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.laws.prior_draws import model_prior_points, prior_points, prior_values

LIVE = 500


def linear_model():
    """Regression with unknown variance, a normal-inverse-gamma prior, and its log evidence in closed form."""
    import pymc as pm

    rng = np.random.default_rng(5)
    n, a0, b0, v0 = 25, 2.5, 0.6, 4.0
    x = np.column_stack([np.ones(n), rng.standard_normal(n)])
    y = x @ np.array([0.8, -0.5]) + 0.4 * rng.standard_normal(n)
    with pm.Model() as model:
        variance = pm.InverseGamma("variance", alpha=a0, beta=b0)
        b = pm.Normal("b", 0.0, pm.math.sqrt(v0 * variance), shape=2)
        pm.Normal("y", pm.math.dot(x, b), pm.math.sqrt(variance), observed=y)
    precision = x.T @ x + np.eye(2) / v0
    mean = np.linalg.solve(precision, x.T @ y)
    a, scale = a0 + n / 2, b0 + 0.5 * (y @ y - mean @ precision @ mean)
    truth = -n / 2 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1] - np.log(v0)
    truth += a0 * np.log(b0) - a * np.log(scale) + gammaln(a) - gammaln(a0)
    return model, float(truth)


def skewed_model():
    """Two success rates with few trials: on the log-odds scale the posterior has a long tail on one side."""
    import pymc as pm

    trials, seen = np.array([4, 9]), np.array([0, 2])
    with pm.Model() as model:
        rate = pm.Beta("rate", 1.0, 2.0, shape=2)
        pm.Binomial("seen", trials, rate, observed=seen)
    log_choose = gammaln(trials + 1) - gammaln(seen + 1) - gammaln(trials - seen + 1)
    truth = log_choose + betaln(1 + seen, 2 + trials - seen) - betaln(1.0, 2.0)
    return model, float(truth.sum())


@pytest.mark.parametrize("make", [linear_model, skewed_model])
def test_both_estimators_against_the_closed_form(make):
    model, truth = make()
    program, table = program_of(model)
    drawn = sample_tables(program, [table], Settings(draws=1000), [3])[0]
    assert drawn.diagnostics.ess_bulk_min > 400
    bridge = log_evidence_of(program, table, drawn.x, drawn.stats["lp"], 3)
    assert bridge.ok
    assert bridge.sd < 0.03
    assert abs(bridge.value - truth) < min(3 * bridge.sd, 0.05)
    points = model_prior_points(model, LIVE, 3)
    nested = nested_evidence_of(program, table, points, 3)
    assert nested.ok
    assert nested.sd < 0.2
    assert abs(nested.value - truth) < 3 * nested.sd
    assert agreeing(bridge, nested)
    assert nested_evidence_of(program, table, points, 3) == nested


def test_nested_sampling_finds_every_mode():
    """Eight equal modes, which a search for one and a chain at one miss: log 8 nats of the evidence."""
    import pymc as pm

    with pm.Model() as model:
        place = pm.Normal("place", 0.0, 4.0, shape=3)
        pm.Normal("seen", pm.math.abs(place), 0.2, observed=np.full(3, 3.0))
    truth = 3 * (np.log(2) + stats.norm.logpdf(3.0, 0.0, np.hypot(4.0, 0.2)))
    program, table = program_of(model)
    found = nested_evidence_of(program, table, model_prior_points(model, LIVE, 1), 1)
    assert found.ok
    assert found.sd < 0.3
    assert abs(found.value - truth) < 3 * found.sd


def test_a_guide_is_a_density_and_is_drawn_from():
    """Its density integrates to one, and the draws have it."""
    from bayes_scaling.engine.slices import Guide, log_base

    guide = Guide(np.array([1.0]), np.array([[2.0]]), 0.3)
    grid = np.linspace(-60, 60, 48001)
    density = np.exp([log_base(stats.norm.logpdf(x), np.array([x]), guide.arrays) for x in grid])
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)
    rng = np.random.default_rng(0)
    drawn = guide.draw(rng.standard_normal((8000, 1)), 8000, rng)[:, 0]
    below = np.cumsum(density) * (grid[1] - grid[0])
    assert stats.kstest(drawn, lambda x: np.interp(x, grid, below)).pvalue > 1e-3
    alone = Guide.none(1)
    assert log_base(-1.3, np.array([5.0]), alone.arrays) == pytest.approx(-1.3)


def test_volumes_are_integrated_without_bias():
    """Perfect nested sampling of exp(-r^2 / 2 s^2) in a unit ball, simulated from its volumes alone."""
    live, dim, s = 200, 4, 0.1
    # Z = integral over X of exp(-X^(2/dim) / 2 s^2): an incomplete gamma function.
    half = dim / 2
    log_truth = np.log(half) + half * np.log(2 * s**2) + gammaln(half) + np.log(gammainc(half, 1 / (2 * s**2)))
    z = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        steps = int(live * 14)
        log_x = np.cumsum(np.log(rng.uniform(size=steps)) / live)
        rest = log_x[-1] + np.log(rng.uniform(size=live))
        log_x = np.concatenate([log_x, np.sort(rest)[::-1]])
        death = -np.exp(2 / dim * log_x) / (2 * s**2)
        # Each replacement is born where one died; the first `live` points were there from the start.
        birth = np.concatenate([np.full(live, np.nan), death[:steps]])
        value, sd = integrate(death, birth, rng)
        z.append((value - log_truth) / sd)
    # A birth belongs to a random later death; only the number alive at each counts.
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))
    assert 0.6 < np.std(z) < 1.5


def test_plateau_of_no_likelihood():
    """Points of no likelihood at all: a third of the prior is lost, and the evidence says so."""
    rng = np.random.default_rng(0)
    live = 300
    death = np.where(np.arange(live) < 100, -np.inf, 0.0)
    value, _ = integrate(death, np.full(live, np.nan), rng)
    assert value == pytest.approx(np.log(2 / 3), abs=0.15)


def test_prior_draws_match_the_models_prior(tiny_runs):
    """Coordinates and density of prior draws, for every family, against PyMC's own."""
    from bayes_scaling.engine.backend import jax_ready
    from bayes_scaling.engine.model import columns, specify
    from bayes_scaling.engine.program import program_for
    from bayes_scaling.laws.priors import Prior

    texts = {
        "E": "uniform(lower=0.5, upper=3)",
        "gap_params": "halfnormal(sigma=2)",
        "alpha": "beta(alpha=2, beta=4)",
        "beta": "gamma(alpha=4, beta=10)",
    }
    law, noise = specify("chinchilla", "student_t_growing", {k: Prior.parse(v) for k, v in texts.items()})
    frame = columns(law, noise, tiny_runs)
    density = program_for(law, noise, frame).density
    x = prior_points(law, noise, 40, np.random.default_rng(1))
    values = prior_values(law, noise, 40, np.random.default_rng(1))
    jax = jax_ready()
    log_prior = np.asarray(jax.jit(jax.vmap(density.log_prior))(x))
    back = jax.jit(jax.vmap(density.constrain))(x)
    expected = np.zeros(40)
    for name, spec in {**law.parameters, **noise.parameters}.items():
        v = values[name]
        np.testing.assert_allclose(np.asarray(back[name]), v, rtol=1e-8)
        low, high = spec.prior.support
        jacobian = 1.0 if np.isinf(low) else v - low if np.isinf(high) else (v - low) * (high - v) / (high - low)
        expected += spec.prior.dist.logpdf(v) + np.log(jacobian)
    np.testing.assert_allclose(log_prior, expected, rtol=1e-6)


def test_prior_draws_of_a_hierarchy():
    import pymc as pm

    with pm.Model() as model:
        spread = pm.HalfNormal("spread", 1.0)
        pm.LogNormal("effect", 0.0, spread, shape=3)
    x = model_prior_points(model, 4000, 0)
    assert x.shape == (4000, 4)
    # The effects' logarithms have unit variance in all: the expectation of the squared spread.
    assert abs(x[:, 1:].var() - 1) < 5 * np.std(x[:, 1:] ** 2) / np.sqrt(4000)
    kurtosis = stats.kurtosis(x[:, 1])
    assert kurtosis > 2  # and are no normal: they share a scale


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (5.2, 9.0, "very strong"),
        (4.9, 9.0, "strong"),
        (1.0, 9.0, "positive"),
        (0.2, 4.0, MENTION),
        (-0.5, 0.8, MENTION),
        (-0.5, 3.0, DEPENDS),
        (-2.0, 0.5, DEPENDS),
    ],
)
def test_a_verdict_holds_for_its_whole_range(low, high, said):
    assert word_of_range(low, high) == said


def at(value, sd=0.05, ok=True):
    return LogEvidence(value, sd, "bridge", ok)


def test_a_verdict_is_withheld_only_where_the_estimators_could_change_it():
    bridge = {"first": at(10.0), "second": at(4.0), "third": at(-90.0)}
    agreed = bayes_factors(list(bridge), bridge, {k: at(z.value + 0.4, 0.2) for k, z in bridge.items()}, None)
    assert [b.verdict for b in agreed] == ["very strong"] * 3
    # 2 nats is far more than the errors allow: it would bring 6 nats down to 4, but 94 to 92.
    apart = bayes_factors(
        list(bridge), bridge, {k: at(z.value, 0.2) for k, z in bridge.items()} | {"second": at(6.0)}, None
    )
    verdicts = {(b.numerator, b.denominator): b.verdict for b in apart}
    assert verdicts["first", "second"].startswith("withheld")
    assert verdicts["first", "third"] == "very strong"
    assert verdicts["second", "third"] == "very strong"
    failed = bayes_factors(list(bridge), bridge | {"third": at(-90.0, ok=False)}, {}, None)
    assert [b.verdict.startswith("withheld") for b in failed] == [False, True, True]
    gone = bayes_factors(["first", "third"], bridge, {"third": at(np.nan, np.inf, False), "first": at(10.0)}, None)
    assert gone[0].verdict.startswith("withheld")


def test_disagreement_reaches_the_exit_code(tiny_runs, monkeypatch):
    from dataclasses import replace

    from bayes_scaling.evidence import comparing
    from bayes_scaling.inference.fitting import fit

    value, gap = {"chinchilla": 10.0, "other": 4.0}, {"chinchilla": 0.0, "other": 0.0}
    one = fit(tiny_runs, "chinchilla", draws=1000)
    fits = (one, replace(one, law=replace(one.law, name="other", title="Another")))
    monkeypatch.setattr(comparing, "log_evidence", lambda f, seed: at(value[f.law.name]))
    monkeypatch.setattr(
        comparing,
        "nested_log_evidence",
        lambda f, seed: LogEvidence(value[f.law.name] + gap[f.law.name], 0.2, "nested", True),
    )
    sound = comparing.weigh(fits, sensitivity=False)
    assert all(sound.agree(n) for n in gap)
    assert sound.ok
    assert sound.bayes_factors[0].verdict == "very strong"
    gap["other"] = 2.0
    doubtful = comparing.weigh(fits, sensitivity=False)
    assert not doubtful.ok
    assert doubtful.bayes_factors[0].verdict.startswith("withheld")
    assert "evidence_failed" in {n.code for n in doubtful.notices}
    body = doubtful.to_dict()
    row = next(r for r in body["laws"] if r["law"] == "other")
    assert row["agree"] is False
    assert row["estimators"]["nested"] == pytest.approx(row["estimators"]["bridge"] + 2.0)
    assert row["log_evidence"] == row["estimators"]["bridge"]


@pytest.mark.slow
def test_digitised_chinchilla_runs(epoch_table):
    """All 245 runs: what the literature's own numbers lead one to expect, stable over seeds."""
    from bayes_scaling.evidence.comparing import compare

    orders = []
    for seed in (0, 1):
        evidence = compare(epoch_table, nested=seed == 0, sensitivity=False, random_seed=seed)
        z = {name: e.value for name, e in evidence.bridge.items()}
        orders.append(sorted(z, key=lambda n: z[n]))
        assert all(e.sd < 0.1 for e in evidence.bridge.values())
        assert 180 < z["chinchilla"] - z["kaplan"] < 240
        assert 120 < z["chinchilla"] - z["kaplan_floor"] < 190
        assert 3 < z["coupled"] - z["chinchilla"] < 15
        if seed == 0:
            first = z
            assert all(evidence.agree(name) for name in z)
            assert evidence.ok
        else:
            for name, e in evidence.bridge.items():
                assert abs(z[name] - first[name]) < 5 * np.sqrt(2) * e.sd + 0.02
    assert orders[0] == orders[1]
