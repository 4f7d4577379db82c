"""Forward folds: cuts of a table along compute, smaller runs to learn from and larger ones to be forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_scaling.runs.runs import Runs

GAP = 0.3
# More runs than the widest law of the standard set has unknowns, and an eighth of the table: below that a fold tests
# the priors.
FEWEST, SMALLEST_SHARE = 10, 8
MOST = 4


@dataclass(frozen=True, eq=False)
class Fold:
    """One cut.

    Parameters
    ----------
    cut
        Largest compute learned from, FLOP.
    train, test
        Positions of the runs, dims (run,).
    decades
        log10 distance of each test run beyond the cut, dims (test run,).
    """

    cut: float
    train: np.ndarray
    test: np.ndarray
    decades: np.ndarray


def forward_folds(runs: Runs, *, most: int = MOST, gap: float = GAP, fewest: int = FEWEST) -> list[Fold]:
    """At most `most` cuts, spread evenly over the log compute where a cut is possible.

    A cut needs `fewest` runs below it, at two sizes and two token counts at least, and scored runs at least `gap`
    decades above it. Tables narrower than that get half the gap; tables narrower still get no folds.
    """
    log_c = np.log10(runs.counted).round(9)  # runs of one budget stay on one side of a cut
    fewest = max(fewest, runs.n // SMALLEST_SHARE)
    for width in (gap, gap / 2):
        candidates = [c for c in np.unique(log_c) if _usable(runs, log_c, c, width, fewest)]
        if candidates:
            aims = np.linspace(candidates[0], candidates[-1], most) if len(candidates) > 1 else [candidates[0]]
            cuts = sorted({_nearest(candidates, aim) for aim in aims})
            return [_fold(log_c, c, width) for c in cuts]
    return []


def _nearest(candidates: list[float], aim: float) -> float:
    return min(candidates, key=lambda c: (abs(c - aim), c))


def _usable(runs: Runs, log_c: np.ndarray, cut: float, gap: float, fewest: int) -> bool:
    below = log_c <= cut
    return bool(
        below.sum() >= fewest
        and len(np.unique(runs.params[below])) > 1
        and len(np.unique(runs.tokens[below])) > 1
        and (log_c >= cut + gap).any()
    )


def _fold(log_c: np.ndarray, cut: float, gap: float) -> Fold:
    test = np.flatnonzero(log_c >= cut + gap)
    return Fold(float(10**cut), np.flatnonzero(log_c <= cut), test, log_c[test] - cut)
