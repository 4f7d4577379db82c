"""Evidence under other priors: reweighted against refitted and closed forms; the match of the priors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_scaling.evidence.bridge import LogEvidence
from bayes_scaling.evidence.sensitivity import FACTORS, TOGETHER, Sensitivity, Variant, reweighted
from bayes_scaling.evidence.variations import FIXED_SUPPORT, log_pdf
from bayes_scaling.laws.prior_predictive import prior_predictive
from bayes_scaling.laws.priors import Prior


@pytest.mark.parametrize(
    ("mean", "sd", "factor"), [(0.3, 0.5, 0.5), (0.3, 0.5, 2.0), (-1.2, 0.4, 2.0), (1.5, 0.3, 0.5)]
)
def test_reweighting_a_normal(mean, sd, factor):
    """Posterior N(mean, sd), prior N(0, 1) widened: the mean ratio is a Gaussian integral."""
    draws = stats.norm(mean, sd).rvs(size=(4, 1000), random_state=2)
    shift, error, k = reweighted(stats.norm(0, factor).logpdf(draws) - stats.norm.logpdf(draws))
    excess = 1 / factor**2 - 1  # ratio = exp(-excess x^2 / 2) / factor
    precision = 1 / sd**2 + excess
    centre = mean / sd**2 / precision
    truth = -np.log(factor * sd) - 0.5 * np.log(precision) + 0.5 * (precision * centre**2 - mean**2 / sd**2)
    assert k < 0.7
    assert abs(shift - truth) < 4 * error + 1e-4


def test_weights_that_cannot_be_trusted_say_so():
    """Where the draws know nothing but the prior, a prior s times as wide has a ratio of tail index 1 - 1/s^2.

    Three such parameters reach it sooner than one: with one the draws at hand are not yet in that tail.
    """
    draws = stats.norm.rvs(size=(3, 4, 4000), random_state=0)
    found = []
    for factor in (0.5, 1.1, 2.0, 10.0):
        _, _, k = reweighted((stats.norm(0, factor).logpdf(draws) - stats.norm.logpdf(draws)).sum(axis=0))
        found.append(k)
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] > 0.7
    assert reweighted(np.zeros((4, 100))) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "lognormal(median=0.3, sigma=0.4)",
        "normal(mu=1, sigma=2)",
        "halfnormal(sigma=2)",
        "truncnormal(mu=0.9, sigma=3)",
        "gamma(alpha=2, beta=0.1)",
        "beta(alpha=2, beta=4)",
    ],
)
def test_densities_in_jax_are_scipys(text):
    from bayes_scaling.engine.backend import jax_ready

    jax_ready()
    prior = Prior.parse(text)
    arguments = [v for _, v in prior.arguments]
    v = prior.dist.ppf(np.linspace(0.02, 0.98, 9))
    assert prior.family in FIXED_SUPPORT
    np.testing.assert_allclose(log_pdf(prior.family, v, *[*arguments, 1.0][:2]), prior.dist.logpdf(v), rtol=1e-10)


@pytest.fixture(scope="module")
def fitted(tiny_runs):
    from bayes_scaling.evidence.bridge import log_evidence
    from bayes_scaling.inference.fitting import fit

    done = fit(tiny_runs, "chinchilla", draws=1000)
    return done, log_evidence(done)


@pytest.mark.parametrize("noise", ["student_t", "normal", "laplace", "student_t_growing"])
def test_varied_density_is_the_models(fitted, noise):
    """Against PyMC's own density of the same law, priors and noise; unused parameters add their prior."""
    from dataclasses import replace

    from bayes_scaling.engine.model import columns, specify
    from bayes_scaling.engine.program import program_for
    from bayes_scaling.engine.tables import Table
    from bayes_scaling.evidence.variations import as_fitted, varied_draws, varied_program, varied_table

    done, _ = fitted
    new = {"E": Prior.parse("truncnormal(mu=1, sigma=3)"), "alpha": Prior.parse("lognormal(median=0.4, sigma=0.7)")}
    base = as_fitted(done)
    to = replace(base, priors={**base.priors, **new}, noise=noise)
    x = varied_draws(done, np.random.default_rng(0))[::200]
    mine = varied_program(done).log_densities(x, varied_table(done, to))[1]
    law, spec = specify("chinchilla", noise, new)
    frame = columns(law, spec, done.runs)
    names = list(to.priors)
    used = [names.index(k) for k in [*law.parameters, *spec.parameters]]
    prior, likelihood = program_for(law, spec, frame).log_densities(x[:, used], Table.padded(frame))
    rest = np.zeros(len(x))
    for i in sorted(set(range(len(names))) - set(used)):
        dist = to.priors[names[i]].dist
        rest += dist.logpdf(np.exp(x[:, i])) + x[:, i] if names[i] == "nu" else dist.logpdf(x[:, i])
    np.testing.assert_allclose(mine, prior + likelihood + rest, rtol=1e-8)


