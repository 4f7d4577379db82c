"""What a noise model is: how an observed log loss scatters about the law's curve.

The scatter is on log loss: `log loss = log curve + scale · z`, z standardised noise. Parameters that several noise
models share stand here; each model is a file of `noises/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_scaling.laws.law import Parameter
from bayes_scaling.laws.priors import gamma, lognormal

SIGMA = Parameter(
    # Losses are printed or digitised to three digits or so: a spike at sigma = 0 is an artefact, hence no mass there.
    lognormal(median=0.01, sigma=1.0),
    "scatter of log loss; 90 % between 0.2 % and 5 % of the loss, and no mass at zero",
    "log nats",
)
NU = Parameter(gamma(alpha=2, beta=0.1), "tail weight of the scatter; Juarez and Steel (2010)")


def steady(p: Mapping[str, Any], decades: Any) -> Any:
    """The same scale at any compute."""
    return p["sigma"]


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
    scaling
        `scaling(p, decades)`: the scale of log loss, in NumPy, JAX or PyTensor; see `scale`.
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
    scaling: Callable[[Mapping[str, Any], Any], Any] = steady

    def scale(self, p: Mapping[str, Any], decades: Any) -> Any:
        """Standard scale of log loss; `decades` = log10 of compute over the runs' geometric mean compute."""
        return self.scaling(p, decades)
