"""Normal scatter: no outliers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bayes_scaling.laws.noise_model import SIGMA, Noise


def likelihood(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    """The observed PyMC variable."""
    import pymc as pm

    return pm.Normal(name, mu=mu, sigma=sigma, observed=observed, dims=dims)


def logpdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Log density of the standard normal."""
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)


def cdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Probability of at most z."""
    from scipy.special import ndtr

    return ndtr(z)


def draw(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """Standard draws of that shape."""
    return rng.standard_normal(shape)


def information(p: Mapping[str, Any]) -> Any:
    """One, in the dims of the draws."""
    return 1.0 + 0.0 * p["sigma"]


NOISE = Noise(
    name="normal",
    title="normal",
    parameters={"sigma": SIGMA},
    likelihood=likelihood,
    logpdf=logpdf,
    draw=draw,
    finite_mean=True,
    cdf=cdf,
    information=information,
)
