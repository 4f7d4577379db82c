"""Tables in Markdown: cells between bars, a rule under the header; text before and after is passed over."""

from __future__ import annotations

import re

import numpy as np

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, header, object_frame

_RULE = re.compile(r"\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)*\|?\s*")
_MARKS = re.compile(r"^(\*\*|__|\*|_|`|~~)(.+)\1$")
_BLANK = ("—", "–", "-", "--", "---")


def _header_line(lines: list[str]) -> int | None:
    """Index of the line above the first rule row, if it is a header."""
    for i, line in enumerate(lines[1:], 1):
        if "|" in line and "-" in line and _RULE.fullmatch(line) and "|" in lines[i - 1]:
            return i - 1
    return None


def _knows(content: Content) -> bool:
    if content.folder is not None or content.ending not in (*FORMAT.endings, "", ".txt", ".csv"):
        return False
    if content.ending in FORMAT.endings:
        return True
    return b"|" in content.data[:20000] and _header_line(content.text[:20000].split("\n")) is not None


def _read(content: Content) -> RawTable:
    source = content.source
    lines = content.text.split("\n")
    top = _header_line(lines)
    if top is None:
        raise DataError(f"{source}: no Markdown table found. It needs a header, and a rule such as |---|---| below it.")
    names = header(_cells(lines[top]), source)
    rows: list[list[str]] = []
    places: list[int] = []
    for number, line in enumerate(lines[top + 2 :], top + 3):
        if "|" not in line:
            break
        cells = _cells(line)
        if _RULE.fullmatch(line) or not any(cells):
            continue
        if len(cells) != len(names):
            raise DataError(
                f"{source}, line {number}: {len(cells)} cells where the header has {len(names)}. Write a bar inside a "
                "cell as \\|."
            )
        rows.append(cells)
        places.append(number)
    if not rows:
        raise DataError(f"{source}: its table has a header but no runs below it. Add a row for each run.")
    frame = object_frame({name: [row[k] for row in rows] for k, name in enumerate(names)})
    notice = Notice("separator", f"{source}: read as a Markdown table.")
    return RawTable(frame, source, "line", np.array(places), (notice,))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [_plain(cell) for cell in re.split(r"(?<!\\)\|", inner)]


def _plain(cell: str) -> str:
    """A cell's text without its marks: `**2.31**` is 2.31, and a dash alone is blank."""
    cell = cell.replace("\\|", "|").replace("\\_", "_").strip()
    while match := _MARKS.match(cell):
        cell = match[2].strip()
    return "" if cell in _BLANK else cell


FORMAT = Format("Markdown", (".md", ".markdown"), _knows, _read, order=50)
