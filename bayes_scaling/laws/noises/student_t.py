"""Student-t scatter: the default, because real tables have outliers.

Epoch's Huber loss with delta = 1e-3 is a Laplace likelihood in effect; the choice itself can be compared by evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bayes_scaling.laws.noise_model import NU, SIGMA, Noise
from bayes_scaling.laws.ops import gammaln, log, log1p


def likelihood(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    """The observed PyMC variable."""
    import pymc as pm

    return pm.StudentT(name, nu=p["nu"], mu=mu, sigma=sigma, observed=observed, dims=dims)


def logpdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Log density of the standard Student-t of p["nu"] degrees of freedom."""
    nu = p["nu"]
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * log(math.pi * nu)
    return constant - (nu + 1) / 2 * log1p(z**2 / nu)


def cdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Probability of at most z."""
    from scipy.special import stdtr

    return stdtr(p["nu"], z)


def draw(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """Standard draws of that shape."""
    return rng.standard_t(p["nu"], size=shape)


def information(p: Mapping[str, Any]) -> Any:
    """(nu + 1) / (nu + 3) at unit scale: Lange, Little and Taylor (1989), appendix B."""
    return (p["nu"] + 1) / (p["nu"] + 3)


NOISE = Noise(
    name="student_t",
    title="Student-t",
    parameters={"sigma": SIGMA, "nu": NU},
    likelihood=likelihood,
    logpdf=logpdf,
    draw=draw,
    finite_mean=False,
    cdf=cdf,
    information=information,
)