def test_importance_against_a_closed_form():
    """A log gamma and a bent normal, from draws of a neighbour: the constants are known."""
    from scipy.special import gammaln

    from bayes_scaling.evidence.importance import importance_evidence

    def log_density(x):
        banana = stats.norm.logpdf(x[:, 1] - 0.5 * (x[:, 0] ** 2 - 1), scale=0.2) + stats.norm.logpdf(x[:, 0])
        return banana + 3.0 * x[:, 2] - np.exp(x[:, 2])

    z = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found, k = importance_evidence(log_density, rng.normal(0.5, 0.6, (2000, 3)), rng)
        assert found.ok
        assert k < 0.7
        assert found.sd < 0.1
        z.append((found.value - gammaln(3.0)) / found.sd)
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))
    assert max(np.abs(z)) < 5


def test_importance_does_not_believe_heavy_weights():
    """A Cauchy in ten dimensions is beyond any proposal with lighter tails."""
    from bayes_scaling.evidence.importance import importance_evidence

    rng = np.random.default_rng(0)
    found, k = importance_evidence(lambda x: stats.t(0.3).logpdf(x).sum(axis=1), rng.standard_normal((2000, 10)), rng)
    assert not found.ok
    assert k > 0.5


def test_importance_against_refitted(fitted):
    """Wider priors, another noise and another tool's priors: sampled anew by NUTS and bridged."""
    from dataclasses import replace

    from bayes_scaling.evidence.peer_priors import PEERS
    from bayes_scaling.evidence.sensitivity import _again, _refit
    from bayes_scaling.evidence.variations import as_fitted

    done, default = fitted
    base = as_fitted(done)
    wide = {k: base.priors[k].widen(2.0) for k in done.law.parameters}
    peer = {**base.priors, **PEERS[0].of(done.law, done.runs)}
    for to in (
        replace(base, priors={**base.priors, **wide}),
        replace(base, noise="laplace"),
        replace(base, priors=peer, scale=PEERS[0].scale(done.runs)),
    ):
        found = _again(done, default, "all", None, to, [0])
        assert found.method == "importance"
        assert found.ok
        again = _refit(done, to, 1)
        assert abs(found.log_evidence - again.value) < 4 * np.hypot(found.sd, again.sd), to.noise


def test_peers_priors_are_stated_at_the_runs_medians(tiny_runs):
    from bayes_scaling.evidence.peer_priors import PEERS
    from bayes_scaling.laws.registry import get_law

    for peer in PEERS:
        assert "priors" not in peer.of(get_law("kaplan"), tiny_runs)
        assert "E" not in peer.of(get_law("kaplan"), tiny_runs)
        assert set(peer.of(get_law("coupled"), tiny_runs)) == {
            "E",
            "gap_params",
            "gap_tokens",
            "alpha",
            "beta",
            "sigma",
        }
        assert peer.scale(tiny_runs).params == np.median(tiny_runs.params)
        assert peer.source


