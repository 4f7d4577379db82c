"""Cells as numbers: plain ones in bulk, decimal commas, blanks; what is left over is read one by one elsewhere."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "—", "–", "?", "<na>", "#n/a"})

_DECIMAL = re.compile(r"\s*[+-]?\d+,\d+(?:e[+-]?\d+)?\s*[A-Za-z]*\s*", re.IGNORECASE)
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+\s*[A-Za-z]*\s*")
_POINTS = re.compile(r"\s*[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?\s*[A-Za-z]*\s*")


def decimal_commas(cells: pd.Series, mark: str) -> pd.Series | None:
    """The cells with points for decimal commas, or None where the column has none, or it is not sure that it has.

    Where columns are parted by semicolons (`mark` is a comma) a comma is a decimal one, unless a cell of the column has
    several; elsewhere every comma must be one that groups of three digits cannot explain.
    """
    if cells.dtype != object and not pd.api.types.is_string_dtype(cells):
        return None
    plain = cells.astype(object)
    with_comma = [cell for cell in plain if isinstance(cell, str) and "," in cell]
    if not with_comma:
        return None
    if mark == ",":
        if any(cell.count(",") > 1 for cell in with_comma):
            return None
    else:
        if any(isinstance(cell, str) and re.search(r"\d\.\d", cell) for cell in plain):
            return None
        if not all(_DECIMAL.fullmatch(cell) for cell in with_comma) or all(map(_GROUPED.fullmatch, with_comma)):
            return None
    return plain.map(lambda cell: _pointed(cell) if isinstance(cell, str) else cell)


def _pointed(cell: str) -> str:
    if _POINTS.fullmatch(cell) and "," in cell:
        return cell.replace(".", "").replace(",", ".")  # 1.234,56
    return cell.replace(",", ".") if _DECIMAL.fullmatch(cell) else cell


def is_missing(cells: pd.Series) -> np.ndarray:
    """Which cells are blank or say so ("NA", "nan", "-"), dims (run,)."""
    if _all_text(cells):
        codes, distinct = pd.factorize(cells.to_numpy(dtype=object))
        return np.fromiter((blank(cell) for cell in distinct), dtype=bool, count=len(distinct))[codes]
    return np.fromiter((blank(cell) for cell in cells), dtype=bool, count=len(cells))


def numeric_or_text(cells: pd.Series) -> pd.Series:
    """An extra column as numbers where every cell that is not missing is one, else as it is."""
    if cells.dtype != object:
        return cells
    values, text = plain_numbers(cells)
    if len(text) < len(cells) and all(map(blank, cells.to_numpy(dtype=object)[text])):
        return pd.Series(values, index=cells.index, name=cells.name)
    return cells


def plain_numbers(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
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


def blank(cell: object) -> bool:
    """Whether a cell is empty, or says that it is ("NA", "nan", "-")."""
    if isinstance(cell, str):
        return cell.strip().casefold() in MISSING_WORDS
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))
