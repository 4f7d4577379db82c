"""Traced programs on disk, so that a second process neither imports PyMC nor traces what was traced before.

A traced program is serialised StableHLO (`jax.export`); compiled code is kept apart from it, in JAX's own cache, and
found there because the same StableHLO is compiled in every process, the first one included. A file that is missing,
cut short, damaged or another's means tracing anew, never an error. No Python in it is evaluated or unpickled; the
folder is the user's own, as that of compiled code has to be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.caches import cache_folder, prune, trusted
from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import write_bytes

# All files together, bytes; a program takes some hundred kilobytes.
LIMIT = 256 * 2**20
# What JAX and flatbuffers raise for bytes that are no program of theirs, and for what can be compiled but not exported
# (host callbacks, types without a serialised form, no flatbuffers).
UNREADABLE = (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError, struct.error)
UNEXPORTABLE = (ImportError, NotImplementedError)
_MAGIC = b"bayes-scaling traced program 1\n"


@dataclass(frozen=True)
class Outline:
    """What is needed of a model besides its traced programs.

    Parameters
    ----------
    names, shapes
        Of the free variables, in their order in the flat vector.
    initial
        Where searches start, dims (unknown,).
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    initial: tuple[float, ...]


def function(name: str, make: Callable[[], Callable[..., Any]], arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """The program kept under `name`, or what `make` gives, traced for `arguments` and kept.

    Parameters
    ----------
    name
        Distinguishes everything that the trace depends on: see `signed`.
    make
        Gives the function to be traced; its arguments and its result are nested tuples, lists and dicts of arrays.
    arguments
        Arrays, or anything with their shapes and dtypes.

    Returns
    -------
    A function to be compiled by `jax.jit`. The same in the process that traces and in those that do not, so that both
    compile the same code and give the same numbers.
    """
    import jax
    from jax import export

    kept = load(name)
    if kept is not None:
        # A whole file that is no program of this JAX: tracing anew is the remedy.
        with contextlib.suppress(*UNREADABLE):
            return export.deserialize(bytearray(kept)).call
    shapes = jax.tree.map(lambda v: jax.ShapeDtypeStruct(*kind(v)), arguments)
    platforms = ("cpu",) if platform(arguments) == "cpu" else None
    traced = make()
    try:
        exported = export.export(jax.jit(traced), platforms=platforms)(*shapes)
        save(name, bytes(exported.serialize()))
    except UNEXPORTABLE:
        # Compiled all the same, and not kept. Any other fault is the function's own and is raised.
        return traced
    return exported.call


def signed(identity: str, key: Any, arguments: tuple[Any, ...]) -> str:
    """A name on disk: a hash of the model's `identity`, of what `key` says of the program, and of every shape."""
    import jax

    leaves, tree = jax.tree.flatten(arguments)
    kinds = [f"{shape} {dtype}" for shape, dtype in map(kind, leaves)]
    parts = [identity, platform(arguments), repr(key), str(tree), *kinds]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def kind(value: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype of an array, or of a number as NumPy takes it."""
    dtype = getattr(value, "dtype", None)
    return np.shape(value), np.asarray(value).dtype if dtype is None else dtype


def platform(arguments: Any) -> str:
    """Where JAX computes with these: where they lie if they were put there, else the device that is in force."""
    import jax

    for value in jax.tree.leaves(arguments):
        if isinstance(value, jax.Array) and getattr(value, "committed", False):
            return str(next(iter(value.devices())).platform)
    chosen = jax.config.jax_default_device
    return str(getattr(chosen, "platform", chosen) or jax.default_backend())


def load_outline(identity: str) -> Outline | None:
    """The outline kept for a model, or None where there is none that can be read."""
    kept = load(f"{identity}-outline")
    if kept is None:
        return None
    try:
        found = json.loads(kept)
        outline = Outline(
            tuple(str(name) for name in found["names"]),
            tuple(tuple(int(n) for n in shape) for shape in found["shapes"]),
            tuple(float(v) for v in found["initial"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    sizes = [int(np.prod(shape)) for shape in outline.shapes]
    return outline if len(sizes) == len(outline.names) and sum(sizes) == len(outline.initial) else None


def save_outline(identity: str, outline: Outline) -> None:
    """Keep the outline of the programs of that identity."""
    save(f"{identity}-outline", json.dumps(asdict(outline)).encode())


def load(name: str) -> bytes | None:
    """What was saved under `name`, if it is there and whole, and nobody else can have written it."""
    path = _path(name)
    if not trusted(path.parent):
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC)
    digest, payload = content[head : head + 32], content[head + 32 :]
    if content[:head] != _MAGIC or hashlib.sha256(name.encode() + payload).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the oldest go first
    return payload


def save(name: str, payload: bytes) -> None:
    """Keep `payload` under `name`, whole or not at all; where nothing can be written, nothing is kept."""
    content = _MAGIC + hashlib.sha256(name.encode() + payload).digest() + payload
    with contextlib.suppress(DataError, OSError):
        write_bytes(_path(name), content, durable=False)
        prune(cache_folder("programs"), LIMIT, 0.75)


def _path(name: str) -> Path:
    return cache_folder("programs") / f"{name}.program"
