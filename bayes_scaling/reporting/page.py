"""The page: blocks to HTML, charts to specifications and SVG, tables to CSV. Everything is escaped on its way
in."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import finite
from bayes_scaling.reporting import answer, theme
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Figure, Prose, Section, Table, flat, say
from bayes_scaling.reporting.glossary import TERMS
from bayes_scaling.reporting.references import SOURCES
from bayes_scaling.reporting.sections import sections
from bayes_scaling.reporting.status import status
from bayes_scaling.runs.datasets import is_dataset
from bayes_scaling.runs.loading import load_runs

STILL_WIDTH = 960
TITLE = 120
"""Characters of the page's title before it is cut."""
STILL_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
"""Widths of text are worked out where the figure is made and not where it is read: fonts of equal widths."""
_IDENTIFIERS = re.compile(r"\b(clip|gradient_|pattern_)([0-9]+)\b")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a formula begins with in one spreadsheet or another (OWASP, CSV injection)."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Made:
    """A page and the files beside it, by their path in the folder."""

    page: str
    files: Mapping[str, str]


def make(data: Mapping[str, Any]) -> Made:
    """The page, tables and figures of a report's data."""
    written: dict[str, str] = {}
    shown: dict[str, dict[str, Any]] = {}
    for section in sections():
        blocks = [_render(block, written) for block in _view(section, data)]
        if section.within:
            shown[section.within]["blocks"] += blocks
        else:
            shown[section.key] = {"key": section.key, "title": section.title, "blocks": blocks}
    page = (
        _environment()
        .get_template("template.html.j2")
        .render(
            data=data,
            style=Markup(_text("style.css")),
            bundle=Markup(_bundle()),
            sections=list(shown.values()),
            name=w.name(data["asked"]["name"], TITLE),
            question=answer.question(data),
            fan=[_render(block, written) for block in answer.figure(data)],
            tiles=answer.tiles(data),
            headline=[_sentence(p) for p in answer.headline(data)],
            budgets=[_render(block, written) for block in answer.budgets(data)],
            trust=[_sentence(p) for p in answer.trust(data)],
            changes=[_sentence(p) for p in answer.changes(data)],
            paragraph=answer.paragraph(data),
            status=status(data),
            command=command(data),
            script=python_script(data),
            terms=TERMS,
            sources=list(SOURCES.values()) + _law_sources(data),
            w=w,
        )
    )
    return Made(page, written)


def _view(section: Section, data: Mapping[str, Any]) -> Sequence[Any]:
    if data[section.place] is None:
        if section.within:  # said by the section that it is a part of
            return []
        why = data["failures"].get(section.key, "its numbers are missing")
        return [Prose(f"This section could not be made: {why}", tone="failed")]
    try:
        return section.view(data)
    except Exception as error:  # the rest of the page stands; this place says what is missing
        return [Prose(f"This section could not be drawn: {type(error).__name__}: {error}", tone="failed")]


def _render(block: Any, written: dict[str, str]) -> dict[str, Any]:
    if isinstance(block, Table):
        written[f"tables/{block.name}.csv"] = to_csv(block.rows)
        return {"kind": "table" if block.columns else "file", "table": block, "cells": _cells(block)}
    if isinstance(block, Figure):
        svg = still(block)
        written[f"figures/{block.name}.svg"] = svg
        image = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
        specs = [json_for_script(live(panel.chart, panel.height, panel.right)) for panel in block.panels]
        return {"kind": "figure", "figure": block, "image": image, "specs": specs}
    return {"kind": "prose", **_sentence(block)}


def _cells(table: Table) -> list[list[str]]:
    return [[w.legible(cell, w.CELL) for cell in row] for row in table.cells]


def _sentence(block: Prose) -> dict[str, str]:
    text = w.legible(block.text)
    return {"text": Markup(text) if isinstance(block.text, Markup) else text, "table": block.table, "tone": block.tone}


def live(chart: Any, height: int, right: int = 10) -> dict[str, Any]:
    """The specification of a chart that fills its container; its legend is the page's own key."""
    spec: dict[str, Any] = _without_legends(_legible(chart.properties(width="container", height=height).to_dict()))
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["config"] = {**theme.CONFIG, "padding": {"left": 2, "right": right, "top": 5, "bottom": 5}}
    return spec


def _without_legends(spec: Any) -> Any:
    """A specification in which every colour has `legend: null`."""
    if isinstance(spec, dict):
        return {
            k: {**v, "legend": None} if k == "color" and isinstance(v, dict) and "field" in v else _without_legends(v)
            for k, v in spec.items()
        }
    return [_without_legends(v) for v in spec] if isinstance(spec, list) else spec


