"""Cells that hold an object, as the run lists of Weights & Biases' interface give them: `config`, `summary`, `name`.

Each key becomes a column `config.key`. Text that looks like a Python or JSON object is read as a literal; nothing in it
is evaluated.
"""

from __future__ import annotations

import ast
import dataclasses
import json
from typing import Any

import pandas as pd

from bayes_scaling.runs.readers.reader import Layout, RawTable, object_frame

_LONGEST = 100_000


def _turn(table: RawTable) -> RawTable | None:
    packed = {name: found for name in table.frame.columns if (found := _objects(table.frame[name])) is not None}
    if not packed:
        return None
    columns: dict[str, list[Any]] = {}
    for name in table.frame.columns:
        if name not in packed:
            columns[name] = list(table.frame[name])
            continue
        for key in dict.fromkeys(key for cell in packed[name] for key in cell):
            columns[f"{name}.{key}"] = [cell.get(key) for cell in packed[name]]
    return dataclasses.replace(table, frame=object_frame(columns))


def _objects(cells: pd.Series) -> list[dict[str, Any]] | None:
    """The column's cells as objects, a blank one empty; None where it holds anything else."""
    found: list[dict[str, Any]] = []
    for cell in cells:
        if cell is None or (isinstance(cell, float) and cell != cell) or (isinstance(cell, str) and not cell.strip()):
            found.append({})
            continue
        value = _literal(cell) if isinstance(cell, str) else cell
        if not isinstance(value, dict):
            return None
        found.append({str(key): inner for key, inner in value.items()})
    return found if any(found) else None


def _literal(text: str) -> Any:
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")) or len(text) > _LONGEST:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return None


LAYOUT = Layout("cells that hold objects", _turn, order=5)
