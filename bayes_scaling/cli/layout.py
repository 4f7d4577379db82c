"""Text laid out for a terminal: tables that never cut a number, paragraphs that break between words.

A table too wide for the screen becomes several, one below the other, or, where it has few rows, a list for each row; in
a pipe or a file it stays one table, however wide.
"""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_scaling.base.text import harmless, printable

_CELL = 300
"""Characters of a cell that are shown: a name may be endless."""
_PROSE = 24
"""Columns below which a column of words is not squeezed."""
_MANY = 4
"""Rows from which a table too wide is cut into tables, and not into a list for each row."""


def columns(stream: Any) -> int | None:
    """Columns of the terminal that `stream` writes to; None where it writes to none."""
    try:
        if not stream.isatty():
            return None
    except (AttributeError, ValueError):
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, 20)


def width(text: str) -> int:
    """Columns that `text` takes: an ideograph takes two, a combining mark none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def paragraph(text: str, room: int | None, hang: str = "") -> str:
    """`text` broken between words, at most `room` columns a line; lines keep their indentation, and go on after it and
    `hang`."""
    text = harmless(text)
    if room is None:
        return text
    out = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        mark = "  " if line.lstrip().startswith("- ") else ""
        out.append(_broken(line, room, indent + (mark or hang)))
    return "\n".join(out)


def _broken(line: str, room: int, hang: str) -> str:
    if width(line) <= room:
        return line
    return "\n".join(textwrap.wrap(line, room, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False))


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; the first columns are flush left, numbers flush right. A header that is empty
    belongs to the column before it: a value and its interval."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    """How many columns are flush left."""

    def text(self, room: int | None = None) -> str:
        """The table, or where it is wider than `room` columns, the list."""
        headers = [printable(h) for h in self.headers]
        rows = [[printable(c, _CELL) for c in row] for row in self.rows]
        widths = [max(width(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
        if room is not None and sum(widths) + 2 * len(widths) > room:
            squeezed = self._squeezed(rows, widths, room)
            if squeezed is None:
                return self._stacked(headers, rows, widths, room) or _listed(headers, rows, room)
            widths = squeezed
        return "\n".join(self._lines(headers, rows, widths, ruled=room is not None))

    def _stacked(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], room: int
    ) -> str | None:
        """Many rows: tables one below the other, each with the first column and some of the others; None where that
        is no help."""
        if len(rows) < _MANY or not self.left or not headers[0]:
            return None
        groups: list[list[int]] = []
        for i in range(1, len(headers)):
            if headers[i] or not groups:
                groups.append([i])
            else:
                groups[-1].append(i)  # an interval stays with its value
        parts: list[list[int]] = [[0]]
        for group in groups:
            taken = sum(widths[i] + 2 for i in (*parts[-1], *group))
            if taken > room and len(parts[-1]) > 1:
                parts.append([0])
                taken = sum(widths[i] + 2 for i in (0, *group))
            if taken > room:
                return None
            parts[-1] += group
        tables = []
        for part in parts:
            cells = [[row[i] for i in part] for row in rows]
            left = sum(i < self.left for i in part)
            some = Table([headers[i] for i in part], cells, left)
            tables.append("\n".join(some._lines(some.headers, cells, [widths[i] for i in part], ruled=True)))
        return "\n\n".join(tables)

    def _squeezed(self, rows: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> list[int] | None:
        """Widths at which the columns of words, which may be broken, make the table fit; None where they do not."""
        words = [i for i in range(self.left) if any(" " in row[i] for row in rows) and widths[i] > _PROSE]
        left = room - 2 * len(widths) - sum(w for i, w in enumerate(widths) if i not in words)
        if not words or left < _PROSE * len(words):
            return None
        out = list(widths)
        for i in sorted(words, key=lambda i: widths[i]):  # the narrow ones take what they need
            out[i] = min(widths[i], left // len(words))
            left -= out[i]
            words = words[1:]
        return out

    def _lines(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], ruled: bool
    ) -> Iterator[str]:
        for k, row in enumerate([headers, *rows]):
            cells = [
                textwrap.wrap(c, w, break_on_hyphens=False) or [""] if width(c) > w else [c]
                for c, w in zip(row, widths, strict=True)
            ]
            for j in range(max(map(len, cells))):
                parts = [
                    self._set(c[j] if j < len(c) else "", w, i)
                    for i, (c, w) in enumerate(zip(cells, widths, strict=True))
                ]
                yield "  " + "  ".join(parts).rstrip()
            if k == 0 and ruled:
                yield "  " + "─" * (sum(widths) + 2 * len(widths) - 2)

    def _set(self, cell: str, room: int, column: int) -> str:
        gap = " " * (room - width(cell))
        return cell + gap if column < self.left else gap + cell


def _listed(headers: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> str:
    """A block of lines a row: `header  value`, a value and its interval on one line."""
    blocks = []
    label = max(width(h) for h in headers)
    for row in rows:
        pairs: list[list[str]] = []
        for i, (header, cell) in enumerate(zip(headers, row, strict=True)):
            if not header and i:
                pairs[-1][1] = f"{pairs[-1][1]} {cell}".strip()
            else:
                pairs.append([header, cell])
        lines = []
        for k, (header, cell) in enumerate(pairs):
            if not cell and k:
                continue
            title = k == 0 and not header
            start = f"  {cell}" if title else f"  {header}{' ' * (label - width(header))}  {cell}"
            lines.append(_broken(start, room, " " * (2 if title else label + 4)))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