def _legible(spec: Any) -> Any:
    """A specification whose every text can be seen: names in it may be anything."""
    if isinstance(spec, dict):
        return {k: _legible(v) for k, v in spec.items()}
    if isinstance(spec, list):
        return [_legible(v) for v in spec]
    return w.legible(spec) if isinstance(spec, str) else spec


def still(figure: Figure) -> str:
    """The whole figure as SVG, at a fixed width and with its legend."""
    n, across = len(figure.panels), figure.across
    if n == 1:
        chart = figure.panels[0].chart.properties(width=STILL_WIDTH - 160, height=figure.panels[0].height)
    else:
        width = STILL_WIDTH // across - {1: 160, 2: 110}.get(across, 50)
        sized = [p.chart.properties(width=width, height=p.height) for p in figure.panels]
        chart = alt.concat(*sized, columns=across, spacing=24)
    spec = _legible(chart.to_dict())
    spec["config"] = {**theme.CONFIG, "font": STILL_FONT, "concat": {"spacing": 24}, "padding": 14}
    svg = _renumbered(str(vl_convert.vegalite_to_svg(spec, vl_version=_vega_lite())))
    told = say("<title>{title}</title><desc>{text}</desc>", title=figure.title, text=figure.caption)
    return re.sub(r"(<svg[^>]*>)", lambda m: m[1] + str(told), svg, count=1)


def _renumbered(svg: str) -> str:
    """Identifiers counted from one in each figure: Vega counts on through the life of the process."""
    seen: dict[str, int] = {}
    return _IDENTIFIERS.sub(lambda m: f"{m[1]}{seen.setdefault(m[0], len(seen) + 1)}", svg)


def _vega_lite() -> str:
    return ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


@cache
def _bundle() -> str:
    """Vega-Embed with all it needs, as one script; a closing tag inside a string must not end it."""
    code = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_vega_lite()))
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def json_for_script(value: Any) -> Markup:
    """JSON that may stand inside a <script>: no tag, entity or line separator in it can mean anything to
    HTML."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, numbers unrounded, a missing value empty, and no text that a spreadsheet takes for a formula."""
    rows = [flat(row) for row in rows]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_inert(column) for column in columns])
    writer.writerows([_inert(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet computes: text that begins like a formula has an apostrophe before it, which says
    that it is text. Numbers are numbers, also where they are written as text."""
    if value is None:
        return ""
    if not isinstance(value, str) or not value.startswith(FORMULA) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def command(data: Mapping[str, Any]) -> str:
    """The command that makes this report again, from inside its folder where the runs are no known data
    set."""
    asked = data["asked"]
    parts = ["bayes-scaling", "report", _runs_argument(data)]
    parts += ["--laws", ",".join(asked["laws"]), "--seed", str(asked["random_seed"])]
    parts += [
        "--draws",
        str(asked["draws"]),
        "--chains",
        str(asked["chains"]),
        "--ci",
        f"{data['ci_prob']:g}",
    ]
    if asked["noise"] != "student_t":
        parts += ["--noise", asked["noise"]]
    for budget in asked["budgets"] if asked["budgets_given"] else ():
        parts += ["--budget", w.flop(budget) if float(w.flop(budget)) == budget else repr(budget)]
    if asked["target_loss"] is not None:
        parts += ["--target-loss", repr(asked["target_loss"])]
    for name, prior in asked["priors"].items():
        parts += ["--prior", f"{name}={prior}"]
    return shlex.join(parts)


def _runs_argument(data: Mapping[str, Any]) -> str:
    source = str(data["asked"]["source"])
    return source if _is_as_shipped(source, data["provenance"]["runs_sha256"]) else "tables/runs.csv"


def _is_as_shipped(source: str, sha256: str) -> bool:
    """Whether the runs are the known data set of that name, and not a file that bears it, or read another way."""
    if not is_dataset(source):
        return False
    try:
        return load_runs(source).sha256 == sha256
    except DataError:  # a data set to be downloaded, which this machine does not have
        return False


def python_script(data: Mapping[str, Any]) -> str:
    """The same in Python."""
    asked = data["asked"]
    given = [f"laws={asked['laws']!r}", f"random_seed={asked['random_seed']}"]
    given += [f"draws={asked['draws']}", f"chains={asked['chains']}"]
    if asked["budgets_given"]:
        given.append(f"budgets={asked['budgets']!r}")
    if asked["target_loss"] is not None:
        given.append(f"target_loss={asked['target_loss']!r}")
    lines = ["import bayes_scaling as bs", "", "bs.report(", f"    {_runs_argument(data)!r},"]
    return "\n".join([*lines, *(f"    {item}," for item in given), ")"])


def _law_sources(data: Mapping[str, Any]) -> list[str]:
    return sorted({f"{fit['title']}: {fit['citation']}." for fit in (data["fit"] or {}).values()})


def _text(name: str) -> str:
    return files("bayes_scaling.reporting").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_text)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
