"""The rules a table of runs must meet. Every cell that breaks one is listed, all at once, with its remedy.

Numbers are understood in bulk first; only the cells left over are read one by one ("7B", "100PF-days"), so
that a million rows stay quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.base.units import parse_count, parse_flop
from bayes_scaling.runs.columns import printable
from bayes_scaling.runs.header_units import Unit
from bayes_scaling.runs.losses import MAX_LOSS
from bayes_scaling.runs.numbers import blank, decimal_commas, plain_numbers
from bayes_scaling.runs.readers import RawTable

SHOWN_CELLS = 20
MIN_RUNS = 3
FLOP_TOLERANCE = 0.10
"""Relative difference of flops from 6·params·tokens that brings a notice: rounding stays below it."""
NARROW = 1.01
"""Largest over smallest below which a quantity counts as one value: the runs then hold it fixed."""
TOO_LARGE = {"params": 1e18, "tokens": 1e21, "flops": 1e36, "pf_days": 1e16}

_REMEDY = {
    "params": "write a plain number, or 7B, 410M, 1.3e9",
    "tokens": "write a plain number, or 300B, 1.4T, 2e10",
    "flops": "write a number of FLOP such as 5.9e23, or 100PF-days",
    "pf_days": "write a plain number of PF-days",
    "loss": "write the loss as a plain number, such as 2.31",
    "loss_sd": "write the standard error of the loss, such as 0.004, or leave the whole column out",
}
_PARSERS: dict[str, Callable[[str], float]] = {
    "params": parse_count,
    "tokens": parse_count,
    "flops": parse_flop,
    "unique_tokens": parse_count,
    "experts": parse_count,
}
_OWN_UNIT = re.compile(r"(?<![0-9.])[A-Za-z]+\s*$|[0-9.]\s*(?!e[+-]?\d)[A-Za-z]+[A-Za-z/ -]*$", re.IGNORECASE)


class BadCell(NamedTuple):
    """A cell that cannot be used: where it stands, what it holds, why that will not do, and the remedy."""

    position: int
    order: int
    column: str
    value: str
    why: str
    remedy: str


@dataclass
class Findings:
    """What was found wrong with `table` so far; `raise_if_any` reports it in one message."""

    table: RawTable
    cells: list[BadCell] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def bad(self, position: int | np.integer, column: str, why: str, remedy: str) -> None:
        """Note a cell that cannot be used."""
        order = list(self.table.frame.columns).index(column)
        value = self.table.frame[column].iloc[position]
        shown = "" if blank(value) and not isinstance(value, str) else printable(value)
        self.cells.append(BadCell(int(position), order, column, shown, why, remedy))

    def raise_if_any(self) -> None:
        """Raises `DataError` listing every finding, at most `SHOWN_CELLS` cells of them one by one."""
        if not self.cells and not self.columns:
            return
        lines = list(self.columns)
        if self.cells:
            count = "1 cell" if len(self.cells) == 1 else f"{len(self.cells)} cells"
            lines.append(f"{self.table.source}: {count} cannot be used.")
        for cell in sorted(self.cells)[:SHOWN_CELLS]:
            lines.append(
                f"  {self.table.where(cell.position)}, column '{printable(cell.column)}', "
                f"value '{cell.value}': {cell.why}; {cell.remedy}."
            )
        if len(self.cells) > SHOWN_CELLS:
            lines.append(f"  and {len(self.cells) - SHOWN_CELLS} more.")
        raise DataError("\n".join(lines))


def positive_column(
    findings: Findings, role: str, column: str, *, optional: bool = False, unit: Unit | None = None, scale: float = 1.0
) -> np.ndarray:
    """The numbers of one column, dims (run,), each finite and above 0, times `scale`.

    Cells that are not go to `findings` and stand as NaN here; so do blank cells, which are a finding unless
    `optional`. `role` says how to read text: counts, compute, or plain numbers. `unit` holds for plain numbers; a cell
    that names its own unit (`7B`) keeps it.
    """
    cells = findings.table.frame[column]
    pointed = decimal_commas(cells, findings.table.decimal)
    if pointed is not None:
        cells = pointed
        findings.notices.append(
            Notice(
                "decimal_comma", f"{findings.table.source}: commas in column '{printable(column)}' are decimal ones."
            )
        )
    values, text = plain_numbers(cells)
    factor = 1.0 if unit is None else unit.factor
    values *= factor
    remedy = _REMEDY.get(role, "write a plain number")
    parse = _PARSERS.get(role, _plain)
    known: dict[str, float | str] = {}
    objects = cells.to_numpy(dtype=object)
    for position in text:
        cell = objects[position]
        if blank(cell):
            if not optional:
                findings.bad(position, column, "missing", _missing_remedy(role, findings.table))
            continue
        key = cell if isinstance(cell, str) else repr(cell)
        if key not in known:
            try:
                known[key] = parse(key) * (1.0 if _OWN_UNIT.search(key) else factor)
            except ValueError as error:
                known[key] = str(error).split(";")[0]
        result = known[key]
        if isinstance(result, str):
            findings.bad(position, column, result, remedy)
        else:
            values[position] = result
    with np.errstate(invalid="ignore"):
        problems = [
            (np.isinf(values), "not finite"),
            (values == 0, "zero, must be above 0"),
            (np.isfinite(values) & (values < 0), "negative, must be above 0"),
        ]
        if role in TOO_LARGE:
            problems.append((np.isfinite(values) & (values > TOO_LARGE[role]), "implausibly large"))
    for mask, why in problems:
        for position in np.flatnonzero(mask):
            findings.bad(position, column, why, remedy)
        values[mask] = np.nan
    return values * scale


def check_loss(findings: Findings, column: str, values: np.ndarray, given: str | None) -> None:
    """Losses in nats per token, dims (run,), lie above 0 and not above 30: more is a perplexity or another unit."""
    for position in np.flatnonzero(values > MAX_LOSS):
        findings.bad(
            position,
            column,
            f"implausible, above {MAX_LOSS:g} nats per token",
            "give cross-entropy per token, not a sum; a perplexity is declared with --loss-unit ppl",
        )
    for position in np.flatnonzero(values <= 0):
        why = "a perplexity of 1 or less" if given == "ppl" else "no loss above 0"
        findings.bad(position, column, why, "check the unit that --loss-unit declares")
    values[(values > MAX_LOSS) | (values <= 0)] = np.nan


def design_notices(params: np.ndarray, tokens: np.ndarray, source: str) -> list[Notice]:
    """A notice where the runs cannot tell the exponents of params and tokens apart; dims (run,)."""
    fixed = [
        (params, "one model size", "alpha"),
        (tokens, "one number of tokens", "beta"),
        (tokens / params, "one ratio of tokens to params", ""),
    ]
    notices = []
    for values, what, lost in fixed:
        if values.size and float(values.max()) < NARROW * float(values.min()):
            which = f"{lost} comes from its prior" if lost else "they are known only together"
            message = (
                f"{source}: all runs have {what}, so alpha and beta are not both identified; {which}. "
                f"Add runs that vary params and tokens separately."
            )
            notices.append(Notice("not_identified", message))
    return notices


def duplicate_notices(table: RawTable) -> list[Notice]:
    """A notice naming rows that repeat an earlier row in every column; they are kept."""
    repeated = np.flatnonzero(table.frame.astype(str).duplicated().to_numpy())
    if not repeated.size:
        return []
    shown = ", ".join(table.where(int(i)) for i in repeated[:5]) + (" and more" if repeated.size > 5 else "")
    message = (
        f"{table.source}: {repeated.size} row(s) repeat an earlier row in every column ({shown}). "
        f"They are kept, and count as separate runs; delete them if they are copies."
    )
    return [Notice("duplicate_rows", message)]


def enough_runs(count: int, source: str, chosen: Sequence[str] = ()) -> None:
    """Raises `DataError` for fewer than three runs; `chosen` says what left rows out."""
    if count < MIN_RUNS:
        noun = "run" if count == 1 else "runs"
        after = f" after {' and '.join(chosen)}" if chosen else ""
        raise DataError(
            f"{source} holds {count} {noun}{after}; a scaling law needs at least {MIN_RUNS}, "
            f"and one for each of its unknowns to be of use. Add runs."
        )


def _missing_remedy(role: str, table: RawTable) -> str:
    if role in ("params", "tokens"):
        return "fill it in, delete the row, or leave the whole column out and give flops, which make up for it"
    if role == "loss_sd":
        return "give it for every run, or leave the whole column out"
    return "fill it in or delete the row"


def _plain(text: str) -> float:
    stripped = text.strip()
    if len(stripped) < 40 and stripped.count(",") == 1 and stripped.replace(",", "").isdigit():
        raise ValueError("a decimal comma, write a point")
    raise ValueError("not a number")
