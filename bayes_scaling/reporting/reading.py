"""What several parts of a report read from its data in the same way: titles, colours, runs, legends."""

from __future__ import annotations

from typing import Any

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Column, Data, Key
from bayes_scaling.runs.loss_names import UNITS

AVERAGE = "average of laws"
INNER = 0.5
"""Probability of the inner band of figures."""


def titles(data: Data) -> dict[str, str]:
    """Each law's title, by name."""
    return dict(zip(data["asked"]["laws"], map(w.name, data["asked"]["titles"]), strict=True))


def colours_of(data: Data) -> dict[str, str]:
    """A colour for each law, the same in every figure."""
    return t.law_colours(data["asked"]["laws"])


def run_rows(data: Data) -> list[dict[str, Any]]:
    """The runs as figures show them: sizes as numbers and as words, compute as the frontier counts it."""
    body = data["runs"]
    groups = body["group"] or ["runs"] * body["n"]
    return [
        {
            "run": w.name(body["run"][i]),
            "group": w.name(groups[i]),
            "params": body["params"][i],
            "tokens": body["tokens"][i],
            "flops": body["flops_counted"][i],
            "loss": body["loss"][i],
            "size": w.format_count(body["params"][i]),
            "read": w.format_count(body["tokens"][i]),
        }
        for i in range(body["n"])
    ]


def largest(data: Data) -> float:
    """Compute of the largest run as figures count it, FLOP: beyond it no run checks a law."""
    return float(max(data["runs"]["flops_counted"]))


def band_keys(data: Data, line: str) -> tuple[Key, ...]:
    """The legend of a curve with two bands."""
    ci = w.prob(data["ci_prob"])
    return (
        Key("line", t.BAND, line),
        Key("band", "#9dbdd4", "50 % interval"),
        Key("band", "#d6e3ed", f"{ci} interval"),
    )


def interval_keys(data: Data) -> tuple[Key, ...]:
    """The legend of rows of intervals."""
    return (
        Key("point", t.MUTED, "median"),
        Key("dash", t.MUTED, "50 % interval"),
        Key("line", t.MUTED, f"{w.prob(data['ci_prob'])} interval"),
    )


def law_column(data: Data) -> Column:
    """The column that names a row's law."""
    names = titles(data)
    return Column("law", lambda r: names.get(r["law"], r["law"]), numeric=False)


def loss_words(data: Data) -> str:
    """The unit of losses in words: "nats per token", or "error"."""
    return UNITS[(data["runs"] or {}).get("loss_unit", "nats")]


def loss_short(data: Data) -> str:
    """The unit after a difference of losses: " nats", or nothing where the loss is a number on its own scale."""
    return "\u00a0nats" if loss_words(data) == UNITS["nats"] else ""


def bounds(row: dict[str, Any]) -> dict[str, Any]:
    """The inner band of an interval value."""
    return {"lower": row["lower"], "upper": row["upper"], "prob": INNER}
