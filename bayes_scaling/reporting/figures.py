"""Figures of forecasts and frontiers, from plain numbers. Nothing is estimated here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Key, Panel

Rows = Sequence[Mapping[str, Any]]


def _outside(edge: float, domain: Sequence[float]) -> list[Any]:
    """Shades what lies beyond the largest run, and says so."""
    rows = t.data([{"from": edge, "to": domain[1], "label": "beyond the runs"}])
    base = alt.Chart(rows)
    x = alt.X("from:Q", scale=alt.Scale(type="log", domain=list(domain), nice=False))
    shade = base.mark_rect(color=t.OUTSIDE).encode(x=x, x2="to:Q", y=alt.value(0), y2=alt.value("height"))
    text = base.mark_text(align="left", baseline="top", dx=6, dy=6, color=t.MUTED, fontStyle="italic")
    return [shade, text.encode(x=x, y=alt.value(0), text="label:N")]


def group_colours(runs: Rows) -> dict[str, str]:
    """A colour for each group, or one for all where there are none, or too many to tell apart."""
    groups = list(dict.fromkeys(str(r["group"]) for r in runs))
    if len(groups) > len(t.GROUPS):
        return {}
    return {g: t.GROUPS[i] for i, g in enumerate(groups)} if groups != ["runs"] else {"runs": t.INK}


def _points(
    runs: Rows, x: Any, y: Any, colours: Mapping[str, str], tooltip: list[Any], size: int = 46
) -> Any:
    colour: Any = alt.value(t.INK)
    if colours:
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        legend = None if list(colours) == ["runs"] else alt.Legend(title="runs")
        colour = alt.Color("group:N", scale=scale, legend=legend)
    mark = alt.Chart(t.data(runs)).mark_circle(size=size, opacity=0.85, stroke="white", strokeWidth=0.8)
    return mark.encode(x=x, y=y, color=colour, tooltip=tooltip)


def runs_key(colours: Mapping[str, str]) -> tuple[Key, ...]:
    if not colours or list(colours) == ["runs"]:
        return (Key("point", t.INK, "runs"),)
    return tuple(Key("point", colour, name) for name, colour in colours.items())


def loss_figure(runs: Rows, band: Rows, asked: Rows, edge: float, ci_prob: float) -> Panel:
    """Loss of one new run at the best allocation, with bands, and the runs it was learned from."""
    domain = t.padded_log([r["flops"] for r in (*runs, *band)], 0.015)
    losses = [*(r["loss"] for r in runs), *(r["upper"] for r in band), *(r["lower"] for r in band)]
    x = t.log_axis("flops", "training compute, FLOP", domain, t.FLOP, grid=False)
    scale = alt.Scale(domain=t.padded(losses, 0.05), nice=False, zero=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title="loss, nats per token", scale=scale, axis=alt.Axis(tickCount=7))

    rows = [{**r, "low50": r["inner"]["lower"], "high50": r["inner"]["upper"]} for r in band]
    base = alt.Chart(t.data(rows)).encode(x=x)
    last = rows[-1]
    label = alt.Chart(t.data([{"flops": last["flops"], "at": last["upper"], "text": w.prob(ci_prob)}]))
    inner = alt.Chart(t.data([{"flops": last["flops"], "at": last["low50"], "text": "50 %"}]))
    text: dict[str, Any] = {"align": "right", "fontSize": 11, "fontWeight": 600, "color": t.BAND_TEXT}
    marked = alt.Chart(
        t.data([{**r, "name": f"{w.flop(r['budget'])} FLOP", "flops": r["budget"]} for r in asked])
    )
    tips = [
        alt.Tooltip("name:N", title="budget"),
        alt.Tooltip("median:Q", title="loss, median", format=".4f"),
        alt.Tooltip("lower:Q", title=f"{w.prob(ci_prob)} from", format=".4f"),
        alt.Tooltip("upper:Q", title="to", format=".4f"),
    ]
    about = [
        alt.Tooltip("run:N"),
        alt.Tooltip("group:N"),
        alt.Tooltip("size:N", title="parameters"),
        alt.Tooltip("read:N", title="tokens"),
        alt.Tooltip("loss:Q", title="loss, nats per token", format=".4f"),
    ]
    layers = [
        *_outside(edge, domain),
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_area(color=t.BAND, opacity=0.3).encode(y=y("low50"), y2="high50:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("median")),
        marked.mark_rule(color=t.INK, strokeWidth=1.5).encode(x=x, y=y("lower"), y2="upper:Q"),
        marked.mark_point(
            shape="diamond", size=80, filled=True, fill="white", stroke=t.INK, strokeWidth=1.5, opacity=1
        ).encode(x=x, y=y("median"), tooltip=tips),
        marked.mark_text(dy=-9, baseline="bottom", color=t.INK).encode(x=x, y=y("upper"), text="name:N"),
        _points(runs, x, y("loss"), group_colours(runs), about, 54),
        label.mark_text(baseline="bottom", dy=-3, **text).encode(x=x, y=y("at"), text="text:N"),
        inner.mark_text(baseline="top", dy=12, **text).encode(x=x, y=y("at"), text="text:N"),
    ]
    return Panel(alt.layer(*layers), 400)


def allocation_figure(
    name: str, curve: Rows, runs: Rows, optima: Rows, models: Rows, edge: float, ci_prob: float, title: str
) -> Panel:
    """N* or D* against compute with bands, and what others published or trained."""
    at = [r["flops"] for r in curve]
    domain = t.padded_log(at, 0.015)
    seen = [r for r in models if domain[0] <= r["flops"] <= domain[1]]
    best = [
        {**r, "approach": f"approach {r['approach']}"} for r in optima if domain[0] <= r["flops"] <= domain[1]
    ]
    spread = [v for r in curve for v in (r[name]["lower"], r[name]["upper"])]
    x = t.log_axis("flops", "training compute, FLOP", domain, t.FLOP, grid=False)
    y_domain = t.padded_log([*spread, *(r[name] for r in (*runs, *seen, *best))])

    def y(field: str) -> Any:
        return t.log_axis(field, title, y_domain, t.COUNT, alt.Y)

    rows = [
        {
            "flops": r["flops"],
            **{k: r[name][k] for k in ("median", "lower", "upper")},
            "low50": r[name]["inner"]["lower"],
            "high50": r[name]["inner"]["upper"],
        }
        for r in curve
    ]
    base = alt.Chart(t.data(rows)).encode(x=x)
    last = rows[-1]
    end = alt.Chart(t.data([{"flops": last["flops"], "at": last["upper"], "text": w.prob(ci_prob)}]))
    counts = [alt.Tooltip("size:N", title="parameters"), alt.Tooltip("read:N", title="tokens")]
    labelled = _spaced(seen, name, domain, y_domain)
    layers = [
        *_outside(edge, domain),
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_area(color=t.BAND, opacity=0.3).encode(y=y("low50"), y2="high50:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("median")),
        _points(runs, x, y(name), {"runs": t.FAINT}, [alt.Tooltip("run:N"), *counts], 22),
        alt.Chart(t.data(best))
        .mark_point(shape="diamond", size=52, stroke=t.LAWS[0], strokeWidth=1.6, fill="white", opacity=1)
        .encode(x=x, y=y(name), tooltip=[alt.Tooltip("approach:N", title="Hoffmann et al."), *counts]),
        alt.Chart(t.data(seen))
        .mark_point(shape="triangle-up", size=40, filled=True, color=t.INK, opacity=0.9)
        .encode(x=x, y=y(name), tooltip=[alt.Tooltip("run:N", title="model"), *counts, "source:N"]),
        alt.Chart(t.data(labelled))
        .mark_text(dy=-7, baseline="bottom", fontSize=10, color=t.INK)
        .encode(x=x, y=y(name), text="run:N"),
        end.mark_text(
            align="right", baseline="bottom", dy=-3, fontSize=11, fontWeight=600, color=t.BAND_TEXT
        ).encode(x=x, y=y("at"), text="text:N"),
    ]
    return Panel(alt.layer(*layers), 380)


def _spaced(models: Rows, name: str, x: Sequence[float], y: Sequence[float]) -> list[Mapping[str, Any]]:
    """Models whose labels have room, the largest first; the others keep their tooltip."""
    placed: list[tuple[float, float, float]] = []
    out = []
    for row in sorted(models, key=lambda r: -r["flops"]):
        u = math.log(row["flops"] / x[0]) / math.log(x[1] / x[0])
        v = math.log(row[name] / y[0]) / math.log(y[1] / y[0])
        half = 0.009 * len(row["run"])  # half the label's width as a share of a plot about 400 pixels wide
        clear = all(abs(u - a) > half + b or abs(v - c) > 0.05 for a, b, c in placed)
        others = [
            (
                math.log(r["flops"] / x[0]) / math.log(x[1] / x[0]),
                math.log(r[name] / y[0]) / math.log(y[1] / y[0]),
            )
            for r in models
            if r is not row
        ]
        over = any(abs(u - a) < half and 0.01 < b - v < 0.065 for a, b in others)
        if clear and not over and half < u < 1 - half:
            placed.append((u, half, v))
            out.append(row)
    return out
