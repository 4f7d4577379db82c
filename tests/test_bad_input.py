"""Bad input through the command line: one clear message, the right exit code, and nothing written."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bayes_scaling.cli.main import main

GOOD = "params,tokens,loss\n1e9,2e10,2.5\n2e9,4e10,2.3\n4e9,1e11,2.2\n1e10,1e11,2.1\n"
HEAD = "params,tokens,loss\n"
REST = "2e9,4e10,2.3\n4e9,1e11,2.2\n1e10,1e11,2.1\n"

REFUSED_TABLES = {
    "empty": ("", ["empty"]),
    "header only": (HEAD, ["no runs below"]),
    "no loss column": ("params,tokens\n1e9,2e10\n2e9,4e10\n3e9,5e10\n", ["no column 'loss'", "--map loss="]),
    "two columns for params": (
        "params,N,tokens,loss\n" + "1e9,1e9,2e10,2.5\n" * 3,
        ["'params' and 'N'", "--map params="],
    ),
    **{
        f"{word} in {column}": (
            HEAD + ",".join({"params": "1e9", "tokens": "2e10", "loss": "2.5", column: word}.values()) + "\n" + REST,
            ["line 2", f"column '{column}'", f"value '{word}'", says],
        )
        for column in ("params", "tokens", "loss")
        for word, says in [
            ("abc", "not a"),
            ("nan", "missing"),
            ("inf", "not finite"),
            ("0", "zero"),
            ("-1", "negative"),
            ("", "missing"),
        ]
    },
    "params in billions": (
        HEAD + "1,2e10,2.5\n2,4e10,2.3\n10,1e11,2.1\n",
        ["'params'", "below 1000", "billion"],
    ),
    "loss above 30": (HEAD + "1e9,2e10,31\n" + REST, ["implausible", "above 30"]),
    "one run": (HEAD + "1e9,2e10,2.5\n", ["holds 1 run", "at least 3"]),
    "two runs": (HEAD + "1e9,2e10,2.5\n2e9,4e10,2.3\n", ["holds 2 runs", "at least 3"]),
    "ragged": (HEAD + "1e9,2e10,2.5,7\n" + REST, ["line 2"]),
    "zeros": (b"\0" * 4096, [""]),
    "binary": (bytes(range(256)) * 8, [""]),
    "a saved fit by another name": (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, [""]),
}


def refuse(capsys, folder, words, code, *says):
    """Run `words`; it must fail with `code`, say one thing, print nothing and write nothing."""
    before = sorted(folder.rglob("*"))
    assert main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("Error: ") == 1
    assert "Traceback" not in captured.err
    for part in says:
        assert part in captured.err, captured.err
    assert sorted(folder.rglob("*")) == before
    return captured.err


@pytest.fixture
def good(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.csv"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("name", REFUSED_TABLES)
def test_tables_that_are_refused(capsys, tmp_path, monkeypatch, name):
    text, says = REFUSED_TABLES[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    fit = refuse(capsys, tmp_path, ["fit", "bad.csv", "--law", "kaplan", "--out", "f.nc"], 3, "bad.csv", *says)
    assert refuse(capsys, tmp_path, ["validate", "bad.csv", "--json"], 3) == fit
    if name in ("empty", "one run"):
        refuse(capsys, tmp_path, ["report", "bad.csv"], 3, *says)
        refuse(capsys, tmp_path, ["compare", "bad.csv"], 3, *says)
        refuse(capsys, tmp_path, ["forecast", "bad.csv", "--at", "params=1B,tokens=1B"], 3, *says)


def test_files_that_are_refused(capsys, good, tmp_path):
    (tmp_path / "folder").mkdir()
    for word, *says in [
        ("missing.csv", "No such file", "missing.csv"),
        ("folder", "folder"),
        ("nothing", "neither a file nor a known data set", "pile"),
        ("known_models", "holds no losses", "pile"),
        ("chinchilla_epoch", "bayes-scaling data fetch chinchilla_epoch"),
    ]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BAYES_SCALING_CACHE", str(tmp_path / "none"))
            refuse(capsys, tmp_path, ["validate", word], 3, *says)


def test_two_hundred_megabytes_of_zeros(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("zeros.csv", "wb") as stream:
        stream.truncate(200_000_000)
    begin = time.monotonic()
    refuse(capsys, tmp_path, ["validate", "zeros.csv"], 3, "zeros.csv")
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GOOD + "1e9,2e10,2.5\n", "duplicate_rows"),
        (HEAD + "1e9,2e10,2.5\n1e9,4e10,2.3\n1e9,1e11,2.1\n", "not_identified"),
        (HEAD + "1e9,2e10,2.5\n2e9,4e10,2.3\n1e10,2e11,2.1\n", "not_identified"),
        (GOOD.replace(",", ";"), "separator"),
        (GOOD.encode("utf-16"), None),
        (GOOD.replace("\n", "\r\n"), None),
    ],
)
def test_tables_that_are_odd_but_welcome(capsys, tmp_path, monkeypatch, text, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["validate", "odd.csv", "--json"]) == 0
    captured = capsys.readouterr()
    assert (f'"code": "{code}"' in captured.out) == (code is not None)
    assert captured.err.startswith("Warning: ") == (code is not None)


def test_bits_are_declared(capsys, good):
    assert main(["validate", "runs.csv", "--loss-unit", "bits"]) == 0
    assert "1.733" in capsys.readouterr().out  # 2.5 bits
    refuse(capsys, good.parent, ["validate", "runs.csv", "--loss-unit", "bytes"], 2, "nats", "bits")


USAGE = [
    (["raport"], "Unknown command 'raport'. Did you mean 'report'?"),
    (["settle", "pile"], "Unknown command 'settle'"),
    (["fit"], "RUNS"),
    (["fit", "runs.csv"], "fit needs --law NAME", "chinchilla"),
    (["fit", "runs.csv", "--law", "chinchila"], "Unknown law 'chinchila'. Did you mean 'chinchilla'?"),
    (["fit", "runs.csv", "--law", "kaplan,chinchilla"], "one law"),
    (["fit", "runs.csv", "--law", "average"], "one law"),
    (["fit", "runs.csv", "--law", "kaplan", "--dras", "5"], "'--dras'", "--draws"),
    (["fit", "runs.csv", "extra", "--law", "kaplan"], "'extra'"),
    (["fit", "runs.csv", "--law", "kaplan", "--draws", "many"], "--draws takes a whole number"),
    (["fit", "runs.csv", "--law", "kaplan", "--draws", "3"], "at least 50 draws"),
    (["fit", "runs.csv", "--law", "kaplan", "--chains", "0"], "--chains 0"),
    (["fit", "runs.csv", "--law", "kaplan", "--seed", "-1"], "--seed"),
    (["fit", "runs.csv", "--law", "kaplan", "--ci", "90"], "0.9 for 90 %"),
    (
        ["fit", "runs.csv", "--law", "kaplan", "--noise", "cauchy"],
        "Unknown noise model 'cauchy'",
        "student_t",
    ),
    (["fit", "runs.csv", "--law", "kaplan", "--prior", "alpha"], "Cannot read --prior"),
    (
        ["fit", "runs.csv", "--law", "kaplan", "--prior", "alpha=cauchy(a=1)"],
        "Unknown prior 'cauchy'",
        "lognormal",
    ),
    (["fit", "runs.csv", "--law", "kaplan", "--prior", "alpha=lognormal(0.3, 0.4)"], "arguments go by name"),
    (["fit", "runs.csv", "--law", "kaplan", "--prior", "alpha=normal(mu=0, sigma=-1)"], "must be positive"),
    (
        ["fit", "runs.csv", "--law", "kaplan", "--prior", "alhpa=normal(mu=0, sigma=1)"],
        "Did you mean 'alpha'?",
    ),
    (["fit", "runs.csv", "--law", "kaplan", "--map", "loss"], "--map loss=eval/c4_loss"),
    (["fit", "runs.csv", "--law", "kaplan", "--map", "los=x"], "Unknown column 'los'. Did you mean 'loss'?"),
    (["compare", "runs.csv", "--laws", "kaplan"], "two laws or more"),
    (["compare", "runs.csv", "--laws", "kaplan,kaplan"], "named twice"),
    (["compare", "runs.csv", "--laws", "kaplan", "--law", "coupled"], "not both"),
    (["forecast", "runs.csv"], "--at"),
    (["forecast", "runs.csv", "--at", "70B"], "--at params=70e9,tokens=1.4e12"),
    (["forecast", "runs.csv", "--at", "params=70B"], "two of params, tokens and flops"),
    (["forecast", "runs.csv", "--at", "params=-1,tokens=1e9"], "negative"),
    (["forecast", "runs.csv", "--at", "params=x,tokens=1e9"], "not a count"),
    (["forecast", "runs.csv", "--at", "params=1B,token=1e9"], "'token'", "tokens"),
    (["forecast", "runs.csv", "--at", "params=1B,tokens=1B,flops=1e30"], "Give two of the three"),
    (["forecast", "runs.csv", "--at", "params=1B,tokens=1B", "--kind", "old"], "new-run", "curve"),
    (["frontier", "runs.csv"], "--budget"),
    (["frontier", "runs.csv", "--budget", "lots"], "Budget 'lots'", "100PF-days"),
    (["frontier", "runs.csv", "--budget", "-1"], "Budget '-1'", "above 0"),
    (["decide", "runs.csv"], "Nothing to decide", "--budget"),
    (["decide", "runs.csv", "--budget", "lots"], "Budget 'lots'", "100PF-days"),
    (["decide", "runs.csv", "--budget", "1e22", "--rule", "best"], "Unknown rule 'best'", "cvar"),
    (["decide", "runs.csv", "--budget", "1e22", "--rule", "target"], "--target-loss"),
    (["decide", "runs.csv", "--budget", "1e22", "--device", "H1"], "Unknown device 'H1'", "--devices-file"),
    (["decide", "runs.csv", "--budget", "1e22", "--price", "2"], "--device H100"),
    (["decide", "runs.csv", "--budget", "1e22", "--device", "H100", "--price", "dear"], "no amount of money"),
    (["decide", "runs.csv", "--budget", "1e22", "--max-params", "big"], "not a count"),
    (["decide", "runs.csv", "--plan", "params=7B"], "params and tokens"),
    (["decide", "runs.csv", "--plan", "params=7B,size=2"], "Cannot read 'size=2'"),
    (["decide", "runs.csv", "--target-loss", "2", "--probability", "90"], "between 0 and 1"),
    (["report", "runs.csv", "--target-loss", "low"], "--target-loss"),
    (["report", "runs.csv", "--target-loss", "-2"], "--target-loss"),
    (["laws", "chinchila"], "Did you mean 'chinchilla'?"),
    (["data", "pille"], "Unknown data set 'pille'. Did you mean 'pile'?"),
    (["data", "fetch"], "data fetch NAME"),
    (["data", "fetch", "nope"], "Unknown data set 'nope'"),
    (["data", "pile", "more"], "one name too many"),
]


@pytest.mark.parametrize("case", USAGE, ids=[" ".join(case[0])[:70] for case in USAGE])
def test_wrong_usage(capsys, good, case):
    words, *says = case
    refuse(capsys, good.parent, words, 2, *says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budget", "0"], "must be above 0"),
        (["--budget", "-5"], "must be above 0"),
        (["--budget", "$2M"], "--device H100"),
        (["--budget", "$2M", "--device", "H100"], "--price 2.5"),
        (["--budget", "$2M", "--device", "H100", "--price", "-2"], "must be above 0"),
        (["--budget", "30days", "--device", "H100"], "--devices-count 1024"),
        (["--budget", "1e22", "--device", "H100", "--deadline", "0"], "must be above 0"),
        (["--budget", "1e22", "--device", "H100", "--utilisation", "1.4"], "not possible"),
        (["--budget", "1e22", "--inference-tokens", "-5"], "negative"),
        (["--budget", "1e22", "--min-params", "2B", "--max-params", "1B"], "No model meets the limits"),
    ],
)
def test_decisions_refused_before_anything_slow(capsys, good, words, says):
    refuse(capsys, good.parent, ["decide", "runs.csv", *words], 3, says)


def test_fits_that_are_no_fits(capsys, good, tmp_path):
    import h5py

    (tmp_path / "text.nc").write_text("not a netCDF")
    with h5py.File(tmp_path / "theirs.nc", "w") as handle:
        handle["x"] = [1.0, 2.0]
    whole = (tmp_path / "theirs.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "folder.nc").mkdir()
    for name, *says in [
        ("missing.nc", "There is no file"),
        ("text.nc", "not a saved fit"),
        ("theirs.nc", "theirs.nc"),
        ("cut.nc", "truncated or damaged"),
        ("folder.nc", "folder"),
    ]:
        for words in (
            ["forecast", name, "--at", "params=1B,tokens=1T"],
            ["frontier", name, "--budget", "1e22"],
        ):
            refuse(capsys, tmp_path, words, 3, *says)
    words = ["forecast", "text.nc", "--at", "params=1B,tokens=1T", "--draws", "100", "--noise", "normal"]
    refuse(capsys, tmp_path, words, 2, "--noise, --draws", "no effect on a saved fit")


def test_places_that_cannot_be_written(capsys, good, tmp_path):
    (tmp_path / "folder").mkdir()
    fit = ["fit", "runs.csv", "--law", "kaplan", "--out"]
    refuse(capsys, tmp_path, [*fit, "runs.csv/fit.nc"], 3, "runs.csv/fit.nc", "--out")
    refuse(capsys, tmp_path, [*fit, "folder"], 3, "is a folder")
    refuse(capsys, tmp_path, [*fit, "runs.csv"], 3, "left as it is")
    refuse(capsys, tmp_path, ["report", "runs.csv", "--out", "runs.csv"], 3, "is a file")
    refuse(capsys, tmp_path, ["report", "runs.csv", "--out", "runs.csv/report"], 3, "--out")
    assert good.read_text() == GOOD


def test_standard_input(tmp_path):
    def ask(text):
        return subprocess.run(
            [sys.executable, "-m", "bayes_scaling", "validate", "-"],
            input=text,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )

    done = ask(GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stdin: 4 runs" in done.stdout
    done = ask("")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("Error: standard input")
    assert len(done.stderr.splitlines()) == 1
