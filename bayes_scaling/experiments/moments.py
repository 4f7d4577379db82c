"""What a batch of runs would teach, as though everything were normal: second moments of draws, conditioned.

With y = m + noise, Var(q | y) = Var(q) - Cov(q, m) (Cov(m) + V)^-1 Cov(m, q). For other posteriors it is the variance
left by the best linear predictor, so the reduction is a lower bound; it costs microseconds, and searches run on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of a quantity and of what candidate runs would show.

    Parameters
    ----------
    variance
        Of the quantity, summed over its parts.
    shared
        Covariance of each part of the quantity with each candidate's log curve, dims (part, candidate).
    covariance
        Of the candidates' log curves, dims (candidate, candidate).
    noise
        Variance of each candidate's noise, dims (candidate,).
    everything
        Whether the quantity is all that the candidates depend on: gains are then nats of information, and not a
        reduction of variance.
    """

    variance: float
    shared: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    everything: bool = False


def moments(quantity: np.ndarray, curves: np.ndarray, noise: np.ndarray, everything: bool = False) -> Moments:
    """From draws: `quantity` (draw, part), `curves` (draw, candidate), `noise` (candidate,)."""
    centred = curves - curves.mean(axis=0)
    q = quantity - quantity.mean(axis=0)
    n = len(curves)
    return Moments(float((q**2).sum() / n), q.T @ centred / n, centred.T @ centred / n, noise, everything)


def added(m: Moments, batch: Sequence[int]) -> np.ndarray:
    """Gain of adding each candidate to the batch, dims (candidate,): variance removed, or nats."""
    shared, variance = m.shared, np.diagonal(m.covariance)
    if len(batch):
        chosen = list(batch)
        across = m.covariance[chosen]  # dims (chosen, candidate)
        solved = np.linalg.solve(across[:, chosen] + np.diag(m.noise[chosen]), across)
        shared = shared - m.shared[:, chosen] @ solved
        variance = variance - (across * solved).sum(axis=0)
    variance = np.maximum(variance, 0.0)
    if m.everything:
        return np.asarray(0.5 * np.log1p(variance / m.noise))
    return np.asarray((shared**2).sum(axis=0) / (variance + m.noise))


def in_turn(m: Moments, batch: Sequence[int]) -> np.ndarray:
    """Gain of each run of the batch given those before it, dims (run,)."""
    return np.array([added(m, batch[:i])[j] for i, j in enumerate(batch)])


def total(m: Moments, batch: Sequence[int]) -> float:
    """Gain of a whole batch, nats; `batch` indexes the candidates."""
    return float(in_turn(m, batch).sum())
