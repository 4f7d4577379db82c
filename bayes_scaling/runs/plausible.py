"""Whether counts and compute are in the units they seem to be in: each row against the others, the header, and 6·N·D.

A whole table at another scale is legal: models of a hundred parameters exist, and counts in thousands tell the same
story. Rows are refused only where they contradict each other, their header, or the table's own compute.
"""

from __future__ import annotations

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.units import FLOP_PER_PF_DAY, format_count
from bayes_scaling.runs.checks import FLOP_TOLERANCE, Findings
from bayes_scaling.runs.columns import printable, shell_word
from bayes_scaling.runs.header_units import Unit

FLOP_UNIT = 30.0
"""Ratio of compute to 6·N·D beyond which it is in another unit: attention and recomputation stay far below it."""
SMALL = 1000.0
"""Counts below it are no model's or corpus' where others of the same column are millions of times larger."""
APART = 1e3
"""A gap between neighbouring counts of one column that wide splits it in two units."""
_LARGEST = {"params": 1e14, "tokens": 1e17}
_USUAL = 1e6
_FOREIGN = 1e6
_FLOP_UNITS = {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18, "PF-days": FLOP_PER_PF_DAY, "ZFLOP": 1e21}


def check_counts(
    findings: Findings, values: dict[str, np.ndarray], columns: dict[str, str], units: dict[str, Unit]
) -> None:
    """Refuse rows of `values` (params, tokens; counts, dims (run,)) that contradict their column, their header or each
    other; notice, code `units`, a whole table at another scale. `columns` has the source of each that was not derived.
    """
    for role in ("params", "tokens"):
        if role in columns:
            _check_header(findings, role, values[role], columns[role], units.get(role))
            _check_rows(findings, role, values[role], columns[role])
    small = {role: _all_below(values[role], SMALL) for role in ("params", "tokens")}
    ratio = np.nanmedian(values["tokens"] / values["params"]) if _any(values["tokens"] / values["params"]) else 1.0
    for role, foreign in (("params", ratio > _FOREIGN), ("tokens", ratio < 1 / SMALL)):
        if small[role] and foreign:
            _refuse_column(findings, role, values[role], columns.get(role), float(ratio))
        elif _any(values[role]):
            _notice_scale(findings, role, values[role], columns.get(role))


def check_flops(findings: Findings, values: dict[str, np.ndarray], column: str, role: str) -> None:
    """Refuse given compute (`values["flops"]`, dims (run,)) that differs from 6·params·tokens by more than 30 times."""
    ratio = values["flops"] / (6 * values["params"] * values["tokens"])
    with np.errstate(invalid="ignore"):
        off = (ratio > FLOP_UNIT) | (ratio < 1 / FLOP_UNIT)
    if not off.any():
        return
    known = np.isfinite(ratio)
    typical = float(np.median(ratio[off]))
    word = shell_word(column)
    if off.sum() >= 0.5 * known.sum():
        near = [name for name, size in _FLOP_UNITS.items() if 1 / 6 < typical * size < 6]
        name = near[0] if near else None
        way = f"--map pf_days={word}" if name == "PF-days" else ""
        way = way or (f"--map flops={shell_word(f'{column}*{_FLOP_UNITS[name]:g}')}" if name else "")
        findings.columns.append(
            f"{findings.table.source}: column '{printable(column)}' is {typical:.2g} times 6·params·tokens in "
            f"{int(off.sum())} of {int(known.sum())} runs: no FLOP, but another unit"
            + (f". These look like {name}: {way}" if name else "")
            + f". Otherwise --map {role}= sets the column aside for 6·params·tokens; if params are the total of a "
            "mixture "
            "of experts, map the active ones."
        )
        return
    for position in np.flatnonzero(off):
        findings.bad(
            position,
            column,
            f"{ratio[position]:.2g} times 6·params·tokens of its row",
            f"write FLOP, or set the column aside with --map {role}=",
        )


