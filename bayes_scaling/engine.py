"""Compiled programs: one per model structure and padded length, shared by every table and every chain.

On a CPU each chain is one call of one compiled program, and a thread pool keeps one stream a core busy (compiled
code runs outside the interpreter's lock): mapping streams over cores beats vectorising NUTS, whose trees differ in
length. Compiled programs are kept on disk between processes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling import modes, nuts, slices
from bayes_scaling.coordinates import Coordinates, to_x
from bayes_scaling.density import Density, density
from bayes_scaling.files import cache_folder
from bayes_scaling.law import ScalingLaw
from bayes_scaling.noise import Noise
from bayes_scaling.settings import Settings

if TYPE_CHECKING:
    import pymc as pm

# Draws evaluated at once when densities are computed after sampling: bounds memory on large tables.
CELLS_AT_ONCE = 2_000_000


@cache
def jax_ready() -> Any:
    """JAX in 64 bit with a persistent compilation cache; called before anything is traced."""
    import jax

    jax.config.update("jax_enable_x64", True)
    if not jax.config.jax_compilation_cache_dir and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def padded_length(n: int) -> int:
    """The next of 32, 64, 128, 256, 384, 512, 768, ...: few shapes, since each costs a compilation and its memory."""
    size = 32
    while size < n:
        if size >= 256 and size * 3 // 2 >= n:
            return size * 3 // 2
        size *= 2
    return size


@dataclass(frozen=True, eq=False)
class Table:
    """One data set as a program takes it: columns padded to a shared length, and the mask of real runs.

    `data[name]` and `mask` have dims (padded run,); `n` runs are real.
    """

    data: Mapping[str, Any]
    mask: Any
    n: int

    @classmethod
    def padded(cls, frame: Mapping[str, np.ndarray], length: int | None = None) -> Table:
        """Padded to `length`, or to the next shared length: members of a fleet share one, and so one program."""
        n = len(next(iter(frame.values())))
        extra = (length or padded_length(n)) - n
        data = {name: np.pad(np.asarray(v, float), (0, extra), mode="edge") for name, v in frame.items()}
        return cls(data, np.pad(np.ones(n), (0, extra)), n)


@dataclass(eq=False)
class Program:
    """The compiled verbs of one model structure.

    `locate`, `chain` and `describe` compile on first use for each shape; settings that change the trace (draws,
    warm-up) are part of the key.
    """

    density: Density
    _jitted: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    _asked: set[Any] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first_time(self, key: Any) -> bool:
        """Whether nobody has asked this of this program before."""
        with self._lock:
            new = key not in self._asked
            self._asked.add(key)
            return new

    def _once(self, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        with self._lock:
            if key not in self._jitted:
                self._jitted[key] = jax_ready().jit(make())
            return self._jitted[key]

    def locate(self, seed: int, table: Table) -> modes.Modes | None:
        """Search for modes from draws of the prior's Gaussian approximation."""

        def make() -> Callable[..., Any]:
            import jax
            import jax.numpy as jnp

            prior = self.density.log_prior
            initial = jnp.asarray(self.density.initial)

            def program(key: Any, data: Any, mask: Any) -> Any:
                objective = lambda x: -self.density.log_density(x, data, mask)  # noqa: E731
                curvature = -jnp.diagonal(jax.hessian(prior)(initial))
                spread = 1 / jnp.sqrt(jnp.where(curvature > 1e-3, curvature, 1.0))
                starts = initial + spread * jax.random.normal(key, (modes.STARTS, initial.size))
                return jax.lax.map(lambda x: modes.newton(objective, x), starts.at[0].set(initial))

            return program

        program = self._once("locate", make)
        return modes.rank(*program(jax_ready().random.key(seed), dict(table.data), table.mask))

    def chain(
        self, key: Any, start: Any, where: Coordinates, table: Table, settings: Settings
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One chain of NUTS from `start` (unconstrained), or what it saw before its budget ran out; see `nuts`."""

        def make() -> Callable[..., Any]:
            def program(key: Any, start: Any, arrays: Any, target: Any, budget: Any, data: Any, mask: Any) -> Any:
                return nuts.chain(
                    lambda x: self.density.log_density(x, data, mask),
                    key,
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
        target, budget = settings.target_accept, settings.budget
        x, stats, done = program(key, where.to_z(start), where.arrays, target, budget, dict(table.data), table.mask)
        return nuts.kept(
            np.asarray(x),
            {name: np.asarray(value) for name, value in stats.items()},
            int(done),
            warmup=settings.warmup,
            draws=settings.draws,
            thin=settings.thin,
        )

    def describe(self, x: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Log prior, dims (draw,); log likelihood, dims (draw, run); and parameters in their units, of each draw."""

        def make() -> Callable[..., Any]:
            import jax

            def one(args: Any) -> Any:
                x, data = args
                return self.density.log_prior(x), self.density.pointwise(x, data), self.density.constrain(x)

            def program(x: Any, data: Any) -> Any:
                batch = max(1, min(len(x), CELLS_AT_ONCE // max(1, next(iter(data.values())).size if data else 1)))
                return jax.lax.map(lambda v: one((v, data)), x, batch_size=batch)

            return program

        prior, pointwise, values = self._once("describe", make)(x, dict(table.data))
        return (
            np.asarray(prior),
            np.asarray(pointwise)[:, : table.n],
            {name: np.asarray(v) for name, v in values.items()},
        )

    def log_densities(self, x: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Log prior and summed log likelihood at each row of `x`, dims (row,)."""

        def make() -> Callable[..., Any]:
            import jax

            def program(x: Any, data: Any, mask: Any) -> Any:
                one = lambda v: (self.density.log_prior(v), self.density.log_likelihood(v, data, mask))  # noqa: E731
                return jax.lax.map(one, x, batch_size=max(1, min(len(x), CELLS_AT_ONCE // max(1, mask.size))))

            return program

        prior, likelihood = self._once("log_densities", make)(x, dict(table.data), table.mask)
        return np.asarray(prior), np.asarray(likelihood)

    def nested(self, key: Any, state: Any, table: Table, guide: slices.Guide) -> tuple[Any, Any]:
        """A block of deaths of nested sampling from the guide's density; see `slices.steps`."""

        def make() -> Callable[..., Any]:

            def program(key: Any, state: Any, data: Any, mask: Any, guide: Any) -> Any:
                prior = self.density.log_prior
                base = lambda x: slices.log_base(prior(x), x, guide)  # noqa: E731
                likelihood = lambda x: self.density.log_likelihood(x, data, mask) + prior(x) - base(x)  # noqa: E731
                return slices.steps(base, likelihood, self.density.size)(key, state)

            return program

        return self._once("nested", make)(  # type: ignore[return-value]
            key, state, dict(table.data), table.mask, guide.arrays
        )


_PROGRAMS: dict[str, Program] = {}
_PROGRAMS_LOCK = threading.Lock()


def program_for(law: ScalingLaw, noise: Noise, frame: Mapping[str, np.ndarray]) -> Program:
    """The program of a law under a noise model: built once in a process, whatever the table."""
    from bayes_scaling.model import build_columns

    key = "|".join([law.signature, noise.name, *(f"{k}~{v.prior}" for k, v in noise.parameters.items())])
    with _PROGRAMS_LOCK:
        if key not in _PROGRAMS:
            jax_ready()
            labels = [str(i) for i in range(len(frame["log_loss"]))]
            _PROGRAMS[key] = Program(density(build_columns(law, noise, frame, labels)))
        return _PROGRAMS[key]


def program_of(model: pm.Model) -> tuple[Program, Table]:
    """A program for any PyMC model, with its own data (nothing is padded)."""
    jax_ready()
    compiled = density(model)
    return Program(compiled), Table(compiled.data, np.ones(compiled.n), compiled.n)


def parallel(tasks: Iterable[Callable[[], Any]]) -> Iterator[tuple[int, Any]]:
    """Run the tasks on one thread a core; yields (position, result) as they finish.

    An interrupt or an error cancels what has not begun.
    """
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="bayes-scaling")
    try:
        # Each task reports to whoever listens here: a new thread would know of nobody.
        futures = {pool.submit(copy_context().run, task): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
