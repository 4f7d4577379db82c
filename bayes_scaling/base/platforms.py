"""Where to compute: on the processor, or on a GPU where there is one and the problem is large enough.

`BAYES_SCALING_PLATFORM`, or `--platform`, decides: "cpu", "gpu" or "auto".
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from bayes_scaling.base.errors import UsageError, unknown

PLATFORMS = ("auto", "cpu", "gpu")
VARIABLE = "BAYES_SCALING_PLATFORM"
# Rows times tables from which "auto" takes the GPU. Not measured: below it launching kernels takes longer than one core
# needs for the sums. `benchmarks/gpu.py` measures where it should lie.
LARGE = 100_000

_TRACING = threading.local()
_USED: set[str] = set()


def asked() -> str:
    """What the user wants: one of `PLATFORMS`.

    Raises
    ------
    UsageError
        If the environment variable says something else.
    """
    wanted = (os.environ.get(VARIABLE) or "auto").strip().lower()
    if wanted not in PLATFORMS:
        raise unknown("platform", wanted, PLATFORMS, f"It comes from {VARIABLE} or --platform.")
    return wanted


@cache
def accelerator() -> Any | None:
    """The first GPU that JAX can use, or None."""
    import jax

    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        return None


def device_for(rows: int, tables: int = 1) -> Any | None:
    """The GPU, where so much work should go to it; None for the processor.

    Parameters
    ----------
    rows, tables
        Padded rows of a table, and how many tables there are.

    Raises
    ------
    UsageError
        If a GPU is asked for and there is none.
    """
    wanted = asked()
    if wanted == "cpu":
        return None
    found = accelerator()
    if wanted == "gpu" and found is None:
        raise UsageError(
            "Device gpu: JAX finds no GPU here. Install bayes-scaling[cuda12] or bayes-scaling[cuda13] on a machine "
            "that has one, or leave it to --platform auto."
        )
    if found is None or (wanted == "auto" and rows * tables < LARGE):
        return None
    _announce(str(found.device_kind))
    return found


def home(rows: int) -> Any | None:
    """Where the arrays of one table of so many padded rows belong; None where there is only the processor."""
    found = device_for(rows)
    if found is not None or asked() == "cpu" or accelerator() is None:
        return found
    import jax

    return jax.devices("cpu")[0]


@contextmanager
def tracing_for(platform: str) -> Iterator[None]:
    """Programs traced inside, in this thread, are to run on `platform`."""
    before = getattr(_TRACING, "platform", None)
    _TRACING.platform = platform
    try:
        yield
    finally:
        _TRACING.platform = before


def on_accelerator() -> bool:
    """Whether what is traced now is to run on a GPU."""
    return getattr(_TRACING, "platform", None) not in (None, "cpu")


def used() -> str:
    """What this process has computed on, for the provenance of its results."""
    return ", ".join(sorted(_USED)) or "cpu"


def _announce(kind: str) -> None:
    """Say once that a GPU is used: its sums differ from a processor's in the last digits, and so its draws do."""
    if kind not in _USED:
        _USED.add(kind)
        print(f"Computing on a GPU, {kind}; --platform cpu keeps to the processor.", file=sys.stderr, flush=True)
