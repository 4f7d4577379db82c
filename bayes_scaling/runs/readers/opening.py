"""From a path to bytes or text: sizes bounded, compression undone, encodings found, binary files refused by name."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import IO, Any

from bayes_scaling.base.errors import DataError
from bayes_scaling.runs.columns import listed, printable

MAX_BYTES = 1 << 30
"""A table of runs larger than 1 GiB is a mistake."""

_FIRST = 1 << 16
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KNOWN = (b"PAR1", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff", b"SQLite format 3\0")
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00", b"PK\x03\x04")
_PACKED_ENDINGS = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")


@dataclass(frozen=True)
class Content:
    """What a path, or standard input, holds: `data` unpacked, `ending` that of the unpacked name, lower case, and
    `folder` where the path is one (then `data` is empty). `source` names it in messages."""

    data: bytes
    source: str
    ending: str = ""
    folder: Path | None = None

    @cached_property
    def text(self) -> str:
        """The data as text, line ends as "\\n".

        Raises
        ------
        DataError
            If it is no text.
        """
        refuse_binary(self.data, self.source)
        return _decode(self.data, self.source).replace("\r\n", "\n").replace("\r", "\n")


def from_path(path: Path) -> Content:
    """The content of the file or folder at `path`.

    Raises
    ------
    DataError
        If it is missing, unreadable, too large, or packed and damaged.
    """
    source = printable(path.name, 120)
    try:
        if path.is_dir():
            return Content(b"", source, folder=path)
        with path.open("rb") as stream:
            size = path.stat()
            if stat.S_ISREG(size.st_mode) and size.st_size > MAX_BYTES:
                raise _too_large(source)
            data = _bounded(stream, source)
    except FileNotFoundError as error:
        raise DataError(f"No such file: {printable(path, 200)}. Check the path.") from error
    except OSError as error:
        raise DataError(f"Cannot read {printable(path, 200)}: {error.strerror or error}.") from error
    except ValueError as error:  # a NUL in the name
        raise DataError(f"No such file: {printable(path, 200)} ({error}). Check the path.") from error
    ending = path.suffix.lower()
    if ending in _PACKED_ENDINGS:
        ending = Path(path.stem).suffix.lower()
    return _unpacked(data, source, ending)


def from_stdin() -> Content:
    """The content of standard input; raises `DataError` as `from_path` does."""
    source = "standard input"
    if sys.stdin is None:
        raise DataError("There is no standard input to read the table from. Name its file in the place of '-'.")
    return _unpacked(_bounded(sys.stdin.buffer, source), source, "")


def tables_in(folder: Path) -> str:
    """The tables in a folder, for a message."""
    endings = (".csv", ".parquet", ".pq", ".jsonl", ".ndjson", ".json", ".tsv", ".xlsx", ".feather", ".arrow", ".md")
    names = sorted(p.name for p in folder.iterdir() if PurePath(p.name.removesuffix(".gz")).suffix.lower() in endings)
    return listed(names, 8) if names else "it holds no CSV, Parquet or JSON-lines file"


def _unpacked(data: bytes, source: str, ending: str) -> Content:
    """Undo one compression, known by the data's first bytes."""
    opener = _opener(data)
    if opener is None:
        return Content(data, source, ending)
    try:
        with opener(io.BytesIO(data)) as stream:
            name = getattr(stream, "name", None)
            inner = stream.read(MAX_BYTES + 1)
    except MemoryError:
        raise
    except Exception as error:  # each compression has errors of its own
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
        raise DataError(
            f"{source} is a compressed file or a workbook that cannot be unpacked ({reason}). Unpack it by hand, or "
            "export it as CSV."
        ) from error
    if len(inner) > MAX_BYTES:
        raise _too_large(source)
    if isinstance(name, str) and Path(name).suffix:
        ending = Path(name).suffix.lower()
    return Content(inner, source, ending)


def _opener(data: bytes) -> Callable[[IO[bytes]], Any] | None:
    if data[:2] == b"\x1f\x8b":
        return gzip.open
    if data[:3] == b"BZh":
        return bz2.open
    if data[:6] == b"\xfd7zXZ\x00":
        return lzma.open
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        return lambda stream: pa.CompressedInputStream(stream, "zstd")
    if data[:4] == b"PK\x03\x04" and b"xl/workbook.xml" not in data:
        return _only_member
    return None


def _only_member(stream: IO[bytes]) -> Any:
    archive = zipfile.ZipFile(stream)
    files = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
    if len(files) != 1:
        raise ValueError(f"it holds {len(files)} files; one table is wanted")
    return archive.open(files[0])


def _bounded(stream: IO[bytes], source: str) -> bytes:
    """All bytes, but a binary file that nothing here reads is refused after its first 64 KiB, however large it is."""
    first = stream.read(_FIRST)
    if not first.startswith((*_KNOWN, *_PACKED)):
        refuse_binary(first, source)
    data = first + stream.read(MAX_BYTES + 1 - len(first))
    if len(data) > MAX_BYTES:
        raise _too_large(source)
    return data


def refuse_binary(data: bytes, source: str) -> None:
    """Raises `DataError` where data is no text, and says what it is."""
    if _encoding(data) in ("utf-16", "utf-32"):
        return
    if data[:4] in (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05"):
        raise DataError(
            f"{source} is a netCDF file, no table of runs. A saved fit is for forecast, frontier, decide or next; here "
            "give the table that it was fitted to."
        )
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise DataError(f"{source} is an Excel workbook of the old kind (.xls). Save it as .xlsx, or export it as CSV.")
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


def _too_large(source: str) -> DataError:
    return DataError(f"{source} is larger than 1 GiB: is it a table of runs? One line a training run is enough.")
