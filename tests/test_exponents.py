"""Point hypotheses by Savage-Dickey against closed forms and bridge sampling; exponents of the laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayes_scaling.base.errors import UsageError
from bayes_scaling.evidence.bridge import log_evidence_of
from bayes_scaling.evidence.exponents import Hypothesis, exponent_of, exponents
from bayes_scaling.evidence.savage_dickey import Sample, log_density, savage_dickey
from bayes_scaling.laws.prior_draws import prior_values
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.ensemble import ensemble
from bayes_scaling.prediction.frontiers import frontier


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0, 2.5])
def test_savage_dickey_of_a_normal(distance):
    """Prior N(0, 1), posterior N(0.8, 0.2): the ratio at a point some posterior sd away from the mean."""
    point = 0.8 - 0.2 * distance
    truth = stats.norm(0.8, 0.2).logpdf(point) - stats.norm.logpdf(point)
    z = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = savage_dickey(Sample.of(rng.normal(0.8, 0.2, 4000)), Sample.of(rng.normal(0, 1, 4000)), point, rng)
        assert found.bound is None
        assert found.sd < 0.25
        z.append((found.log_bf - truth) / found.sd)
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))
    assert max(np.abs(z)) < 5


def test_savage_dickey_of_a_skewed_density():
    rng = np.random.default_rng(0)
    log_gamma = np.log(rng.gamma(4.0, size=8000))
    for point in np.log([1.5, 4.0, 9.0]):
        truth = stats.loggamma(4.0).logpdf(point)
        assert log_density(Sample.of(log_gamma), point) == pytest.approx(truth, abs=0.12)


def test_far_in_the_tail_there_is_only_a_bound():
    rng = np.random.default_rng(1)
    point, exact = 0.8 + 0.2 * 6, float(stats.norm.logpdf(0.8 + 0.2 * 6))
    found = savage_dickey(Sample.of(rng.normal(0.8, 0.2, 4000)), exact, point, rng)
    truth = stats.norm(0.8, 0.2).logpdf(point) - exact
    assert found.bound == "upper"
    assert np.isinf(found.sd)
    assert truth < found.log_bf < -3


def test_savage_dickey_against_bridge():
    """A slope that is free or nil, in a regression with unknown scatter."""
    import pymc as pm

    from bayes_scaling.base.settings import Settings
    from bayes_scaling.engine.program import program_of
    from bayes_scaling.inference.sampling import sample_tables

    rng = np.random.default_rng(7)
    x = rng.standard_normal(20)
    y = 0.15 * x + 0.5 * rng.standard_normal(20)

    def model(free):
        with pm.Model() as built:
            scatter = pm.LogNormal("scatter", np.log(0.5), 0.5)
            slope = pm.Normal("slope", 0, 1) if free else 0.0
            pm.Normal("y", slope * x, scatter, observed=y)
        return built

    z, drawn = {}, {}
    for free in (True, False):
        program, table = program_of(model(free))
        drawn[free] = sample_tables(program, [table], Settings(draws=1000), [0])[0]
        z[free] = log_evidence_of(program, table, drawn[free].x, drawn[free].stats["lp"], 0)
    slope = drawn[True].values["slope"].ravel()
    found = savage_dickey(Sample.of(slope), float(stats.norm.logpdf(0.0)), 0.0, rng)
    error = np.hypot(found.sd, np.hypot(z[True].sd, z[False].sd))
    assert error < 0.1
    assert abs(found.log_bf - (z[False].value - z[True].value)) < 4 * error


@pytest.mark.parametrize("name", ["kaplan", "kaplan_floor", "chinchilla", "coupled"])
def test_numeric_exponent_is_the_closed_one(name):
    law = get_law(name)
    values = prior_values(law, None, 200, np.random.default_rng(3))
    closed = exponent_of(law, values)
    numeric = exponent_of(replace(law, optimum_exponent=None, optimum=None), values, flops=1e21)
    inside = np.isfinite(numeric)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(numeric[inside], closed[inside], rtol=1e-4)


def test_exponent_without_closed_form_needs_a_place():
    law = replace(get_law("chinchilla"), optimum_exponent=None)
    with pytest.raises(UsageError, match="changes with compute"):
        exponent_of(law, {})
    with pytest.raises(UsageError, match="between 0 and 1"):
        Hypothesis("wrong", 0.5, 1.5)


def test_exponents_of_a_fit(tiny_runs):
    from bayes_scaling.inference.fitting import fit
    from bayes_scaling.prediction.ensemble import ensemble

    done = fit(tiny_runs, "chinchilla", draws=1000)
    found = exponents(done)
    a = found.draws
    assert found.flops is None
    assert found.missing == 0
    # Two exponents of one prior: the log odds of a are N(0, 0.5 sqrt 2).
    sigma = float(dict(done.law.parameters["alpha"].prior.arguments)["sigma"]) * np.sqrt(2)
    odds = np.log(found.prior_draws / (1 - found.prior_draws))
    assert stats.kstest(odds, stats.norm(0, sigma).cdf).pvalue > 1e-4
    equal, kaplan, chinchilla = found.claims
    assert equal.mass == pytest.approx(np.mean(np.abs(a - 0.5) <= 0.02), abs=1e-9)
    width = stats.norm(0, sigma).cdf(np.log(0.52 / 0.48)) * 2 - 1
    assert equal.prior_mass == pytest.approx(width, abs=5 * np.sqrt(width / len(odds)))
    # On a scale where the posterior is nearly normal, the point's density is the normal's.
    u = np.log(a / (1 - a))
    rough = stats.norm(u.mean(), u.std()).logpdf(0.0) - stats.norm(0, sigma).logpdf(0.0)
    assert equal.bound is None
    assert equal.log_bf == pytest.approx(rough, abs=0.3)
    assert 0.46 < found.interval["median"] < 0.58
    assert kaplan.log_bf < 0
    inside = np.mean((a >= 0.46) & (a <= 0.50))
    assert chinchilla.region == pytest.approx((0.44, 0.52))
    assert np.isfinite(chinchilla.log_bf) == (inside >= 0)
    frame = found.to_frame()
    assert list(frame.hypothesis) == ["N and D grow equally", "Kaplan's 0.73", "Chinchilla's 0.46 to 0.50"]
    assert found.to_dict()["exponent_params"]["median"] == found.interval["median"]
    assert "d log N*" in repr(found)
    # An average of a law with itself is the law.
    twice = exponents(ensemble([done, done], [0.3, 0.7]))
    assert twice.interval["median"] == pytest.approx(found.interval["median"], abs=2e-3)
    assert twice.claims[0].log_bf == pytest.approx(equal.log_bf, abs=4 * np.hypot(equal.log_bf_sd, 0.02))
    again = exponents(done)
    assert again.claims == found.claims


def test_of_a_validated_average_it_is_the_frontiers(blend):
    """One exponent, one interval: misplacement included, beyond the runs; and the claims are counted in its draws."""
    budget = 30 * float(blend.fits[0].runs.flops.max())
    found, front = exponents(blend, flops=budget), frontier(blend, budget)
    assert found.interval == pytest.approx(front.exponents["params"])
    a = front.draws("exponent_params")[:, 0]
    equal = found.claims[0]
    assert equal.mass == pytest.approx(np.mean(np.abs(a - 0.5) <= 0.02), abs=1e-9)
    assert found.draws.std() > 1.2 * exponents(ensemble(blend.fits, blend.weights), flops=budget).draws.std()
    # Within the runs nothing is added that grows with compute.
    inside = exponents(blend, flops=0.1 * float(blend.fits[0].runs.flops.max()))
    assert inside.draws.std() < found.draws.std()
