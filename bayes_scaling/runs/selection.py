"""Which rows count: `--where`, `--last-per`, `--per-cell`. What is left out is counted in a notice, `rows_left_out`.

Conditions compare a column with a value; nothing is evaluated.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError, Notice, UsageError
from bayes_scaling.base.units import parse_count
from bayes_scaling.runs.columns import listed, printable
from bayes_scaling.runs.numbers import blank, plain_numbers
from bayes_scaling.runs.readers import RawTable

CODE = "rows_left_out"

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = "Write --where 'State=finished' or --where 'lr<=0.003'; the operators are = != < <= > >=."


def filtered(table: RawTable, conditions: Sequence[str]) -> RawTable:
    """The rows that meet every condition, with a notice that counts the others.

    Raises
    ------
    UsageError
        If a condition cannot be read.
    DataError
        If it names no column of the table, compares text by size, or leaves no row.
    """
    for condition in conditions:
        column, sign, value = _parsed(condition, list(table.frame.columns), table.source)
        keep = _meets(table, column, sign, value, condition)
        left = int((~keep).sum())
        if not keep.any():
            seen = list(dict.fromkeys(str(cell).strip() for cell in table.frame[column]))
            raise DataError(
                f"{table.source}: no row meets --where '{printable(condition, 80)}'. Column '{printable(column)}' "
                "holds "
                f"{listed(seen, 8)}."
            )
        if left:
            message = f"{table.source}: {left} of {keep.size} rows left out by --where '{printable(condition, 80)}'."
            table = rows(table, np.flatnonzero(keep), Notice(CODE, message))
    return table


def rows(table: RawTable, keep: np.ndarray, *notices: Notice) -> RawTable:
    """The table's rows at positions `keep`, with further notices."""
    return dataclasses.replace(
        table,
        frame=table.frame.iloc[keep].reset_index(drop=True),
        places=table.places[keep],
        notices=(*table.notices, *notices),
    )


def last_rows(table: RawTable, column: str, tokens: np.ndarray) -> tuple[np.ndarray, Notice | None]:
    """Positions of the row with the most tokens for each value of `column`, in the table's order, and a notice.

    Raises
    ------
    DataError
        If there is no such column, or a cell of it is blank.
    """
    labels = _labels(table, column, "--last-per")
    last: dict[str, int] = {}
    for position, label in enumerate(labels):
        if label not in last or tokens[position] >= tokens[last[label]]:
            last[label] = position
    keep = np.array(sorted(last.values()), dtype=int)
    left = len(labels) - keep.size
    if not left:
        return keep, None
    message = (
        f"{table.source}: {left} of {len(labels)} rows left out by --last-per '{printable(column)}': of each of its "
        f"{keep.size} values the row with the most tokens is kept."
    )
    return keep, Notice(CODE, message)


def choice(text: str | float) -> float:
    """`--per-cell`: "best" is 0, "median" 0.5, else a quantile, as 0.1, "q10" or "10%".

    Raises
    ------
    UsageError
        If it is none of these.
    """
    words = {"best": 0.0, "median": 0.5}
    if isinstance(text, str) and text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        match = re.fullmatch(r"\s*(?:q(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*%|(\d*\.?\d+))\s*", str(text).lower())
        assert match
        value = float(match[3]) if match[3] else float(match[1] or match[2]) / 100
        assert 0 <= value <= 1
    except AssertionError:
        raise UsageError(
            f"--per-cell '{printable(text)}' cannot be read. Write best, median, or a quantile such as q10 or 0.1."
        ) from None
    return value


