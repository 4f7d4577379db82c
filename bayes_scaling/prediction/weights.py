"""How to weigh laws, and how wide to make them together, learned from forward validation.

Every pair of a law and a discrepancy scale is scored by how well it foretold larger runs, cell by cell (`cells`),
averaged over the distance bins of a cut, since what is said at one cut errs together. The cuts' scores are summed,
tempered, because the cuts of one table share runs, and added to a prior over laws and scales that was itself learned
from other tables (`docs/forecasts.md` tells how, and what else was tried). Weights are never put on one law
alone: each draw of an averaged forecast blends the laws' log losses in random proportions about the weights, since the
truth tends to lie between the laws rather than at one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayes_scaling.laws.law import ScalingLaw

# Chosen on public tables, each table's choice made on the others (docs/forecasts.md).
TEMPER = 0.6
CONCENTRATION = 8.0
SCALES = np.array([0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08])
SCALE_MEDIAN, SCALE_SIGMA = 0.005, 1.4
# How laws are pooled wherever something is said of runs not made, "blend" or "mixture": by held-out runs and best sizes
# (docs/forecasts.md, "Blend or mixture").
POOLING = "blend"


@dataclass(frozen=True, eq=False)
class Sources:
    """What weights are made of.

    Parameters
    ----------
    prior
        Weight of each law before the table's own folds, by name: how it extrapolated on other tables.
    data
        Weight that the folds alone give, all laws equal beforehand; equal where there are no folds.
    scale_weights
        Weight of each discrepancy scale with them, dims (scale,).
    """

    prior: Mapping[str, float]
    data: Mapping[str, float]
    scale_weights: np.ndarray


@dataclass(frozen=True, eq=False)
class Averaging:
    """A rule for averaging laws.

    Parameters
    ----------
    weights
        Mean weight of each law, by name; sums to one.
    scales, scale_weights
        Discrepancy per decade beyond the runs, in log loss, and the weight of each value, dims (scale,).
    concentration
        Of the Dirichlet distribution from which a draw's proportions come.
    scored
        How many (cut, distance bin) cells the weights rest on; zero means the prior alone.
    forward_score
        Mean score of a cell over the cuts, by law, nats; None without folds.
    basis
        In words.
    sources
        What the weights are made of; None where that is not known.
    """

    weights: Mapping[str, float]
    scales: np.ndarray
    scale_weights: np.ndarray
    concentration: float
    scored: int
    forward_score: Mapping[str, float | None]
    basis: str
    sources: Sources | None = None

    @property
    def scale_mean(self) -> float:
        """Mean discrepancy per decade, in log loss: about a relative error."""
        return float(self.scales @ self.scale_weights)


def under_equal_priors(rule: Averaging) -> Averaging | None:
    """The rule had every law been trusted alike beforehand; None where that is not known."""
    if rule.sources is None:
        return None
    return replace(rule, weights=rule.sources.data, scale_weights=rule.sources.scale_weights, sources=None)


def prior_averaging(laws: Sequence[ScalingLaw]) -> Averaging:
    """What is believed of the laws before a table's own folds are looked at."""
    return combined(laws, np.zeros((len(laws), len(SCALES))), 0, 0)


def combined(laws: Sequence[ScalingLaw], total: np.ndarray, cuts: int, cells: int) -> Averaging:
    """The averaging rule that validation scores and the laws' trust make together.

    Parameters
    ----------
    laws
        In the order of the scores.
    total
        Summed log score of each law under each scale of discrepancy, nats, dims (law, scale).
    cuts, cells
        How many cuts of the table, and cells of cut and distance, the scores come from.
    """
    trust = np.log([law.trust for law in laws])
    scale_prior = -0.5 * ((np.log(SCALES) - np.log(SCALE_MEDIAN)) / SCALE_SIGMA) ** 2
    log_w = TEMPER * total + trust[:, None] + scale_prior[None]
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    middle = int(np.argmin(abs(SCALES - SCALE_MEDIAN)))
    score = {law.name: (float(total[i, middle] / cuts) if cuts else None) for i, law in enumerate(laws)}
    if cells:
        basis = f"forward validation at {cuts} cut{'s' if cuts > 1 else ''} ({cells} cells of cut and distance)"
    else:
        basis = "experience on other tables (its own runs are too few, or too narrow in compute, to validate on)"
    return Averaging(
        weights={law.name: float(v) for law, v in zip(laws, w.sum(axis=1), strict=True)},
        scales=SCALES,
        scale_weights=w.sum(axis=0),
        concentration=CONCENTRATION,
        scored=cells,
        forward_score=score,
        basis=basis,
        sources=_sources(laws, TEMPER * total + scale_prior[None]),
    )


def _sources(laws: Sequence[ScalingLaw], log_w: np.ndarray) -> Sources:
    """From each law's trust, and the log weights without it, dims (law, scale)."""
    trust = np.array([law.trust for law in laws], float)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    names = [law.name for law in laws]
    return Sources(
        prior=dict(zip(names, (trust / trust.sum()).tolist(), strict=True)),
        data=dict(zip(names, w.sum(axis=1).tolist(), strict=True)),
        scale_weights=w.sum(axis=0),
    )
