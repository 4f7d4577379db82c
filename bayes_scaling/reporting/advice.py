"""How far the intervals held in the back-test, and how to take them: for its section and for the first screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Data, Prose, say

FEW_CELLS, FEW_CUTS = 8, 2
FAR = 1.0
"""Decades beyond which forecasts count as far, where some were that far."""


def percents(value: float) -> str:
    """A share of the loss that is in per cent already."""
    return f"{w.fixed(abs(value), 1 if abs(value) < 9.95 else 0)}\u00a0%"


def decades(value: float) -> str:
    """A number of decades in words."""
    return f"{value:.1f} decade{'' if f'{value:.1f}' == '1.0' else 's'}"


def verdict(data: Data) -> Prose:
    """How many of the larger runs the intervals held, which way they leaned, and how to take them."""
    body = data["backtest"]
    if not body["folds"]:
        return Prose(_untested(data), "backtest_weights", "caution")
    held, cells = body["coverage"]["0.9"], body["n_cells"]
    text = say(
        "On these runs, 90\u00a0% intervals made from smaller runs held <b>{held}</b> of the larger ones "
        "({cells} of cut and distance, {n}). ",
        held=w.percent(held),
        cells=w.plural(cells, "cell"),
        n=w.plural(body["n_forecasts"], "forecast"),
    )
    to_come, reach = _to_come(body)
    text += _lean(body) + " " + _uneven(body) + _advice(body, to_come, reach)
    return Prose(text, "backtest", "" if min(held, to_come) >= 0.8 and not weak(body) else "caution")


def _untested(data: Data) -> Any:
    return say(
        "<b>These runs cannot test the intervals</b>: they are too few, or span too little compute, to be cut into "
        "smaller and larger ones with enough runs below. The weights and the discrepancy of {share} per decade are "
        "what other public tables taught; runs at a smaller or a larger scale would test them here.",
        share=percents(100 * data["backtest"]["discrepancy_per_decade"]),
    )


def weak(body: Mapping[str, Any]) -> bool:
    """Whether the cells and cuts are too few to tell a good interval from a poor one."""
    return bool(body["n_cells"] < FEW_CELLS or len(body["folds"]) < FEW_CUTS)


def _far(body: Mapping[str, Any]) -> tuple[float, float]:
    """From which distance on forecasts are called far, and their mean bias, each cell once."""
    rows = body["by_decade"]
    start = FAR if any(r["decades_from"] >= FAR - 0.15 for r in rows) else rows[-1]["decades_from"]
    far = [r for r in rows if r["decades_from"] >= start - 0.15]
    cells = sum(r["n_cells"] for r in far)
    return float(far[0]["decades_from"]), sum(r["bias"] * r["n_cells"] for r in far) / cells


def _lean(body: Mapping[str, Any]) -> Any:
    start, bias = _far(body)
    width = body["half_width"]
    where = f"beyond {decades(start)}"
    if abs(bias) < max(0.25, 0.2 * width):
        return say(
            "Forecasts {where} leaned neither way: {bias} too {side} on average, against a half-width of {width}.",
            where=where,
            bias=percents(bias),
            side="high" if bias >= 0 else "low",
            width=percents(width),
        )
    return say(
        "Forecasts {where} have been <b>{bias} too {side}</b> on average.",
        where=where,
        bias=percents(bias),
        side="high" if bias > 0 else "low",
    )


def _first_and_later(body: Mapping[str, Any]) -> tuple[float, float] | None:
    """Coverage of 90 % intervals at the smallest cut and at the others, where the former made do with few runs and
    fared otherwise."""
    first, *later = body["folds"]
    if not later or first["n_train"] > 0.5 * later[-1]["n_train"]:
        return None
    cells = sum(f["n_cells"] for f in later)
    rest = sum(f["coverage"]["0.9"] * f["n_cells"] for f in later) / cells
    return (first["coverage"]["0.9"], rest) if abs(first["coverage"]["0.9"] - rest) >= 0.15 else None


def _uneven(body: Mapping[str, Any]) -> Any:
    found = _first_and_later(body)
    if found is None:
        return ""
    return say(
        "The cut with only {n} runs below it held {first}; the later ones, closer to what this report forecasts "
        "from, {rest}. ",
        n=body["folds"][0]["n_train"],
        first=w.percent(found[0]),
        rest=w.percent(found[1]),
    )


def _to_come(body: Mapping[str, Any]) -> tuple[float, float]:
    """What a 90 % interval is taken to hold from here on, and how many decades out that was tested.

    Where the later cuts fared otherwise than the first, for better or worse, they count half: they are closer to what
    is forecast from.
    """
    held, uneven = float(body["coverage"]["0.9"]), _first_and_later(body)
    if uneven is None:
        return held, farthest(body["folds"])
    return (held + uneven[1]) / 2, farthest(body["folds"][1:])


def _advice(body: Mapping[str, Any], held: float, reach: float) -> Any:
    if held >= 0.8 and weak(body):
        advice = "Nothing here speaks against a 90 % interval, and little for it"
    elif held >= 0.97:
        advice = f"Treat a 90 % interval as safe, perhaps wider than it need be, up to {decades(reach)} beyond the runs"
    elif held >= 0.8:
        advice = f"Treat a 90 % interval as about what it says, up to {decades(reach)} beyond the runs"
    elif held >= 0.55:
        advice = f"Treat a 90 % interval as one of about {100 * round(held, 1):.0f} %, and plan for a result outside it"
    else:
        advice = "Treat the intervals as too narrow, and the forecast as one possibility among several"
    advice = advice.replace(" %", "\u00a0%")
    if not weak(body):
        return say("{advice}; further out nothing has been tested.", advice=advice)
    return say(
        "{advice}. This is a <b>weak test</b>: {cells} at {cuts} cannot tell a 90\u00a0% interval from a "
        "70\u00a0% one.",
        advice=advice,
        cells=w.plural(body["n_cells"], "cell"),
        cuts=w.plural(len(body["folds"]), "cut"),
    )


def farthest(folds: Sequence[Mapping[str, Any]]) -> float:
    """Decades beyond its cut of the farthest forecast."""
    return float(max(fold["decades"][1] for fold in folds))


def misfit(data: Data) -> list[Prose]:
    """The caution that the laws missed the larger runs; nothing where they did not."""
    body = data["backtest"]
    if not body or not body["misfit"]:
        return []
    text = body["misfit"]
    return [Prose(say("<b>Misfit</b>: {text}", text=text), "backtest", "caution")]
