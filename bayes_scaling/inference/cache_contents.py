"""What this package keeps in the user's cache directory, and clearing it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.caches import cache_folder
from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.provenance import envelope

if TYPE_CHECKING:
    import pandas as pd

POSTERIORS = "posteriors"
LIMIT_VARIABLE = "BAYES_SCALING_CACHE_LIMIT"
LIMIT = 1000.0
"""Megabytes that posteriors may take where the variable says nothing."""
PARTS = {
    POSTERIORS: "finished posteriors",
    "programs": "traced programs",
    "jax": "compiled programs",
}
"""Folders that may be deleted at any time; downloaded data sets lie elsewhere and are kept."""


@dataclass(frozen=True)
class Part:
    """One folder: its `name`, what it `holds`, how many `files`, how many `bytes` together, and where it lies."""

    name: str
    holds: str
    files: int
    bytes: int
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """One entry of `parts[]` in the JSON of `cache`."""
        return {"name": self.name, "holds": self.holds, "files": self.files, "bytes": self.bytes}


@dataclass(frozen=True)
class Contents:
    """What the cache holds, or held before it was `cleared`.

    Parameters
    ----------
    limit
        Bytes that posteriors may take.
    """

    path: Path
    parts: tuple[Part, ...]
    limit: int
    cleared: bool

    @property
    def bytes(self) -> int:
        """Size of all parts together."""
        return sum(p.bytes for p in self.parts)

    def to_frame(self) -> pd.DataFrame:
        """One row a part."""
        import pandas as pd

        return pd.DataFrame([p.to_dict() for p in self.parts])

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `cache`."""
        body = {
            "path": str(self.path),
            "parts": [p.to_dict() for p in self.parts],
            "bytes": self.bytes,
            "posteriors_limit_bytes": self.limit,
            "cleared": self.cleared,
        }
        return envelope("cache", body, ci_prob=None)

    def __str__(self) -> str:
        done = "cleared" if self.cleared else "in all"
        lines = [f"{p.holds}: {p.files} files, {p.bytes / 1e6:.1f} MB" for p in self.parts]
        return "\n".join([f"{self.path}: {self.bytes / 1e6:.1f} MB {done}", *lines])

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def limit() -> int:
    """Bytes that the posteriors may take together.

    Raises
    ------
    UsageError
        If the environment variable is no such number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    try:
        megabytes = float(text) if text else LIMIT
    except ValueError:
        megabytes = -1.0
    if not megabytes >= 0 or megabytes > 1e12:
        raise UsageError(f"{LIMIT_VARIABLE}={text!r} must be a number of megabytes, such as 1000; 0 turns it off.")
    return int(megabytes * 1e6)


def cache_contents(clear: bool = False) -> Contents:
    """What the cache holds now; with `clear`, what was deleted."""
    most = limit()
    parts = []
    for name, holds in PARTS.items():
        folder = cache_folder(name)
        files, size = 0, 0
        for path in sorted(folder.rglob("*"), reverse=True):
            with contextlib.suppress(OSError):  # another process may be writing or deleting
                if path.is_dir() and not path.is_symlink():
                    if clear:
                        path.rmdir()
                    continue
                length = path.lstat().st_size
                if clear:
                    path.unlink()
                files, size = files + 1, size + length
        parts.append(Part(name, holds, files, size, folder))
    return Contents(cache_folder(), tuple(parts), most, clear)
