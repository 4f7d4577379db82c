"""Excel workbooks (.xlsx), through openpyxl: the first sheet that holds a table; formulas by the value last saved."""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.runs.columns import listed, printable
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, header, object_frame, unreadable


def _knows(content: Content) -> bool:
    if content.folder is not None:
        return False
    return content.ending in FORMAT.endings or (
        content.data[:4] == b"PK\x03\x04" and b"xl/workbook.xml" in content.data
    )


def _read(content: Content) -> RawTable:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(f"{content.source}: reading Excel needs openpyxl. Install it: pip install openpyxl.") from error
    source = content.source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and drawings that openpyxl does not keep
            book = openpyxl.load_workbook(io.BytesIO(content.data), read_only=True, data_only=True)
            sheets = {sheet.title: _filled(sheet) for sheet in book.worksheets}
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise unreadable(source, "an Excel workbook", error) from error
    tables = {title: rows for title, rows in sheets.items() if len(rows) > 1}
    if not tables:
        raise DataError(f"{source} is empty: no sheet holds a header and runs below it.")
    title = next(iter(tables))
    (_, first), *rows = tables[title]
    names = header([_text(cell) for cell in first], source)
    width = len(names)
    long = [number for number, cells in rows if any(_text(cell) for cell in cells[width:])]
    if long:
        raise DataError(f"{source}, sheet '{printable(title)}', row {long[0]}: a cell stands right of the header.")
    columns = {name: [_cell(cells[k] if k < len(cells) else None) for _, cells in rows] for k, name in enumerate(names)}
    notices: tuple[Notice, ...] = ()
    if len(tables) > 1:
        message = f"{source}: sheet '{printable(title)}' is read, of {listed(list(tables), 6)}. Save another by itself."
        notices = (Notice("sheet", message),)
    places = [number for number, _ in rows]
    return RawTable(object_frame(columns), source, "row", np.array(places), notices)


def _filled(sheet: Any) -> list[tuple[int, tuple[Any, ...]]]:
    """Rows that hold anything, each with its number in the sheet."""
    rows = enumerate(sheet.iter_rows(values_only=True), 1)
    return [(number, cells) for number, cells in rows if any(_text(cell) for cell in cells)]


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _cell(cell: Any) -> Any:
    return "" if cell is None else cell


FORMAT = Format("Excel", (".xlsx", ".xlsm"), _knows, _read, order=20)
