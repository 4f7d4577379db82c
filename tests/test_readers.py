"""Every form in which people keep a table of runs gives the same runs, or says what is wrong with it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.base.errors import DataError
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.readers import reader

ROWS = [("a", "70M", "2.1B", 3.1), ("b", "410M", "8.2B", 2.7), ("c", "1.4B", "28B", 2.3), ("d", "7B", "140B", 2.0)]
NAMES = ["run", "params", "tokens", "loss"]
CSV = "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in ROWS)]) + "\n"
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


def frame():
    return pd.DataFrame(ROWS, columns=NAMES)


def write(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def check(runs, labels=True):
    np.testing.assert_allclose(runs.params, [70e6, 410e6, 1.4e9, 7e9])
    np.testing.assert_allclose(runs.tokens, [2.1e9, 8.2e9, 28e9, 140e9])
    np.testing.assert_allclose(runs.loss, [3.1, 2.7, 2.3, 2.0])
    if labels:
        assert runs.run.tolist() == ["a", "b", "c", "d"]
    return runs


def refused(path, *says):
    with pytest.raises(DataError) as caught:
        load_runs(path)
    for part in says:
        assert part in str(caught.value), str(caught.value)


def markdown(bold="**", blank="—"):
    lines = ["# Results", "", "| run | params | tokens | loss | note |", "|:--|--:|---:|:-:|---|"]
    lines += [f"| {r} | {n} | {d} | {bold}{x}{bold} | {blank} |" for r, n, d, x in ROWS]
    return "\n".join([*lines, "", "Text below."])


def zipped(text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.csv", text)
    return buffer.getvalue()


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def arrow_stream():
    sink = io.BytesIO()
    table = pa.Table.from_pandas(frame())
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def feathered():
    sink = io.BytesIO()
    feather.write_feather(frame(), sink)
    return sink.getvalue()


def parquet():
    sink = io.BytesIO()
    frame().to_parquet(sink)
    return sink.getvalue()


def excel():
    sink = io.BytesIO()
    with pd.ExcelWriter(sink, engine="openpyxl") as writer:
        pd.DataFrame().to_excel(writer, sheet_name="empty")
        frame().to_excel(writer, sheet_name="runs", index=False, startrow=2)
    return sink.getvalue()


FORMS = {
    "r.csv": lambda: CSV,
    "r.tsv": lambda: CSV.replace(",", "\t"),
    "semi.csv": lambda: CSV.replace(",", ";"),
    "bars.csv": lambda: CSV.replace(",", "|"),
    "r.txt": lambda: "\n".join("  ".join(f"{c!s:<7}" for c in row) for row in [NAMES, *ROWS]),
    "one.dat": lambda: "# " + CSV.replace(",", " "),
    "r.md": markdown,
    "table.txt": lambda: markdown("__", "-"),
    "r.jsonl": lambda: "\n".join(map(json.dumps, RECORDS)),
    "pretty.json": lambda: json.dumps(RECORDS, indent=2),
    "compact.json": lambda: json.dumps(RECORDS),
    "inner.json": lambda: json.dumps({"project": "x", "runs": RECORDS}),
    "columns.json": lambda: json.dumps({k: [r[k] for r in RECORDS] for k in NAMES}),
    "frame.json": lambda: frame().to_json(),
    "split.json": lambda: frame().to_json(orient="split"),
    "named.json": lambda: json.dumps({r["run"]: {k: r[k] for k in NAMES[1:]} for r in RECORDS}, indent=1),
    "r.parquet": parquet,
    "no_ending": parquet,
    "r.feather": feathered,
    "r.arrow": feathered,
    "r.ipc": arrow_stream,
    "r.xlsx": excel,
    "r.csv.gz": lambda: gzip.compress(CSV.encode()),
    "r.csv.bz2": lambda: bz2.compress(CSV.encode()),
    "r.csv.xz": lambda: lzma.compress(CSV.encode()),
    "r.csv.zst": lambda: zstd(CSV.encode()),
    "r.jsonl.gz": lambda: gzip.compress("\n".join(map(json.dumps, RECORDS)).encode()),
    "r.zip": lambda: zipped(CSV),
    "misnamed.csv": lambda: gzip.compress(CSV.encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_runs(tmp_path, name):
    check(load_runs(write(tmp_path, FORMS[name](), name)))


def test_places_are_the_file_s_own(tmp_path):
    refused(write(tmp_path, markdown().replace("| 410M", "| many"), "r.md"), "line 6, column 'params', value 'many'")
    refused(write(tmp_path, CSV.replace(",", " ").replace("410M", "many"), "r.txt"), "line 3, column 'params'")
    refused(write(tmp_path, json.dumps([*RECORDS, {"run": "e"}], indent=1), "r.json"), "entry 5, column 'params'")
    bad = frame().assign(params=["70M", "many", "1.4B", "7B"])
    bad.to_excel(tmp_path / "r.xlsx", index=False)
    refused(tmp_path / "r.xlsx", "row 3, column 'params', value 'many'")


def test_one_sheet_of_several_is_said(tmp_path):
    with pd.ExcelWriter(tmp_path / "r.xlsx", engine="openpyxl") as writer:
        frame().to_excel(writer, sheet_name="runs", index=False)
        frame().to_excel(writer, sheet_name="older", index=False)
    runs = check(load_runs(tmp_path / "r.xlsx"))
    assert [n.code for n in runs.notices if n.code == "sheet"]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (gzip.compress(CSV.encode())[:-20], "r.csv.gz", "cannot be unpacked"),
        (b"PK\x03\x04xl/workbook.xml" + b"\x01" * 20, "r.xlsx", "not readable as an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 20, "r.xls", "old kind"),
        (b"ARROW1" + b"\x01" * 20, "r.arrow", "not readable as Arrow"),
        (b"SQLite format 3\0" + b"\x01" * 99, "mlflow.db", "not readable as an MLflow store"),
        ("| a | b |\n|---|---|\n", "r.md", "no runs below"),
        ("no table\n", "r.md", "no Markdown table"),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n", "r.md", "line 3: 3 cells"),
        ('[{"a": 1},\n {"a": \n', "r.json", "not valid JSON"),
        ('{"a": {"b": 1}}', "r.json", "no column 'loss'"),
        (zipped(CSV)[:60], "r.zip", "cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, name, says):
    refused(write(tmp_path, content, name), says)


def test_nested_objects_become_columns(tmp_path):
    nested = [
        {
            "name": r["run"],
            "config": {"params": r["params"], "data": {"tokens": r["tokens"]}},
            "summary": {"loss": r["loss"]},
        }
        for r in RECORDS
    ]
    path = write(tmp_path, json.dumps(nested, indent=2), "runs.json")
    check(load_runs(path, columns={"params": "config.params", "tokens": "config.data.tokens", "loss": "summary.loss"}))


def test_cells_that_hold_objects_are_unpacked(tmp_path):
    cells = pd.DataFrame(
        {
            "summary": [repr({"loss": r["loss"], "_step": 3}) for r in RECORDS],
            "config": [json.dumps({"params": r["params"], "tokens": r["tokens"]}) for r in RECORDS],
            "name": [r["run"] for r in RECORDS],
        }
    )
    cells.to_csv(tmp_path / "project.csv")
    mapping = {"params": "config.params", "tokens": "config.tokens", "loss": "summary.loss"}
    check(load_runs(tmp_path / "project.csv", columns=mapping))
    cells.loc[0, "config"] = "{'params': __import__('os').mkdir('x')}"
    cells.to_csv(tmp_path / "trap.csv")
    refused(tmp_path / "trap.csv", "no column")


MATRIX = "{corner},2.1B,8.2B,28B{word}\n70M,3.1,2.9,2.85\n410M,,2.7,2.6\n1.4B,—,2.5,2.3\n"


@pytest.mark.parametrize(
    ("corner", "word", "down", "across"),
    [
        ("params", "", "params", "tokens"),
        ("", "", "params", "tokens"),
        ("N \\ D", "", "params", "tokens"),
        ("tokens", "", "tokens", "params"),
        ("model size", " tokens", "params", "tokens"),
        ("D / N", "", "tokens", "params"),
    ],
)
def test_a_matrix_of_sizes_and_budgets(tmp_path, corner, word, down, across):
    runs = load_runs(write(tmp_path, MATRIX.format(corner=corner, word=word), "m.csv"))
    assert runs.n == 7
    np.testing.assert_allclose(getattr(runs, down), [70e6, 70e6, 70e6, 410e6, 410e6, 1.4e9, 1.4e9])
    np.testing.assert_allclose(getattr(runs, across), [2.1e9, 8.2e9, 28e9, 8.2e9, 28e9, 8.2e9, 28e9])
    assert runs.loss.tolist() == [3.1, 2.9, 2.85, 2.7, 2.6, 2.5, 2.3]
    assert "7 of 9 cells" in next(n.message for n in runs.notices if n.code == "layout")


def test_a_matrix_of_sizes_and_compute(tmp_path):
    runs = load_runs(write(tmp_path, "size,1e19,1e20 FLOPs\n70M,3.1,2.9\n410M,3.0,2.7\n", "m.csv"))
    np.testing.assert_allclose(runs.flops, [1e19, 1e20, 1e19, 1e20])
    np.testing.assert_allclose(runs.tokens, runs.flops / (6 * runs.params))


def chart(metrics=("eval/loss",)):
    columns = {"Step": [100, 200, 300]}
    for k, name in enumerate(("7B - run-1", "7B - run-2")):
        for metric in metrics:
            cells = [3.0 - 0.1 * k, "", 2.5] if k else [3.0, 2.8, 2.6]
            columns |= {f"{name} - {metric}{end}": cells for end in ("", "__MIN", "__MAX")}
    return pd.DataFrame(columns)


def test_a_chart_of_weights_and_biases(tmp_path):
    table = reader.laid_out(reader.from_frame(chart(), "chart"))
    assert table.frame.columns.tolist() == ["run", "Step", "eval/loss"]
    assert table.frame["run"].tolist() == ["7B - run-1"] * 3 + ["7B - run-2"] * 2
    assert table.frame["Step"].tolist() == [100, 200, 300, 100, 300]
    assert table.frame["eval/loss"].tolist() == [3.0, 2.8, 2.6, 2.9, 2.5]
    assert table.places.tolist() == ["0", "1", "2", "0", "2"]
    chart(("train/loss", "eval/acc")).to_csv(tmp_path / "wandb.csv", index=False)
    refused(tmp_path / "wandb.csv", "no column", "Step")


def test_an_mlflow_store(tmp_path, monkeypatch):
    """Written by MLflow itself; read without it."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    mlflow.set_experiment("scaling")
    for row in [*RECORDS, {"run": "gone", "params": "1B", "tokens": "1B", "loss": 9.0}]:
        with mlflow.start_run(run_name=row["run"]) as run:
            mlflow.log_params({"params": row["params"], "tokens": row["tokens"]})
            for step, loss in enumerate((8.0, 5.0, row["loss"])):
                mlflow.log_metric("eval/loss", loss, step=step)
        if row["run"] == "gone":
            mlflow.delete_run(run.info.run_id)
    columns = {"loss": "metrics.eval/loss", "params": "params.params", "tokens": "params.tokens"}
    runs = load_runs(tmp_path / "mlruns", columns={**columns, "run": "tags.mlflow.runName"})
    assert sorted(runs.run) == ["a", "b", "c", "d"]
    check(runs.subset(np.argsort(runs.params)))
    searched = mlflow.search_runs(experiment_names=["scaling"])
    again = load_runs(searched, columns={**columns, "run": "tags.mlflow.runName"})
    check(again.subset(np.argsort(again.params)))


