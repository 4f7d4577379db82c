"""Priors that other tools build in, restated for the laws here: data, with their source.

Verdicts are held against them because a reader who uses such a tool would have started from them. Of the tools that
fit scaling laws only one states priors at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayes_scaling.laws.law import Scale, ScalingLaw
from bayes_scaling.laws.priors import Prior, lognormal, truncnormal
from bayes_scaling.runs.runs import Runs


@dataclass(frozen=True)
class PeerPriors:
    """One tool's priors.

    Parameters
    ----------
    name, title
        For JSON and for prose.
    source
        Where they stand.
    stated
        As the tool states them.
    restated
        What was done to carry them to laws and noise that the tool does not have.
    priors
        `priors(runs)`: by parameter name, the amplitudes being those at `scale(runs)`.
    scale
        `scale(runs)`: where the amplitudes are stated.
    """

    name: str
    title: str
    source: str
    stated: str
    restated: str
    priors: Callable[[Runs], Mapping[str, Prior]]
    scale: Callable[[Runs], Scale]

    def of(self, law: ScalingLaw, runs: Runs) -> dict[str, Prior]:
        """Those that the law, or its noise, has a parameter for; the others keep their own prior."""
        known = {*law.parameters, "sigma"}
        return {name: prior for name, prior in self.priors(runs).items() if name in known}


def _mixle(runs: Runs) -> dict[str, Prior]:
    return {
        "E": truncnormal(mu=float(np.min(runs.loss)), sigma=3.0),
        "gap_params": lognormal(median=1.0, sigma=1.5),
        "gap_tokens": lognormal(median=1.0, sigma=1.5),
        "alpha": lognormal(median=0.3, sigma=0.7),
        "beta": lognormal(median=0.3, sigma=0.7),
        "sigma": lognormal(median=0.05 / float(np.median(runs.loss)), sigma=1.5),
    }


def _medians(runs: Runs) -> Scale:
    return Scale(float(np.median(runs.params)), float(np.median(runs.tokens)))


PEERS: tuple[PeerPriors, ...] = (
    PeerPriors(
        name="mixle",
        title="mixle",
        source="mixle 0.7.0 (PyPI), mixle/ppl/scaling_laws.py, fit_scaling_law; the same in its repository later",
        stated="Additive law only, N and D divided by their medians: E ~ Normal(lowest loss, 3), log A and log B ~ "
        "Normal(0, 1.5), log alpha and log beta ~ Normal(log 0.3, 0.7), normal noise on the loss with "
        "log sigma ~ Normal(log 0.05, 1.5)",
        restated="E is kept positive; amplitudes and exponents of the other laws, which the tool does not have, get "
        "the same priors, and a coupling keeps its own; sigma is taken relative to the median loss, because noise "
        "here is on the logarithm of the loss; the noise model stays the one asked for",
        priors=_mixle,
        scale=_medians,
    ),
)
