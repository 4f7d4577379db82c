"""Writes whole files or none: to a temporary name in the same folder, then moved into place."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bayes_scaling.base.errors import DataError


def write_with(path: Path | str, write: Callable[[Path], object]) -> Path:
    """Call `write(temporary)` and move the result to `path`; nothing half-written is ever seen under `path`.

    Raises
    ------
    DataError
        If the folder cannot be created or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}. Choose another place with --out.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; a report is meant to be shared
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}. Choose another place with --out.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return path


def write_text(path: Path | str, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all; gives the path back."""
    return write_with(path, lambda p: p.write_text(text, encoding="utf-8"))


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
    """`value` as JSON text: what is not finite becomes null, arrays become lists."""
    return json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def cache_folder(*parts: str) -> Path:
    """A folder of ours in the user's cache directory (`BAYES_SCALING_CACHE` overrides where); created if need be."""
    import platformdirs

    root = Path(os.environ.get("BAYES_SCALING_CACHE") or platformdirs.user_cache_dir("bayes_scaling"))
    path = root.joinpath(*parts)
    with contextlib.suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
    return path
