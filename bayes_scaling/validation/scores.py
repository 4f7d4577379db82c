"""Scores of quantile forecasts: coverage, pinball, width, bias, PIT; none needs a finite mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = (0.5, 0.8, 0.9, 0.95)
PINBALL_PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of forecasts of several runs, each with dims (run,).

    Parameters
    ----------
    covered
        By level: whether the equal-tailed interval held the observed loss.
    pinball
        Mean over the 5, 25, 50, 75 and 95 % quantiles of twice the pinball loss, per cent of the observed loss.
    half_width
        Of the 90 % interval, per cent of its median.
    bias
        Median minus observed, per cent of the observed loss.
    pit
        Probability given to losses below the observed one.
    """

    covered: dict[float, np.ndarray]
    pinball: np.ndarray
    half_width: np.ndarray
    bias: np.ndarray
    pit: np.ndarray


def score(draws: np.ndarray, observed: np.ndarray) -> Scores:
    """Score loss draws, dims (draw, run), against observed losses, dims (run,)."""
    covered = {}
    for level in LEVELS:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        covered[level] = (observed >= low) & (observed <= high)
    q = np.quantile(draws, PINBALL_PROBS, axis=0)
    probs = np.array(PINBALL_PROBS)[:, None]
    error = observed[None] - q
    return Scores(
        covered=covered,
        pinball=100 * np.mean(2 * np.maximum(probs * error, (probs - 1) * error), axis=0) / observed,
        half_width=100 * (q[-1] - q[0]) / 2 / q[2],
        bias=100 * (q[2] - observed) / observed,
        pit=np.mean(draws < observed[None], axis=0),
    )


def summary(scores: Scores, cells: np.ndarray) -> dict[str, Any]:
    """Averages in which each cell counts once, whatever the number of runs in it; `cells` labels the runs."""
    labels = np.unique(cells)

    def mean(values: np.ndarray) -> float:
        return float(np.mean([values[cells == c].mean() for c in labels]))

    return {
        "coverage": {f"{level:g}": mean(hit.astype(float)) for level, hit in scores.covered.items()},
        "pinball": mean(scores.pinball),
        "half_width": mean(scores.half_width),
        "bias": mean(scores.bias),
        "n_forecasts": len(cells),
        "n_cells": len(labels),
    }


def joined(parts: list[Scores]) -> Scores:
    """Scores of several sets of runs, in order."""
    return Scores(
        covered={level: np.concatenate([p.covered[level] for p in parts]) for level in LEVELS},
        pinball=np.concatenate([p.pinball for p in parts]),
        half_width=np.concatenate([p.half_width for p in parts]),
        bias=np.concatenate([p.bias for p in parts]),
        pit=np.concatenate([p.pit for p in parts]),
    )
