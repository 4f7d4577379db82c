"""What is believed before a run is made: draws over laws and their parameters, and what each says a run would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import UsageError
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.prediction.discrepancy import distance
from bayes_scaling.prediction.ensemble import Ensemble
from bayes_scaling.runs.runs import Runs

# Draws that all laws share, and the least that one of them gets however small its weight.
DRAWS, FEWEST = 2000, 250


@dataclass(frozen=True, eq=False)
class Member:
    """One law's posterior.

    Parameters
    ----------
    values
        Parameters of law and noise, dims (draw,).
    weight
        Probability of the law.
    centre
        Mean log10 FLOP of the runs it was fitted to, from which the noise's growth is counted.
    """

    law: ScalingLaw
    noise: Noise
    values: Mapping[str, np.ndarray]
    weight: float
    centre: float

    @property
    def n(self) -> int:
        """Draws of the member."""
        return len(next(iter(self.values.values())))

    @property
    def column(self) -> dict[str, np.ndarray]:
        """Parameters with dims (draw, 1)."""
        return {k: v[:, None] for k, v in self.values.items()}


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Draws of several laws, joined in order.

    Parameters
    ----------
    members
        The laws.
    weights
        Weight of each draw, dims (draw,), summing to one.
    runs, slopes
        Under a validated average: the runs learned from, and each draw's discrepancy of log loss per decade beyond
        them in flops, params and tokens, dims (draw, 3). None where the laws are believed as they stand.
    compute
        What a run costs.
    """

    members: tuple[Member, ...]
    weights: np.ndarray
    runs: Runs | None = None
    slopes: np.ndarray | None = None
    compute: ComputeModel = SIX_ND

    @property
    def n(self) -> int:
        """Draws of all members together."""
        return len(self.weights)

    @property
    def slices(self) -> list[slice]:
        """Where each law's draws lie."""
        ends = np.cumsum([m.n for m in self.members]).tolist()
        return [slice(end - m.n, end) for m, end in zip(self.members, ends, strict=True)]

    @property
    def law(self) -> np.ndarray:
        """Position of each draw's law among the members, dims (draw,)."""
        return np.repeat(np.arange(len(self.members)), [m.n for m in self.members])

    def log_curve(self, params: np.ndarray, tokens: np.ndarray, discrepancy: bool = True) -> np.ndarray:
        """Log of the expected loss of runs with dims (run,): dims (draw, run)."""
        x = {"params": params[None, :], "tokens": tokens[None, :]}
        curve = np.log(np.concatenate([np.asarray(m.law.loss(m.column, x)) for m in self.members]))
        if discrepancy and self.slopes is not None and self.runs is not None:
            curve = curve + self.slopes @ distance(self.runs, params, tokens, self.compute).lines
        return np.asarray(curve)

    def scale(self, flops: np.ndarray) -> np.ndarray:
        """Scale of the noise of log loss of runs with dims (run,): dims (draw, run)."""
        parts = [m.noise.scale(m.column, np.log10(flops)[None, :] - m.centre) for m in self.members]
        return np.concatenate([np.broadcast_to(p, (m.n, len(flops))) for p, m in zip(parts, self.members, strict=True)])

    def normal_variance(self, flops: np.ndarray) -> np.ndarray:
        """Variance of the normal noise that runs with dims (run,) are worth; the geometric mean over draws."""
        information = np.concatenate([np.broadcast_to(m.noise.information(m.values), m.n) for m in self.members])
        log_variance = 2 * np.log(self.scale(flops)) - np.log(information)[:, None]
        return np.asarray(np.exp(self.weights @ log_variance))

    def noise(self, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One standardised noise for each of the draws named, dims as `which`."""
        out = np.empty(len(which))
        for m, part in zip(self.members, self.slices, strict=True):
            mine = (which >= part.start) & (which < part.stop)
            p = {k: m.values[k][which[mine] - part.start] for k in m.noise.parameters}
            out[mine] = m.noise.draw(rng, p, (int(mine.sum()),))
        return out

    def log_density(self, seen: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Log density, dims (world, draw), of log losses `seen` (world,) under each draw's `mean` and `scale`."""
        out = np.empty((len(seen), self.n))
        for m, part in zip(self.members, self.slices, strict=True):
            z = (seen[:, None] - mean[None, part]) / scale[None, part]
            out[:, part] = m.noise.logpdf(z, {k: m.values[k][None, :] for k in m.noise.parameters})
        return np.asarray(out - np.log(scale)[None, :])

    def among(self, keep: np.ndarray) -> Beliefs:
        """The same with no weight on draws that are not kept, dims (draw,)."""
        weights = np.where(keep, self.weights, 0.0)
        return replace(self, weights=weights / weights.sum())


def joined(members: Sequence[Member], compute: ComputeModel = SIX_ND) -> Beliefs:
    """Laws believed as they stand."""
    total = sum(m.weight for m in members)
    weights = np.concatenate([np.full(m.n, m.weight / total / m.n) for m in members])
    return Beliefs(tuple(members), weights, compute=compute)


def believed(group: Ensemble, compute: ComputeModel = SIX_ND, draws: int = DRAWS, random_seed: int = 0) -> Beliefs:
    """The draws of an ensemble, thinned to about `draws`; laws without weight are left out.

    Under a validated average each draw is one law's curve with a discrepancy of its own, on the scale learned.

    Raises
    ------
    UsageError
        If a law needs more than params and tokens.
    """
    members = []
    for fit, weight in zip(group.fits, group.weights, strict=True):
        extra = sorted(set(fit.law.inputs) - {"params", "tokens"})
        if extra:
            raise UsageError(
                f"Law '{fit.law.name}' also needs {', '.join(extra)}: runs are suggested in params and tokens."
            )
        if weight <= 0:
            continue
        values: dict[str, Any] = fit.draws(*fit.law.parameters, *fit.noise.parameters)
        n = min(fit.n_draws, max(FEWEST, round(draws * float(weight))))
        keep = np.linspace(0, fit.n_draws - 1, n).round().astype(int)
        centre = float(np.log10(fit.runs.flops).mean())
        members.append(Member(fit.law, fit.noise, {k: v[keep] for k, v in values.items()}, float(weight), centre))
    plain = joined(members, compute)
    if group.averaging is None:
        return plain
    rng = np.random.default_rng([random_seed, 307])
    scale = rng.choice(group.averaging.scales, p=group.averaging.scale_weights, size=plain.n)
    slopes = rng.standard_normal((plain.n, 3)) * scale[:, None]
    return replace(plain, runs=group.fits[0].runs, slopes=slopes)
