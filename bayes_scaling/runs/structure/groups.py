"""Groups of runs that differ in loss at equal size and tokens: a text column that a fit of all rows passes over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.columns import listed, printable, shell_word
from bayes_scaling.runs.numbers import blank
from bayes_scaling.runs.structure.surface import Surface

FEWEST, MOST, LEAST = 2, 20, 3
"""A column of groups has 2 to 20 values, and three runs or more of each."""
CHANCE = 0.01
"""Chance of a false finding in one table, shared among its columns."""
_SHARE = 0.1


@dataclass(frozen=True)
class Difference:
    """A column whose groups differ: `apart`, largest less smallest mean residual, in log loss; `chance` of as much
    without any difference; `values` in order of first appearance."""

    column: str
    values: tuple[str, ...]
    apart: float
    chance: float


def candidates(frame: pd.DataFrame, params: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of text with 2 to 20 values of three runs or more each, as codes, dims (run,); -1 where a cell is blank.

    A column is passed over where its values only name the sizes, or the numbers of tokens: then it says nothing new.
    """
    found: dict[str, np.ndarray] = {}
    for name in frame.columns:
        cells = frame[name].to_numpy(dtype=object)
        if not all(isinstance(cell, str | bool | np.bool_) or blank(cell) for cell in cells):
            continue
        text = [None if blank(cell) else str(cell).strip() for cell in cells]
        if all(value is None or _number(value) for value in text):
            continue
        codes, distinct = pd.factorize(np.array(text, dtype=object))
        counts = np.bincount(codes[codes >= 0], minlength=len(distinct))
        if not FEWEST <= len(distinct) <= MOST or counts.min() < LEAST or (codes < 0).mean() > 0.5:
            continue
        if _names_only(codes, params) or _names_only(codes, tokens) or _seen(codes, found):
            continue
        found[str(name)] = codes
    return found


def differences(surface: Surface, columns: dict[str, np.ndarray], names: dict[str, list[str]]) -> list[Difference]:
    """Of candidate columns those whose groups differ beyond noise, the largest difference first.

    Parameters
    ----------
    columns
        Codes as `candidates` gives them.
    names
        The values that the codes stand for.
    """
    found = []
    for seed, (column, codes) in enumerate(columns.items()):
        chosen = codes[surface.rows]
        groups = np.unique(chosen[chosen >= 0])
        dummies = np.stack([(chosen == g).astype(float) for g in groups], axis=1)
        share, chance = surface.explained(dummies, _SHARE, seed)
        if share < _SHARE or chance > CHANCE / len(columns):
            continue
        directions = surface.beyond(dummies)
        part = directions @ (directions.T @ surface.left)
        means = [float(part[chosen == g].mean()) for g in groups]
        found.append(Difference(column, tuple(names[column]), max(means) - min(means), chance))
    return sorted(found, key=lambda one: -one.apart)


def notices(found: list[Difference], group: str | None, source: str) -> list[Notice]:
    """One notice, code `groups_differ`, that names every column whose groups differ. `group` is the source column that
    was named as the group, if any."""
    if not found:
        return []
    told = [
        f"'{printable(one.column)}' ({len(one.values)}: {listed(one.values, 4)}; {100 * one.apart:.2g} % apart)"
        for one in found[:4]
    ]
    more = f" and {len(found) - 4} more columns" if len(found) > 4 else ""
    first = found[0]
    condition = shell_word(f"{first.column}={first.values[0]}")
    named = "" if group else f"--group {shell_word(first.column)} names the groups; "
    message = (
        f"{source}: runs of equal params and tokens differ by group beyond noise: {'; '.join(told)}{more}. They are "
        "fitted together as if they were one, which widens intervals and bends exponents. To keep them apart: "
        f"{named}--where {condition} keeps one, fleet --by {shell_word(first.column)} fits each."
    )
    return [Notice("groups_differ", message)]


def _names_only(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether each group has one value, and hardly any two groups the same."""
    each = [values[codes == g] for g in np.unique(codes[codes >= 0])]
    if any(part.max() > 1.01 * part.min() for part in each):
        return False
    return len({f"{part[0]:.2e}" for part in each}) > 0.7 * len(each)


def _seen(codes: np.ndarray, found: dict[str, np.ndarray]) -> bool:
    """Whether another column has the same groups under other names."""
    pairs = (np.unique(np.stack([codes, other]), axis=1).shape[1] for other in found.values())
    sizes = (max(len(np.unique(codes)), len(np.unique(other))) for other in found.values())
    return any(a == b for a, b in zip(pairs, sizes, strict=True))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
