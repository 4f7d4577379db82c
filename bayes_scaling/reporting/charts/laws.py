"""Figures that set the laws side by side, from plain numbers. Nothing is estimated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Panel

Rows = Sequence[Mapping[str, Any]]
ROW = 34


def intervals(
    rows: Rows,
    title: str,
    axis: str,
    ci_prob: float,
    *,
    published: Rows = (),
    lines: Rows = (),
    number: str = ".3f",
    form: str = "~g",
    above: bool = False,
) -> Panel:
    """One row a law: median, 50 % and outer interval; the prior's interval behind, published values as marks.

    Laws are named on the axis, or `above` their rows, which leaves a narrow panel its width.

    Parameters
    ----------
    rows
        `title`, `colour`, `median`, `lower`, `upper`, `inner`, and `prior` (lower, upper) or None; `title`
        alone for
        a law that has no such number.
    published
        `title` of the row, `value`, `source`.
    lines
        `value`, `label`, `side` of reference lines.
    """
    # An empty row on top holds the labels of the reference lines.
    order = [*([" "] if lines else []), *(r["title"] for r in rows)]
    absent = [{"title": r["title"], "text": f"{r['title']}: has none"} for r in rows if "median" not in r]
    rows = [r for r in rows if "median" in r]
    flat = [
        {
            **{k: r[k] for k in ("title", "colour", "median", "lower", "upper")},
            "low50": r["inner"]["lower"],
            "high50": r["inner"]["upper"],
        }
        for r in rows
    ]
    domain = _domain(rows, published, lines)
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    # Clipped, because a wide prior says so by running off the edge and must not squeeze the posterior.
    priors = [
        {"title": r["title"], "from": max(r["prior"][0], domain[0]), "to": min(r["prior"][1], domain[1])}
        for r in rows
        if r.get("prior") and r["prior"][0] < domain[1] and r["prior"][1] > domain[0]
    ]

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=axis or None, scale=scale, axis=alt.Axis(tickCount=5, format=form))

    y = alt.Y(
        "title:N",
        sort=order,
        title=None,
        scale=alt.Scale(domain=order, padding=0.5),
        axis=None if above else alt.Axis(grid=False, labelColor=t.INK, labelFontSize=12, labelLimit=130),
    )
    colour = alt.Color("colour:N", scale=None)
    base = alt.Chart(t.data(flat)).encode(y=y, color=colour)
    tips = [
        alt.Tooltip("title:N", title="law"),
        alt.Tooltip("median:Q", format=number),
        alt.Tooltip("lower:Q", title=f"{w.prob(ci_prob)} from", format=number),
        alt.Tooltip("upper:Q", title="to", format=number),
    ]
    layers = [
        *_lines(lines, x("value")),
        alt.Chart(t.data(priors)).mark_rule(strokeWidth=15, color=t.GRID).encode(y=y, x=x("from"), x2="to:Q"),
        base.mark_rule(strokeWidth=1.6).encode(x=x("lower"), x2="upper:Q"),
        base.mark_rule(strokeWidth=5, strokeCap="round").encode(x=x("low50"), x2="high50:Q"),
        base.mark_circle(size=75, opacity=1, stroke="white", strokeWidth=1.5).encode(x=x("median"), tooltip=tips),
    ]
    if published:
        marks = alt.Chart(t.data(published)).mark_point(
            shape="diamond", size=55, stroke=t.INK, strokeWidth=1.4, fill="white", opacity=1, yOffset=11
        )
        told = [alt.Tooltip("source:N", title="published"), alt.Tooltip("value:Q", format="~g")]
        layers.append(marks.encode(y=y, x=x("value"), tooltip=told))
    if above:
        named = base.mark_text(align="left", baseline="bottom", dy=-9, fontSize=11)
        layers.append(named.encode(x=alt.value(0), text="title:N"))
        none = alt.Chart(t.data(absent)).mark_text(align="left", baseline="bottom", dy=-9, color=t.MUTED)
        layers.append(none.encode(y=y, x=alt.value(0), text="text:N"))
    return Panel(alt.layer(*layers), (ROW + 10 * above) * len(order) + 14)


def _domain(rows: Rows, published: Rows, lines: Rows) -> list[float]:
    values = [v for r in rows for v in (r["lower"], r["upper"])]
    return t.padded([*values, *(p["value"] for p in published), *(r["value"] for r in lines)], 0.08)


def _lines(lines: Rows, x: alt.X) -> list[Any]:
    out: list[Any] = []
    for i, row in enumerate(lines):
        base = alt.Chart(t.data([row])).encode(x=x)
        left = row["side"] == "left"
        out.append(base.mark_rule(strokeDash=[4, 3], color=t.MUTED, strokeWidth=1.2))
        text = base.mark_text(
            align="right" if left else "left",
            dx=-4 if left else 4,
            baseline="top",
            color=t.MUTED,
            fontSize=10.5,
        )
        out.append(text.encode(y=alt.value(2 + 13 * (i % 2)), text="label:N"))
    return out


def density(name: str, rows: Mapping[str, Sequence[float]], colour: str, unit: str) -> Panel:
    """Prior and posterior density of one parameter, each scaled to its own height in the legend's terms."""
    at, post = rows["posterior_at"], rows["posterior"]
    low = min(at[0], rows["prior_at"][0])
    high = max(at[-1], rows["prior_at"][-1])
    x = alt.X(
        "value:Q",
        title=unit or None,
        scale=alt.Scale(domain=[low, high], nice=False, zero=False),
        axis=alt.Axis(tickCount=4, format="~g", grid=False),
    )
    y = alt.Y("density:Q", axis=None, scale=alt.Scale(domainMin=0))
    prior = [{"value": a, "density": d} for a, d in zip(rows["prior_at"], rows["prior"], strict=True)]
    found = [{"value": a, "density": d} for a, d in zip(at, post, strict=True)]
    below = alt.Chart(t.data(prior)).mark_area(color=t.FAINT, opacity=0.35, line={"color": t.FAINT}).encode(x=x, y=y)
    above = alt.Chart(t.data(found)).mark_area(color=colour, opacity=0.35, line={"color": colour}).encode(x=x, y=y)
    return Panel(alt.layer(below, above, title=name), 92)