def test_an_mlflow_data_base(tmp_path):
    import sqlite3

    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT)")
        base.execute("CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT)")
        base.execute("CREATE TABLE latest_metrics (run_uuid TEXT, key TEXT, value DOUBLE, step BIGINT)")
        for r in RECORDS:
            base.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active')", (r["run"], r["run"]))
            base.executemany("INSERT INTO params VALUES (?, ?, ?)", [(r["run"], k, r[k]) for k in ("params", "tokens")])
            base.execute("INSERT INTO latest_metrics VALUES (?, 'loss', ?, 1)", (r["run"], r["loss"]))
        base.execute("INSERT INTO runs VALUES ('x', 'x', 'FAILED', 'deleted')")
    columns = {"loss": "metrics.loss", "params": "params.params", "tokens": "params.tokens"}
    check(load_runs(path, columns=columns))


def test_readers_are_found_by_themselves(tmp_path):
    """A new format is a new file: here one beside the others, on their package's path."""
    from bayes_scaling.runs import readers

    (tmp_path / "shouted.py").write_text(
        "from bayes_scaling.runs.readers.delimited import read_csv\n"
        "from bayes_scaling.runs.readers.reader import Format\n"
        "FORMAT = Format('shouted', ('.loud',), lambda c: c.ending == '.loud',\n"
        "    lambda c: read_csv(c.text.lower().replace('!', ','), c.source), order=1)\n"
    )
    path = write(tmp_path, CSV.upper().replace(",", "!"), "r.loud")
    readers.__path__.append(str(tmp_path))
    reader.formats.cache_clear()
    try:
        check(load_runs(path))
    finally:
        readers.__path__.remove(str(tmp_path))
        reader.formats.cache_clear()


cells = st.floats(min_value=1e6, max_value=1e13).map(lambda v: float(f"{v:.6g}"))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells, st.floats(0.5, 9).map(lambda v: round(v, 4))), min_size=3, max_size=6),
    order=st.permutations(["params", "tokens", "loss"]),
    separator=st.sampled_from([",", ";", "\t", "  ", "|", "md", "json"]),
)
def test_separators_and_order_change_nothing(tmp_path_factory, rows, order, separator):
    table = pd.DataFrame(rows, columns=["params", "tokens", "loss"])
    wanted = load_runs(table)
    lines = [list(order), *([repr(float(v)) for v in row] for row in table[list(order)].to_numpy())]
    if separator == "md":
        text = "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], ["---"] * 3, *lines[1:]])
    elif separator == "json":
        text = table[list(order)].to_json(orient="records", indent=1, double_precision=15)
    else:
        text = "\n".join(separator.join(cells) for cells in lines)
    path = tmp_path_factory.mktemp("t") / ("r.json" if separator == "json" else "r.txt")
    path.write_text(text)
    runs = load_runs(path)
    np.testing.assert_allclose([runs.params, runs.tokens, runs.loss], [wanted.params, wanted.tokens, wanted.loss])
