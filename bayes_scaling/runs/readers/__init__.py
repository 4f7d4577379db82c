"""Reads a file into cells, whatever its format and layout. Says nothing about what the columns mean.

Text cells stay text, so that a message can show what the file says and where. Nothing is evaluated or unpickled. One
file a format or a layout; `reader` finds them by themselves.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayes_scaling.base.errors import BayesScalingError
from bayes_scaling.runs.readers.delimited import read_csv as read_csv
from bayes_scaling.runs.readers.json_text import read_json as read_json
from bayes_scaling.runs.readers.json_text import read_json as read_jsonl
from bayes_scaling.runs.readers.opening import Content, from_path, from_stdin
from bayes_scaling.runs.readers.reader import RawTable as RawTable
from bayes_scaling.runs.readers.reader import formats, laid_out, unreadable
from bayes_scaling.runs.readers.reader import from_frame as _wrapped

__all__ = ["RawTable", "from_frame", "read_csv", "read_file", "read_json", "read_jsonl", "read_stdin"]


def read_file(path: Path) -> RawTable:
    """Read the table at `path`: its first bytes and its ending say the format, and CSV is assumed for any other.

    Raises
    ------
    DataError
        If the file is missing, unreadable, no table, or malformed; the message says where and what to do.
    """
    return _read(from_path(path))


def read_stdin() -> RawTable:
    """Read a table from standard input; raises `DataError` as `read_file` does."""
    return _read(from_stdin())


def from_frame(frame: pd.DataFrame, source: str) -> RawTable:
    """Wrap a copy of a DataFrame, one row a run whatever its layout; its index names the rows in messages.

    Raises
    ------
    DataError
        If it has no rows, or repeats a column name.
    """
    return laid_out(_wrapped(frame, source))


def _read(content: Content) -> RawTable:
    form = next(one for one in formats() if one.knows(content))
    try:
        return laid_out(form.read(content))
    except (BayesScalingError, MemoryError):
        raise
    except Exception as error:  # whatever a library says of a damaged or hostile file, the user needs one sentence
        raise unreadable(content.source, form.title, error) from error
