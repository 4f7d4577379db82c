"""What a section is made of: sentences, tables, figures and notes, in the order they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


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
    """A table: `rows`, whole and unrounded, become the CSV; `columns` say what the page prints of them.

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
        return "table"

    @property
    def cells(self) -> list[list[str]]:
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
        return "figure"


def say(template: str, **values: Any) -> Markup:
    """A sentence in which `{name}` stands for an escaped value and `<b>` for what it says."""
    return Markup(template).format(**values)


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested rows as columns: {"loss": {"median": 1}} is {"loss_median": 1}; lists are left out."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            out.update(flat(value, f"{prefix}{key}_"))
        elif not isinstance(value, list | tuple):
            out[f"{prefix}{key}"] = value
    return out
