"""A size × budget matrix: model sizes down, tokens or compute across (or the other way), a loss in each cell.

Blank cells are runs that were not made. What runs down and across is said by the words of the header, or by magnitude.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.units import parse_count, parse_flop
from bayes_scaling.runs.readers.reader import Layout, RawTable, object_frame

_WORDS = {
    "params": re.compile(r"param|model|size|(?<![a-z])n(?![a-z])", re.IGNORECASE),
    "flops": re.compile(r"flop|compute|budget|(?<![a-z])c(?![a-z])", re.IGNORECASE),
    "tokens": re.compile(r"token|data|(?<![a-z])d(?![a-z])", re.IGNORECASE),
}
_BLANK = ("", "nan", "na", "n/a", "none", "—", "–", "-")
_LEAST_FLOPS = 1e15


def _turn(table: RawTable) -> RawTable | None:
    names = list(table.frame.columns)
    across = [_amount(name) for name in names[1:]]
    if len(across) < 2 or any(amount is None for amount in across):
        return None
    down = [_amount(cell) for cell in table.frame[names[0]]]
    if any(amount is None for amount in down) or not down:
        return None
    roles = _roles(names, np.array(across, dtype=float))
    cells: dict[str, list[Any]] = {roles[0]: [], roles[1]: [], "loss": []}
    places = []
    for row in range(len(table.frame)):
        for k, name in enumerate(names[1:]):
            cell = table.frame[name].iloc[row]
            if cell is None or str(cell).strip().casefold() in _BLANK:
                continue
            cells[roles[0]].append(down[row])
            cells[roles[1]].append(across[k])
            cells["loss"].append(cell)
            places.append(table.places[row])
    if not places:
        return None
    notice = Notice(
        "layout",
        f"{table.source}: read as a matrix of losses with {roles[0]} down ({len(down)}) and {roles[1]} across "
        f"({len(across)}); {len(places)} of {len(down) * len(across)} cells hold a loss.",
    )
    return dataclasses.replace(
        table, frame=object_frame(cells), places=np.array(places), notices=(*table.notices, notice)
    )


def _roles(names: list[str], across: np.ndarray) -> tuple[str, str]:
    """What runs down and what across."""
    corner = re.split(r"[\\/×|]|\bby\b|\bx\b|->|→|↓", names[0]) if names[0] else [""]
    corner = [part for part in corner if part.strip()]
    words = [_role(part) for part in corner]
    header = _role(" ".join(re.sub(r"[\d.]+(e[+-]?\d+)?", " ", name, flags=re.IGNORECASE) for name in names[1:]))
    down = words[0] if words else None
    over = header or (words[1] if len(words) > 1 else None)
    if over is None:
        over = "flops" if np.median(across) >= _LEAST_FLOPS else "tokens" if down != "tokens" else "params"
    if down is None or down == over:
        down = "params" if over != "params" else "tokens"
    return down, over


def _role(text: str) -> str | None:
    return next((role for role, word in _WORDS.items() if word.search(text)), None)


def _amount(cell: Any) -> float | None:
    """A count or an amount of compute, with or without a word beside it: `10B tokens`, `C=1e19`, `1e19 FLOPs`."""
    if isinstance(cell, int | float | np.number) and not isinstance(cell, bool):
        return float(cell) if np.isfinite(cell) and cell > 0 else None
    if not isinstance(cell, str):
        return None
    text = re.sub(r"^[A-Za-z_ ]+\s*[=:]\s*", "", cell.strip())
    text = re.sub(r"\s*(tokens?|params?|parameters?)$", "", text, flags=re.IGNORECASE)
    for read in (parse_count, parse_flop):
        try:
            return read(text)
        except ValueError:
            continue
    return None


LAYOUT = Layout("size × budget matrix", _turn, order=20)