def chosen_per_cell(
    cells: np.ndarray, loss: np.ndarray, quantile: float, source: str
) -> tuple[np.ndarray, Notice | None]:
    """Positions of one row a cell: that whose loss stands at `quantile` of its cell's, the lower where between two.

    Parameters
    ----------
    cells
        The number of each row's cell, dims (run,): rows of equal size, tokens and law's columns share one.
    """
    keep, gaps, counts = [], [], []
    for cell in np.unique(cells):
        members = np.flatnonzero(cells == cell)
        order = members[np.argsort(loss[members], kind="stable")]
        keep.append(order[math.floor(quantile * (order.size - 1))])
        counts.append(order.size)
        if order.size > 1:
            gaps.append(float(np.log(loss[members]).mean() - np.log(loss[keep[-1]])))
    left = cells.size - len(keep)
    if not left:
        return np.sort(np.array(keep, dtype=int)), None
    what = "best row" if quantile == 0 else f"row at the {quantile:g} quantile"
    message = (
        f"{source}: {left} of {cells.size} rows left out by --per-cell: the {what} of each of {len(keep)} cells of "
        "equal "
        f"params and tokens is kept, out of {min(counts)} to {max(counts)}."
    )
    if quantile == 0:
        message += (
            f" A best of k is biased low: here it lies {100 * float(np.mean(gaps)):.2g} % below the mean of its "
            "cell, and "
            "further the more rows a cell has; were the spread chance alone, that much of the loss would be luck. "
            "A quantile (--per-cell q25) is steadier."
        )
    return np.sort(np.array(keep, dtype=int)), Notice(CODE, message)


def _labels(table: RawTable, column: str, option: str) -> list[str]:
    if column not in table.frame.columns:
        raise DataError(
            f"{table.source}: {option} names column '{printable(column)}', which is not there. Columns: "
            f"{listed(list(table.frame.columns))}."
        )
    cells = list(table.frame[column])
    for position, cell in enumerate(cells):
        if blank(cell):
            raise DataError(
                f"{table.source}: {option} '{printable(column)}': blank in {table.where(position)}. Fill it in, or "
                "leave "
                f"such rows out with --where."
            )
    return [str(cell).strip() for cell in cells]


def _parsed(condition: str, names: list[str], source: str) -> tuple[str, str, str]:
    """Column, operator and value; of several places to cut, the one that names a column."""
    cuts = [
        (condition[: m.start()].strip(), m[0], condition[m.end() :].strip())
        for m in re.finditer(r"==|!=|>=|<=|=|>|<", condition)
    ]
    if not cuts:
        raise UsageError(f"Cannot read --where '{printable(condition, 80)}'. {_FORM}")
    for column, sign, value in cuts:
        if column in names:
            return column, sign, value.strip("'\"")
    found = {name.casefold(): name for name in names}
    for column, sign, value in cuts:
        if column.casefold() in found:
            return found[column.casefold()], sign, value.strip("'\"")
    raise DataError(
        f"{source}: --where names column '{printable(cuts[0][0])}', which is not there. Columns: {listed(names)}."
    )


def _meets(table: RawTable, column: str, sign: str, value: str, condition: str) -> np.ndarray:
    """Whether each row meets a condition: by number where both sides are numbers, else by text, in any case."""
    compare = _OPERATORS[sign]
    try:
        number: float | None = float(value)
    except ValueError:
        try:
            number = parse_count(value)
        except ValueError:
            number = None
    cells = table.frame[column]
    values, _ = plain_numbers(cells)
    for position in np.flatnonzero(np.isnan(values)):
        cell = cells.iloc[position]
        if number is not None and isinstance(cell, str) and not blank(cell):
            try:
                values[position] = parse_count(cell)
            except ValueError:
                continue
    text = np.array([str(cell).strip().casefold() for cell in cells], dtype=object)
    if sign in (">", "<", ">=", "<="):
        if number is None:
            raise DataError(
                f"{table.source}: --where '{printable(condition, 80)}' compares by size, but '{printable(value)}' "
                "is no "
                f"number. {_FORM}"
            )
        with np.errstate(invalid="ignore"):
            return np.asarray(compare(values, number), dtype=bool)
    same = text == value.casefold()
    if number is not None:
        same = same | (values == number)
    return np.asarray(same if compare is operator.eq else ~same, dtype=bool)
