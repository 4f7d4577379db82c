"""Text from elsewhere, made safe to print: names in a table may hold terminal escapes and marks of direction."""

from __future__ import annotations

import unicodedata


def printable(text: object, limit: int | None = None) -> str:
    """One line: control characters, marks of direction and lone surrogates are escaped, any space is a space, and
    text of more than `limit` characters is cut."""
    given = str(text)
    shown = given if limit is None else given[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _shown(c) for c in shown)
    return shown if limit is None or len(shown) <= limit else shown[:limit] + "…"


def _shown(char: str) -> str:
    return " " if unicodedata.category(char) == "Zs" else repr(char)[1:-1]


def harmless(text: str) -> str:
    """The same of several lines, whose ends are kept."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def storable(text: str) -> str:
    """Text as files can hold it: NUL, and lone surrogates, which have no UTF-8, as their escapes."""
    if "\0" not in text and (text.isascii() or not any(0xD800 <= ord(c) <= 0xDFFF for c in text)):
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def json_harmless(text: str) -> str:
    """JSON that means the same, in which every character that cannot be printed is an escape. Such characters stand
    inside strings alone, but for the ends of lines."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
