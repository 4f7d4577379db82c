"""Printing: one JSON object or text on standard output, warnings on standard error; and the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayes_scaling.base.errors import DataError, FitFailedError
from bayes_scaling.base.files import dump_json, finite
from bayes_scaling.base.text import json_harmless
from bayes_scaling.cli.layout import Table, columns, paragraph

__all__ = ["FAILED", "Table", "complain", "emit", "interval", "number", "percent", "print_blocks", "verdict"]

FAILED = ("fit_failed", "evidence_failed", "section_failed")
"""Codes of warnings that mean exit code 4."""
UNUSABLE = ("data_unusable",)
"""Codes of warnings that mean exit code 3."""


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
    """As JSON, in what the terminal's encoding can say; what would move its cursor is an escape."""
    # Which warnings the terminal leaves out is no part of the contract's JSON.
    told = [{k: v for k, v in w.items() if k in ("code", "message")} for w in body.get("warnings") or []]
    body = {**body, "warnings": told}
    text = dump_json(body)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(finite(body), indent=2, allow_nan=False)
    return json_harmless(text)


def print_blocks(blocks: Iterable[str | Table]) -> None:
    """Print texts and tables to standard output: to the width of a terminal, in a pipe as they are."""
    room = columns(sys.stdout)
    apart = "\n" if room is None else "\n\n"
    _print(apart.join(b.text(room) if isinstance(b, Table) else paragraph(b, room) for b in blocks), sys.stdout)


def complain(text: str) -> None:
    """Say something on standard error, to the width of a terminal; nothing in it moves a cursor."""
    _print(paragraph(text, columns(sys.stderr), hang="  "), sys.stderr)


def _print(text: str, stream: Any) -> None:
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def verdict(arguments: argparse.Namespace, warnings: Sequence[Mapping[str, Any]]) -> int:
    """Warnings to standard error, each once; 4 where one says that a fit or an evidence estimate failed, 3 where one
    says that one of several data sets could not be used."""
    if sys.stdout is not None:
        sys.stdout.flush()
    failed: list[str] = []
    unusable: list[str] = []
    told: list[str] = []
    for warning in warnings:
        if warning.get("aside"):
            continue
        kind = failed if warning["code"] in FAILED else unusable if warning["code"] in UNUSABLE else told
        if warning["message"] not in kind:
            kind.append(warning["message"])
    if not arguments.quiet:
        for message in told:
            complain(f"Warning: {message}")
    allowed = getattr(arguments, "allow_bad_fit", False)
    word = "Warning" if allowed else "Error"
    given = "" if allowed else "--allow-bad-fit makes this exit 0."
    if unusable:
        end = f"\nThe others have their results. {'' if failed else given}"
        complain(f"{word}: {_some(len(unusable))} could not be used.\n{_bullets(unusable)}{end.rstrip()}")
    if failed:
        end = f"\nThe results are given all the same, marked as failed; {given}" if given else ""
        complain(f"{word}: diagnostics failed, do not rely on this.\n{_bullets(failed)}{end}")
    if allowed or not (failed or unusable):
        return 0
    return FitFailedError.exit_code if failed else DataError.exit_code


def _some(count: int) -> str:
    return "1 data set" if count == 1 else f"{count} data sets"


def _bullets(messages: Sequence[str]) -> str:
    return "\n".join(f"  - {message}" for message in messages)


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table: `digits` significant ones, a dash for None."""
    return "-" if value is None else f"{value:.{digits}g}"


def interval(value: Mapping[str, Any], form: Any = number) -> str:
    """`[lower, upper]` of an interval value."""
    return f"[{form(value['lower'])}, {form(value['upper'])}]"


def percent(prob: float) -> str:
    """`90 %` of 0.9."""
    return f"{100 * prob:.4g} %"
