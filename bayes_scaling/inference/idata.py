"""Draws as an ArviZ `DataTree`, by its conventions but without its import, which a new process would wait for.

Groups, dims and coordinates are those of `arviz_base.from_dict`: sampled variables have dims chain and draw first, dims
that nobody named are called `NAME_dim_0`, and every dim has coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling._version import __version__
from bayes_scaling.engine.model import OBSERVED, columns
from bayes_scaling.inference.sampling import Draws
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.prior_draws import parameters_of, prior_values

if TYPE_CHECKING:
    from xarray import Dataset, DataTree

SAMPLED = ("chain", "draw")
PRIOR_DRAWS = 1000
# Simulated losses of more cells (draws x runs) are left out of a tree: 80 MB.
SIMULATED_CELLS = 10_000_000


@dataclass(frozen=True, eq=False)
class Later:
    """A tree that nobody has asked for yet: what is in its `posterior`, dims (chain, draw), and how to `make` it."""

    posterior: Mapping[str, np.ndarray]
    make: Callable[[], DataTree]

    @cached_property
    def tree(self) -> DataTree:
        """The tree, made once."""
        return self.make()


class Lazy:
    """What an attribute does that is given a DataTree or a `Later`, and is a whole DataTree to whoever reads it.

    Building one imports xarray, and through it Dask where that is installed: most of a second that a command which only
    prints numbers need not wait. What is only simulated from the draws is added when the tree is first read, and never
    saved.

    Parameters
    ----------
    slot
        Where what was given is kept, among the instance's own.
    whole
        `whole(instance)` gives the tree as it is read.
    """

    def __init__(self, slot: str, whole: Callable[[Any], DataTree]) -> None:
        self._slot, self._read, self._whole = slot, f"{slot}_read", whole

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self._read not in instance.__dict__:
            instance.__dict__[self._read] = self._whole(instance)
        return instance.__dict__[self._read]

    def __set__(self, instance: Any, value: DataTree | Later) -> None:
        instance.__dict__[self._slot] = value
        instance.__dict__.pop(self._read, None)


def given(fit: Any) -> Any:
    """The tree of a fit as it was given, a DataTree or a `Later`: to hand on to another fit."""
    return vars(fit)["_idata"]


def sampled(fit: Any) -> DataTree:
    """The tree of a fit with what was sampled or kept, and nothing that is simulated: what is saved."""
    held = given(fit)
    tree: DataTree = held.tree if isinstance(held, Later) else held
    return tree


def posterior_of(fit: Any) -> dict[str, np.ndarray]:
    """The reported quantities of a fit by name, dims (chain, draw), without building its tree."""
    held = given(fit)
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
    by_run = {OBSERVED: ("run",), **dict.fromkeys(constant, ("run",))}
    return DataTree.from_dict(
        {
            "posterior": dataset(posterior, by_run, coords),
            "sample_stats": dataset(statistics, by_run, coords),
            # Of the largest tables it is not worked out.
            **({"log_likelihood": dataset({OBSERVED: terms}, by_run, coords)} if terms.shape[-1] else {}),
            "observed_data": dataset(observed, by_run, coords, sampled=()),
            "constant_data": dataset(constant, by_run, coords, sampled=()),
            # Dims go by variable name, and a user's model may have an `x` of its own.
            "unconstrained_posterior": dataset({"x": drawn.x}, {"x": ("unknown",)}, coords),
        }
    )


def simulated(fit: Any) -> DataTree:
    """The tree of a fit, with `prior`, the two predictive groups and `log_prior` beside what was sampled.

    Predictive groups hold what an observed log loss would be, one draw each of the parameters' and of the noise:
    `log_loss`, dims (chain, draw, run); left out where the table is too large (`SIMULATED_CELLS`). `log_prior` holds
    the density of all parameters together, in their own units, for ArviZ's power scaling: dims (chain, draw).
    """
    import xarray as xr

    tree, law, noise, runs = sampled(fit), fit.law, fit.noise, fit.runs
    rng = np.random.default_rng([fit.settings.random_seed, 61])
    frame = columns(law, noise, runs)
    coords = {"run": runs.run.astype(object)}
    shape = next(iter(posterior_of(fit).values())).shape[:2]
    groups: dict[str, Dataset] = {}

    def losses(values: Mapping[str, np.ndarray], chains: int) -> Dataset:
        drawn = _observable(law, noise, values, frame, rng)
        return dataset({OBSERVED: drawn.reshape(chains, -1, runs.n)}, {OBSERVED: ("run",)}, coords)

    values = prior_values(law, noise, PRIOR_DRAWS, rng)
    with np.errstate(over="ignore"):
        every = {**values, **law.derived_values(values)}
        groups["prior"] = dataset({k: np.asarray(v)[None] for k, v in every.items()}, {}, {})
        if PRIOR_DRAWS * runs.n <= SIMULATED_CELLS:
            groups["prior_predictive"] = losses(values, 1)
    density = sum(p.prior.dist.logpdf(fit.draws(k)[k]) for k, p in parameters_of(law, noise).items())
    groups["log_prior"] = dataset({"parameters": np.reshape(density, shape)}, {}, {})
    if int(np.prod(shape)) * runs.n <= SIMULATED_CELLS:
        groups["posterior_predictive"] = losses(fit.draws(*values), shape[0])
    new = {name: xr.DataTree(data) for name, data in groups.items() if name not in tree.children}
    return tree.copy().assign(new) if new else tree


def _observable(
    law: ScalingLaw,
    noise: Noise,
    values: Mapping[str, np.ndarray],
    frame: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Log losses of the runs as they might have been observed, dims (draw, run); `values` has dims (draw,)."""
    p = {name: v[:, None] for name, v in values.items()}
    curve = law.loss(p, {name: frame[name][None, :] for name in law.inputs})
    spread = np.hypot(noise.scale(p, frame["decades"][None, :]), frame["log_loss_sd"])
    standard = noise.draw(rng, p, (len(next(iter(p.values()))), len(frame["decades"])))
    return np.asarray(np.log(curve) + spread * standard)


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
