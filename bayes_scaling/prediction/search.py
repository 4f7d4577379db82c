"""The lowest points of many functions of one variable at once, to the last digits that rounding leaves.

A grid finds the right valley, finer grids close in on it, and a polynomial through the last points gives the minimum
itself: values of a function alone, near its minimum, tell its place to half their digits only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

POINTS = 9
DEGREE = 6
# The polynomial is laid through points this far apart at the most (in log N): a law is smooth on that scale.
CLOSE = 0.03
# A polynomial's minimum may be worse than the best point by rounding alone.
ROUNDING = 1e-13

Objective = Callable[[np.ndarray], np.ndarray]


def minimise(
    objective: Objective, grid: np.ndarray, values: np.ndarray, close: float = CLOSE
) -> tuple[np.ndarray, np.ndarray]:
    """Where each function is lowest.

    Parameters
    ----------
    objective
        `objective(u)` gives the values at `u`, both with dims (problem, point).
    grid
        Increasing, dims (point,): the range searched, fine enough to tell valleys apart.
    values
        On the grid, dims (problem, point).
    close
        How far apart the points of the finest grid may be: less for functions with a corner, which no polynomial has.

    Returns
    -------
    Places and values, dims (problem,). An end of the grid where a function is lowest there.
    """
    every = np.arange(len(values))
    best = np.argmin(values, axis=1)
    u, value = grid[best], values[every, best]
    if len(grid) == 1:
        return u, value
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    spread = np.linspace(0, 1, POINTS)
    while True:
        points = low[:, None] + (high - low)[:, None] * spread
        found = objective(points)
        best = np.argmin(found, axis=1)
        better = found[every, best] <= value
        u, value = np.where(better, points[every, best], u), np.where(better, found[every, best], value)
        if np.max(high - low) <= close * (POINTS - 1) * 1.0001:
            break
        low = points[every, np.maximum(best - 1, 0)]
        high = points[every, np.minimum(best + 1, POINTS - 1)]
    polished = low + (high - low) * _lowest(found, spread)
    at = objective(polished[:, None])[:, 0]
    good = at <= value + ROUNDING * np.maximum(np.abs(value), 1e-300)
    return np.where(good, polished, u), np.where(good, at, value)


def _lowest(values: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Where polynomials through `values` are lowest on [0, 1], dims (problem,)."""
    from numpy.polynomial import polynomial

    x = 2 * spread - 1
    scale = np.ptp(values, axis=1, keepdims=True)
    scaled = (values - values.min(axis=1, keepdims=True)) / np.where(scale > 0, scale, 1.0)
    coefficients = polynomial.polyfit(x, np.where(np.isfinite(scaled), scaled, 0.0).T, DEGREE)
    fine = np.linspace(-1, 1, 65)
    place = fine[np.argmin(polynomial.polyval(fine, coefficients), axis=1)]
    first, second = polynomial.polyder(coefficients), polynomial.polyder(coefficients, 2)
    for _ in range(6):
        slope, bend = (_each(c, place) for c in (first, second))
        step = np.where(bend > 0, slope / np.where(bend > 0, bend, 1.0), 0.0)
        place = np.clip(place - np.clip(step, -1 / 32, 1 / 32), -1, 1)
    return (place + 1) / 2


def _each(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Each column's polynomial at its own x."""
    out = np.zeros_like(x)
    for row in coefficients[::-1]:
        out = out * x + row
    return out