def flop_notices(params: np.ndarray, tokens: np.ndarray, flops: np.ndarray, factor: float, source: str) -> list[Notice]:
    """A notice where given compute differs from 6·params·tokens; arrays have dims (run,). `factor` is what all of it is
    counted with."""
    ratio = flops / (6 * params * tokens)
    off = np.abs(ratio - 1) > FLOP_TOLERANCE
    if not off.any():
        return []
    counted = "6·params·tokens" if factor == 1 else f"{factor:.3g} times 6·params·tokens, their median"
    message = (
        f"{source}: flops differ from 6·params·tokens by more than {FLOP_TOLERANCE:.0%} in "
        f"{int(off.sum())} of {ratio.size} runs (ratio {ratio.min():.3g} to {ratio.max():.3g}). "
        f"They are kept as given; budgets, distances and cuts count {counted}, for runs made and not made alike. "
        f"--map flops= sets them aside for 6·params·tokens."
    )
    return [Notice("flops_differ", message)]


def _check_header(findings: Findings, role: str, values: np.ndarray, column: str, unit: Unit | None) -> None:
    if unit is None or unit.factor < 1e3:
        return
    named = "--map" if unit.words == "--map" else f"the header '{printable(column)}'"
    with np.errstate(invalid="ignore"):
        over = np.flatnonzero(values > _LARGEST[role])
    for position in over:
        findings.bad(
            position,
            column,
            f"{values[position]:.3g} {role} where {named} multiplies by {unit.factor:g}",
            f"a plain count needs no unit: --map {role}={shell_word(column + '*1')}",
        )
    values[over] = np.nan


def _check_rows(findings: Findings, role: str, values: np.ndarray, column: str) -> None:
    """Cells below 1000 in a column whose others are a thousand times larger: `4` among counts of 1e9."""
    known = np.sort(values[np.isfinite(values)])
    if known.size < 2 or known[0] >= SMALL or known[-1] < _USUAL:
        return
    above = known[known >= SMALL]
    below = known[known < SMALL]
    if above[0] < APART * below[-1]:
        return
    for position in np.flatnonzero(values < SMALL):
        findings.bad(
            position,
            column,
            f"{values[position]:g} among counts from {format_count(above[0])} on",
            f"write {values[position]:g}B or {values[position]:g}M if that is meant",
        )
    values[values < SMALL] = np.nan


def _refuse_column(findings: Findings, role: str, values: np.ndarray, column: str | None, ratio: float) -> None:
    source, largest = findings.table.source, float(np.nanmax(values))
    if column is None:
        findings.columns.append(
            f"{source}: '{role}', derived from the others, is at most {format_count(largest)}: "
            f"the units do not fit together. Counts are plain numbers and compute is in FLOP; "
            f"PF-days are declared with --map pf_days=COLUMN."
        )
        return
    ways = " or ".join(f"--map {role}={shell_word(f'{column}*{scale}')}" for scale in ("1e9", "1e6"))
    findings.columns.append(
        f"{source}: every value of column '{printable(column)}' is below 1000 (largest {largest:g}), at {ratio:.2g} "
        f"tokens a parameter: {role} are a count, not billions or millions. Declare the unit: {ways}."
    )


def _notice_scale(findings: Findings, role: str, values: np.ndarray, column: str | None) -> None:
    largest = float(np.nanmax(values))
    if _USUAL <= largest <= _LARGEST[role]:
        return
    name = f"derived {role}" if column is None else f"column '{printable(column)}'"
    verb = "reaches only" if largest < _USUAL else "reaches"
    amount = format_count(largest) if largest >= 1 else f"{largest:.3g}"
    way = "" if column is None else f" Millions are declared with --map {role}={shell_word(f'{column}*1e6')}."
    findings.notices.append(
        Notice(
            "units",
            f"{findings.table.source}: {name} {verb} {amount}. {role} are a count, and are taken as they stand: check "
            f"the unit.{way if largest < _USUAL else ''}",
        )
    )


def _all_below(values: np.ndarray, limit: float) -> bool:
    return _any(values) and bool(np.nanmax(values) < limit)


def _any(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())
