"""Reads a file into cells: CSV, Parquet, JSON lines. Says nothing about what the columns mean.

Text cells stay text, so that a message can show what the file says and where. CSV goes through the standard
library's reader: it knows the line each record stands on, which pandas' does not. Nothing is evaluated or
unpickled.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.runs.columns import listed, printable

MAX_BYTES = 1 << 30
"""A table of runs larger than 1 GiB is a mistake."""

_FIRST = 1 << 16
_SHOWN = 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it. `places[i]` says where row i stands: "line 7" counts a file's lines from
    the header's 1; "row 6" is an index. `source` names the table in messages."""

    frame: pd.DataFrame
    source: str
    place_word: str
    places: np.ndarray
    notices: tuple[Notice, ...] = field(default=())

    def where(self, position: int) -> str:
        """The row at `position` as people find it in the file."""
        return f"{self.place_word} {printable(self.places[position])}"


def read_file(path: Path) -> RawTable:
    """Read the table at `path`; its ending says the format, and CSV is assumed for any other.

    Raises
    ------
    DataError
        If the file is missing, unreadable, no table, or malformed; the message says where and what to do.
    """
    source = printable(path.name, 120)
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder, not a table. Name a file in it: {_tables_in(path)}.")
        with path.open("rb") as stream:
            size = path.stat()
            if stat.S_ISREG(size.st_mode) and size.st_size > MAX_BYTES:
                raise _too_large(source)
            if path.suffix.lower() in (".parquet", ".pq"):
                return _read_parquet(path, source)
            data = _bounded(stream, source)
    except FileNotFoundError as error:
        raise DataError(f"No such file: {printable(path, 200)}. Check the path.") from error
    except OSError as error:
        raise DataError(f"Cannot read {printable(path, 200)}: {error.strerror or error}.") from error
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return read_jsonl(_decode(data, source), source)
    return read_csv(_decode(data, source), source)


def read_stdin() -> RawTable:
    """Read CSV from standard input; raises `DataError` as `read_file` does."""
    return read_csv(_decode(_bounded(sys.stdin.buffer, "standard input"), "standard input"), "standard input")


