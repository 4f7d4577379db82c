"""Accelerators and their peak arithmetic: a small sourced table, and rows of the user's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from bayes_scaling.base.errors import DataError, UsageError, unknown
from bayes_scaling.base.locate import folder
from bayes_scaling.base.units import parse_flop

COLUMNS = ("device", "precision", "peak_flops")
PRECISION = "bf16"


@dataclass(frozen=True)
class Device:
    """One accelerator at one precision.

    Parameters
    ----------
    peak_flops
        FLOP a second, dense.
    """

    name: str
    precision: str
    peak_flops: float
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.precision}, {self.peak_flops / 1e12:.4g} TFLOP/s)"


def read_devices(path: Path | str) -> list[Device]:
    """The devices in a CSV file with columns `device`, `precision`, `peak_flops` and, if any, `source`.

    Raises
    ------
    DataError
        If the file is missing, lacks a column, or holds a peak that is no positive number.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} lacks the column {', '.join(missing)}. It needs {', '.join(COLUMNS)}.")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no CSV text"
        raise DataError(f"Cannot read the devices in {path}: {reason}.") from error
    found = []
    for i, row in enumerate(rows):
        try:
            peak = parse_flop(row["peak_flops"] or "")
        except ValueError as error:
            raise DataError(f"{path}, line {i + 2}: peak_flops '{row['peak_flops']}': {error}.") from None
        found.append(Device(row["device"] or "", row["precision"] or PRECISION, peak, row.get("source") or str(path)))
    return found


def all_devices(extra: Path | str | None = None) -> list[Device]:
    """Known devices, the user's first."""
    own = read_devices(extra) if extra is not None else []
    return [*own, *read_devices(folder("data") / "devices.csv")]


def get_device(name: str | Device, precision: str | None = None, extra: Path | str | None = None) -> Device:
    """The device of that name (case, spaces and hyphens aside), at a precision: bf16 where it has that.

    Raises
    ------
    UsageError
        If there is no such device, or not at that precision.
    """
    if isinstance(name, Device):
        return name
    known = all_devices(extra)
    named = [d for d in known if _plain(d.name) == _plain(name)]
    if not named:
        hint = "Add your own with a CSV of device, precision, peak_flops: --devices-file FILE.csv."
        raise unknown("device", name, {d.name for d in known}, hint)
    if precision is None:
        return next((d for d in named if d.precision == PRECISION), named[0])
    for d in named:
        if _plain(d.precision) == _plain(precision):
            return d
    offered = ", ".join(dict.fromkeys(d.precision for d in named))
    raise UsageError(f"No peak is known for {named[0].name} at precision '{precision}'. Known: {offered}.")


def _plain(text: str) -> str:
    return text.lower().replace("-", "").replace(" ", "").replace("_", "")
