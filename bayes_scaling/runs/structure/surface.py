"""A quick surface through the losses, to judge rows by what it leaves over; no law of ours, and no posterior.

L = E + A N^-a + B D^-b with E, A, B not below zero, weighted least squares of the relative error over a grid of (a, b):
the form of Hoffmann et al. (2022), eq. 2. NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_EXPONENTS = (0.05, 0.12, 0.2, 0.3, 0.45, 0.7, 1.0)
PERMUTATIONS = 999
_MOST = 1500


@dataclass(frozen=True)
class Surface:
    """What is left over.

    Attributes
    ----------
    residual
        Log loss less the surface's, dims (run,).
    left
        What is left of it beyond `basis`, clipped at three standard deviations: a run that diverged is one run.
    scatter
        The residual's standard deviation over degrees of freedom, by its median: a few runs that diverged do not count.
    basis
        What a further explanation must go beyond: smooth functions of log params and log tokens, orthonormal, dims
        (run, term).
    rows
        The rows used, positions: all, or an even sample of a large table.
    """

    residual: np.ndarray
    left: np.ndarray
    scatter: float
    basis: np.ndarray
    rows: np.ndarray

    def beyond(self, columns: np.ndarray) -> np.ndarray:
        """The part of `columns`, dims (run, column), that no smooth function of size and tokens gives; orthonormal,
        with directions that vanish left out."""
        centred = columns - self.basis @ (self.basis.T @ columns)
        norms = np.linalg.norm(columns - columns.mean(axis=0), axis=0)
        kept = centred[:, np.linalg.norm(centred, axis=0) > 0.2 * np.maximum(norms, 1e-12)]
        if not kept.shape[1]:
            return np.zeros((len(centred), 0))
        u, s, _ = np.linalg.svd(kept, full_matrices=False)
        return np.asarray(u[:, s > 1e-6 * s[0]])

    def explained(self, columns: np.ndarray, least: float = 0.0, seed: int = 0) -> tuple[float, float]:
        """The share of the residual's variance that `columns`, dims (run, column), explain, and the probability of as
        much by chance: the residuals are shuffled (Freedman and Lane, 1983). A share below `least` is no finding."""
        directions = self.beyond(columns)
        left = self.left
        total = float(left @ left)
        if not directions.shape[1] or total <= 0:
            return 0.0, 1.0
        share = float(((directions.T @ left) ** 2).sum()) / total
        free = left.size - self.basis.shape[1] - directions.shape[1]
        chance = tail(share, directions.shape[1], free)
        if share < least or chance > 0.1 or chance < 1e-8:
            return share, chance  # shuffling would tell no more
        rng = np.random.default_rng(seed)
        shuffled = rng.permuted(np.tile(left, (PERMUTATIONS, 1)), axis=1)
        shuffled -= (shuffled @ self.basis) @ self.basis.T
        shares = ((shuffled @ directions) ** 2).sum(axis=1) / (shuffled**2).sum(axis=1)
        return share, float((1 + (shares >= share).sum()) / (PERMUTATIONS + 1))


def tail(share: float, terms: int, free: int) -> float:
    """The chance that `terms` columns explain a `share` of the variance or more, `free` degrees of freedom left: the
    upper tail of Snedecor's F by the approximation of Paulson (1942), good to a few per cent of itself."""
    if free < 1 or terms < 1:
        return 1.0
    ratio = (share / terms) / max((1 - share) / free, 1e-300)
    root = ratio ** (1 / 3)
    u, v = 2 / (9 * terms), 2 / (9 * free)
    z = ((1 - v) * root - (1 - u)) / math.sqrt(u + v * root**2)
    return 0.5 * math.erfc(z / math.sqrt(2))


def surface(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> Surface:
    """The surface through losses, dims (run,); a large table is judged by 1,500 of its rows."""
    rows = np.arange(loss.size)
    if loss.size > _MOST:
        rows = np.linspace(0, loss.size - 1, _MOST).astype(int)
    n, d = (np.log(v[rows] / np.exp(np.log(v[rows]).mean())) for v in (params, tokens))
    y = loss[rows]
    best, fitted, used = np.inf, np.full(y.size, y.mean()), 1
    for a in _EXPONENTS if np.ptp(n) > 0.01 else _EXPONENTS[:1]:
        for b in _EXPONENTS if np.ptp(d) > 0.01 else _EXPONENTS[:1]:
            terms = [np.ones_like(y)]
            terms += [np.exp(-a * n)] if np.ptp(n) > 0.01 else []
            terms += [np.exp(-b * d)] if np.ptp(d) > 0.01 else []
            found, terms_used = _not_negative(np.stack(terms, axis=1), y)
            square = float((((y - found) / y) ** 2).sum())
            if square < best:
                best, fitted, used = square, found, terms_used
    residual = np.log(y) - np.log(np.maximum(fitted, 1e-3 * y.min()))
    exponents = int(np.ptp(n) > 0.01) + int(np.ptp(d) > 0.01)
    freedom = np.sqrt(y.size / max(y.size - used - exponents, 1))
    basis = _basis(n, d)
    return Surface(residual, _clipped(residual, basis), float(freedom * _deviation(residual)), basis, rows)


def _deviation(values: np.ndarray) -> float:
    """Standard deviation of normal values, by the median of their sizes."""
    return 1.4826 * float(np.median(np.abs(values)))


def _clipped(residual: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What is left of residuals beyond a basis, with outliers drawn in to three standard deviations."""
    kept = residual
    for _ in range(3):
        smooth = basis @ (basis.T @ kept)
        left = residual - smooth
        limit = 3 * _deviation(left)
        kept = smooth + (np.clip(left, -limit, limit) if limit > 0 else left)
    return np.asarray(kept - basis @ (basis.T @ kept))


def _not_negative(terms: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int]:
    """Weighted least squares with coefficients not below zero, by leaving out what would be; and how many are left."""
    active = list(range(terms.shape[1]))
    scaled = terms / y[:, None]
    while active:
        coefficients, *_ = np.linalg.lstsq(scaled[:, active], np.ones_like(y), rcond=None)
        if (coefficients >= 0).all():
            return np.asarray(terms[:, active] @ coefficients), len(active)
        active.pop(int(np.argmin(coefficients)))
    return np.full(y.size, y.mean()), 1


def _basis(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Orthonormal polynomials of (log N, log D), as many as the runs bear: one for every six."""
    terms = [np.ones_like(n), n, d, n * d, n**2, d**2, n**3, d**3, n**2 * d, n * d**2]
    terms = terms[: max(3, min(len(terms), n.size // 6))]
    columns = np.stack(terms, axis=1)
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-6 * s[0]])
