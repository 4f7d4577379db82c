"""A folder that no other format knows: refused, naming the tables in it."""

from __future__ import annotations

from bayes_scaling.base.errors import DataError
from bayes_scaling.runs.readers.opening import Content, tables_in
from bayes_scaling.runs.readers.reader import Format, RawTable


def _knows(content: Content) -> bool:
    return content.folder is not None


def _read(content: Content) -> RawTable:
    assert content.folder is not None
    raise DataError(f"{content.folder} is a folder, not a table. Name a file in it: {tables_in(content.folder)}.")


FORMAT = Format("folder", (), _knows, _read, order=90)
