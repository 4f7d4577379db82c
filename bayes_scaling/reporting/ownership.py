"""Whether a folder may be written: a report replaces an earlier report, and nothing that is somebody else's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import write_text
from bayes_scaling.base.text import printable
from bayes_scaling.inference.storage import holds_fit

PAGE, NUMBERS = "index.html", "report.json"
# There while a report is being made in a folder that held none: one that was interrupted goes on.
_MARK = ".bayes-scaling-report"


def check_ours(folder: Path) -> None:
    """Make sure that nothing in `folder` is lost when a report is written there.

    Raises
    ------
    DataError
        If it holds a file under a name that a report takes, and no report of ours.
    """
    if _is_report(folder) or (folder / _MARK).is_file():
        return
    strange = next(_strange(folder), None)
    if strange is not None:
        raise DataError(
            f"{printable(folder, 200)} holds {printable(strange.relative_to(folder), 80)}, which no report of ours "
            "wrote; it is left as it is. Name a new folder, or one with an earlier report, with --out."
        )


def claim(folder: Path) -> None:
    """`check_ours`, and mark the folder as ours until there is a report."""
    check_ours(folder)
    if not _is_report(folder):
        write_text(folder / _MARK, "A report of bayes-scaling is being made in this folder.\n")


def done(folder: Path) -> None:
    """The report is there: the mark has served."""
    with contextlib.suppress(OSError):
        (folder / _MARK).unlink()


def _is_report(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / NUMBERS).read_text(encoding="utf-8"))["command"] == "report")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _strange(folder: Path) -> Iterator[Path]:
    for name in (PAGE, NUMBERS, "tables", "figures", "fits"):
        path = folder / name
        if not path.is_dir():
            if path.exists() or path.is_symlink():
                yield path
        else:
            yield from (p for p in sorted(path.iterdir()) if not (name == "fits" and holds_fit(p)))