def test_table_of_variants(fitted):
    from bayes_scaling.evidence.sensitivity import sensitivity

    done, default = fitted
    found = sensitivity([done], {"chinchilla": default})
    frame = found.to_frame()
    changed = {TOGETHER, *done.law.parameters, *done.noise.parameters}
    assert set(frame.changed) == {*changed, "peer:mixle"}
    assert len(frame) == len(changed) * len(FACTORS) + 1
    assert frame.ok.all()
    believed = frame[frame.method != "bridge"]
    assert (believed.pareto_k <= 0.7).all()
    assert np.isfinite(frame.log_evidence).all()
    assert found.to_dict()["variants"][0]["law"] == "chinchilla"


def variant(law, changed, factor, value, noise="student_t"):
    return Variant(law, changed, factor, noise, value, 0.05, 0.0, 0.05, 0.1, False, True)


def variant_of_noise(value):
    return Variant("a", "noise", None, "laplace", value, 0.05, value - 10.0, 0.05, None, True, True)


def test_range_of_a_bayes_factor():
    """Own priors of both laws together and one at a time; the noise of both alike."""
    default = {"a": LogEvidence(10.0, 0.1, "bridge", True), "b": LogEvidence(7.0, 0.1, "bridge", True)}
    variants = [
        variant("a", TOGETHER, 0.5, 11.0),
        variant("b", TOGETHER, 0.5, 8.5),
        variant("a", TOGETHER, 2.0, 8.0),
        variant("b", TOGETHER, 2.0, 6.0),
        variant("a", "alpha", 2.0, -50.0),  # one parameter alone is told, not ranged over
        variant("a", "nu", 2.0, 5.0),
        variant("b", "nu", 2.0, 5.5),
    ]
    found = Sensitivity(default, tuple(variants), ("sigma", "nu"))
    # 10-7, 11-8.5, 11-7, 10-8.5, 8-6, 8-7, 10-6, 5-5.5
    assert found.range("a", "b") == (-0.5, 4.0)
    assert found.range("b", "a") == (-4.0, 0.5)
    noisier = [variant("a", "noise", None, 2.0, "normal"), variant("b", "noise", None, 9.0, "normal")]
    assert Sensitivity(default, (*variants, *noisier), ("sigma", "nu")).range("a", "b") == (-7.0, 4.0)
    # A noise model that the runs rule out under both laws casts no doubt on either.
    refuted = [variant("a", "noise", None, -90.0, "normal"), variant("b", "noise", None, -80.0, "normal")]
    assert Sensitivity(default, (*variants, *refuted), ("sigma", "nu")).range("a", "b") == (-0.5, 4.0)
    liked = Sensitivity(default, (variant_of_noise(15.0),), ("sigma",))
    assert [n.code for n in liked.notices] == ["noise_model"]


def test_prior_predictives_match():
    found = prior_predictive(draws=2000)
    frame = found.distances().set_index(["first", "second"])
    assert len(frame) == 6
    # Laws with a floor expect the same loss to within a fifth of what each leaves open.
    for pair in [("kaplan_floor", "chinchilla"), ("kaplan_floor", "coupled"), ("chinchilla", "coupled")]:
        assert frame.loc[pair, "mean"] < 0.2 * frame.loc[pair, "spread"]
    assert (frame["mean"] < 0.5 * frame["spread"]).all()
    at = found.to_frame().query("params == 1e9 and tokens == 1e10")
    assert at["median"].between(2.5, 4.0).all()


def test_a_distance_is_a_shift_of_log_loss():
    from bayes_scaling.laws.priors import lognormal
    from bayes_scaling.laws.registry import get_law

    law = get_law("kaplan")
    raised = {
        name: lognormal(median=dict(law.parameters[name].prior.arguments)["median"] * 1.1, sigma=0.35)
        for name in ("gap_params", "gap_tokens")
    }
    same = {name: lognormal(median=dict(law.parameters[name].prior.arguments)["median"], sigma=0.35) for name in raised}
    from dataclasses import replace

    higher = replace(law.with_priors(raised), name="higher")
    frame = prior_predictive([law.with_priors(same), higher], draws=500).distances()
    # Both amplitudes 10 % higher: under Kaplan the whole loss is.
    assert frame["mean"].item() == pytest.approx(np.log(1.1), rel=1e-6)
    assert frame["maximum"].item() == pytest.approx(np.log(1.1), rel=1e-6)
