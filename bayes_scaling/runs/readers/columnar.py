"""Parquet, and Arrow (also called Feather), through pyarrow."""

from __future__ import annotations

import io

import pandas as pd

from bayes_scaling.base.errors import DataError
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, from_frame, unreadable

_PARQUET = (".parquet", ".pq")


def _knows(content: Content) -> bool:
    starts = content.data.startswith((b"PAR1", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"))
    return content.folder is None and (starts or content.ending in FORMAT.endings)


def _read(content: Content) -> RawTable:
    parquet = content.data.startswith(b"PAR1") or content.ending in _PARQUET
    title = "Parquet" if parquet else "Arrow"
    try:
        import pyarrow as pa
    except ImportError as error:
        raise DataError(f"{content.source}: reading {title} needs pyarrow. Install it: pip install pyarrow.") from error
    try:
        frame = _frame(content.data, parquet)
    except (pa.ArrowException, ValueError, KeyError, TypeError, NotImplementedError, OSError) as error:
        raise unreadable(content.source, title, error) from error
    return from_frame(frame, content.source)


def _frame(data: bytes, parquet: bool) -> pd.DataFrame:
    import pyarrow as pa

    if parquet:
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(data))
    elif data.startswith((b"ARROW1", b"FEA1")):
        import pyarrow.feather as feather

        table = feather.read_table(io.BytesIO(data))
    else:
        table = pa.ipc.open_stream(data).read_all()
    frame: pd.DataFrame = table.to_pandas()
    return frame


FORMAT = Format("Parquet or Arrow", (*_PARQUET, ".arrow", ".feather", ".ipc"), _knows, _read, order=10)
