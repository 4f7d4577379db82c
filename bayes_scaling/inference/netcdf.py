"""DataTrees on disk: netCDF-4 made in memory, sealed with its checksum, and moved into place when it is whole.

HDF5 is given no file to write to: on a full disk it ends the process, or leaves half a file. Nor does it read one
whose checksum does not hold.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.base.files import write_bytes
from bayes_scaling.base.sealed import DamagedError, seal, unseal
from bayes_scaling.base.text import printable

if TYPE_CHECKING:
    from xarray import DataTree

MAGIC = b"\x89HDF\r\n\x1a\n"
# Says that there was a seal: a file that lost it was changed after it was written.
_SEALED = "bayes_scaling_sealed"
# Bytes that arrays may take beyond four times the file's: ours are not compressed, so a file that claims more is none.
_SLACK = 1 << 28
_READING = threading.RLock()


@dataclass(frozen=True, eq=False)
class Opened:
    """What a file holds: its groups, the note in its root, and whether a checksum vouches for them."""

    tree: DataTree
    note: dict[str, Any]
    sealed: bool

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What is to be said of a file that no checksum guards."""
        if self.sealed:
            return ()
        text = "This fit was saved by an older version, without a checksum, so damage to it cannot be noticed."
        return (Notice("no_checksum", f"{text} Fit again to have one."),)


def write_tree(tree: DataTree, path: Path | str, *, durable: bool = True) -> Path:
    """Write a tree as netCDF-4, whole or not at all.

    Raises
    ------
    DataError
        If the place cannot be written, or the disk is full.
    """
    tree = tree.copy()
    tree.attrs[_SEALED] = 1
    return write_bytes(path, seal(tree.to_netcdf(engine="h5netcdf")), durable=durable)


def read_tree(path: Path | str, note: str, hint: str) -> Opened:
    """A tree that `write_tree` wrote, with the JSON object that its attribute `note` holds.

    Raises
    ------
    DataError
        If the file is missing, damaged, or none of ours; the message ends with `hint`.
    """
    path = Path(path)
    shown = printable(path, 200)
    data = _bytes(path, shown, hint)
    if data[: len(MAGIC)] != MAGIC:
        raise DataError(f"{shown} is not a saved fit: it is no netCDF-4 file. {hint}")
    try:
        inner, sealed = unseal(data)
    except DamagedError as error:
        raise DataError(f"{shown} cannot be used. {error} {hint}") from None
    fault = ""
    with _quiet():
        try:
            tree = _opened(inner)
            text = tree.attrs.get(note)
            lost = bool(tree.attrs.pop(_SEALED, 0)) and not sealed
            found = None if text is None else json.loads(text)
        except MemoryError:
            raise
        except Exception as error:  # whatever h5py, xarray or json say of a damaged file, the user needs one sentence
            fault = type(error).__name__
        if fault:
            gc.collect()  # what h5py left half open complains as it goes: here, where nobody is told
    if fault:
        raise DataError(f"{shown} cannot be read: it is truncated or damaged ({fault}). {hint}")
    if found is None:
        raise DataError(f"{shown} is a netCDF file but not one of ours: it has no attribute '{note}'. {hint}")
    if lost:
        raise DataError(f"{shown} was damaged or changed after it was written: its checksum is gone. {hint}")
    if not isinstance(found, dict):
        raise DataError(f"{shown} cannot be read: its attribute '{note}' is damaged. {hint}")
    return Opened(tree, found, sealed)


def attribute(path: Path | str, note: str, *, sealed: bool = True) -> dict[str, Any] | None:
    """The JSON object in a file's attribute `note`, without reading the rest; None where there is none that can be
    trusted: damaged, or, where `sealed` is wanted, without a checksum."""
    import h5py

    try:
        inner, vouched = unseal(Path(path).read_bytes())
        if sealed and not vouched:
            return None
        with _quiet(), h5py.File(io.BytesIO(inner), "r") as handle:
            found = json.loads(handle.attrs[note])
    except MemoryError:
        raise
    except Exception:  # of a file of any kind: what h5py says of it is no matter
        return None
    return found if isinstance(found, dict) else None


def _bytes(path: Path, shown: str, hint: str) -> bytes:
    try:
        if path.is_dir():
            raise DataError(f"{shown} is a folder, not a saved fit. {hint}")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no file {shown}. {hint}") from None
    except OSError as error:
        raise DataError(f"Cannot read {shown}: {error.strerror or error}. {hint}") from error


def _opened(inner: memoryview) -> DataTree:
    import xarray as xr

    # A foreign file may have dimensions without a name.
    with xr.open_datatree(io.BytesIO(inner), engine="h5netcdf", phony_dims="access") as opened:
        claimed = sum(v.nbytes for group in opened.subtree for v in group.variables.values())
        if claimed > 4 * len(inner) + _SLACK:
            raise ValueError(f"{claimed} bytes of arrays in a file of {len(inner)}")
        return opened.load()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what fails where Python cannot raise it is printed: h5py closes damaged files in destructors."""
    with _READING:
        usual, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            yield
        finally:
            sys.unraisablehook = usual
