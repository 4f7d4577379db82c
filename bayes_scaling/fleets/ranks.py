"""Whether ranks are uniform: a simultaneous test on their empirical distribution, and the band that belongs to it.

Sailynoja, Buerkner and Vehtari (2022), arXiv:2103.10522: at each point the count of ranks below it is binomial if ranks
are uniform; the pointwise probability at which the whole curve leaves the binomial limits is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from scipy import stats

SIMULATIONS = 2000


def smallest_tail(ranks: np.ndarray, levels: int) -> np.ndarray:
    """The least two-sided binomial tail probability over all points, dims (...,), of ranks in 0..levels-1.

    Parameters
    ----------
    ranks
        dims (..., replicate).
    """
    n = ranks.shape[-1]
    at = np.arange(1, levels)
    below = np.apply_along_axis(lambda r: np.cumsum(np.bincount(r, minlength=levels))[:-1], -1, ranks)
    low = stats.binom.cdf(below, n, at / levels)
    high = stats.binom.sf(below - 1, n, at / levels)
    return np.asarray(2 * np.minimum(low, high).min(axis=-1))


@cache
def _reference(n: int, levels: int) -> np.ndarray:
    rng = np.random.default_rng([n, levels, 61])
    return np.sort(smallest_tail(rng.integers(0, levels, (SIMULATIONS, n)), levels))


def simultaneous_p(ranks: np.ndarray, levels: int) -> float:
    """p-value of the hypothesis that ranks in 0..levels-1, dims (replicate,), are uniform."""
    least = smallest_tail(ranks[None], levels)[0]
    more_extreme = np.searchsorted(_reference(len(ranks), levels), least, side="right")
    return float((more_extreme + 1) / (SIMULATIONS + 1))


def band(n: int, levels: int, prob: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and the limits that the empirical distribution less the uniform one keeps within at all of them at once.

    Returns
    -------
    Share of the levels, lower and upper limit, each with dims (levels - 1,).
    """
    tail = float(np.quantile(_reference(n, levels), 1 - prob))
    at = np.arange(1, levels) / levels
    low, high = stats.binom.ppf(tail / 2, n, at) / n, stats.binom.ppf(1 - tail / 2, n, at) / n
    return at, low - at, high - at


def ecdf_difference(ranks: np.ndarray, levels: int) -> np.ndarray:
    """The empirical distribution of ranks less the uniform one, at the points of `band`."""
    counts = np.cumsum(np.bincount(ranks, minlength=levels))[:-1]
    return np.asarray(counts / len(ranks) - np.arange(1, levels) / levels)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for being many (Holm 1979), by name."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    out, worst = {}, 0.0
    for i, name in enumerate(ordered):
        worst = max(worst, min(1.0, p_values[name] * (len(ordered) - i)))
        out[name] = worst
    return out
