"""CSV, and tables parted by semicolons, tabs or bars.

Through the standard library's reader: it knows the line each record stands on, which pandas' does not.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, header, object_frame

_SHOWN = 20
_WORDS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(text: str, source: str) -> RawTable:
    """Parse CSV text; a table separated by semicolons, tabs or bars is read too, with a notice.

    Raises
    ------
    DataError
        If it is empty, has no header or no rows, repeats a column name, or has rows of another width.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    notices: tuple[Notice, ...] = ()
    delimiter = _delimiter(text)
    if delimiter != ",":
        notices = (Notice("separator", f"{source}: read as separated by {_WORDS[delimiter]}, not commas."),)
    names: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    ragged: list[str] = []
    last = 0
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            # A quoted cell may span lines: a record starts on the line after the previous one's last.
            line, last = last + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue  # blank lines, and the ",,,," that spreadsheets leave behind
            if names is None:
                names = header(cells, source)
                continue
            if len(cells) > len(names) and not any(cell.strip() for cell in cells[len(names) :]):
                cells = cells[: len(names)]
            if len(cells) != len(names):
                ragged.append(f"line {line} has {len(cells)}")
            rows.append(cells)
            lines.append(line)
    except csv.Error as error:
        raise DataError(
            f"{source}, line {max(reader.line_num, 1)}: not readable as CSV ({error}). Check its quotation marks."
        ) from error
    if names is None:
        raise DataError(f"{source} is empty. It needs a header line and a line for each run.")
    if ragged:
        more = f" and {len(ragged) - _SHOWN} more" if len(ragged) > _SHOWN else ""
        raise DataError(
            f"{source}: the header has {len(names)} columns, but {', '.join(ragged[:_SHOWN])}{more}. "
            f"Each line needs one cell a column; quote a cell that holds a comma."
        )
    if not rows:
        raise DataError(f"{source} has a header but no runs below it. Add a line for each run.")
    columns = zip(*rows, strict=True)
    frame = object_frame({name: list(cells) for name, cells in zip(names, columns, strict=True)})
    return RawTable(frame, source, "line", np.array(lines), notices, decimal="," if delimiter == ";" else ".")


def _delimiter(text: str) -> str:
    first = next(line for line in text.split("\n") if line.strip(" ,;\t|")) if text.strip(" ,;\t|\n") else ","
    return max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))


def _all(content: Content) -> bool:
    return content.folder is None


def _read(content: Content) -> RawTable:
    return read_csv(content.text, content.source)


FORMAT = Format("CSV", (".csv", ".tsv", ".txt"), _all, _read, order=100)
