"""Small inputs on which the program once crashed, lost something or misled: each stands for its kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from bayes_scaling.cli.main import _is_memory, main
from bayes_scaling.inference.storage import load_fit, save_fit
from bayes_scaling.runs.loading import load_runs

ROWS = [{"params": 1e9 * k, "tokens": 2e10 * k, "loss": 3 - 0.1 * k, "run": f"r{k}"} for k in range(1, 6)]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX")


def jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def refused(capsys, words, *says):
    assert main(words) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "Internal" not in said.err
    for part in says:
        assert part in said.err, said.err


def test_a_loss_of_400_zeros(capsys, tmp_path):
    path = tmp_path / "runs.jsonl"
    lines = [json.dumps(row) for row in ROWS]
    path.write_text("\n".join([*lines, '{"params": 1e9, "tokens": 2e10, "loss": 1' + "0" * 400 + "}"]))
    refused(capsys, ["validate", str(path)], "line 6", "'loss'", "not finite")
    refused(capsys, ["validate", jsonl(path, [*ROWS, {**ROWS[0], "loss": -(10**400)}])], "line 6", "not finite")
    frame = pd.DataFrame({**pd.DataFrame(ROWS), "loss": pd.Series([10**400, 2, 2, 2, 2], dtype=object)})
    with pytest.raises(Exception, match="not finite"):
        load_runs(frame)


@pytest.mark.parametrize("name", ["\ud800", "nul\0", "\udfff\ud800x"])
@pytest.mark.parametrize("where", ["run", "group", "value", "column"])
def test_what_utf8_cannot_say(capsys, tmp_path, saved, name, where):
    from dataclasses import replace

    rows = [dict(row) for row in ROWS]
    for k, row in enumerate(rows):
        row["group"] = f"g{k % 2}"
        row |= {name: 1.0} if where == "column" else {"note" if where == "value" else where: name}
    path = jsonl(tmp_path / "runs.jsonl", rows)
    assert main(["validate", path, "--json"]) == 0
    json.loads(capsys.readouterr().out)
    runs = load_runs(path)
    runs.to_frame().to_csv(tmp_path / "out.csv")
    assert runs.sha256
    # It can be saved: what was accepted must not fail after an hour of sampling.
    fit = load_fit(saved[0])
    again = load_fit(save_fit(replace(fit, runs=runs), tmp_path / "fit.nc")) if len(runs) == len(fit.runs) else None
    assert again is None or again.runs.sha256 == runs.sha256


@pytest.mark.parametrize(
    "note", [b"[]", b"{}", b'{"index_columns": ["gone"], "columns": [], "column_indexes": []}', b"\xff"]
)
def test_parquet_with_bad_pandas_metadata(capsys, tmp_path, note):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(pd.DataFrame(ROWS)).replace_schema_metadata({b"pandas": note})
    pq.write_table(table, tmp_path / "runs.parquet")
    code = main(["validate", str(tmp_path / "runs.parquet")])
    said = capsys.readouterr()
    assert code in (0, 3)
    assert "Internal" not in said.err


def test_parquet_with_timestamps_beyond_pythons_years(capsys, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = pa.Table.from_pandas(pd.DataFrame(ROWS))
    for unit, value in (("ms", 2**58), ("us", -(2**62)), ("ns", 2**62)):
        moments = pa.array([value] * len(ROWS), pa.timestamp(unit))
        pq.write_table(frame.append_column("at", moments), tmp_path / "runs.parquet")
        assert main(["validate", str(tmp_path / "runs.parquet")]) in (0, 3)
        assert "Internal" not in capsys.readouterr().err


def test_no_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    refused(capsys, ["validate", "-"], "no standard input")


@posix
def test_a_pipe_as_a_table(tmp_path):
    (tmp_path / "t.csv").write_text(pd.DataFrame(ROWS).to_csv(index=False))
    program = f"{sys.executable} -m bayes_scaling forecast <(cat t.csv) --at params=1B,tokens=x"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2  # what was asked is wrong; the pipe is not looked at before
    program = f"{sys.executable} -m bayes_scaling validate <(cat t.csv)"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 runs" in done.stdout


def test_memory_is_named():
    def chain(inner):
        try:
            try:
                raise inner
            except BaseException as error:
                raise ImportError("NumPy could not be loaded") from error
        except ImportError as outer:
            return outer

    assert _is_memory(MemoryError())
    assert _is_memory(chain(ImportError("libx.so: failed to map segment from shared object")))
    assert _is_memory(RuntimeError("can't start new thread"))
    assert not _is_memory(chain(ImportError("no such file")))


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("wait", [1.2, 3.5])
def test_signals_end_cleanly(tmp_path, number, code, wait):
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print('up', flush=True); from bayes_scaling.cli.main import entry; entry()"
    )
    words = [sys.executable, "-c", program, "fit", "pile", "--law", "coupled", "--out", "f.nc", "--draws", "20000"]
    child = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    time.sleep(wait)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


LATE = """
import atexit, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from bayes_scaling.cli import interrupt, main
usual = interrupt.end
def struck(code):
    if {before}:
        os.kill(os.getpid(), signal.SIGINT)
    usual(code)
main.main = lambda: 0
interrupt.end = struck
atexit.register(os.kill, os.getpid(), signal.SIGINT)  # where Python takes itself down
main.entry()
"""


@posix
@pytest.mark.parametrize(("before", "codes"), [(False, (0,)), (True, (130,))])
def test_an_interrupt_after_all_is_done(before, codes):
    words = [sys.executable, "-c", LATE.format(before=before)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode in codes, done
    assert "Traceback" not in done.stderr


@posix
def test_the_umask_is_not_touched(monkeypatch, tmp_path):
    """It belongs to the whole process: another thread would make files that anybody may write."""
    from bayes_scaling.base.files import write_text

    def flipped(_):
        raise AssertionError("umask was changed")

    monkeypatch.setattr(os, "umask", flipped)
    write_text(tmp_path / "x", "x")


def test_numbers_of_a_fleet_survive_damage_to_its_parts(tmp_path):
    from bayes_scaling.base.sealed import seal
    from bayes_scaling.fleets import dispatch

    class Chunk:
        key = "k"

    dispatch._write(tmp_path, Chunk(), {"x": np.arange(3.0)})
    np.testing.assert_array_equal(dispatch._read(tmp_path, Chunk())["x"], [0, 1, 2])
    path = tmp_path / "k.npz"
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole[:40], whole.replace(b"x.npy", b"y.npy"), b"PK" + whole):
        path.write_bytes(data)
        assert dispatch._read(tmp_path, Chunk()) is None
    path.write_bytes(seal(b"no archive"))
    assert dispatch._read(tmp_path, Chunk()) is None


def test_a_damaged_gzip_file_is_one_sentence(capsys, tmp_path):
    import gzip

    whole = gzip.compress(pd.DataFrame(ROWS).to_csv(index=False).encode() * 20, mtime=0)
    seen = set()
    for position in range(10, len(whole), 3):
        bent = bytearray(whole)
        bent[position] ^= 0x10
        (tmp_path / "runs.csv.gz").write_bytes(bent)
        seen.add(main(["validate", str(tmp_path / "runs.csv.gz")]))
        assert "Internal" not in capsys.readouterr().err
    assert seen <= {0, 3}
    assert 3 in seen
