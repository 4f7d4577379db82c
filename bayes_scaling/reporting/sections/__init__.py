"""The sections of a report, one file each: numbers, sentences, tables and figures of one subject together.

To add one: a file here with a `SECTION`, and its name in `ORDER`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from bayes_scaling.reporting.blocks import Section

ORDER = (
    "forecast",
    "backtest",
    "frontier",
    "decide",
    "next",
    "compare",
    "robustness",
    "fit",
    "diagnostics",
    "runs",
)
"""The files, as their sections are computed and read."""


@cache
def sections() -> tuple[Section, ...]:
    """The sections of a report, in order."""
    return tuple(import_module(f"{__name__}.{name}").SECTION for name in ORDER)
