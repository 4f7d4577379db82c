"""Figures of forecasts and frontiers, from plain numbers. Nothing is estimated here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Key, Panel
from bayes_scaling.reporting.references import NOTABLE

Rows = Sequence[Mapping[str, Any]]
FAN_HEIGHT = 350
ROOMY = "width < 400 ? 0 : 1"
"""Opacity of what has no room on a phone."""
PLACES: dict[str, dict[str, Any]] = {
    "right": {"align": "left", "baseline": "middle", "dx": 6},
    "left": {"align": "right", "baseline": "middle", "dx": -6},
    "above": {"align": "center", "baseline": "bottom", "dy": -6},
    "below": {"align": "center", "baseline": "top", "dy": 6},
}


def _outside(edge: float, domain: Sequence[float], low: bool = False) -> list[Any]:
    """Shades what lies beyond the largest run, and says so at the top, or `low` at the bottom."""
    rows = t.data([{"from": edge, "to": domain[1], "label": "beyond the runs"}])
    base = alt.Chart(rows)
    x = alt.X("from:Q", scale=alt.Scale(type="log", domain=list(domain), nice=False))
    shade = base.mark_rect(color=t.OUTSIDE, opacity=0.5)
    side: dict[str, Any] = {"baseline": "bottom", "dy": -6} if low else {"baseline": "top", "dy": 6}
    text = base.mark_text(align="left", dx=6, color=t.MUTED, fontStyle="italic", **side)
    return [
        shade.encode(x=x, x2="to:Q", y=alt.value(0), y2=alt.value("height")),
        text.encode(x=x, y=alt.value("height" if low else 0), text="label:N"),
    ]


def _ends(x: Any, y: Any, last: Mapping[str, Any], ci_prob: float) -> Any:
    """Names the bands at their right ends."""
    at = [{"at": last["upper"], "text": w.prob(ci_prob)}, {"at": last["low50"], "text": w.prob(0.5)}]
    base = alt.Chart(t.data([{**row, "flops": last["flops"]} for row in at]))
    text = base.mark_text(align="left", dx=8, fontSize=11, fontWeight=600, color=t.BAND_TEXT)
    return text.encode(x=x, y=y, text="text:N")


def group_colours(runs: Rows) -> dict[str, str]:
    """A colour for each group, or one for all where there are none, or too many to tell apart."""
    groups = list(dict.fromkeys(str(r["group"]) for r in runs))
    if len(groups) > len(t.GROUPS):
        return {}
    return {g: t.GROUPS[i] for i, g in enumerate(groups)} if groups != ["runs"] else {"runs": t.INK}


def _points(runs: Rows, x: Any, y: Any, colours: Mapping[str, str], tooltip: list[Any], size: int = 46) -> Any:
    colour: Any = alt.value(t.MUTED)
    if colours:
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        legend = None if list(colours) == ["runs"] else alt.Legend(title="runs")
        colour = alt.Color("group:N", scale=scale, legend=legend)
    mark = alt.Chart(t.data(runs)).mark_circle(size=size, opacity=0.9, stroke="white", strokeWidth=0.6)
    return mark.encode(x=x, y=y, color=colour, tooltip=tooltip)


def runs_key(colours: Mapping[str, str]) -> tuple[Key, ...]:
    """The key of the runs, one entry a group where there are groups."""
    if not colours or list(colours) == ["runs"]:
        return (Key("point", t.MUTED if not colours else t.INK, "runs"),)
    return tuple(Key("point", colour, name) for name, colour in colours.items())


def loss_figure(
    runs: Rows,
    band: Rows,
    asked: Rows,
    edge: float,
    ci_prob: float,
    unit: str,
    *,
    target: float | None = None,
    models: Rows = (),
) -> Panel:
    """Loss of one new run, in `unit`, at the best allocation, with bands, and the runs it was learned from; a target
    loss as a line, and `models` (`run`, `flops`) at the foot, at the compute they took."""
    domain = t.padded_log([r["flops"] for r in (*runs, *band)], 0.015)
    losses = [*(r["loss"] for r in runs), *(r["upper"] for r in band), *(r["lower"] for r in band)]
    x = t.log_axis("flops", "training compute, FLOP", domain, t.FLOP, grid=False)
    ends = t.padded([*losses, *([target] if target is not None else [])], 0.05)
    if models:  # room for their names
        ends[0] -= 0.14 * (ends[1] - ends[0])
    scale = alt.Scale(domain=ends, nice=False, zero=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=f"loss, {unit}", scale=scale, axis=alt.Axis(tickCount=7))

    rows = [{**r, "low50": r["inner"]["lower"], "high50": r["inner"]["upper"]} for r in band]
    base = alt.Chart(t.data(rows)).encode(x=x)
    marked = alt.Chart(t.data([{**r, "name": w.flop(r["budget"]), "flops": r["budget"]} for r in asked]))
    tips = [
        alt.Tooltip("name:N", title="budget, FLOP"),
        alt.Tooltip("median:Q", title="loss, median", format=".4f"),
        alt.Tooltip("lower:Q", title=f"{w.prob(ci_prob)} from", format=".4f"),
        alt.Tooltip("upper:Q", title="to", format=".4f"),
    ]
    about = [
        alt.Tooltip("run:N"),
        alt.Tooltip("group:N"),
        alt.Tooltip("size:N", title="parameters"),
        alt.Tooltip("read:N", title="tokens"),
        alt.Tooltip("loss:Q", title=f"loss, {unit}", format=".4f"),
    ]
    layers = [
        *_outside(edge, domain),
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_area(color=t.BAND, opacity=0.3).encode(y=y("low50"), y2="high50:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("median")),
        *_target(target, y("target")),
        *_foot(models, x, domain),
        marked.mark_rule(color=t.INK, strokeWidth=1.5).encode(x=x, y=y("lower"), y2="upper:Q"),
        marked.mark_point(
            shape="diamond", size=80, filled=True, fill="white", stroke=t.INK, strokeWidth=1.5, opacity=1
        ).encode(x=x, y=y("median"), tooltip=tips),
        marked.mark_text(dy=-9, baseline="bottom", color=t.INK).encode(x=x, y=y("upper"), text="name:N"),
        _points(runs, x, y("loss"), group_colours(runs), about, 54),
        _ends(x, y("at"), rows[-1], ci_prob),
    ]
    return Panel(alt.layer(*layers), FAN_HEIGHT, right=36)


def _target(target: float | None, y: Any) -> list[Any]:
    if target is None:
        return []
    base = alt.Chart(t.data([{"target": target, "text": f"target {w.short(target, 4)}"}])).encode(y=y)
    text = base.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=t.ACCENT)
    return [base.mark_rule(color=t.ACCENT, strokeWidth=1.5), text.encode(x=alt.value(0), text="text:N")]


def _foot(models: Rows, x: Any, domain: Sequence[float]) -> list[Any]:
    """Known models at the compute they took, named where there is room, the best known first."""
    seen = [r for r in models if domain[0] < r["flops"] < domain[1]]
    span = math.log10(domain[1] / domain[0])
    at = {str(r["run"]): math.log10(r["flops"] / domain[0]) / span for r in seen}
    rows: tuple[list[tuple[float, float]], ...] = ([], [])
    named: list[tuple[str, int, Any]] = []
    for name in (n for n in NOTABLE if n in at):
        wide = 0.0115 * len(name) + 0.012  # a share of a plot of about 500 pixels, the smallest it is named at
        here = at[name]
        align = "left" if here < wide / 2 else "right" if here > 1 - wide / 2 else "center"
        low = here - {"left": 0.0, "center": wide / 2, "right": wide}[align]
        row = next((k for k, taken in enumerate(rows) if all(low + wide < a or low > b for a, b in taken)), None)
        if row is not None:
            rows[row].append((low, low + wide))
            named.append((name, row, align))
    flops = {str(r["run"]): r["flops"] for r in seen}
    marks = alt.Chart(t.data([{"run": r["run"], "flops": r["flops"]} for r in seen])).encode(x=x)
    tips = [alt.Tooltip("run:N", title="model"), alt.Tooltip("flops:Q", title="FLOP", format=".2e")]
    layers = [
        marks.mark_point(shape="triangle-up", size=34, filled=True, color=t.MUTED, opacity=0.9, yOffset=-6).encode(
            y=alt.value("height"), tooltip=tips
        )
    ]
    for name, row, align in named:
        words = alt.Chart(t.data([{"run": name, "flops": flops[name]}])).mark_text(
            fontSize=10, color=t.MUTED, baseline="bottom", align=align, yOffset=-13 - 12 * row, opacity=alt.expr(ROOMY)
        )
        layers.append(words.encode(x=x, y=alt.value("height"), text="run:N"))
    return layers


def allocation_figure(
    name: str, curve: Rows, runs: Rows, optima: Rows, models: Rows, edge: float, ci_prob: float, title: str
) -> Panel:
    """N* or D* against compute with bands, and what others published or trained."""
    at = [r["flops"] for r in curve]
    domain = t.padded_log(at, 0.015)
    seen = [r for r in models if domain[0] <= r["flops"] <= domain[1]]
    best = [{**r, "approach": f"approach {r['approach']}"} for r in optima if domain[0] <= r["flops"] <= domain[1]]
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
    counts = [alt.Tooltip("size:N", title="parameters"), alt.Tooltip("read:N", title="tokens")]
    labelled = _labels(seen, (*best, *runs), name, domain, y_domain)
    layers = [
        *_outside(edge, domain, low=True),
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_area(color=t.BAND, opacity=0.3).encode(y=y("low50"), y2="high50:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("median")),
        _points(runs, x, y(name), {}, [alt.Tooltip("run:N"), *counts], 26),
        alt.Chart(t.data(best))
        .mark_point(shape="diamond", size=52, stroke=t.LAWS[0], strokeWidth=1.6, fill="white", opacity=1)
        .encode(x=x, y=y(name), tooltip=[alt.Tooltip("approach:N", title="Hoffmann et al."), *counts]),
        alt.Chart(t.data(seen))
        .mark_point(shape="triangle-up", size=40, filled=True, color=t.INK, opacity=0.9)
        .encode(x=x, y=y(name), tooltip=[alt.Tooltip("run:N", title="model"), *counts, "source:N"]),
        *(
            alt.Chart(t.data([r for r in labelled if r["place"] == place]))
            .mark_text(fontSize=10, color=t.INK, **PLACES[place])
            .encode(x=x, y=y(name), text="run:N")
            for place in PLACES
        ),
        _ends(x, y("at"), rows[-1], ci_prob),
    ]
    return Panel(alt.layer(*layers), 380, right=36)


def _labels(models: Rows, others: Rows, name: str, x: Sequence[float], y: Sequence[float]) -> list[dict[str, Any]]:
    """Where the names of well-known models have room beside their marks; the others keep their tooltip.

    Lengths are shares of a plot of about 340 by 330 pixels, the smallest it is drawn at.
    """

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        u, v = (math.log(row[k] / d[0]) / math.log(d[1] / d[0]) for k, d in (("flops", x), (name, y)))
        return u, v

    marks = [place(r) for r in (*models, *others)]
    boxes: list[tuple[float, float, float, float]] = [(u - 0.013, u + 0.013, v - 0.013, v + 0.013) for u, v in marks]
    out: list[dict[str, Any]] = []
    known = {str(r["run"]): r for r in models}
    for row in (known[n] for n in NOTABLE if n in known):
        u, v = place(row)
        wide = 0.0165 * len(str(row["run"])) + 0.01
        choices = {
            "right": (u + 0.014, u + 0.014 + wide, v - 0.017, v + 0.017),
            "left": (u - 0.014 - wide, u - 0.014, v - 0.017, v + 0.017),
            "above": (u - wide / 2, u + wide / 2, v + 0.014, v + 0.05),
            "below": (u - wide / 2, u + wide / 2, v - 0.05, v - 0.014),
        }
        for side, box in choices.items():
            if box[0] > 0.0 and box[1] < 1.0 and not any(_meet(box, other) for other in boxes):
                boxes.append(box)
                out.append({**row, "place": side})
                break
    return out


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
