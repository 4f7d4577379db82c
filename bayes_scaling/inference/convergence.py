"""Effective sample sizes, R-hat and E-BFMI of chains, in NumPy alone.

Rank-normalised split R-hat, bulk and tail ESS of Vehtari et al. (2021), arXiv:1903.08008, sections 3 and 4, with the
initial monotone sequence of Geyer (1992), doi:10.1214/ss/1177011137; E-BFMI of Betancourt (2016), arXiv:1604.00695.
ArviZ gives the same numbers; importing its statistics costs a second, which a fit in a new process would wait for.

Every function takes draws with dims (..., chain, draw) and treats leading dims one by one.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np

TAILS = (0.05, 0.95)


def ess_bulk(values: np.ndarray) -> np.ndarray:
    """Effective draws for the middle of the distribution, dims (...): those of the mean of normal scores."""
    return _ess(_scores(_split(values)))


def ess_tail(values: np.ndarray) -> np.ndarray:
    """Effective draws for the 5 and 95 % quantiles, the fewer of the two, dims (...)."""
    ends = np.quantile(values, TAILS, axis=(-2, -1))
    below = np.stack([_split(values <= end[..., None, None]) for end in ends]).astype(float)
    return _ess(below).min(axis=0)


def ess_mean(values: np.ndarray) -> np.ndarray:
    """Effective draws for the mean, dims (...)."""
    return _ess(_split(values))


def rhat(values: np.ndarray) -> np.ndarray:
    """R-hat, the larger of those of location and scale, dims (...); NaN with one chain, or where nothing moves."""
    if np.shape(values)[-2] < 2:
        return np.full(np.shape(values)[:-2], np.nan)
    halves = _split(values)
    folded = np.abs(halves - np.median(halves, axis=(-2, -1), keepdims=True))
    return np.asarray(np.maximum(_plain_rhat(_scores(halves)), _plain_rhat(_scores(folded))))


def bfmi(energy: np.ndarray) -> np.ndarray:
    """Fraction of the energy's variance that is renewed each draw, dims (..., chain)."""
    return np.square(np.diff(energy, axis=-1)).mean(axis=-1) / energy.var(axis=-1, ddof=1)


def _split(values: np.ndarray) -> np.ndarray:
    """Half-chains, dims (..., 2 chain, draw / 2): a chain that drifts disagrees with itself."""
    half = np.shape(values)[-1] // 2
    return np.concatenate([values[..., :half], values[..., -half:]], axis=-2)


def _plain_rhat(values: np.ndarray) -> np.ndarray:
    n = values.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = values.mean(axis=-1).var(axis=-1, ddof=1) / values.var(axis=-1, ddof=1).mean(axis=-1)
    return np.asarray(np.sqrt(ratio + (n - 1) / n))


def _scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks over chains and draws together; equal values share their mean rank."""
    flat = values.reshape(-1, values.shape[-2] * values.shape[-1])
    table = _quantiles(flat.shape[1])
    out = np.empty(flat.shape)
    for row, source in zip(out, flat, strict=True):
        _, place, counts = np.unique(source, return_inverse=True, return_counts=True)
        # Twice the mean rank is the first plus the last rank of those that are equal; the table begins at rank one.
        row[:] = table[2 * np.cumsum(counts) - counts - 1][place]
    return out.reshape(values.shape)


@lru_cache(maxsize=8)
def _quantiles(size: int) -> np.ndarray:
    """Normal quantiles of ranks 1, 1.5, 2, ..., `size`, with Blom's offset of 3/8 (eq. 14 of Vehtari et al.)."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(((2 + i) / 2 - 0.375) / (size + 0.25)) for i in range(2 * size - 1)])


def _ess(values: np.ndarray) -> np.ndarray:
    """Effective draws for the mean of `values`, dims (...): number of draws over autocorrelation time."""
    chains, n = values.shape[-2:]
    centred = values - values.mean(axis=-1, keepdims=True)
    power = np.fft.rfft(centred, n=1 << (2 * n - 1).bit_length(), axis=-1)
    # Biased autocovariance of each chain by lag, then its mean over chains, dims (..., lag).
    covariance = (np.fft.irfft(np.abs(power) ** 2, axis=-1)[..., :n] / n).mean(axis=-2)
    within = covariance[..., :1] * n / (n - 1)
    total = covariance[..., :1]
    if chains > 1:
        total = total + values.mean(axis=-1).var(axis=-1, ddof=1)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = 1 - (within - covariance) / total  # eq. 10 of Vehtari et al.
    correlation[..., 0] = 1
    even, odd = (correlation[..., first : 2 * max(1, (n - 3) // 2 + 1) : 2] for first in (0, 1))
    pairs = even + odd
    # Pairs count until the first that is not positive, and none for more than the one before it.
    ended = pairs <= 0
    ended[..., -1] = True
    end = ended.argmax(axis=-1)[..., None]
    counted = np.where(np.arange(pairs.shape[-1]) < end, np.minimum.accumulate(pairs, axis=-1), 0.0).sum(axis=-1)
    time = 2 * counted - 1 + np.maximum(np.take_along_axis(even, end, axis=-1)[..., 0], 0)
    size = chains * n
    found = size / np.maximum(time, 1 / np.log10(size))
    still = np.ptp(values, axis=(-2, -1)) < np.finfo(float).resolution
    return np.where(still, float(size), found)
