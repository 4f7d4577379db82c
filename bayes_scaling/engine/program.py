"""Compiled programs: one per model structure and padded length, shared by every table and every chain.

On a CPU each chain is one call of one compiled program, and a thread pool keeps one stream a core busy (compiled
code runs outside the interpreter's lock): mapping streams over cores beats vectorising NUTS, whose trees differ in
length. Programs are kept on disk between processes, traced (`traced`) and compiled (JAX's own cache).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base import platforms
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine import exports, hmc, modes, nuts, slices
from bayes_scaling.engine.backend import jax_ready, key_of, parallel, typed
from bayes_scaling.engine.coordinates import Coordinates, to_x, unbent
from bayes_scaling.engine.density import Density, deferred, density
from bayes_scaling.engine.fingerprint import identity
from bayes_scaling.engine.tables import Table
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise

if TYPE_CHECKING:
    import pymc as pm

# Draws evaluated at once when densities are computed after sampling: bounds memory on large tables.
CELLS_AT_ONCE = 2_000_000
# A table of more runs is searched for modes on so many of them, drawn at random, and each mode found is then followed
# to the whole table's.
LARGE_TABLE, THINNED = 8_000, 4096
# Pointwise log likelihoods of more cells (draws x runs) are not kept: 400 MB.
POINTWISE_CELLS = 50_000_000


def keeps_terms(draws: int, runs: int) -> bool:
    """Whether the log likelihood of each run under each draw is kept."""
    return draws * runs <= POINTWISE_CELLS


@dataclass(eq=False)
class Program:
    """The compiled verbs of one model structure.

    `locate`, `chain` and `describe` compile on first use for each shape; settings that change the trace (draws,
    warm-up) are part of the key.

    Parameters
    ----------
    identity
        What the traced programs are kept under on disk; None where they are not kept.
    """

    density: Density
    identity: str | None = None
    _jitted: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    _asked: set[Any] = field(default_factory=set)
    _gates: dict[Any, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first_time(self, key: Any) -> bool:
        """Whether nobody has asked this of this program before."""
        with self._lock:
            new = key not in self._asked
            self._asked.add(key)
            return new

    def _once(self, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """The compiled form of the function that `make` gives, of nested tuples and dicts of arrays.

        `make` is called when it has to be traced: not where this machine has done so before. `key` names everything
        that is baked into the trace besides the model and the shapes, and prints as what it is.
        """
        return partial(self._call, key, make)

    def _call(self, key: Any, make: Callable[[], Callable[..., Any]], *arguments: Any) -> Any:
        leaves, tree = jax_ready().tree.flatten(arguments)
        platform = exports.platform(leaves)
        shape = (key, tree, tuple(map(exports.kind, leaves)), platform)
        with self._lock:
            gate = self._gates.setdefault(shape, threading.Lock())
        with gate:
            if shape not in self._jitted:
                with platforms.tracing_for(platform):
                    function = make() if self.identity is None else self._kept(key, make, arguments)
                self._jitted[shape] = jax_ready().jit(function)
        # What is not kept is traced only now, when it is first called.
        with platforms.tracing_for(platform):
            return self._jitted[shape](*arguments)

    def _kept(self, key: Any, make: Callable[[], Callable[..., Any]], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        return exports.function(exports.signed(str(self.identity), key, arguments), make, arguments)

    def compiled(self, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """Any other function of this density, compiled once for each shape, and kept. See `_once`."""
        return self._once(key, make)

    def locate(self, seed: int, table: Table, brief: bool = False, side_by_side: bool = False) -> modes.Modes | None:
        """Search for modes from draws of the prior's Gaussian approximation; `brief`: as soon as a first few searches
        all end at one mode, the others are not made; `side_by_side`: on all cores, to the same result."""
        if self.density.rowwise and table.n > LARGE_TABLE:
            rough = self.locate(seed, table.thinned(self.density.data, THINNED, seed), brief, side_by_side)
            if rough is not None:
                return self._followed(rough, table)

        def make() -> Callable[..., Any]:
            import jax

            def program(key: Any, first: Any, data: Any, mask: Any) -> Any:
                objective = lambda x: -self.density.log_density(x, data, mask)  # noqa: E731
                every = modes.starts(self.density, typed(key))
                some = jax.lax.dynamic_slice_in_dim(every, first, modes.AT_ONCE)
                return jax.lax.map(lambda x: modes.newton(objective, x), some)

            return program

        program = self._once("locate", make)

        def some(first: int) -> list[np.ndarray]:
            return [np.asarray(v) for v in program(key_of(seed), first, dict(table.data), table.mask)]

        def ranked(ends: Iterable[list[np.ndarray]]) -> modes.Modes | None:
            return modes.rank(*(np.concatenate(v) for v in zip(*ends, strict=True)))

        firsts = range(0, modes.STARTS, modes.AT_ONCE)
        if side_by_side and not brief:
            done = dict(parallel([partial(some, first) for first in firsts]))
            return ranked(done[i] for i in range(len(done)))
        ends = []
        for first in firsts:
            ends.append(some(first))
            found = ranked(ends)
            if brief and found is not None and found.found[0] == modes.AT_ONCE:
                break
        return found

    def _followed(self, rough: modes.Modes, table: Table) -> modes.Modes | None:
        """The modes of the whole table that those of a part of it lead to."""

        def make() -> Callable[..., Any]:
            def program(x: Any, data: Any, mask: Any) -> Any:
                return modes.newton(lambda x: -self.density.log_density(x, data, mask), x)

            return program

        program = self._once("follow", make)
        ends = [program(x, dict(table.data), table.mask) for x in rough.points[: len(rough.rivals)]]
        return modes.rank(*(np.stack(part) for part in zip(*ends, strict=True)))

    def chain(
        self, key: np.ndarray, start: Any, where: Coordinates, table: Table, settings: Settings
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One chain of NUTS from `start` (unconstrained), or what it saw before its budget ran out; see `nuts`.

        `key` is a raw one, of `keys`.
        """

        def make() -> Callable[..., Any]:
            def program(key: Any, start: Any, arrays: Any, target: Any, budget: Any, data: Any, mask: Any) -> Any:
                return nuts.chain(
                    lambda x: self.density.log_density(x, data, mask),
                    typed(key),
                    start,
                    lambda z: to_x(arrays, z),
                    warmup=settings.warmup,
                    draws=settings.draws,
                    thin=settings.thin,
                    target_accept=target,
                    budget=budget,
                )

            return program

        program = self._once(("chain", settings.warmup, settings.draws, settings.thin), make)
        target, budget = np.float64(settings.target_accept), np.int64(settings.budget)
        x, stats, done = program(key, where.to_z(start), where.arrays, target, budget, dict(table.data), table.mask)
        return nuts.kept(
            np.asarray(x),
            {name: np.asarray(value) for name, value in stats.items()},
            int(done),
            warmup=settings.warmup,
            draws=settings.draws,
            thin=settings.thin,
        )

    def hamilton(
        self, seed: int, starts: np.ndarray, where: Coordinates, table: Table, settings: Settings
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """All chains of a table at once, from `starts` with dims (chain, unknown), unconstrained; see `hamilton`."""

        def make() -> Callable[..., Any]:
            def program(key: Any, start: Any, arrays: Any, data: Any, mask: Any) -> Any:
                return hmc.chains(
                    lambda x: self.density.log_density(x, data, mask),
                    typed(key),
                    start,
                    lambda z: (to_x if bent else unbent)(arrays, z),
                    warmup=settings.warmup,
                    draws=settings.draws,
                    thin=settings.thin,
                )

            return program

        bent = where.bent
        program = self._once(("hamilton", settings.warmup, settings.draws, settings.thin, bent), make)
        x, stats = program(key_of(seed), where.to_z(starts), where.arrays, dict(table.data), table.mask)
        return np.asarray(x), {name: np.asarray(value) for name, value in stats.items()}

    def values(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters in their units at unconstrained draws with dims (..., unknown); dims (..., ...)."""

        def make() -> Callable[..., Any]:
            import jax

            return jax.vmap(self.density.constrain)

        found = self._once("values", make)(x.reshape(-1, x.shape[-1]))
        return {name: np.asarray(v).reshape(*x.shape[:-1], *v.shape[1:]) for name, v in found.items()}

    def describe(self, x: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Log prior, dims (draw,); log likelihood, dims (draw, run); and parameters in their units, of each draw.

        Where there would be more than `POINTWISE_CELLS` of them, the log likelihoods are left out: dims (draw, 0).
        """
        whole = keeps_terms(len(x), table.n)

        def make() -> Callable[..., Any]:
            import jax
            import jax.numpy as jnp

            def one(args: Any) -> Any:
                x, data = args
                terms = self.density.terms(x, data) if whole else jnp.zeros(1)
                return self.density.log_prior(x), terms, self.density.constrain(x)

            def program(x: Any, data: Any) -> Any:
                batch = max(1, min(len(x), CELLS_AT_ONCE // max([1, *(v.size for v in data.values())])))
                return jax.lax.map(lambda v: one((v, data)), x, batch_size=batch)

            return program

        prior, pointwise, values = self._once(("describe", whole), make)(x, dict(table.data))
        return (
            np.asarray(prior),
            np.asarray(pointwise)[:, : table.n if whole else 0],
            {name: np.asarray(v) for name, v in values.items()},
        )

    def log_densities(self, x: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Log prior and summed log likelihood at each row of `x`, dims (row,)."""

        def make() -> Callable[..., Any]:
            import jax

            def program(x: Any, data: Any, mask: Any) -> Any:
                one = lambda v: (self.density.log_prior(v), self.density.log_likelihood(v, data, mask))  # noqa: E731
                return jax.lax.map(one, x, batch_size=max(1, min(len(x), CELLS_AT_ONCE // self.density.at_once(mask))))

            return program

        prior, likelihood = self._once("log_densities", make)(x, dict(table.data), table.mask)
        return np.asarray(prior), np.asarray(likelihood)

    def nested(self, key: np.ndarray, state: Any, table: Table, guide: slices.Guide) -> tuple[Any, Any]:
        """A block of deaths of nested sampling from the guide's density, from a raw `key`; see `slices.steps`."""

        def make() -> Callable[..., Any]:

            def program(key: Any, state: Any, data: Any, mask: Any, guide: Any) -> Any:
                prior = self.density.log_prior

                def base(x: Any) -> Any:
                    return slices.log_base(prior(x), x, guide)

                def likelihood(x: Any) -> Any:
                    return self.density.log_likelihood(x, data, mask) + prior(x) - base(x)

                return slices.steps(base, likelihood, self.density.size)(typed(key), state)

            return program

        state, deaths = self._once("nested", make)(key, state, dict(table.data), table.mask, guide.arrays)
        return state, deaths


_PROGRAMS: dict[str, Program] = {}
_PROGRAMS_LOCK = threading.Lock()
# PyMC models are built one at a time, whichever thread turns out to need one.
_BUILDING = threading.Lock()


def program_for(law: ScalingLaw, noise: Noise, frame: Mapping[str, np.ndarray]) -> Program:
    """The program of a law under a noise model: one in a process, whatever the table.

    PyMC is imported, and the model built, only where something has to be traced. A model that cannot be told from
    others (see `fingerprint`) has a program made for it each time.
    """
    jax_ready()
    name = identity(law, noise)
    if name is None:
        return _program(law, noise, frame, None)
    with _PROGRAMS_LOCK:
        if name not in _PROGRAMS:
            _PROGRAMS[name] = _program(law, noise, frame, name)
        return _PROGRAMS[name]


def _program(law: ScalingLaw, noise: Noise, frame: Mapping[str, np.ndarray], name: str | None) -> Program:
    # Two rows will do, since tables are inputs.
    few = {name: np.asarray(v[:2], float) for name, v in frame.items()}

    def whole() -> Density:
        from bayes_scaling.engine.model import build_columns

        with _BUILDING:
            labels = [str(i) for i in range(len(few["log_loss"]))]
            return density(build_columns(law, noise, few, labels), rowwise=True)

    outline = exports.load_outline(name) if name else None
    if outline is not None:
        return Program(deferred(outline, few, whole, rowwise=True), name)
    built = whole()
    if name:
        exports.save_outline(name, built.outline)
    return Program(built, name)


def program_of(model: pm.Model) -> tuple[Program, Table]:
    """A program for any PyMC model, with its own data (nothing is padded)."""
    jax_ready()
    compiled = density(model)
    return Program(compiled), Table(compiled.data, np.ones(compiled.n), compiled.n)
