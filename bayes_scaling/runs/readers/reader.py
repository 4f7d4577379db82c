"""What a reader is: a `Format` turns bytes into cells, a `Layout` turns a table into one row a run.

Each file of this folder may define one of each, as `FORMAT` and `LAYOUT`; they are found by themselves, so that a new
one is a new file and nothing else.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.base.text import storable
from bayes_scaling.runs.columns import listed, printable
from bayes_scaling.runs.readers.opening import Content


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it. `places[i]` says where row i stands: "line 7" counts a file's lines from
    the header's 1; "row 6" is an index. `source` names the table in messages. `decimal` is the decimal mark that the
    file's separator speaks for: a comma where columns are parted by semicolons."""

    frame: pd.DataFrame
    source: str
    place_word: str
    places: np.ndarray
    notices: tuple[Notice, ...] = field(default=())
    decimal: str = "."

    def where(self, position: int | np.integer) -> str:
        """`line 7`, for messages."""
        return f"{self.place_word} {printable(self.places[position])}"


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    title
        Its name, for people.
    endings
        Endings of file names that speak for it, with the dot, lower case.
    knows
        Whether content is of this format. Formats are asked in order; the first that knows it reads it.
    read
        From content to cells; raises `DataError` where it is malformed.
    order
        Formats with a small one are asked first: binary formats before text, narrow ones before CSV, which takes all.
    """

    title: str
    endings: tuple[str, ...]
    knows: Callable[[Content], bool]
    read: Callable[[Content], RawTable]
    order: int = 50


@dataclass(frozen=True)
class Layout:
    """A way to lay runs out other than one a row. `turn` gives the table with one row a run, or None where it is not
    laid out so; it adds a notice that says what it did."""

    title: str
    turn: Callable[[RawTable], RawTable | None]
    order: int = 50


@cache
def formats() -> tuple[Format, ...]:
    """All formats, in the order in which they are asked."""
    return tuple(sorted(_found("FORMAT"), key=lambda one: one.order))


@cache
def layouts() -> tuple[Layout, ...]:
    """All layouts, in the order in which they are tried."""
    return tuple(sorted(_found("LAYOUT"), key=lambda one: one.order))


def _found(name: str) -> list[Any]:
    package = importlib.import_module(__package__)
    modules = [importlib.import_module(f"{__package__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return [value for module in modules if (value := getattr(module, name, None)) is not None]


def laid_out(table: RawTable) -> RawTable:
    """The table with one row a run, whichever layout it came in."""
    for layout in layouts():
        turned = layout.turn(table)
        if turned is not None:
            table = turned
    return table


def from_frame(
    frame: pd.DataFrame, source: str, place_word: str = "row", places: Sequence[Any] | None = None
) -> RawTable:
    """Wrap a copy of a DataFrame; its index names the rows in messages, unless `places` does.

    Raises
    ------
    DataError
        If it has no rows, or repeats a column name.
    """
    frame = frame.copy()
    labels = frame.index if places is None else places
    frame.columns = pd.Index([storable(str(name)) for name in frame.columns], dtype=object)
    unique(list(frame.columns), source)
    for name in [name for name in frame.columns if frame[name].dtype.kind == "O"]:
        cells = [_bounded(cell) for cell in frame[name]]
        if any(new is not old for new, old in zip(cells, frame[name], strict=True)):
            frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    if frame.empty:
        raise DataError(f"{source} has no runs. Give it a row for each run.")
    return RawTable(
        frame.reset_index(drop=True), source, place_word, np.array([str(label) for label in labels], dtype=object)
    )


def from_records(records: Sequence[dict[str, Any]], source: str, place_word: str, places: Sequence[Any]) -> RawTable:
    """A table of objects, one a run: its columns are all their keys; a key that one lacks is blank there."""
    names = dict.fromkeys(name for record in records for name in record)
    frame = object_frame({name: [record.get(name) for record in records] for name in names})
    return RawTable(frame, source, place_word, np.array(places))


def object_frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Cells as they are: pandas' own inference would turn text to an Arrow type and 7 to 7.0."""
    length = len(next(iter(columns.values()), []))
    data: dict[str, np.ndarray] = {}
    for name, cells in columns.items():
        data[name] = np.empty(length, dtype=object)
        for i, cell in enumerate(cells):  # element-wise, or a nested list would become an array
            data[name][i] = _bounded(cell)
    return pd.DataFrame(data, dtype=object)


def _bounded(cell: Any) -> Any:
    """A cell as floats and files can hold it: a whole number beyond a float's range is infinite, as such a float is."""
    if type(cell) is int and cell.bit_length() > 1023:
        return math.copysign(math.inf, cell >> (cell.bit_length() - 8))
    return storable(cell) if type(cell) is str else cell


def header(cells: Sequence[str], source: str) -> list[str]:
    """Column names from the cells of a header line: stripped, none blank, none twice.

    Raises
    ------
    DataError
        If all are numbers, or a name is there twice.
    """
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:
        names.pop()  # trailing separators
    # A frame written with its index has a first column without a name.
    names = [name or f"column {k}" for k, name in enumerate(names, 1)]
    if all(is_number(name) for name in names):
        raise DataError(f"{source}: its first line holds numbers. Add a header line, such as params,tokens,loss.")
    unique(names, source)
    return names


def is_number(text: str) -> bool:
    """Whether `float` reads the text."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def unique(names: list[str], source: str) -> None:
    """Raises `DataError` where a column name is there twice."""
    if len(set(names)) < len(names):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise DataError(f"{source}: more than one column is called {listed(twice)}. Rename all but one.")


def unreadable(source: str, title: str, error: Exception) -> DataError:
    """The error for content that a library cannot read as `title`."""
    first = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
    return DataError(f"{source} is not readable as {title} ({first}). If it is CSV, give its name the ending .csv.")
