"""Folders of ours in the user's cache directory: private, bounded, safe for several processes at once."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import ABANDONED, write_bytes
from bayes_scaling.base.sealed import seal, unseal


def cache_folder(*parts: str) -> Path:
    """A folder of ours in the user's cache directory (`BAYES_SCALING_CACHE` overrides where); created if need be,
    for the user alone: compiled programs lie there, and whoever can write them runs code."""
    import platformdirs

    root = Path(os.environ.get("BAYES_SCALING_CACHE") or platformdirs.user_cache_dir("bayes_scaling"))
    path = root.joinpath(*parts)
    with contextlib.suppress(OSError, ValueError):
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The root may be a folder that the user named, and holds other things: it is left as it is.
        if parts and stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o700)
    return path


def trusted(folder: Path) -> bool:
    """Whether only this user can have written what lies in `folder`."""
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return False
    if os.name != "posix":
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def files_of(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of last use, bytes, path) of each file, in no order; what another process deletes meanwhile is passed
    over."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)


def prune(folder: Path, limit: int, share: float = 1.0) -> None:
    """Where the files together exceed `limit` bytes, delete those used longest ago until `share` of it is left; and
    what killed processes left."""
    files = []
    for used, size, path in files_of(folder):
        if path.name.startswith("."):
            if time.time() - used > ABANDONED:
                with contextlib.suppress(OSError):
                    path.unlink()
        else:
            files.append((used, size, path))
    total = sum(size for _, size, _ in files)
    if total <= limit:
        return
    for _, size, path in sorted(files):
        with contextlib.suppress(OSError):  # another process may have been quicker
            path.unlink()
        total -= size
        if total <= limit * share:
            return


class Store:
    """Bytes by key in a folder, each with its checksum: what is damaged, half-written, or could be another's counts as
    absent. It is what JAX asks of a cache of compiled programs, whose own writes in place and checks nothing.

    Parameters
    ----------
    limit
        Bytes that all together may take; those used longest ago go first.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._path = folder
        self._limit = limit

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        path = self._path / f"{key}-cache"
        try:
            inner, sealed = unseal(path.read_bytes())
        except (OSError, DataError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return bytes(inner) if sealed else None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`; where it cannot be written, nothing is kept."""
        with contextlib.suppress(DataError, OSError):
            write_bytes(self._path / f"{key}-cache", seal(value), durable=False)
            prune(self._path, self._limit, 0.75)
