"""Printing: one JSON object or text on standard output, warnings on standard error; and the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_scaling.base.errors import FitFailedError
from bayes_scaling.base.files import dump_json, finite

FAILED = ("fit_failed", "evidence_failed", "section_failed")
"""Codes of warnings that mean exit code 4."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; the first column is flush left, numbers flush right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    """How many columns are flush left."""

    def plain(self) -> str:
        """The table as text without colours."""
        widths = [max(len(row[i]) for row in [self.headers, *self.rows]) for i in range(len(self.headers))]
        lines = []
        for row in [self.headers, *self.rows]:
            cells = [
                c.ljust(w) if i < self.left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines)

    def rich(self) -> Any:
        """The table as rich draws it."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for i, header in enumerate(self.headers):
            table.add_column(Text(header), justify="left" if i < self.left else "right")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table


def emit(arguments: argparse.Namespace, body: Mapping[str, Any], blocks: Iterable[str | Table]) -> int:
    """Print a result, as JSON or for people, then its warnings; gives the exit code.

    Parameters
    ----------
    body
        The result's JSON object; its `warnings` go to standard error too, and decide between 0 and 4.
    blocks
        The same for people.
    """
    if arguments.json:
        print(json_text(body))
    else:
        print_blocks(blocks)
    return verdict(arguments, body["warnings"])


def json_text(body: Mapping[str, Any]) -> str:
    """As JSON, in what the terminal's encoding can say."""
    text = dump_json(body)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(finite(body), indent=2, allow_nan=False)
    return text


def print_blocks(blocks: Iterable[str | Table]) -> None:
    """Print texts and tables, one after the other, to standard output."""
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        for block in blocks:
            console.print(block.rich() if isinstance(block, Table) else block)
        return
    text = "\n".join(block.plain() if isinstance(block, Table) else block for block in blocks)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def verdict(arguments: argparse.Namespace, warnings: Sequence[Mapping[str, str]]) -> int:
    """Warnings to standard error; 4 where one says that a fit or an evidence estimate failed."""
    if sys.stdout is not None:
        sys.stdout.flush()
    failed = [w["message"] for w in warnings if w["code"] in FAILED]
    if not arguments.quiet:
        for warning in warnings:
            if warning["code"] not in FAILED:
                print(f"Warning: {warning['message']}", file=sys.stderr)
    if not failed:
        return 0
    lines = "\n".join(f"  - {message}" for message in failed)
    allowed = getattr(arguments, "allow_bad_fit", False)
    end = (
        "" if allowed else "\nThe results are given all the same, marked as failed; --allow-bad-fit makes this exit 0."
    )
    print(
        f"{'Warning' if allowed else 'Error'}: diagnostics failed, do not rely on this.\n{lines}{end}",
        file=sys.stderr,
    )
    return 0 if allowed else FitFailedError.exit_code


def number(value: float | None, digits: int = 4) -> str:
    """A number as tables show it; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


def interval(value: Mapping[str, Any], form: Any = number) -> str:
    """`[lower, upper]` of an interval value."""
    return f"[{form(value['lower'])}, {form(value['upper'])}]"


def percent(prob: float) -> str:
    """A share in per cent; a dash where there is none."""
    return f"{100 * prob:.4g} %"
