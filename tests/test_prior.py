"""Priors: reading, refusing, widening, and agreement between their SciPy and PyMC forms."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_scaling.base.errors import UsageError
from bayes_scaling.laws.priors import FAMILIES, Prior, parse_overrides

EXAMPLES = [
    "lognormal(median=0.3, sigma=0.4)",
    "normal(mu=1, sigma=0.2)",
    "truncnormal(mu=1.5, sigma=0.1)",
    "halfnormal(sigma=0.1)",
    "gamma(alpha=2, beta=0.1)",
    "beta(alpha=2, beta=5)",
    "uniform(lower=0, upper=2)",
]


def test_every_family_has_an_example():
    assert {e.partition("(")[0] for e in EXAMPLES} == set(FAMILIES)


@pytest.mark.parametrize("text", EXAMPLES)
def test_scipy_and_pymc_are_the_same_distribution(text):
    import pymc as pm

    prior = Prior.parse(text)
    points = prior.dist.ppf([0.1, 0.5, 0.9])
    with pm.Model():
        variable = prior.to_pymc("x")
    np.testing.assert_allclose(pm.logp(variable, points).eval(), prior.dist.logpdf(points), rtol=1e-6)
    assert str(prior) == text


@pytest.mark.parametrize("text", [e for e in EXAMPLES if not e.startswith(("uniform", "lognormal"))])
def test_widening_keeps_the_centre_and_scales_the_spread(text):
    prior = Prior.parse(text)
    wide = prior.widen(2.0)
    if prior.family != "halfnormal":
        assert wide.dist.mean() == pytest.approx(prior.dist.mean())
    if prior.family != "beta":  # bounded on both sides: its spread cannot quite double
        assert wide.dist.std() == pytest.approx(2 * prior.dist.std())
    assert wide.dist.std() > prior.dist.std()


def test_lognormal_widens_on_the_log_scale():
    assert str(Prior.parse("lognormal(median=0.3, sigma=0.4)").widen(2)) == "lognormal(median=0.3, sigma=0.8)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lognormal(0.3, 0.4)", "by name"),
        ("lognormal(median=0.3)", "takes median, sigma"),
        ("lognormal(median=0.3, sigma=-1)", "must be positive"),
        ("lognormal(median=0.3, sigma=nan)", "must be positive"),
        ("lognormal(median=0.3, sigma=x)", "not a number"),
        ("lognormal(median=0.3, median=0.3)", "given twice"),
        ("lognorm(median=0.3, sigma=0.4)", "Did you mean 'lognormal'"),
        ("__import__('os')", "Unknown prior|Cannot read|by name"),
        ("uniform(lower=2, upper=1)", "below"),
        ("3", "Cannot read"),
    ],
)
def test_refusals_say_what_to_write(text, says):
    with pytest.raises(UsageError, match=says):
        Prior.parse(text)


def test_overrides_go_by_parameter_name():
    assert parse_overrides(["alpha=normal(mu=1, sigma=2)"]) == {"alpha": Prior.make("normal", mu=1, sigma=2)}
    for bad in ("alpha", "=normal(mu=1, sigma=2)", "normal(mu=1, sigma=2)"):
        with pytest.raises(UsageError, match="Cannot read --prior"):
            parse_overrides([bad])
    with pytest.raises(UsageError, match="twice"):
        parse_overrides(["a=normal(mu=1, sigma=2)"] * 2)


def test_a_prior_draws_itself():
    assert Prior.parse("gamma(alpha=2, beta=0.1)").plot().to_dict()["mark"]["type"] == "area"
