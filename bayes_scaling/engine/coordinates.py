"""Coordinates in which a posterior is nearly standard normal, so that NUTS takes few and long steps.

First the Hessian at the mode whitens it. Posteriors of scaling laws are bananas besides: the floor trades against a
gap whose exponent follows, far along a curved ridge and tightly across it. Where plain whitening does not do, the
ridge is learned from a first set of draws: in principal axes, widest first, each narrower axis is sheared by a
quadratic of the wider ones. A shear changes no volume, so the density needs no Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayes_scaling.engine.modes import Modes

# Beyond this many unknowns the quadratic has too many coefficients for a first set of draws.
MOST_SHEARED = 16
# Fewer draws than this for each coefficient teach noise, not curvature.
DRAWS_PER_COEFFICIENT = 5


@dataclass(frozen=True, eq=False)
class Coordinates:
    """x = centre + axes @ y, with y_i = shift_i + linear_i . y + y' quadratic_i y + scale_i z_i over earlier y only.

    Parameters
    ----------
    centre, shift, scale
        dims (unknown,).
    axes
        dims (unknown, unknown), columns by descending posterior spread.
    linear
        dims (unknown, unknown), strictly lower triangular.
    quadratic
        dims (unknown, unknown, unknown); entry i uses axes before i.
    """

    centre: np.ndarray
    axes: np.ndarray
    shift: np.ndarray
    linear: np.ndarray
    quadratic: np.ndarray
    scale: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What `to_x` takes, as inputs of a compiled program."""
        return self.centre, self.axes, self.shift, self.linear, self.quadratic, self.scale

    @property
    def bent(self) -> bool:
        """Whether there is more to it than a linear map."""
        return bool(self.shift.any() or self.linear.any() or self.quadratic.any())

    def to_z(self, x: np.ndarray) -> np.ndarray:
        """The inverse map, dims (..., unknown)."""
        y = np.linalg.solve(self.axes, np.moveaxis(np.asarray(x) - self.centre, -1, 0).reshape(len(self.centre), -1)).T
        bent = self.shift + y @ self.linear.T
        for i in range(1, len(self.centre)):  # one einsum over all of them would be a hundred times slower
            bent[:, i] += ((y[:, :i] @ self.quadratic[i, :i, :i]) * y[:, :i]).sum(axis=1)
        return np.asarray(((y - bent) / self.scale).reshape(np.shape(x)))

    def from_z(self, z: np.ndarray) -> np.ndarray:
        """x of z, dims (..., unknown): `to_x` for many at once, in NumPy."""
        white = np.asarray(z).reshape(-1, len(self.centre))
        y = np.zeros_like(white)
        for i in range(len(self.centre)):
            known = y[:, :i]
            bend = ((known @ self.quadratic[i, :i, :i]) * known).sum(axis=1)
            y[:, i] = self.shift[i] + known @ self.linear[i, :i] + bend + self.scale[i] * white[:, i]
        return np.asarray((self.centre + y @ self.axes.T).reshape(np.shape(z)))

    @cached_property
    def log_det(self) -> float:
        """log |dx/dz|, the same everywhere."""
        return float(np.linalg.slogdet(self.axes)[1] + np.log(self.scale).sum())


def to_x(arrays: tuple[Any, ...], z: Any) -> Any:
    """x of z, dims (unknown,), in JAX."""
    import jax.numpy as jnp

    centre, axes, shift, linear, quadratic, scale = arrays
    size = z.shape[0]
    if size > MOST_SHEARED:
        return centre + axes @ (scale * z)
    y: list[Any] = []
    for i in range(size):
        value = shift[i] + scale[i] * z[i]
        if y:
            known = jnp.stack(y)
            value = value + linear[i, :i] @ known + known @ quadratic[i, :i, :i] @ known
        y.append(value)
    return centre + axes @ jnp.stack(y)


def unbent(arrays: tuple[Any, ...], z: Any) -> Any:
    """As `to_x`, of coordinates that are not bent: the shear's many small products cost a sixth of a gradient."""
    centre, axes, _, _, _, scale = arrays
    return centre + axes @ (scale * z)


def whitened(where: Modes) -> Coordinates:
    """From the best mode and the Hessian there."""
    factor = where.factor
    spread = np.linalg.norm(factor, axis=0)
    order = np.argsort(-spread)
    size = factor.shape[1]
    return Coordinates(
        centre=where.points[0],
        axes=factor[:, order],
        shift=np.zeros(size),
        linear=np.zeros((size, size)),
        quadratic=np.zeros((size, size, size)),
        scale=np.ones(size),
    )


def learned(draws: np.ndarray, weights: np.ndarray | None = None) -> Coordinates:
    """From draws with dims (draw, unknown), weighted where `weights` with dims (draw,) are given: principal axes,
    sheared by least squares."""
    weight = np.full(len(draws), 1 / len(draws)) if weights is None else weights / weights.sum()
    worth = len(draws) if weights is None else 1 / np.sum(weight**2)  # Kish's effective number of draws
    centre = draws.mean(axis=0) if weights is None else weight @ draws
    size = draws.shape[1]
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(draws.T, aweights=None if weights is None else weight)))
    order = np.argsort(-values)
    axes = vectors[:, order] * np.sqrt(np.maximum(values[order], 1e-12))
    y = np.linalg.solve(axes, (draws - centre).T).T
    shift, scale = np.zeros(size), np.ones(size)
    linear, quadratic = np.zeros((size, size)), np.zeros((size, size, size))
    for i in range(1, size if size <= MOST_SHEARED else 1):
        rows, cols = np.tril_indices(i)
        if worth < DRAWS_PER_COEFFICIENT * (1 + i + len(rows)):
            break
        features = np.column_stack([np.ones(len(y)), y[:, :i], y[:, rows] * y[:, cols]])
        # Normal equations, because threaded LAPACK dawdles over tall systems; in whitened axes they are well posed.
        heavy = features * weight[:, None]
        coefficients = np.linalg.lstsq(features.T @ heavy, y[:, i] @ heavy, rcond=None)[0]
        shift[i], linear[i, :i] = coefficients[0], coefficients[1 : 1 + i]
        quadratic[i, rows, cols] = coefficients[1 + i :]
        residual = y[:, i] - features @ coefficients
        # A residual of zero would be a degenerate direction; NUTS still has to be able to move along it.
        scale[i] = max(float(np.sqrt(weight @ (residual - weight @ residual) ** 2)), 1e-3)
    return Coordinates(centre, axes, shift, linear, quadratic, scale)
