"""A data set's card for a terminal: Markdown without its marks, its tables as tables."""

from __future__ import annotations

import re

from bayes_scaling.cli.layout import Table

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
_MARKS = re.compile(r"`([^`]*)`|\*\*([^*]+)\*\*|<(https?://[^>]*)>")


def blocks(text: str) -> list[str | Table]:
    """Paragraphs, lists and tables of a Markdown text, in order."""
    found: list[str | Table] = []
    lines: list[str] = []
    for line in [*text.strip().split("\n"), ""]:
        if line.startswith("|"):
            if lines and not lines[-1].startswith("|"):
                found.append(_prose(lines))
                lines = []
            lines.append(line)
            continue
        if lines and lines[0].startswith("|"):
            found.append(_table(lines))
            lines = []
        if line.strip():
            lines.append(line)
        elif lines:
            found.append(_prose(lines))
            lines = []
    return found


def _prose(lines: list[str]) -> str:
    out: list[str] = []
    for line in lines:
        begins = re.match(r"\s*([-*+]|\d+\.)\s", line) or line.startswith("#")
        if out and not begins:
            out[-1] += " " + line.strip()
        else:
            out.append(line.rstrip())
    return "\n".join(_plain(line.lstrip("#").strip() if line.startswith("#") else line) for line in out)


def _table(lines: list[str]) -> Table:
    rows = [[_plain(cell.strip()) for cell in line.strip().strip("|").split("|")] for line in lines]
    head, body = rows[0], [row for row in rows[1:] if not all(re.fullmatch(r":?-*:?", cell) for cell in row)]
    wide = max(map(len, rows))
    fill = [row + [""] * (wide - len(row)) for row in (head, *body)]
    return Table(fill[0], fill[1:], left=wide)


def _plain(text: str) -> str:
    text = _LINK.sub(lambda m: m[1] if m[1] == m[2] else f"{m[1]} ({m[2]})", text)
    return _MARKS.sub(lambda m: m[1] or m[2] or m[3] or "", text)
