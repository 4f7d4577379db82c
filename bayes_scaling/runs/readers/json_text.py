"""JSON: one object a line, a list of objects, columns, or runs by name; nested objects become `outer.inner` columns."""

from __future__ import annotations

import json
import re
from typing import Any

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.text import storable
from bayes_scaling.runs.columns import printable
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, from_records

_DEEPEST = 6
_LINES = (
    'JSON lines need one whole object on each line, such as {"params": 7e9, "tokens": 3e11, "loss": 2.1}; a list of '
    "such objects is read too."
)


def read_json(text: str, source: str) -> RawTable:
    """Parse JSON lines, or one JSON document that holds the runs.

    Raises
    ------
    DataError
        If it is not valid JSON, or holds no objects.
    """
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    wrong: DataError | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = _parsed(line)
        except (ValueError, RecursionError) as error:
            detail = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            wrong = DataError(f"{source}, line {number}: not valid JSON ({detail}): {printable(line)}. {_LINES}")
            break
        if not isinstance(record, dict):
            wrong = DataError(f"{source}, line {number}: {printable(line)} is no JSON object. {_LINES}")
            break
        records.append(record)
        lines.append(number)
    if wrong is not None or (len(records) == 1 and _nested(records[0]) is not None):
        found = _document(text, source, wrong)
        return from_records([_flat(r) for r in found], source, "entry", range(1, len(found) + 1))
    if not records:
        raise DataError(f"{source} is empty. It needs one JSON object a line, one for each run.")
    return from_records([_flat(record) for record in records], source, "line", lines)


def _document(text: str, source: str, wrong: DataError | None) -> list[dict[str, Any]]:
    """The runs of a file that is one JSON value; where it is none, `wrong` says what is wrong with its lines."""
    try:
        value = _parsed(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and text.lstrip()[:2].strip() in ("[", "{") and error.lineno > 1:
            raise DataError(f"{source}, line {error.lineno}: not valid JSON ({error.msg}). {_LINES}") from error
        raise (wrong or DataError(f"{source}: not valid JSON. {_LINES}")) from error
    records = value if isinstance(value, list) else _nested(value)
    if not records or not all(isinstance(record, dict) for record in records):
        raise wrong or DataError(f"{source}: no JSON object holds the runs. {_LINES}")
    return records


def _nested(value: Any) -> list[dict[str, Any]] | None:
    """The runs inside one object: `{"runs": [{…}, …]}`, columns of equal length, `{"columns": …, "data": …}`, or
    objects by name. None where it is one run."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return [dict(zip(map(str, value["columns"]), row, strict=False)) for row in value["data"]]
    lists = {key: cells for key, cells in value.items() if isinstance(cells, list)}
    objects = [cells for cells in lists.values() if cells and all(isinstance(cell, dict) for cell in cells)]
    if len(objects) == 1:
        return objects[0]
    if len(lists) == len(value) > 1 and len({len(cells) for cells in lists.values()}) == 1:
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    inner = [cells for cells in value.values() if isinstance(cells, dict)]
    if len(inner) != len(value) or len(value) < 2:
        return None
    keys = [set(cells) for cells in inner]
    if all(one == keys[0] for one in keys[1:]) and all(
        key.isdigit() for key in keys[0]
    ):  # pandas' {column: {row: cell}}
        return [{name: cells[key] for name, cells in value.items()} for key in inner[0]]
    if all(one & keys[0] for one in keys[1:]) and not any(_plain_keys(value)):
        return [{"run": name, **cells} for name, cells in value.items()]
    return None


def _plain_keys(value: dict[str, Any]) -> list[str]:
    """Keys that name the parts of one run rather than runs."""
    return [key for key in value if key.lower() in ("config", "summary", "params", "metrics", "tags", "data")]


def _flat(record: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, cell in record.items():
        if isinstance(cell, dict) and cell and depth < _DEEPEST:
            flat |= _flat(cell, f"{prefix}{key}.", depth + 1)
        else:
            flat[f"{prefix}{key}"] = cell
    return flat


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|\\u0000")


def _parsed(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_unique_pairs)
    return _storable(value) if _SURROGATE.search(text) else value


def _storable(value: Any) -> Any:
    """The same with every text as files can hold it: JSON's escapes can spell what UTF-8 cannot."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(cell) for key, cell in value.items()}
    return [_storable(cell) for cell in value] if isinstance(value, list) else value


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{printable(twice)}' given twice")
    return record


def _knows(content: Content) -> bool:
    if content.folder is not None:
        return False
    start = content.data[:400].lstrip(b"\xef\xbb\xbf \t\r\n")
    return content.ending in FORMAT.endings or (content.ending in ("", ".txt", ".log") and start[:2] in (b'{"', b"[{"))


def _read(content: Content) -> RawTable:
    return read_json(content.text, content.source)


FORMAT = Format("JSON", (".jsonl", ".ndjson", ".json"), _knows, _read, order=40)
