"""How figures look: one palette, one type, hairline grids, axes that speak in 7B and 1e24."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

INK, MUTED, FAINT, GRID = "#1d2733", "#5a6675", "#9aa5b1", "#e9edf1"
BAND, BAND_TEXT = "#2f6f9f", "#1f5a86"
OUTSIDE = "#efe6d2"
ACCENT = "#b3261e"
LAWS = ("#c4511c", "#b8860b", "#7a4fa3", "#12806a", "#c2417c", "#3d8fb5", "#7d5a3c", "#64748b")
GROUPS = ("#1b6ca8", "#c4511c", "#12806a", "#9a4f96", "#b8860b", "#64748b")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

COUNT = (
    "datum.value >= 1e15 ? replace(format(datum.value, '.0e'), 'e+', 'e') : "
    "datum.value >= 1e12 ? format(datum.value / 1e12, '~g') + 'T' : "
    "datum.value >= 1e9 ? format(datum.value / 1e9, '~g') + 'B' : "
    "datum.value >= 1e6 ? format(datum.value / 1e6, '~g') + 'M' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, '~g') + 'K' : format(datum.value, '~g')"
)
FLOP = "replace(format(datum.value, '.0e'), 'e+', 'e')"

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": INK,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": GRID,
        "domainColor": FAINT,
        "tickColor": FAINT,
        "tickSize": 4,
        "labelOverlap": "greedy",
        "labelSeparation": 8,
    },
    "axisY": {"domain": False, "ticks": False, "labelPadding": 6},
    "title": {"anchor": "start", "fontSize": 13, "fontWeight": 600, "color": INK, "offset": 8},
    "legend": {
        "orient": "bottom",
        "direction": "horizontal",
        "labelColor": INK,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "columns": 4,
        "symbolSize": 70,
    },
    "text": {"fontSize": 11},
}


def powers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, with 2 and 5 between them where the range is short."""
    short = math.log10(high / low) < 2.2
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [float(f"{m}e{k}") for k in range(first, last + 1) for m in ((1, 2, 5) if short else (1,))]
    return [v for v in every if low <= v <= high]


def log_axis(field: str, title: str, domain: Sequence[float], form: str, channel: Any = alt.X, **axis: Any) -> Any:
    """A logarithmic axis over `domain`, its labels by the Vega expression `form`."""
    return channel(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", domain=list(domain), nice=False, clamp=False),
        axis=alt.Axis(values=powers(*domain), labelExpr=form, **axis),
    )


def padded(values: Sequence[float], share: float = 0.06) -> list[float]:
    """A linear domain with some air on either side."""
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return [low - air, high + air]


def padded_log(values: Sequence[float], share: float = 0.04) -> list[float]:
    """Ends of a logarithmic axis with a little air about the values."""
    low, high = math.log10(min(values)), math.log10(max(values))
    air = (high - low) * share or 0.2
    return [10 ** (low - air), 10 ** (high + air)]


def data(rows: Sequence[Any]) -> alt.InlineData:
    """Rows as the data of a chart, in the chart itself."""
    return alt.InlineData(values=list(rows))


def law_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each law, by name."""
    return {name: LAWS[i % len(LAWS)] for i, name in enumerate(names)}
