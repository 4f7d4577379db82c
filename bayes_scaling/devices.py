"""Where to compute: on the processor, or on an accelerator where there is one and the problem is large enough.

`BAYES_SCALING_DEVICE`, or `--device`, decides: "cpu", "gpu" or "auto".
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from bayes_scaling.errors import UsageError, unknown

DEVICES = ("auto", "cpu", "gpu")
VARIABLE = "BAYES_SCALING_DEVICE"
# Rows times tables from which "auto" takes the accelerator. Not measured yet: below it a gradient is a few thousand
# flops to launch kernels for, and one core is done first. `benchmarks/gpu.py` measures where it should lie.
LARGE = 100_000


def asked() -> str:
    """What the user wants: one of `DEVICES`.

    Raises
    ------
    UsageError
        If the environment variable says something else.
    """
    wanted = (os.environ.get(VARIABLE) or "auto").strip().lower()
    if wanted not in DEVICES:
        raise unknown("device", wanted, DEVICES, f"It comes from {VARIABLE} or --device.")
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
    """The accelerator, where so much work should go to it; None for the processor.

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
    if wanted == "gpu":
        if found is None:
            raise UsageError(
                "--device gpu: JAX finds no GPU here. Install bayes-scaling[cuda12] or [cuda13] on a machine that has "
                "one, or leave it to --device auto."
            )
        return found
    return found if rows * tables >= LARGE else None


def on_accelerator(rows: int) -> bool:
    """Whether one table of so many padded rows is worked on by an accelerator."""
    return device_for(rows) is not None


@cache
def announce(kind: str) -> None:
    """Say once that a GPU is used: its results differ from a processor's in the last digits, and so in the draws."""
    print(f"Computing on a GPU: {kind}. '--device cpu' keeps to the processor.", file=sys.stderr, flush=True)
