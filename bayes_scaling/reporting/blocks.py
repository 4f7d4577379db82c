"""What a report is made of: sections, and in them sentences, tables and figures in the order they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from bayes_scaling.reporting.study import Study

_TAGS = re.compile(r"<[^>]*>")

Data = Mapping[str, Any]
"""What report.json holds."""


@dataclass(frozen=True)
class Prose:
    """A paragraph. `table` names the table its numbers stand in; `tone` is "", "caution" or "failed"."""

    text: str
    table: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """A printed column: `show(row)` gives the cell; numeric ones are set flush right."""

    label: str
    show: Callable[[Mapping[str, Any]], str]
    numeric: bool = True
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """A table: `rows`, whole and unrounded, become the CSV, nested values as columns of their own; `columns` say what
    the page prints of them.

    Without columns a table is a CSV only.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    columns: tuple[Column, ...] = ()
    note: str = ""
    folded: bool = False

    @property
    def kind(self) -> str:
        """By which the template knows it."""
        return "table"

    @property
    def cells(self) -> list[list[str]]:
        """What is shown, dims (row, column)."""
        return [[column.show(row) for column in self.columns] for row in self.rows]


@dataclass(frozen=True)
class Panel:
    """One chart: an Altair chart without a width, its height, and the room for labels on its right, in
    pixels."""

    chart: Any
    height: int
    right: int = 10


@dataclass(frozen=True)
class Key:
    """One entry of a figure's legend: `mark` is "band", "line", "point", "diamond", "triangle", "tick" or
    "dash"."""

    mark: str
    colour: str
    label: str


@dataclass(frozen=True)
class Figure:
    """A figure of one or more panels, `across` of them side by side where there is room."""

    name: str
    title: str
    caption: str
    alt: str
    panels: tuple[Panel, ...]
    key: tuple[Key, ...] = ()
    across: int = 1
    table: str = ""

    @property
    def kind(self) -> str:
        """By which the template knows it."""
        return "figure"


Block = Prose | Figure | Table


@dataclass(frozen=True)
class Section:
    """One section: numbers, and a view of them.

    Parameters
    ----------
    key
        Its key in report.json and its anchor on the page.
    title
        Its heading.
    numbers
        Computes what stands under `key`: a JSON-like dict.
    view
        Turns the whole report's data into blocks.
    within
        The key of an earlier section that this one is a part of: its numbers join that section's, its blocks follow
        that section's, under the same heading.
    """

    key: str
    title: str
    numbers: Callable[[Study], dict[str, Any]]
    view: Callable[[Data], list[Block]]
    within: str = ""

    @property
    def place(self) -> str:
        """The key in report.json under which its numbers stand."""
        return self.within or self.key


def say(template: str, **values: Any) -> Markup:
    """A sentence in which `{name}` stands for an escaped value and `<b>` for what it says."""
    return Markup(template).format(**values)


def plain(text: str) -> str:
    """A sentence without its marks, for a terminal."""
    return str(Markup(_TAGS.sub("", text)).unescape()) if isinstance(text, Markup) else text


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested rows as columns: {"loss": {"median": 1}} is {"loss_median": 1}; lists are left out."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            out.update(flat(value, f"{prefix}{key}_"))
        elif not isinstance(value, list | tuple):
            out[f"{prefix}{key}"] = value
    return out
