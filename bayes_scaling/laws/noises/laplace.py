"""Laplace scatter: exponential tails; the likelihood behind least absolute deviations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bayes_scaling.laws.noise_model import SIGMA, Noise


def likelihood(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    """The observed PyMC variable."""
    import pymc as pm

    return pm.Laplace(name, mu=mu, b=sigma, observed=observed, dims=dims)


def logpdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Log density of the Laplace distribution of unit scale."""
    return -abs(z) - math.log(2)


def cdf(z: Any, p: Mapping[str, Any]) -> Any:
    """Probability of at most z."""
    import numpy as np

    half = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, half, 1 - half)


def draw(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    """Standard draws of that shape."""
    return rng.laplace(size=shape)


def information(p: Mapping[str, Any]) -> Any:
    """One at unit scale, since the score is a sign; in the dims of the draws."""
    return 1.0 + 0.0 * p["sigma"]


NOISE = Noise(
    name="laplace",
    title="Laplace",
    parameters={"sigma": SIGMA},
    likelihood=likelihood,
    logpdf=logpdf,
    draw=draw,
    finite_mean=True,
    cdf=cdf,
    information=information,
)
