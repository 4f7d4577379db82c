"""Draws to interval values: mean, sd, median and the equal-tailed interval, with weights where laws are averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

CI_KIND = "eti"
DEFAULT_CI = 0.9


def weighted_quantile(values: np.ndarray, probs: Any, weights: np.ndarray | None = None) -> np.ndarray:
    """Quantiles of draws along the first axis.

    Parameters
    ----------
    values
        dims (draw, ...).
    probs
        dims (prob,).
    weights
        Weight of each draw, dims (draw,); equal where None.

    Returns
    -------
    dims (prob, ...).
    """
    values, probs = np.asarray(values, float), np.atleast_1d(np.asarray(probs, float))
    if weights is None:
        return np.asarray(np.quantile(values, probs, axis=0))
    flat = values.reshape(len(values), -1)
    keep = weights > 0
    w = np.asarray(weights, float)[keep]
    # Equal values by their weights, so that the order of the draws does not matter.
    order = np.lexsort((np.broadcast_to(w[:, None], flat[keep].shape), flat[keep]), axis=0)
    out = np.empty((len(probs), flat.shape[1]))
    for j in range(flat.shape[1]):
        sorted_w = w[order[:, j]]
        # Each draw stands at the middle of its own weight: symmetric, and equal weights give the usual quantile.
        position = (np.cumsum(sorted_w) - 0.5 * sorted_w) / sorted_w.sum()
        out[:, j] = np.interp(probs, position, flat[keep][order[:, j], j])
    return out.reshape(len(probs), *values.shape[1:])


def tail_probs(ci_prob: float) -> tuple[float, float]:
    """Lower and upper probability of the equal-tailed interval of probability `ci_prob`."""
    return (1 - ci_prob) / 2, (1 + ci_prob) / 2


def interval_value(
    draws: Any, ci_prob: float = DEFAULT_CI, weights: np.ndarray | None = None, moments: bool = True
) -> dict[str, float | None]:
    """`{"mean", "sd", "median", "lower", "upper"}` of draws with dims (draw,).

    `moments=False` leaves mean and sd null: a new run under Student-t noise has neither.
    """
    draws = np.asarray(draws, float).ravel()
    low, high = tail_probs(ci_prob)
    lower, median, upper = (float(q) for q in weighted_quantile(draws, [low, 0.5, high], weights))
    mean = sd = None
    if moments:
        w = np.full(draws.size, 1 / draws.size) if weights is None else np.asarray(weights) / np.sum(weights)
        mean = float(np.sum(w * draws))
        sd = float(np.sqrt(np.sum(w * (draws - mean) ** 2)))
    return {"mean": mean, "sd": sd, "median": median, "lower": lower, "upper": upper}
