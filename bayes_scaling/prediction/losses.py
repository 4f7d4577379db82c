"""Joint draws of losses at given queries: the curve of each draw, and the noise of the runs that would be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayes_scaling.laws.noise import Noise

# A heavy tail may throw e^700: capped where it cannot change a quantile anybody reads.
CAP = 50.0


@dataclass(frozen=True, eq=False)
class Scatter:
    """The noise that some of the draws share.

    Parameters
    ----------
    rows
        Those draws, dims (row,).
    noise
        Its model.
    values
        The model's parameters, dims (row, 1).
    scale
        Of log loss, dims (row, query).
    """

    rows: np.ndarray
    noise: Noise
    values: Mapping[str, np.ndarray]
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Losses:
    """Paired draws of what queries lead to.

    Parameters
    ----------
    log_curve
        Log of the expected loss, dims (draw, query); discrepancy and misplacement included, noise not.
    scatters
        The noise of every draw; each draw in one of them.
    seeds
        Of each query's luck: the same query has the same, whatever else is asked.
    """

    log_curve: np.ndarray
    scatters: tuple[Scatter, ...]
    seeds: tuple[tuple[int, ...], ...] = ()

    @property
    def curve(self) -> np.ndarray:
        """Expected loss, nats per token, dims (draw, query)."""
        return np.exp(self.log_curve)

    @property
    def finite_mean(self) -> bool:
        """Whether a new run's loss has an expectation."""
        return all(s.noise.finite_mean for s in self.scatters)

    @cached_property
    def scale(self) -> np.ndarray:
        """Scale of the noise of log loss, dims (draw, query)."""
        out = np.empty(self.log_curve.shape)
        for s in self.scatters:
            out[s.rows] = s.scale
        return out

    def new_runs(self) -> np.ndarray:
        """Losses of runs that would be seen, nats per token, dims (draw, query); each query has luck of its own."""
        out = np.empty(self.log_curve.shape)
        for i, s in enumerate(self.scatters):
            column = (len(s.rows), 1)
            drawn = [s.noise.draw(np.random.default_rng([*seed, i]), s.values, column) for seed in self.seeds]
            out[s.rows] = np.clip(s.scale * np.concatenate(drawn, axis=1), -CAP, CAP)
        return np.exp(self.log_curve + out)

    def with_one_luck(self, seed: Sequence[int]) -> np.ndarray:
        """As `new_runs`, but all queries share a draw's luck: for curves over many queries."""
        out = np.empty(self.log_curve.shape)
        for i, s in enumerate(self.scatters):
            luck = s.noise.draw(np.random.default_rng([*seed, i]), s.values, (len(s.rows), 1))
            out[s.rows] = np.clip(s.scale * luck, -CAP, CAP)
        return np.exp(self.log_curve + out)

    def p_below(self, target: float) -> tuple[np.ndarray, np.ndarray]:
        """Probability that the run which will be seen, noise included, ends at or below `target` nats per token, and
        that it does not: two arrays with dims (draw, query), each exact where it is small."""
        gap = np.log(target) - self.log_curve
        hit, miss = np.empty_like(gap), np.empty_like(gap)
        for s in self.scatters:
            z = gap[s.rows] / s.scale
            hit[s.rows], miss[s.rows] = s.noise.cdf(z, s.values), s.noise.cdf(-z, s.values)  # every noise is symmetric
        return hit, miss

    def p_reached(self, target: float) -> np.ndarray:
        """The first of what `p_below` gives, at half its price."""
        gap, hit = np.log(target) - self.log_curve, np.empty_like(self.log_curve)
        for s in self.scatters:
            hit[s.rows] = s.noise.cdf(gap[s.rows] / s.scale, s.values)
        return hit

    def log_density(self, log_loss: np.ndarray, query: int) -> np.ndarray:
        """Log density of log losses seen at one query, dims (world,), under each draw: dims (world, draw)."""
        out = np.empty((len(log_loss), len(self.log_curve)))
        for s in self.scatters:
            scale = s.scale[None, :, query]
            z = (log_loss[:, None] - self.log_curve[None, s.rows, query]) / scale
            out[:, s.rows] = s.noise.logpdf(z, {k: v.T for k, v in s.values.items()}) - np.log(scale)
        return out

    def luck(self, which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One standardised noise for each of the draws named, dims as `which`."""
        out = np.empty(len(which))
        place = np.full(len(self.log_curve), -1)
        for s in self.scatters:
            place[:] = -1
            place[s.rows] = np.arange(len(s.rows))
            mine = place[which] >= 0
            values = {k: v[place[which[mine]], 0] for k, v in s.values.items()}
            out[mine] = s.noise.draw(rng, values, (int(mine.sum()),))
        return out

    def normal_variance(self) -> np.ndarray:
        """Variance of the normal noise that a run at each query is worth, dims (query,); geometric mean over draws."""
        information = np.empty(len(self.log_curve))
        for s in self.scatters:
            information[s.rows] = np.broadcast_to(s.noise.information(s.values), (len(s.rows), 1))[:, 0]
        return np.asarray(np.exp(np.mean(2 * np.log(self.scale) - np.log(information)[:, None], axis=0)))

    def of(self, mine: np.ndarray) -> Losses:
        """Some of the queries, dims (query,)."""
        scatters = tuple(replace(s, scale=s.scale[:, mine]) for s in self.scatters)
        kept = np.arange(self.log_curve.shape[1])[mine]
        return Losses(self.log_curve[:, mine], scatters, tuple(self.seeds[j] for j in kept) if self.seeds else ())


def query_seeds(seed: Sequence[int], inputs: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """One seed a query, from `seed` and the query's own inputs with dims (query,), to nine digits: how a count was
    arrived at does not change its luck."""
    table = np.column_stack([_rounded(np.asarray(inputs[name], float)) for name in sorted(inputs)])
    return tuple((*seed, *row.view("<u4").tolist()) for row in np.ascontiguousarray(table))


def _rounded(values: np.ndarray) -> np.ndarray:
    """To nine significant digits, little-endian."""
    with np.errstate(divide="ignore"):
        unit = 10.0 ** (np.nan_to_num(np.floor(np.log10(np.abs(values))), neginf=0.0) - 8)
    return np.asarray(np.round(values / unit) * unit, "<f8")
