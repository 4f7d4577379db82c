"""The rules a table of runs must meet. Every cell that breaks one is listed, all at once, with its remedy.

Numbers are understood in bulk first; only the cells left over are read one by one ("7B", "100PF-days"), so
that a million rows stay quick.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.base.units import format_count, parse_count, parse_flop
from bayes_scaling.runs.columns import printable
from bayes_scaling.runs.readers import RawTable

SHOWN_CELLS = 20
MIN_RUNS = 3
FLOP_TOLERANCE = 0.10
"""Relative difference of flops from 6·params·tokens that brings a notice: rounding stays below it."""
NARROW = 1.01
"""Largest over smallest below which a quantity counts as one value: the runs then hold it fixed."""
MAX_LOSS = 30.0
MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "<na>"})
TOO_LARGE = {"params": 1e18, "tokens": 1e21, "flops": 1e36, "pf_days": 1e16}

_REMEDY = {
    "params": "write a plain number, or 7B, 410M, 1.3e9",
    "tokens": "write a plain number, or 300B, 1.4T, 2e10",
    "flops": "write a number of FLOP such as 5.9e23, or 100PF-days",
    "pf_days": "write a plain number of PF-days",
    "loss": "write the loss in nats per token, such as 2.31",
    "loss_sd": "write the standard error of the loss, such as 0.004, or leave the whole column out",
}
_PARSERS: dict[str, Callable[[str], float]] = {
    "params": parse_count,
    "tokens": parse_count,
    "flops": parse_flop,
    "unique_tokens": parse_count,
    "experts": parse_count,
}


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
        shown = "" if _is_missing(value) and not isinstance(value, str) else printable(value)
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
    findings: Findings, role: str, column: str, *, optional: bool = False, scale: float = 1.0
) -> np.ndarray:
    """The numbers of one column, dims (run,), each finite and above 0, times `scale`.

    Cells that are not go to `findings` and stand as NaN here; so do blank cells, which are a finding unless
    `optional`. `role` says how to read text: counts, compute, or plain numbers.
    """
    cells = findings.table.frame[column]
    values, text = _numbers(cells)
    remedy = _REMEDY.get(role, "write a plain number")
    parse = _PARSERS.get(role, _plain)
    known: dict[str, float | str] = {}
    objects = cells.to_numpy(dtype=object)
    for position in text:
        cell = objects[position]
        if _is_missing(cell):
            if not optional:
                findings.bad(position, column, "missing", _missing_remedy(role, findings.table))
            continue
        key = cell if isinstance(cell, str) else repr(cell)
        if key not in known:
            try:
                known[key] = parse(key)
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


def check_loss(findings: Findings, column: str, values: np.ndarray) -> None:
    """Losses, dims (run,), nats per token, must not exceed 30: more is a perplexity or another unit."""
    for position in np.flatnonzero(values > MAX_LOSS):
        findings.bad(
            position,
            column,
            f"implausible, above {MAX_LOSS:g} nats per token",
            "give cross-entropy per token, not perplexity or a sum",
        )


def check_units(findings: Findings, role: str, values: np.ndarray, column: str | None) -> None:
    """Counts, dims (run,), that are all below 1000 are in billions or in another unit: refused, once for the
    column.

    `column` is None where the counts were derived from the other two.
    """
    if not np.isfinite(values).any():
        return
    largest = float(np.nanmax(values))
    source = findings.table.source
    if largest < 1000:
        if column is None:
            findings.columns.append(
                f"{source}: '{role}', derived from the others, is at most {format_count(largest)}: "
                f"the units do not fit together. Counts are plain numbers and compute is in FLOP; "
                f"PF-days are declared with --map pf_days=COLUMN."
            )
        else:
            findings.columns.append(
                f"{source}: every value of column '{printable(column)}' is below 1000 (largest {largest:g}): "
                f"{role} are a count, not billions. Write {largest:g}B or {largest:g}e9 for billions."
            )
    elif largest < 1e6:
        name = f"derived {role}" if column is None else f"column '{printable(column)}'"
        findings.notices.append(
            Notice(
                "units",
                f"{source}: {name} reaches only {format_count(largest)}. {role} are a count: check the unit.",
            )
        )


def flop_notices(params: np.ndarray, tokens: np.ndarray, flops: np.ndarray, source: str) -> list[Notice]:
    """A notice where given compute differs from 6·params·tokens; all arrays have dims (run,)."""
    ratio = flops / (6 * params * tokens)
    off = np.abs(ratio - 1) > FLOP_TOLERANCE
    if not off.any():
        return []
    message = (
        f"{source}: flops differ from 6·params·tokens by more than {FLOP_TOLERANCE:.0%} in "
        f"{int(off.sum())} of {ratio.size} runs (ratio {ratio.min():.3g} to {ratio.max():.3g}). "
        f"They are kept as given; --map flops= sets them aside for 6·params·tokens."
    )
    return [Notice("flops_differ", message)]


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


def enough_runs(count: int, source: str) -> None:
    """Raises `DataError` for fewer than three runs."""
    if count < MIN_RUNS:
        noun = "run" if count == 1 else "runs"
        raise DataError(
            f"{source} holds {count} {noun}; a scaling law needs at least {MIN_RUNS}, "
            f"and one for each of its unknowns to be of use. Add runs."
        )


def is_missing(cells: pd.Series) -> np.ndarray:
    """Which cells are blank or say so ("NA", "nan", "-"), dims (run,)."""
    if _all_text(cells):
        codes, distinct = pd.factorize(cells.to_numpy(dtype=object))
        return np.fromiter((_is_missing(cell) for cell in distinct), dtype=bool, count=len(distinct))[codes]
    return np.fromiter((_is_missing(cell) for cell in cells), dtype=bool, count=len(cells))


def numeric_or_text(cells: pd.Series) -> pd.Series:
    """An extra column as numbers where every cell that is not missing is one, else as it is."""
    if cells.dtype != object:
        return cells
    values, text = _numbers(cells)
    if len(text) < len(cells) and all(map(_is_missing, cells.to_numpy(dtype=object)[text])):
        return pd.Series(values, index=cells.index, name=cells.name)
    return cells


def _numbers(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Float64 values, dims (run,), and the positions pandas could not read as numbers (NaN there)."""
    kind = getattr(cells.dtype, "kind", "O")
    if kind in "iuf":
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    else:
        # Dates and truth values have numbers behind them that nobody means.
        plain = cells.astype(object)
        if not _all_text(cells):
            odd = np.fromiter((isinstance(c, _NOT_NUMBERS) for c in plain), dtype=bool, count=len(plain))
            plain = plain.where(~odd, None)
        values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    return values, np.flatnonzero(np.isnan(values))


def _all_text(cells: pd.Series) -> bool:
    """Whether every cell is text, as in a CSV: then nothing need be asked of them one by one."""
    return len(cells) > 0 and pd.api.types.infer_dtype(cells.to_numpy(dtype=object), skipna=False) == "string"


_NOT_NUMBERS = (
    bool,
    np.bool_,
    complex,
    np.complexfloating,
    np.datetime64,
    np.timedelta64,
    pd.Timestamp,
    bytes,
)


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().casefold() in MISSING_WORDS
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))


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
