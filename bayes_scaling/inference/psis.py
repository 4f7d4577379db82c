"""Pareto-smoothed importance weights, many sets at once.

Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25(72), arXiv:1507.02646. ArviZ smooths one set at a time, which
takes milliseconds each; a study of designs has thousands of sets.
"""

from __future__ import annotations

import numpy as np

ROWS_AT_ONCE = 64
K_LIMIT = 0.7


def k_limit(draws: int) -> float:
    """The largest Pareto k to trust: min(1 - 1/log10(draws), 0.7), section 3.2.4 of Vehtari et al. (2024)."""
    return min(1 - 1 / float(np.log10(draws)), K_LIMIT)


def smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed weights that sum to one, dims (set, draw), and the Pareto k of each set, dims (set,).

    Parameters
    ----------
    log_weights
        dims (set, draw); minus infinity where there is no weight.
    """
    parts = [_block(log_weights[i : i + ROWS_AT_ONCE]) for i in range(0, len(log_weights), ROWS_AT_ONCE)]
    return np.concatenate([w for w, _ in parts]), np.concatenate([k for _, k in parts])


def _block(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_weights = log_weights - log_weights.max(axis=1, keepdims=True)
    draws = log_weights.shape[1]
    tail = int(np.ceil(min(0.2 * draws, 3 * np.sqrt(draws))))
    raw = np.exp(log_weights)
    if tail < 5:
        return raw / raw.sum(axis=1, keepdims=True), np.full(len(raw), np.inf)
    top = np.argpartition(log_weights, draws - tail - 1, axis=1)[:, draws - tail - 1 :]
    top = np.take_along_axis(top, np.argsort(np.take_along_axis(raw, top, 1), axis=1), 1)
    values = np.take_along_axis(raw, top, 1)
    cutoff, beyond = values[:, :1], values[:, 1:] - values[:, :1]
    # A tail of equal weights, or of weights that are nothing, has no shape to fit: even weights are the best there is.
    flat = beyond[:, -1] <= 1e-12
    # Where a quarter of the tail is nothing at all there is no Pareto shape either, and too few draws carry weight.
    few = ~flat & (beyond[:, tail // 4 - 1] <= 0)
    plain = flat | few
    k, sigma = pareto(np.where(plain[:, None], np.linspace(1, 2, tail)[None], beyond))
    rank = (np.arange(tail) + 0.5) / tail
    shape = k[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        stretched = np.expm1(-shape * np.log1p(-rank)[None]) / shape
    quantiles = np.where(abs(shape) < 1e-9, -np.log1p(-rank)[None], stretched) * sigma[:, None] + cutoff
    # No weight above the largest seen: truncation as in the paper.
    np.put_along_axis(raw, top[:, 1:], np.where(plain[:, None], values[:, 1:], np.minimum(quantiles, 1.0)), 1)
    return raw / raw.sum(axis=1, keepdims=True), np.where(flat, -np.inf, np.where(few, np.inf, k))


def pareto(beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape k and scale sigma of generalised Pareto distributions, dims (set,), from sorted exceedances (set, value).

    Zhang and Stephens (2009), Technometrics 51(3), with the weak prior on k of Vehtari et al. (2024), section 6.
    """
    n = beyond.shape[1]
    grid = 30 + int(np.sqrt(n))
    quartile = beyond[:, int(n / 4 + 0.5) - 1, None]
    steps = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    theta = 1 / beyond[:, -1, None] + steps[None] / (3 * quartile)  # dims (set, grid)
    shape = np.log1p(-theta[:, :, None] * beyond[:, None, :]).mean(axis=2)
    log_likelihood = n * (np.log(-theta / shape) - shape - 1)
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    best = (theta * weight).sum(axis=1) / weight.sum(axis=1)
    k = np.log1p(-best[:, None] * beyond).mean(axis=1)
    return k * n / (n + 10) + 5 / (n + 10), -k / best
