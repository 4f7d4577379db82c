"""Draws as an ArviZ `DataTree`, by its conventions but without its import, which a new process would wait for.

Groups, dims and coordinates are those of `arviz_base.from_dict`: sampled variables have dims chain and draw first, dims
that nobody named are called `NAME_dim_0`, and every dim has coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling._version import __version__
from bayes_scaling.inference.sampling import Draws

if TYPE_CHECKING:
    from xarray import Dataset, DataTree

SAMPLED = ("chain", "draw")


@dataclass(frozen=True, eq=False)
class Later:
    """A tree that nobody has asked for yet: what is in its `posterior`, dims (chain, draw), and how to `make` it."""

    posterior: Mapping[str, np.ndarray]
    make: Callable[[], DataTree]


class Lazy:
    """What an attribute does that is given a DataTree or a `Later`, and is a DataTree to whoever reads it.

    Building one imports xarray, and through it Dask where that is installed: most of a second that a command which only
    prints numbers need not wait.
    """

    def __init__(self, slot: str) -> None:
        self._slot = slot

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if isinstance(instance.__dict__[self._slot], Later):
            instance.__dict__[self._slot] = instance.__dict__[self._slot].make()
        return instance.__dict__[self._slot]

    def __set__(self, instance: Any, value: DataTree | Later) -> None:
        instance.__dict__[self._slot] = value


def posterior_of(fit: Any) -> dict[str, np.ndarray]:
    """The reported quantities of a fit by name, dims (chain, draw), without building its tree."""
    held = vars(fit)["_idata"]
    if isinstance(held, Later):
        return dict(held.posterior)
    return {str(name): variable.to_numpy() for name, variable in held["posterior"].data_vars.items()}


def tree_of(
    drawn: Draws,
    unknowns: Sequence[str],
    posterior: Mapping[str, np.ndarray],
    observed: Mapping[str, np.ndarray],
    constant: Mapping[str, np.ndarray],
    labels: Any,
) -> DataTree:
    """Everything known of one posterior.

    Parameters
    ----------
    unknowns
        Names of the unconstrained coordinates, dims (unknown,).
    posterior
        What is reported, by name, dims (chain, draw, ...).
    observed, constant
        The data, by name, dims (run,).
    labels
        Of the runs, dims (run,).
    """
    from xarray import DataTree

    terms = drawn.log_likelihood
    statistics = drawn.stats | {"log_prior": drawn.log_prior}
    coords = {"run": labels, "unknown": list(unknowns)}
    by_run = {"log_loss": ("run",), **dict.fromkeys(constant, ("run",))}
    return DataTree.from_dict(
        {
            "posterior": dataset(posterior, by_run, coords),
            "sample_stats": dataset(statistics, by_run, coords),
            # Of the largest tables it is not worked out.
            **({"log_likelihood": dataset({"log_loss": terms}, by_run, coords)} if terms.shape[-1] else {}),
            "observed_data": dataset(observed, by_run, coords, sampled=()),
            "constant_data": dataset(constant, by_run, coords, sampled=()),
            # Dims go by variable name, and a user's model may have an `x` of its own.
            "unconstrained_posterior": dataset({"x": drawn.x}, {"x": ("unknown",)}, coords),
        }
    )


def dataset(
    variables: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]],
    coords: Mapping[str, Any],
    sampled: Sequence[str] = SAMPLED,
) -> Dataset:
    """One group.

    Parameters
    ----------
    variables
        By name; the dims in `sampled` come first.
    dims
        Names of the dims after those, by variable; others get names of their own.
    coords
        By dim; others count from zero.
    """
    from xarray import Dataset

    named: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    used: dict[str, Any] = {}
    for name, values in variables.items():
        values = np.asarray(values)
        own = tuple(dims.get(name, ()))[: values.ndim - len(sampled)]
        rest = tuple(f"{name}_dim_{i}" for i in range(values.ndim - len(sampled) - len(own)))
        every = (*sampled, *own, *rest)
        named[name] = (every, values)
        used |= {dim: coords.get(dim, np.arange(size)) for dim, size in zip(every, values.shape, strict=True)}
    return Dataset(
        named,
        coords=used,
        attrs={
            "created_at": datetime.now(UTC).isoformat(),
            "creation_library": "bayes_scaling",
            "creation_library_version": __version__,
            "creation_library_language": "Python",
            "sample_dims": list(sampled),
        },
    )
