"""How far a query lies beyond the runs, and the discrepancy that grows with that distance.

Laws are wrong in ways their posteriors do not know, and the more so the further they are asked to reach. For each
draw the discrepancy is one straight line in the decades of compute beyond the runs, shared by every query, so that it
cancels between plans of equal compute; where N or D leaves its own range further than compute does, each adds a line
of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.runs.runs import Runs


@dataclass(frozen=True, eq=False)
class Distance:
    """Decades beyond the largest (or below the smallest) of the runs learned from, dims (query,) each.

    `params` and `tokens` count only what exceeds the distance in compute.
    """

    flops: np.ndarray
    params: np.ndarray
    tokens: np.ndarray

    def of(self, mine: np.ndarray) -> Distance:
        """Some of the queries; `mine` has dims (query,)."""
        return Distance(self.flops[mine], self.params[mine], self.tokens[mine])

    @property
    def lines(self) -> np.ndarray:
        """dims (line, query): one row for each independent line."""
        return np.stack([self.flops, self.params, self.tokens])

    @property
    def length(self) -> np.ndarray:
        """Root sum of squares: the discrepancy's sd at scale one, dims (query,)."""
        return np.sqrt((self.lines**2).sum(axis=0))


def outside(known: np.ndarray, asked: Any) -> np.ndarray:
    """log10 distance of `asked` outside the range of `known`; zero inside."""
    low, high = np.log10(known.min()), np.log10(known.max())
    value = np.log10(np.asarray(asked, float))
    beyond: np.ndarray = np.maximum(0.0, np.maximum(value - high, low - value))
    return beyond


def distance(runs: Runs, params: Any, tokens: Any, compute: ComputeModel = SIX_ND) -> Distance:
    """The distance of queries with dims (query,) from the runs, both sides' compute counted by `compute`."""
    c = outside(compute.flops(runs.params, runs.tokens), compute.flops(np.asarray(params), np.asarray(tokens)))
    return Distance(
        flops=c,
        params=np.maximum(0.0, outside(runs.params, params) - c),
        tokens=np.maximum(0.0, outside(runs.tokens, tokens) - c),
    )


def slopes(scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of the slopes of the three lines of log loss, dims (draw, 3); `scale` per decade has dims (draw,)."""
    return np.asarray(rng.standard_normal((len(scale), 3)) * scale[:, None])


def discrepancy(where: Distance, scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of the discrepancy of log loss, dims (draw, query); `scale` per decade has dims (draw,)."""
    return np.asarray(slopes(scale, rng) @ where.lines)
