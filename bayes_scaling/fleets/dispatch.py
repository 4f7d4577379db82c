"""Chunks to whoever computes them: threads of this process, or any executor; and what is done already, on disk.

An executor is anything with `submit(function, argument)` that gives futures with `result()`: those of
`concurrent.futures`, or what `clusters.cluster` opens.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import write_bytes
from bayes_scaling.base.sealed import seal, unseal
from bayes_scaling.engine.backend import cores
from bayes_scaling.fleets.chunks import Chunk, fit_chunk

# Tasks handed out and not yet taken back: enough to keep many workers busy, few enough to hold in memory.
IN_FLIGHT = 256


def dispatched(
    chunks: Sequence[Chunk], executor: Any = None, folder: Path | None = None
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(position, result) of every chunk, as they are done.

    Parameters
    ----------
    executor
        None takes this process's threads, one a core.
    folder
        Where results are kept as they come, and found again by a later call that was asked the same; not those of
        laws that cannot be told apart.
    """
    waiting = []
    for i, chunk in enumerate(chunks):
        kept = _read(folder, chunk) if folder and chunk.key else None
        if kept is None:
            waiting.append(i)
        else:
            yield i, kept
    if not waiting:
        return
    run = _elsewhere(chunks, waiting, executor) if executor is not None else _here(chunks, waiting)
    with contextlib.closing(run):
        for i, result in run:
            if folder and chunks[i].key:
                _write(folder, chunks[i], result)
            yield i, result


def _here(chunks: Sequence[Chunk], waiting: Sequence[int]) -> Generator[tuple[int, dict[str, np.ndarray]]]:
    threads = max(1, cores() // len(waiting))
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="bayes-scaling")
    try:
        shared = [chunk if threads == 1 else replace(chunk, threads=threads) for chunk in chunks]
        yield from _elsewhere(shared, waiting, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _elsewhere(
    chunks: Sequence[Chunk], waiting: Sequence[int], executor: Any
) -> Generator[tuple[int, dict[str, np.ndarray]]]:
    done: SimpleQueue[int] = SimpleQueue()
    pending: dict[int, Any] = {}
    left = list(waiting)[::-1]
    try:
        while left or pending:
            while left and len(pending) < IN_FLIGHT:
                i = left.pop()
                pending[i] = executor.submit(fit_chunk, chunks[i])
                if hasattr(pending[i], "add_done_callback"):
                    pending[i].add_done_callback(lambda _, i=i: done.put(i))
                else:
                    done.put(i)
            i = done.get()
            yield i, pending.pop(i).result()
    finally:
        for future in pending.values():
            with contextlib.suppress(Exception):  # whatever a stranger's future says of being cancelled
                future.cancel()


def _path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"{chunk.key}.npz"


def _read(folder: Path, chunk: Chunk) -> dict[str, np.ndarray] | None:
    """What an earlier call left, or None; a file that is damaged, or that no checksum vouches for, counts as none."""
    try:
        inner, sealed = unseal(_path(folder, chunk).read_bytes())
        if not sealed:
            return None
        with np.load(io.BytesIO(inner), allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, DataError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(folder: Path, chunk: Chunk, result: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **result)  # type: ignore[arg-type]
    write_bytes(_path(folder, chunk), seal(stream.getbuffer()))


def forget(folder: Path, chunks: Sequence[Chunk]) -> None:
    """Remove what was kept of these chunks, and the folder where nothing else is in it."""
    for chunk in filter(lambda c: c.key, chunks):
        with contextlib.suppress(OSError):
            _path(folder, chunk).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
