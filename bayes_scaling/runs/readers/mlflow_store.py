"""A local MLflow store: a folder `mlruns` of files, or a data base `mlflow.db`. One row a run that is not deleted.

Columns are named as `mlflow.search_runs` names them: `run_id`, `status`, `params.NAME`, `metrics.NAME` (the value last
logged), `tags.mlflow.runName`. MLflow itself is not needed.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.runs.readers.opening import Content
from bayes_scaling.runs.readers.reader import Format, RawTable, from_records

_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_SQLITE = b"SQLite format 3\0"


def _knows(content: Content) -> bool:
    if content.folder is None:
        return content.data.startswith(_SQLITE)
    return bool(_run_folders(content.folder))


def _run_folders(folder: Path) -> list[Path]:
    """Folders of runs: a store's (`EXPERIMENT/RUN`), or one experiment's."""
    found = [meta.parent for pattern in ("*/*/meta.yaml", "*/meta.yaml") for meta in sorted(folder.glob(pattern))]
    return [run for run in found if (run / "metrics").is_dir() and run.parent.name != ".trash"]


def _read(content: Content) -> RawTable:
    try:
        if content.folder is None:
            records = _from_database(content.data)
        else:
            records = [found for run in _run_folders(content.folder) if (found := _from_folder(run))]
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise DataError(f"{content.source} is not readable as an MLflow store ({error}).") from error
    if not records:
        raise DataError(f"{content.source}: the MLflow store holds no runs.")
    table = from_records(records, content.source, "run", [record["run_id"] for record in records])
    notice = Notice("layout", f"{content.source}: read as a store of MLflow, {len(records)} runs.")
    return RawTable(table.frame, table.source, table.place_word, table.places, (notice,))


def _from_folder(run: Path) -> dict[str, Any] | None:
    meta = dict(_pair(line) for line in (run / "meta.yaml").read_text("utf-8").splitlines() if ":" in line)
    if meta.get("lifecycle_stage") == "deleted":
        return None
    record: dict[str, Any] = {"run_id": run.name, "status": _STATUS.get(meta.get("status", ""), meta.get("status"))}
    for kind in ("params", "metrics", "tags"):
        for path in sorted(p for p in (run / kind).rglob("*") if p.is_file()):
            name = path.relative_to(run / kind).as_posix()
            if kind == "tags" and name != "mlflow.runName":
                continue
            text = path.read_text("utf-8")
            record[f"{kind}.{name}"] = _last(text) if kind == "metrics" else text.strip()
    return record


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip().strip("'\"")


def _last(text: str) -> str:
    """The value last logged: lines are `timestamp value step`; that of the highest step counts, as in MLflow."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    order = sorted(lines, key=lambda parts: (int(parts[2]) if len(parts) > 2 else 0, int(parts[0])))
    return order[-1][1] if order else ""


def _from_database(data: bytes) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.db"  # a copy: nothing can be written to the user's own
        path.write_bytes(data)
        base = sqlite3.connect(path)
        try:
            runs = base.execute("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'").fetchall()
            records = {i: {"run_id": i, "status": s, "tags.mlflow.runName": name} for i, name, s in runs}
            for kind, table in (("params", "params"), ("metrics", "latest_metrics")):
                for i, key, value in base.execute(f"SELECT run_uuid, key, value FROM {table} ORDER BY key"):
                    if i in records:
                        records[i][f"{kind}.{key}"] = value
        finally:
            base.close()
    return list(records.values())


FORMAT = Format("MLflow", (".db", ".sqlite"), _knows, _read, order=5)
