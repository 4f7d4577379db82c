"""Writes whole files or none: to a temporary name in the same folder, made durable, then moved into place."""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.text import printable

_NAME = 60
"""Characters of a file's name that its temporary one repeats: names have a limit of 255 bytes."""
ABANDONED = 3600.0
"""A temporary file older than this, seconds, was left by a process that was killed."""
_BEGUN: set[Path] = set()


def write_bytes(path: Path | str, data: bytes | memoryview, *, durable: bool = True) -> Path:
    """Write `data` to `path`; nothing half-written is ever seen there, not even after the power fails.

    A link is followed, and a file that is replaced keeps its permissions.

    Parameters
    ----------
    durable
        Whether to wait until the disk has it. False is for what is made again where it is damaged.

    Raises
    ------
    DataError
        If the folder cannot be created or written, or the disk is full.
    """
    path = Path(path)
    try:
        place = Path(os.path.realpath(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name[:_NAME]}.{secrets.token_hex(6)}.tmp")
        _BEGUN.add(temporary)
        try:
            _fill(temporary, data, _mode(place), durable)
            temporary.replace(place)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
            _BEGUN.discard(temporary)
        if durable:
            _sync_folder(place.parent)
            _tidy(place)
    except (OSError, ValueError) as error:  # a ValueError: a name that holds a NUL
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"Cannot write {printable(path, 200)}: {reason}. Choose another place with --out.") from error
    return path


def sweep() -> None:
    """Remove what is being written: for the end of a process that waits for no thread."""
    for temporary in list(_BEGUN):
        with contextlib.suppress(OSError):
            temporary.unlink()


def _tidy(place: Path) -> None:
    """Remove what processes that were killed left of the same file."""
    with contextlib.suppress(OSError):
        for left in place.parent.glob(f".{glob.escape(place.name[:_NAME])}.{'[0-9a-f]' * 12}.tmp"):
            if left not in _BEGUN and time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()


def _mode(place: Path) -> int:
    try:
        return stat.S_IMODE(place.stat().st_mode)
    except FileNotFoundError:
        return 0o666  # less the umask: what is written is meant to be shared


def _fill(temporary: Path, data: bytes | memoryview, mode: int, durable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(temporary, flags, mode)
    with open(handle, "wb", buffering=0) as stream:
        left = memoryview(data).cast("B")
        while left:
            left = left[stream.write(left[: 1 << 26]) :]
        if durable:
            os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    """The new name, too, is on the disk; where a system cannot promise that, it is not promised."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path | str, text: str, *, durable: bool = True) -> Path:
    """`write_bytes` in UTF-8; a lone surrogate, which has no UTF-8, is written as its escape."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def finite(value: Any) -> Any:
    """A copy of a JSON-like value in which NumPy scalars are Python's and NaN or infinity is null."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def dump_json(value: Any, indent: int | None = 2) -> str:
    """As JSON, in characters where UTF-8 has them."""
    text = json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, of a name in a table or on the command line
        return json.dumps(finite(value), indent=indent, allow_nan=False)
    return text
