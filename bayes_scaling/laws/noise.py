"""Noise models: how an observed log loss scatters about the law's curve.

The scatter is on log loss. Student-t is the default because real tables have outliers (Epoch's Huber loss with
delta = 1e-3 is a Laplace likelihood in effect); the choice itself can be compared by evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_scaling.base.errors import unknown
from bayes_scaling.laws.law import Parameter
from bayes_scaling.laws.ops import exp, gammaln, log, log1p
from bayes_scaling.laws.priors import gamma, lognormal, normal

_SIGMA = Parameter(
    # Losses are printed or digitised to three digits or so: a spike at sigma = 0 is an artefact, hence no mass there.
    lognormal(median=0.01, sigma=1.0),
    "scatter of log loss; 90 % between 0.2 % and 5 % of the loss, and no mass at zero",
    "log nats",
)
_NU = Parameter(gamma(alpha=2, beta=0.1), "tail weight of the scatter; Juarez and Steel (2010)")
_GROWTH = Parameter(normal(mu=0, sigma=0.2), "change of log scatter per decade of compute; no change is the centre")


@dataclass(frozen=True)
class Noise:
    """A noise model.

    Parameters
    ----------
    name, title
        For the command line and for prose.
    parameters
        Free noise parameters and their priors.
    likelihood
        `likelihood(name, p, mu, sigma, observed, dims)` registers the observed PyMC variable.
    logpdf
        `logpdf(z, p)`: log density of standardised noise z, in NumPy or JAX; divide by the scale for that of log loss.
    draw
        `draw(rng, p, shape)` gives standardised noise, to be multiplied by the scale.
    finite_mean
        Whether exp(noise) has a finite expectation; under a Student-t it has none.
    cdf
        `cdf(z, p)`: probability that standardised noise is at most z, in NumPy; exact in the lower tail.
    information
        `information(p)`: Fisher information about the location of standardised noise. Its inverse is the variance of
        the normal noise that a run is worth when it is added to many others.
    """

    name: str
    title: str
    parameters: Mapping[str, Parameter]
    likelihood: Callable[..., Any]
    logpdf: Callable[..., Any]
    draw: Callable[..., Any]
    finite_mean: bool
    cdf: Callable[..., Any]
    information: Callable[[Mapping[str, Any]], Any]

    def scale(self, p: Mapping[str, Any], decades: Any) -> Any:
        """Standard scale of log loss; `decades` = log10 of compute over the runs' geometric mean compute."""
        sigma = p["sigma"]
        if "growth" in p:
            return sigma * exp(p["growth"] * decades)
        return sigma


def _student_t(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    import pymc as pm

    return pm.StudentT(name, nu=p["nu"], mu=mu, sigma=sigma, observed=observed, dims=dims)


def _normal(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    import pymc as pm

    return pm.Normal(name, mu=mu, sigma=sigma, observed=observed, dims=dims)


def _laplace(name: str, p: Mapping[str, Any], mu: Any, sigma: Any, observed: Any, dims: str) -> Any:
    import pymc as pm

    return pm.Laplace(name, mu=mu, b=sigma, observed=observed, dims=dims)


def _logpdf_student_t(z: Any, p: Mapping[str, Any]) -> Any:
    nu = p["nu"]
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * log(math.pi * nu)
    return constant - (nu + 1) / 2 * log1p(z**2 / nu)


def _logpdf_normal(z: Any, p: Mapping[str, Any]) -> Any:
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)


def _logpdf_laplace(z: Any, p: Mapping[str, Any]) -> Any:
    return -abs(z) - math.log(2)


def _cdf_student_t(z: Any, p: Mapping[str, Any]) -> Any:
    from scipy.special import stdtr

    return stdtr(p["nu"], z)


def _cdf_normal(z: Any, p: Mapping[str, Any]) -> Any:
    from scipy.special import ndtr

    return ndtr(z)


def _cdf_laplace(z: Any, p: Mapping[str, Any]) -> Any:
    import numpy as np

    half = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, half, 1 - half)


def _draw_student_t(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    return rng.standard_t(p["nu"], size=shape)


def _draw_normal(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    return rng.standard_normal(shape)


def _draw_laplace(rng: Any, p: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    return rng.laplace(size=shape)


def _information_student_t(p: Mapping[str, Any]) -> Any:
    # Lange, Little and Taylor (1989), appendix B: (nu + 1) / (nu + 3) at unit scale.
    return (p["nu"] + 1) / (p["nu"] + 3)


def _information_one(p: Mapping[str, Any]) -> Any:
    """Of the normal, and of the Laplace at unit scale, whose score is a sign."""
    return 1.0 + 0.0 * p["sigma"]


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            "student_t",
            "Student-t",
            {"sigma": _SIGMA, "nu": _NU},
            _student_t,
            _logpdf_student_t,
            _draw_student_t,
            False,
            _cdf_student_t,
            _information_student_t,
        ),
        Noise(
            "normal",
            "normal",
            {"sigma": _SIGMA},
            _normal,
            _logpdf_normal,
            _draw_normal,
            True,
            _cdf_normal,
            _information_one,
        ),
        Noise(
            "laplace",
            "Laplace",
            {"sigma": _SIGMA},
            _laplace,
            _logpdf_laplace,
            _draw_laplace,
            True,
            _cdf_laplace,
            _information_one,
        ),
        Noise(
            "student_t_growing",
            "Student-t, scale changing with compute",
            {"sigma": _SIGMA, "nu": _NU, "growth": _GROWTH},
            _student_t,
            _logpdf_student_t,
            _draw_student_t,
            False,
            _cdf_student_t,
            _information_student_t,
        ),
    )
}


def get_noise(noise: str | Noise) -> Noise:
    """The noise model of that name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if isinstance(noise, Noise):
        return noise
    if noise not in NOISES:
        raise unknown("noise model", noise, NOISES, "")
    return NOISES[noise]
