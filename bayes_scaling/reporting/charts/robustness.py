"""Figures of how the evidence moves, and of what the laws expect beforehand. Nothing is estimated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting.blocks import Panel

Rows = Sequence[Mapping[str, Any]]
WORDS = ((0.0, "none"), (1.0, "positive"), (3.0, "strong"), (5.0, "very strong"))
ROW = 22


def moves(rows: Rows, span: Sequence[float] | None, title: str, colour: str) -> Panel:
    """One log Bayes factor under each change; the band is the range over the changes that count.

    Parameters
    ----------
    rows
        `change`, `value`, `kind` ("default", "main", "part" or "aside") and `label`, in the order to be read.
    """
    order = list(dict.fromkeys(r["change"] for r in rows))
    domain = t.padded([*(r["value"] for r in rows), 0.0], 0.07)
    scale = alt.Scale(domain=domain, nice=False)
    x = alt.X("value:Q", title="log Bayes factor, nats", scale=scale, axis=alt.Axis(tickCount=5, format="~g"))
    y = alt.Y(
        "change:N",
        sort=order,
        title=None,
        scale=alt.Scale(domain=order),
        axis=alt.Axis(grid=True, gridDash=[1, 3], gridColor=t.FAINT, labelColor=t.INK, labelLimit=150),
    )
    tips = [alt.Tooltip("label:N", title="under"), alt.Tooltip("value:Q", title="log Bayes factor", format=".2f")]
    layers: list[Any] = []
    if span:
        band = alt.Chart(t.data([{"from": span[0], "to": span[1]}])).mark_rect(color=colour, opacity=0.13)
        layers.append(band.encode(x=alt.X("from:Q", scale=scale), x2="to:Q", y=alt.value(0), y2=alt.value("height")))
    limits = [{"value": sign * v} for v, _ in WORDS for sign in (1, -1) if domain[0] < sign * v < domain[1]]
    # Where the factor is hundreds of nats the words' limits are one line, and say nothing.
    if domain[1] - domain[0] < 40:
        rule = alt.Chart(t.data(limits)).mark_rule(color=t.FAINT, strokeDash=[3, 3])
        layers.append(rule.encode(x=x))
    layers.append(alt.Chart(t.data([{"value": 0.0}])).mark_rule(color=t.INK, strokeWidth=1.2).encode(x=x))

    def of(*kinds: str) -> Any:
        return alt.Chart(t.data([r for r in rows if r["kind"] in kinds])).encode(x=x, y=y, tooltip=tips)

    layers += [
        of("part").mark_point(shape="stroke", angle=90, size=70, stroke=colour, strokeWidth=2, opacity=0.9),
        of("aside").mark_point(size=60, stroke=colour, fill="white", strokeWidth=1.6, opacity=1),
        of("main").mark_circle(size=62, color=colour, opacity=1, stroke="white", strokeWidth=1),
        of("default").mark_point(shape="diamond", size=110, filled=True, color=t.INK, opacity=1),
    ]
    return Panel(alt.layer(*layers, title=title), ROW * len(order) + 8)


def claims(rows: Rows, title: str) -> Panel:
    """Probability that a lies within reach of a claim, before (grey) and after the runs, law by law."""
    order = [r["title"] for r in rows]
    scale = alt.Scale(domain=[0, 1.02], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    y = alt.Y(
        "title:N",
        sort=order,
        title=None,
        scale=alt.Scale(domain=order),
        axis=alt.Axis(grid=False, labelColor=t.INK, labelFontSize=12, labelLimit=130),
    )
    base = alt.Chart(t.data(rows)).encode(y=y)
    x = alt.X("mass:Q", title="probability", scale=scale, axis=axis)
    tips = [
        alt.Tooltip("title:N", title="law"),
        alt.Tooltip("mass:Q", title="probability", format=".0%"),
        alt.Tooltip("prior_mass:Q", title="before the runs", format=".0%"),
        alt.Tooltip("told:N", title="log Bayes factor"),
    ]
    layers = [
        base.mark_bar(height=13, cornerRadiusEnd=2).encode(x=x, color=alt.Color("colour:N", scale=None), tooltip=tips),
        base.mark_tick(color=t.INK, thickness=2.2, size=20).encode(x=alt.X("prior_mass:Q", scale=scale)),
    ]
    return Panel(alt.layer(*layers, title=title), 26 * len(rows) + 8)