def residuals(rows: Rows, title: str, colour: str, limit: float, domain: Sequence[float], ci_prob: float) -> Panel:
    """Observed over fitted loss, per cent, against compute; hollow marks lie outside their own interval."""
    data = [{**r, "run": w.name(r["run"]), "percent": 100 * r["residual"]} for r in rows]
    x = t.log_axis("flops", "training compute, FLOP", domain, t.FLOP, grid=False)
    y = alt.Y(
        "percent:Q",
        title="observed over fitted, %",
        scale=alt.Scale(domain=[-limit, limit], nice=False),
        axis=alt.Axis(tickCount=5, format="+~g"),
    )
    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("observed:Q", format=".4f"),
        alt.Tooltip("fitted:Q", format=".4f"),
        alt.Tooltip("lower:Q", title=f"{w.prob(ci_prob)} from", format=".4f"),
        alt.Tooltip("upper:Q", title="to", format=".4f"),
    ]
    zero = alt.Chart(t.data([{"percent": 0}])).mark_rule(color=t.MUTED).encode(y=y)
    base = alt.Chart(t.data([r for r in data if r["inside"]])).encode(x=x, y=y, tooltip=tips)
    out = alt.Chart(t.data([r for r in data if not r["inside"]])).encode(x=x, y=y, tooltip=tips)
    layers = [
        zero,
        base.mark_circle(size=42, color=colour, opacity=0.8),
        out.mark_point(size=52, stroke=colour, fill="white", strokeWidth=1.8, opacity=1),
    ]
    return Panel(alt.layer(*layers, title=title), 150)


def evidence(rows: Rows) -> Panel:
    """Log evidence relative to the best law, with two standard errors either side."""
    order = [r["title"] for r in rows]
    flat = [{**r, "low": r["delta"] - 2 * r["sd"], "high": r["delta"] + 2 * r["sd"]} for r in rows]
    values = [v for r in flat for v in (r["low"], r["high"], 0.0)]
    low = min(values)
    scale = alt.Scale(domain=[low * 1.22 - 0.3, max(values) - low * 0.06 + 0.1], nice=False)
    y = _law_axis(order)
    x = alt.X("delta:Q", title="log evidence below the best, nats", scale=scale, axis=alt.Axis(tickCount=6))
    base = alt.Chart(t.data(flat)).encode(y=y, color=alt.Color("colour:N", scale=None))
    layers = [
        base.mark_rule(strokeWidth=1, opacity=0.5).encode(x=x, x2=alt.datum(0)),
        base.mark_rule(strokeWidth=3.5, strokeCap="round").encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_circle(size=80, opacity=1, stroke="white", strokeWidth=1.5).encode(x=x),
        base.mark_text(align="right", dx=-9, fontSize=11).encode(x=alt.X("low:Q", scale=scale), text="label:N"),
    ]
    return Panel(alt.layer(*layers, title="Log evidence"), (ROW + 4) * len(rows) + 6)


def shares(rows: Rows) -> Panel:
    """Probability of each law, and below it its stacking weight."""
    order = [r["title"] for r in rows]
    scale = alt.Scale(domain=[0, 1.12], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X("probability:Q", title="share", scale=scale, axis=axis)
    base = alt.Chart(t.data(rows)).encode(y=_law_axis(order))
    colour = alt.Color("colour:N", scale=None)
    stacked = alt.X("stacking_weight:Q", scale=scale)
    layers = [
        base.mark_bar(height=12, yOffset=-6, cornerRadiusEnd=2).encode(x=x, color=colour),
        base.mark_text(align="left", dx=5, yOffset=-6, color=t.INK).encode(x=x, text="share_label:N"),
        base.mark_bar(height=6, yOffset=8, cornerRadiusEnd=2, color=t.FAINT).encode(x=stacked),
        base.mark_text(align="left", dx=5, yOffset=8, color=t.MUTED, fontSize=10).encode(
            x=stacked, text="stacking_label:N"
        ),
    ]
    return Panel(alt.layer(*layers, title="Probability and stacking weight"), (ROW + 4) * len(rows) + 6)


def _law_axis(order: Sequence[str]) -> alt.Y:
    return alt.Y(
        "title:N",
        sort=list(order),
        title=None,
        scale=alt.Scale(domain=list(order)),
        axis=alt.Axis(grid=False, labelColor=t.INK, labelFontSize=12, labelLimit=130),
    )
