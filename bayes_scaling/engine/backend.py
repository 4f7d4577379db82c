"""JAX as this package uses it: 64 bit, compiled code kept, one thread a core, random keys without a compilation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base import platforms
from bayes_scaling.base.caches import Store, cache_folder, trusted

COMPILED_LIMIT = 512 * 2**20
"""All compiled programs together, bytes; one takes some tens to hundreds of kilobytes."""


@cache
def jax_ready() -> Any:
    """JAX in 64 bit with a persistent compilation cache; called before anything is traced."""
    # A GPU's memory is taken as it is needed: others may be using it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    jax.config.update("jax_enable_x64", True)
    if platforms.asked() == "cpu":
        jax.config.update("jax_platforms", "cpu")  # a GPU is not even woken
    if not jax.config.jax_compilation_cache_dir and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        _keep_compiled(jax, cache_folder("jax"))
    return jax


def _keep_compiled(jax: Any, folder: Path) -> None:
    """Compiled programs are kept in `folder`, unless somebody else could have written them: they are run."""
    if not trusted(folder):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    from jax._src import compilation_cache

    usual = getattr(compilation_cache, "get_file_cache", None)
    if usual is None:  # a JAX that has moved it: its own cache serves, without checksums
        return
    store = Store(folder, COMPILED_LIMIT)

    def ours(path: str) -> Any:
        return (store, path) if path == str(folder) else usual(path)

    compilation_cache.get_file_cache = ours


_LIMIT: ContextVar[int | None] = ContextVar("cores", default=None)


@contextmanager
def limited_to(count: int | None) -> Iterator[None]:
    """Inside, this thread's work takes at most so many processors."""
    token = _LIMIT.set(count)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def cores() -> int:
    """Processors this process may use."""
    limit = _LIMIT.get()
    if limit:
        return limit
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


# JAX's random keys, worked out without a compilation: Threefry-2x32-20 of Salmon et al. (2011),
# doi:10.1145/2063384.2063405. `jax.random.key`, `split` and `fold_in` each compile a small program in every process,
# half a second together before the first draw. These give the same numbers; `jax.random.wrap_key_data` makes them typed
# keys inside a program.
IMPLEMENTATION = "threefry2x32"
_WORD = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def key_of(seed: int) -> np.ndarray:
    """What `jax.random.key(seed)` holds, uint32, dims (word,): two words."""
    return np.array([seed >> 32 & _WORD, seed & _WORD], np.uint32)


def fold(key: np.ndarray, number: int) -> np.ndarray:
    """What `jax.random.fold_in(key, number)` holds, and `jax.random.split(key, n)[number]`; uint32, dims (word,)."""
    k = [int(word) for word in key]
    k.append(k[0] ^ k[1] ^ _PARITY)
    x, y = k[0], (number + k[1]) & _WORD
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = (x + y) & _WORD
            y = ((y << rotation | y >> (32 - rotation)) & _WORD) ^ x
        x = (x + k[(group + 1) % 3]) & _WORD
        y = (y + k[(group + 2) % 3] + group + 1) & _WORD
    return np.array([x, y], np.uint32)


def typed(key: Any) -> Any:
    """`key` as JAX's random functions take it; inside a program."""
    import jax

    return jax.random.wrap_key_data(key, impl=IMPLEMENTATION)
