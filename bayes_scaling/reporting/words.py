"""Numbers as a reader wants them: rounded to what their interval supports, with the probability beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bayes_scaling.base.text import printable
from bayes_scaling.base.units import format_count as format_count
from bayes_scaling.base.units import format_flop

DASH = "–"
NAME, CELL = 60, 240
"""Characters of a name, and of a cell of a table, before they are cut: the whole stands in the CSV."""


def name(text: Any, limit: int = NAME) -> str:
    """A name from a stranger's table, fit to be shown: control characters and marks of direction as their escapes,
    and no longer than a label may be."""
    return printable(text, limit)


def legible(text: str, limit: int | None = None) -> str:
    """Text with names of strangers in it: what cannot be seen is escaped, and our own unbreakable spaces are kept."""
    parts = [printable(part) for part in text.split("\u00a0")]
    shown = "\u00a0".join(parts)
    return shown if limit is None or len(shown) <= limit else shown[:limit] + "…"


def decimals(lower: float | None, upper: float | None) -> int:
    """Decimals that give an interval's width two significant digits, 3 or 4."""
    if lower is None or upper is None or not math.isfinite(upper - lower) or upper <= lower:
        return 3
    return min(4, max(3, 1 - math.floor(math.log10(upper - lower))))


def loss(value: Mapping[str, Any]) -> str:
    """The median loss, in as many digits as its interval deserves."""
    return fixed(value["median"], decimals(value["lower"], value["upper"]))


def loss_range(value: Mapping[str, Any]) -> str:
    """The ends of a loss interval, in as many digits as it deserves."""
    n = decimals(value["lower"], value["upper"])
    return f"{fixed(value['lower'], n)} to {fixed(value['upper'], n)}"


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with that many decimals and a real minus; a dash where there is none."""
    return DASH if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def short(value: float | None, digits: int = 3) -> str:
    """Three significant digits, without an exponent where one is not needed."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        text = f"{value:.{digits}g}"
        if "e" in text:
            text = f"{float(text):.0f}"
        return text.replace("-", "−")
    return format_flop(value).replace("-", "−")


def count(value: float | None) -> str:
    """A count in two digits; a dash where there is none."""
    return DASH if value is None or not math.isfinite(value) else format_count(float(f"{value:.2g}"))


def count_range(value: Mapping[str, Any]) -> str:
    """The ends of an interval of counts."""
    return f"{count(value['lower'])} to {count(value['upper'])}"


def flop(value: float) -> str:
    """Compute, as people write it."""
    return format_flop(value)


def percent(value: float | None) -> str:
    """A probability in per cent, never rounded to certainty."""
    if value is None or not math.isfinite(value):
        return DASH
    if 0 < value < 0.005:
        return "<1\u00a0%"
    if 0.995 < value < 1:
        return ">99\u00a0%"
    return f"{value:.0%}".replace("%", "\u00a0%")


def prob(value: float) -> str:
    """The probability of an interval: "90 %"."""
    return f"{100 * value:.3g}\u00a0%"


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def plural(n: int, noun: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def beyond(decades: float, what: str = "compute") -> str:
    """How far outside the runs, in decades and as a factor."""
    if decades < 0.05:
        return f"within the range of {what} that the runs cover"
    amount = f"{decades:.1f} decade{'' if f'{decades:.1f}' == '1.0' else 's'}"
    times = 10**decades
    factor = f"{times:.1f}" if times < 3 else f"{times:.0f}" if times < 100 else f"{float(f'{times:.2g}'):,.0f}"
    return f"{amount} of {what} beyond the runs (a factor of {factor})"