def read_csv(text: str, source: str) -> RawTable:
    """Parse CSV text; a table separated by semicolons or tabs is read too, with a notice.

    Raises
    ------
    DataError
        If it is empty, has no header or no rows, repeats a column name, or has rows of another width.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    notices: tuple[Notice, ...] = ()
    delimiter = _delimiter(text)
    if delimiter != ",":
        word = {";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
        notices = (Notice("separator", f"{source}: read as separated by {word}, not commas."),)
    header: list[str] | None = None
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
            if header is None:
                header = _header(cells, source)
                continue
            if len(cells) > len(header) and not any(cell.strip() for cell in cells[len(header) :]):
                cells = cells[: len(header)]
            if len(cells) != len(header):
                ragged.append(f"line {line} has {len(cells)}")
            rows.append(cells)
            lines.append(line)
    except csv.Error as error:
        raise DataError(
            f"{source}, line {max(reader.line_num, 1)}: not readable as CSV ({error}). Check its quotation marks."
        ) from error
    if header is None:
        raise DataError(f"{source} is empty. It needs a header line and a line for each run.")
    if ragged:
        more = f" and {len(ragged) - _SHOWN} more" if len(ragged) > _SHOWN else ""
        raise DataError(
            f"{source}: the header has {len(header)} columns, but {', '.join(ragged[:_SHOWN])}{more}. "
            f"Each line needs one cell a column; quote a cell that holds a comma."
        )
    if not rows:
        raise DataError(f"{source} has a header but no runs below it. Add a line for each run.")
    columns = zip(*rows, strict=True)
    frame = _object_frame({name: list(cells) for name, cells in zip(header, columns, strict=True)})
    return RawTable(frame, source, "line", np.array(lines), notices)


def read_jsonl(text: str, source: str) -> RawTable:
    """Parse JSON lines: one object a line.

    Raises
    ------
    DataError
        If a line is no JSON object, or there is none.
    """
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_unique_pairs)
        except (ValueError, RecursionError) as error:
            detail = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"{source}, line {number}: not valid JSON ({detail}): {printable(line)}. JSON lines need "
                f'one whole object on each line, such as {{"params": 7e9, "tokens": 3e11, "loss": 2.1}}.'
            ) from error
        if not isinstance(record, dict):
            raise DataError(
                f"{source}, line {number}: {printable(line)} is no JSON object. Write one object a line "
                f"(an array becomes lines with: jq -c '.[]')."
            )
        records.append(record)
        lines.append(number)
    if not records:
        raise DataError(f"{source} is empty. It needs one JSON object a line, one for each run.")
    names = dict.fromkeys(name for record in records for name in record)
    frame = _object_frame({name: [record.get(name) for record in records] for name in names})
    return RawTable(frame, source, "line", np.array(lines))


def from_frame(frame: pd.DataFrame, source: str) -> RawTable:
    """Wrap a copy of a DataFrame; its index names the rows in messages.

    Raises
    ------
    DataError
        If it has no rows, or repeats a column name.
    """
    frame = frame.copy()
    places = np.array([str(label) for label in frame.index], dtype=object)
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    _unique(list(frame.columns), source)
    if frame.empty:
        raise DataError(f"{source} has no runs. Give it a row for each run.")
    return RawTable(frame.reset_index(drop=True), source, "row", places)


def _read_parquet(path: Path, source: str) -> RawTable:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"{source}: reading Parquet needs pyarrow. Install it: pip install pyarrow.") from error
    try:
        table = pq.read_table(path)
        frame = table.to_pandas()
    except (pa.ArrowException, ValueError) as error:
        first = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise DataError(
            f"{source} is not readable as Parquet ({first}). If it is CSV, give its name the ending .csv."
        ) from error
    return from_frame(frame, source)


def _bounded(stream: BinaryIO, source: str) -> bytes:
    """All bytes, but a binary file is refused after its first 64 KiB, however large it is."""
    first = stream.read(_FIRST)
    _refuse_binary(first, source)
    data = first + stream.read(MAX_BYTES + 1 - len(first))
    if len(data) > MAX_BYTES:
        raise _too_large(source)
    _refuse_binary(data, source)
    return data


def _refuse_binary(data: bytes, source: str) -> None:
    if _encoding(data) in ("utf-16", "utf-32"):
        return
    if data[:4] == b"PAR1":
        raise DataError(f"{source} is a Parquet file. Give its name the ending .parquet.")
    if data[:2] == b"\x1f\x8b" or data[:4] in (b"PK\x03\x04", b"\x28\xb5\x2f\xfd"):
        raise DataError(f"{source} is a compressed file or a workbook. Unpack it, or export it as CSV.")
    if data[:4] in (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05"):
        raise DataError(
            f"{source} is a netCDF file, no table of runs. A saved fit is for forecast, frontier, decide or next; here "
            "give the table that it was fitted to."
        )
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise DataError(
            f"{source}, line {line}: holds a NUL byte, so it is not a text table. Export it as CSV in UTF-8."
        )


def _encoding(data: bytes) -> str:
    return next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")


def _decode(data: bytes, source: str) -> str:
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(
            f"{source}, line {line}: byte 0x{byte:02x} is not {encoding.upper()} text. Save the file as UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(f"{source}: holds NUL characters, so it is not a text table. Export it as CSV in UTF-8.")
    return text


def _delimiter(text: str) -> str:
    first = next(line for line in text.split("\n") if line.strip(" ,;\t|")) if text.strip(" ,;\t|\n") else ","
    return max(",;\t|", key=lambda mark: (first.count(mark), mark == ","))


def _header(cells: list[str], source: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    while len(names) > 1 and not names[-1]:
        names.pop()  # trailing separators
    # A frame written with its index has a first column without a name.
    names = [name or f"column {k}" for k, name in enumerate(names, 1)]
    if all(_is_number(name) for name in names):
        raise DataError(f"{source}: its first line holds numbers. Add a header line, such as params,tokens,loss.")
    _unique(names, source)
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unique(names: list[str], source: str) -> None:
    if len(set(names)) < len(names):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise DataError(f"{source}: more than one column is called {listed(twice)}. Rename all but one.")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{printable(twice)}' given twice")
    return record


def _object_frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Cells as they are: pandas' own inference would turn text to an Arrow type and 7 to 7.0."""
    length = len(next(iter(columns.values()), []))
    data: dict[str, np.ndarray] = {}
    for name, cells in columns.items():
        data[name] = np.empty(length, dtype=object)
        for i, cell in enumerate(cells):  # element-wise, or a nested list would become an array
            data[name][i] = cell
    return pd.DataFrame(data, dtype=object)


def _tables_in(folder: Path) -> str:
    endings = (".csv", ".parquet", ".pq", ".jsonl", ".ndjson", ".json", ".tsv")
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in endings)
    return listed(names, 8) if names else "it holds no CSV, Parquet or JSON-lines file"


def _too_large(source: str) -> DataError:
    return DataError(f"{source} is larger than 1 GiB: is it a table of runs? One line a training run is enough.")
