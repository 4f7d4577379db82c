"""Columns parted by white space: by two blanks or more where every line allows it, so that names may hold one."""

from __future__ import annotations

import re

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, header, object_frame

_RULE = re.compile(r"[-=+ ]{3,}")
_ENDINGS = ("", ".txt", ".dat", ".csv", ".tsv", ".log", ".out")


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines that hold something, with their numbers; a comment mark before the header is dropped, comments too."""
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not _RULE.fullmatch(line)]
    if lines and lines[0][1].startswith("#"):
        lines[0] = (lines[0][0], lines[0][1].lstrip("# "))
    return [lines[0], *((n, line) for n, line in lines[1:] if not line.startswith("#"))] if lines else []


def _split(text: str) -> list[tuple[int, list[str]]] | None:
    lines = _lines(text)
    if len(lines) < 2 or re.search(r"[,;|\t]", lines[0][1]):
        return None
    for blanks in (r"\s{2,}", r"\s+"):
        rows = [(number, re.split(blanks, line)) for number, line in lines]
        width = len(rows[0][1])
        if width > 1 and all(len(cells) == width for _, cells in rows):
            return rows
    return None


def _knows(content: Content) -> bool:
    if content.folder is not None or content.ending not in _ENDINGS:
        return False
    first = content.data[:400].lstrip()
    return not first.startswith((b"{", b"[")) and _split(content.text) is not None


def _read(content: Content) -> RawTable:
    rows = _split(content.text) or []
    (_, first), *rest = rows
    names = header(first, content.source)
    frame = object_frame({name: [cells[k] for _, cells in rest] for k, name in enumerate(names)})
    notice = Notice("separator", f"{content.source}: read as separated by white space, not commas.")
    return RawTable(frame, content.source, "line", np.array([number for number, _ in rest]), (notice,))


FORMAT = Format("white space", (".dat",), _knows, _read, order=60)
