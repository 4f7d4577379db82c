"""R-hat and effective sample sizes of many quantities at once.

The definitions are those of Vehtari et al. (2021), arXiv:1903.08008: rank-normalised split R-hat (the larger of bulk
and folded), bulk ESS (sec. 4.1), and tail ESS of the 5 and 95 % quantiles (sec. 4.3). ArviZ has them for one quantity
a call, which for a short posterior costs as much as sampling it; a test holds these to ArviZ's.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, special

TAILS = (0.05, 0.95)


def convergence(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bulk ESS, tail ESS and R-hat, each with dims (quantity,).

    Parameters
    ----------
    values
        dims (quantity, chain, draw). A quantity with a value that is not finite has ESS 0 and R-hat infinity.
    """
    values = np.asarray(values, float)
    good = np.isfinite(values).all(axis=(1, 2))
    count = len(values)
    bulk, tail, rhat = np.zeros(count), np.zeros(count), np.full(count, np.inf)
    if not good.any():
        return bulk, tail, rhat
    kept = values[good]
    halves = split(kept)
    flat = kept.reshape(len(kept), -1)
    normal = z_scale(halves)
    median = np.median(halves, axis=(1, 2), keepdims=True)
    folded = z_scale(np.abs(halves - median))
    low, high = np.quantile(flat, TAILS, axis=1)
    below = [split((kept <= q[:, None, None]).astype(float)) for q in (low, high)]
    sizes = ess(np.concatenate([normal, *below])).reshape(3, -1)
    bulk[good], tail[good] = sizes[0], np.minimum(sizes[1], sizes[2])
    rhat[good] = np.maximum(r_hat(normal), r_hat(folded)) if values.shape[1] > 1 else np.nan
    return bulk, tail, rhat


def split(values: np.ndarray) -> np.ndarray:
    """Each chain as two, dims (quantity, 2 chain, draw // 2); of an odd number the middle draw is left out."""
    half = values.shape[-1] // 2
    return np.concatenate([values[..., :half], values[..., -half:]], axis=-2)


def z_scale(values: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks over all chains; dims as given."""
    flat = values.reshape(len(values), -1)
    count = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    new = np.ones(flat.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # A rejected proposal repeats a draw: equal values share the mean of their ranks.
    begins = np.flatnonzero(new)
    lengths = np.diff(np.append(begins, flat.size))
    ranks = np.empty(flat.shape)
    shared = np.repeat(begins % count + 0.5 * (lengths + 1), lengths).reshape(flat.shape)
    np.put_along_axis(ranks, order, shared, axis=1)
    return np.asarray(special.ndtri((ranks - 0.375) / (count + 0.25))).reshape(values.shape)


def r_hat(values: np.ndarray) -> np.ndarray:
    """Potential scale reduction of split chains, dims (quantity,)."""
    draws = values.shape[-1]
    between = draws * values.mean(axis=-1).var(axis=-1, ddof=1)
    within = values.var(axis=-1, ddof=1).mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((between / within + draws - 1) / draws))


def ess(values: np.ndarray) -> np.ndarray:
    """Effective sample size by Geyer's initial monotone sequence, dims (quantity,); of a constant, all draws."""
    quantities, chains, draws = values.shape
    centred = values - values.mean(axis=-1, keepdims=True)
    length = fft.next_fast_len(2 * draws, real=True)
    spectrum = fft.rfft(centred, n=length, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance = fft.irfft(power, n=length, axis=-1)[..., :draws] / draws
    within = covariance[:, 0] * draws / (draws - 1)
    total = covariance[:, 0].copy()
    if chains > 1:
        total = total + values.mean(axis=-1).var(axis=-1, ddof=1)
    found = np.full(quantities, float(chains * draws))
    for q in np.flatnonzero(np.ptp(values.reshape(quantities, -1), axis=1) >= np.finfo(float).resolution):
        rho = 1 - (within[q] - covariance[q]) / total[q]
        rho[0] = 1.0
        found[q] = chains * draws / _time(rho, chains * draws)
    return found


def _time(rho: np.ndarray, n: int) -> float:
    """Integrated autocorrelation time: pairs of lags are summed while positive, and made to fall."""
    draws = len(rho)
    pairs = rho[: draws - draws % 2].reshape(-1, 2).sum(axis=1)
    # The last lags are left out: next to nothing is left to average there.
    most = max(0, (draws - 1) // 2 - 1)
    stop = np.flatnonzero(pairs[:most] <= 0)
    last = int(stop[0]) if len(stop) else most
    falling = np.minimum.accumulate(pairs[:last])
    # The first lag of the pair that ended the sum still counts where it is positive.
    rest = rho[2 * last] if rho[2 * last] > 0 or pairs[last] >= 0 else 0.0
    return float(max(-1 + 2 * falling.sum() + rest, 1 / np.log10(n)))
