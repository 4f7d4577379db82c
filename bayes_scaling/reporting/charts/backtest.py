"""Figures of the back-test, from plain numbers. Nothing is estimated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Panel

Rows = Sequence[Mapping[str, Any]]


def forecasts(rows: Rows, title: str, x_domain: Sequence[float], limit: Sequence[float]) -> Panel:
    """Observed over median forecast, per cent, against distance, each with its 90 % interval; hollow is
    outside."""
    x = alt.X(
        "decades:Q",
        title="decades of compute beyond the cut",
        scale=alt.Scale(domain=list(x_domain), nice=False),
        axis=alt.Axis(grid=False, tickCount=6, format="~g"),
    )
    scale = alt.Scale(domain=list(limit), nice=False, zero=False)
    axis = alt.Axis(tickCount=5, labelExpr="datum.value == 0 ? '0' : format(datum.value, '+~g')")

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="observed over forecast, %", scale=scale, axis=axis)

    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("observed:Q", format=".4f"),
        alt.Tooltip("median:Q", title="forecast", format=".4f"),
        alt.Tooltip("lower:Q", title="90\u00a0% from", format=".4f"),
        alt.Tooltip("upper:Q", title="to", format=".4f"),
    ]
    base = alt.Chart(t.data(rows)).encode(x=x)
    # Many runs may stand at one distance: the more of them, the fainter each bar.
    crowd = 0.42 if len(rows) < 30 else 0.2 if len(rows) < 80 else 0.09
    inside = alt.Chart(t.data([r for r in rows if r["inside"]])).encode(x=x, y=y("error"), tooltip=tips)
    out = alt.Chart(t.data([r for r in rows if not r["inside"]])).encode(x=x, y=y("error"), tooltip=tips)
    layers = [
        alt.Chart(t.data([{"error": 0}])).mark_rule(color=t.BAND, strokeWidth=1.2).encode(y=y("error")),
        base.mark_rule(color=t.BAND, opacity=crowd, strokeWidth=5).encode(y=y("low"), y2="high:Q"),
        inside.mark_circle(size=44, color=t.INK, opacity=0.9, stroke="white", strokeWidth=0.6),
        out.mark_point(size=52, stroke=t.ACCENT, fill="white", strokeWidth=1.8, opacity=1),
    ]
    return Panel(alt.layer(*layers, title=title), 210)


def coverage(rows: Rows) -> Panel:
    """Share held by intervals of each level: a tick at the nominal share, a dot for each law, a large one for
    the average."""
    levels = [r["label"] for r in rows if r["average"]]
    y = alt.Y(
        "label:N",
        sort=levels,
        title="interval",
        scale=alt.Scale(domain=levels),
        axis=alt.Axis(grid=True, gridDash=[1, 3], gridColor=t.FAINT, labelColor=t.INK, labelFontSize=12),
    )
    scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="share of the larger runs held", scale=scale, axis=axis)

    tips = [
        alt.Tooltip("title:N", title="forecast by"),
        alt.Tooltip("label:N", title="interval"),
        alt.Tooltip("held:Q", title="held", format=".0%"),
    ]
    single = [r for r in rows if not r["average"]]
    average = [r for r in rows if r["average"]]
    colour = alt.Color("colour:N", scale=None)
    nominal = alt.Chart(t.data(average)).encode(y=y)
    layers = [
        nominal.mark_rule(color=t.FAINT, strokeWidth=1.4).encode(x=x("nominal"), x2="held:Q"),
        nominal.mark_tick(color=t.INK, thickness=2.4, size=26).encode(x=x("nominal")),
        alt.Chart(t.data(single))
        .mark_circle(size=62, opacity=0.85, stroke="white", strokeWidth=1)
        .encode(y=y, x=x("held"), color=colour, tooltip=tips),
        alt.Chart(t.data(average))
        .mark_circle(size=190, opacity=1, stroke="white", strokeWidth=1.5)
        .encode(y=y, x=x("held"), color=colour, tooltip=tips),
    ]
    return Panel(alt.layer(*layers, title="Held by each interval"), 236)


def by_decade(rows: Rows, field: str, title: str, axis_title: str, nominal: float | None = None) -> Panel:
    """A score against distance beyond the cut: the average thick, the laws thin; dots grow with the cells."""
    values = [r[field] for r in rows]
    top = 1.04 if nominal is not None else 1.08 * max(values)
    y = alt.Y(
        f"{field}:Q",
        title=axis_title or None,
        scale=alt.Scale(domain=[-0.04 if nominal is not None else 0, top], nice=False),
        axis=alt.Axis(tickCount=5, format=".2~f" if nominal is None else "%"),
    )
    low, high = min(r["decades_from"] for r in rows), max(r["decades_to"] for r in rows)
    x = alt.X(
        "at:Q",
        title="decades of compute beyond the cut",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(grid=False, tickCount=5, format="~g"),
    )
    tips = [
        alt.Tooltip("title:N", title="forecast by"),
        alt.Tooltip("span:N", title="decades"),
        alt.Tooltip(f"{field}:Q", format=".0%" if nominal is not None else ".2f"),
        alt.Tooltip("n_cells:Q", title="cells"),
    ]
    colour = alt.Color("colour:N", scale=None)
    single = alt.Chart(t.data([r for r in rows if not r["average"]]))
    average = alt.Chart(t.data([r for r in rows if r["average"]]))
    size = alt.Size("n_cells:Q", scale=alt.Scale(domain=[1, 6], range=[60, 190], clamp=True), legend=None)
    layers: list[Any] = []
    if nominal is not None:
        rule = alt.Chart(t.data([{field: nominal}]))
        layers.append(rule.mark_rule(color=t.INK, strokeDash=[4, 3], strokeWidth=1.2).encode(y=y))
    layers += [
        single.mark_line(strokeWidth=1.3, opacity=0.75).encode(x=x, y=y, color=colour, detail="title:N"),
        single.mark_circle(size=26, opacity=0.9).encode(x=x, y=y, color=colour, tooltip=tips),
        average.mark_line(strokeWidth=2.6).encode(x=x, y=y, color=colour),
        average.mark_circle(opacity=1, stroke="white", strokeWidth=1.5).encode(
            x=x, y=y, color=colour, size=size, tooltip=tips
        ),
    ]
    return Panel(alt.layer(*layers, title=title), 236)


def weights(rows: Rows) -> Panel:
    """The weight of each law in forecasts, and what its forward score alone would rank."""
    order = [r["title"] for r in rows]
    y = alt.Y(
        "title:N",
        sort=order,
        title=None,
        scale=alt.Scale(domain=order),
        axis=alt.Axis(grid=False, labelColor=t.INK, labelFontSize=12, labelLimit=130),
    )
    top = max(r["weight"] for r in rows)
    x = alt.X(
        "weight:Q",
        title="weight in forecasts beyond the runs",
        scale=alt.Scale(domain=[0, 1.15 * top], nice=False),
        axis=alt.Axis(format="%", tickCount=5),
    )
    base = alt.Chart(t.data(rows)).encode(y=y, x=x)
    layers = [
        base.mark_bar(height=14, cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None)),
        base.mark_text(align="left", dx=5, color=t.INK).encode(text="label:N"),
    ]
    return Panel(alt.layer(*layers, title="Weight of each law"), 34 * len(rows) + 14)


def sizes(rows: Rows, mean: float) -> Panel:
    """How probable each size of the discrepancy is after the back-test."""
    order = [r["label"] for r in rows]
    x = alt.X(
        "label:N",
        sort=order,
        title="discrepancy, % of the loss per decade",
        axis=alt.Axis(labelAngle=0, domain=True, ticks=False, labelOverlap=False),
    )

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=None, axis=alt.Axis(format="%", tickCount=4))

    base = alt.Chart(t.data(rows)).encode(x=x)
    layers = [
        base.mark_bar(color=t.FAINT, opacity=0.45, width={"band": 0.8}).encode(y=y("prior")),
        base.mark_bar(color=t.BAND, width={"band": 0.4}).encode(y=y("probability")),
    ]
    title = f"Size of the discrepancy: {w.short(mean, 2)}\u00a0% on average"
    return Panel(alt.layer(*layers, title=title), 150)
