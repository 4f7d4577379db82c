"""How the program ends: failed fits, faults, interrupts, readers that leave, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import cli

from bayes_scaling.cli.main import main


def spoiled(path, tmp_path):
    """A copy of a saved fit that says it failed."""
    import xarray as xr

    from bayes_scaling.inference.netcdf import write_tree
    from bayes_scaling.inference.storage import load_fit

    tree = load_fit(path).idata
    note = json.loads(tree.attrs["bayes_scaling"])
    note["diagnostics"] |= {"verdict": "failed", "messages": ["The chains disagree."]}
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        copy = opened.load().copy()
    copy.attrs["bayes_scaling"] = json.dumps(note)
    target = tmp_path / "failed.nc"
    return str(write_tree(copy, target))


def test_failed_fits_are_shown_and_exit_4(capsys, saved, tmp_path):
    words = ["forecast", spoiled(saved[0], tmp_path), "--at", "params=70B,tokens=1.4T", "--json"]
    assert main(words) == 4
    captured = capsys.readouterr()
    body = json.loads(captured.out)
    assert [w["code"] for w in body["warnings"]] == ["fit_failed", "one_law"]
    assert "The chains disagree" in captured.err
    assert "--allow-bad-fit" in captured.err
    assert main([*words, "--allow-bad-fit"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["forecasts"]
    assert captured.err.count("The chains disagree") == 1


@pytest.mark.parametrize(("raised", "code"), [(ValueError("odd"), 1), (MemoryError(), 3), (OSError(28, "No space"), 3)])
def test_faults_are_one_line(capsys, monkeypatch, raised, code):
    def fault(*args, **kwargs):
        raise raised

    monkeypatch.setattr("bayes_scaling.runs.datasets.list_datasets", fault)
    monkeypatch.delenv("BAYES_SCALING_TRACEBACK", raising=False)
    assert main(["data"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "--traceback" in captured.err or code == 3
    assert main(["data", "--traceback"]) == code
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("BAYES_SCALING_TRACEBACK", "1")
    assert main(["data"]) == code
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("wait", ["import", "step"])
def test_ctrl_c(tmp_path, wait):
    # An interrupt is ignored in what a shell runs in the background: the child takes it up again.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print('up', flush=True); from bayes_scaling.cli.main import entry; entry()"
    )
    words = ["fit", "pile", "--law", "coupled", "--out", "fit.nc", "--draws", "20000"]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert child.stdout.readline() == "up\n"
    if wait == "step":
        assert "building" in child.stderr.readline()
    time.sleep(0.4)
    begin = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert time.monotonic() - begin < 20
    assert child.returncode == 130, err
    assert out == ""
    said = [line for line in err.splitlines() if not line.startswith("[")]
    assert len(said) == 1
    assert said[0].startswith("Interrupted.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_leaves_is_no_error():
    child = subprocess.Popen(
        [sys.executable, "-m", "bayes_scaling", "data", "pile"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.close()
    assert child.wait(timeout=60) == 0
    assert child.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bayes_scaling", "laws"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr


def test_no_standard_output_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["laws"]) == 0
    assert main(["laws", "--json"]) == 0


def test_an_ascii_terminal():
    done = cli("laws", "chinchilla", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert json.loads(done.stdout)["laws"]
    assert cli("validate", "pile", PYTHONIOENCODING="ascii", PYTHONUTF8="0").returncode == 0
