"""What strangers may hand us: tables in all forms, command lines, damaged files, hostile attributes; and what must hold
for each. Used by `test_fuzz.py` for a short run and by `benchmarks/fuzz.py` for a long one."""

from __future__ import annotations

import bz2
import contextlib
import copy
import gzip
import io
import json
import re
import shutil
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from by_hand import BESIROGLU, by_hand
from hypothesis import strategies as st

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.sealed import seal
from bayes_scaling.cli.main import main

ALLOWED = (0, 2, 3, 4)
FORMS = ("csv", "semicolon", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", "markdown", "csv.gz", "csv.bz2")

NASTY = [
    "", " ", "nan", "NaN", "inf", "-inf", "Infinity", "0", "-1", "1e400", "1e-400", "1e308", "7B", "7 B", "7b",
    "1.4T", "1,4", "1.234.567", "0x10", "١٢٣", "½", "1_000", "--", "None", "null", "TRUE", "=1+1", "+1", "@x",
    "1e", "e9", "%", "100PF-days", "\x1b[31mred\x1b[0m", "\x9b2J", "\u202e1e9", "\u200b", "a\rb", "a\nb", '"',
    "'", "\\", "😀", "x" * 5000, "\ud800", "\x7f", "1e9;2", "1|2", "{}", "[1]", "NA", "?", "<na>", "9" * 400,
    "3.2 ± 0.1", "~3", ">2", "\ufeff1",
]  # fmt: skip
NAMES = [
    "params", "tokens", "loss", "flops", "N", "D", "L", "C", "group", "run", "loss_sd", "Model Size",
    "val_loss", "compute", "pf_days", "", " ", "params ", "PARAMS", "Params (M)", "ppl", "\x1b[2J",
    "\u202eloss", "x" * 3000, "loss\n", "a,b", '"q"', "=cmd", "unique_tokens", "experts", "step", "lr", "😀",
    "\ud83d", "column 1", "1e9", "source_loss",
]  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A file's bytes, the ending of its name, whether it must be accepted, and what it holds where it must."""

    data: bytes
    ending: str
    valid: bool
    truth: pd.DataFrame | None = None


def said(words: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


def check_said(code: int, out: str, err: str) -> None:
    """What holds for every command line: a known exit code, no traceback, nothing that moves a cursor, and either a
    result or a sentence about why there is none."""
    assert code in ALLOWED, (code, err)
    for word in ("Traceback", "Internal error", "Exception ignored", "Error: Error"):
        assert word not in err, err
    assert out.replace("\n", "").isprintable(), ascii(out[:500])
    assert err.replace("\n", "").isprintable(), ascii(err[:500])
    if code in (2, 3):
        assert "Error: " in err
        assert len(err) < 30_000


# --- tables


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    """Tables of runs as anybody might have them, in plain units: columns params, tokens, loss, and perhaps others."""
    n = draw(st.integers(3, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, data = 10 ** rng.uniform(6.5, 11, n), 10 ** rng.uniform(8.5, 13, n)
    loss = 1.7 + 400 / size**0.34 + 410 / data**0.28
    frame = pd.DataFrame({"params": size.round(), "tokens": data.round(), "loss": loss})
    more = draw(st.sets(st.sampled_from(["flops", "group", "run", "loss_sd", "note"]), max_size=3))
    if "flops" in more:
        frame["flops"] = 6 * frame["params"] * frame["tokens"]
    if "loss_sd" in more:
        frame["loss_sd"] = 0.004
    if "group" in more:
        frame["group"] = [f"g{k % 2}" for k in range(n)]
    if "run" in more:
        frame["run"] = [f"run-{k}" for k in range(n)]
    if "note" in more:
        frame["note"] = [
            draw(st.text(string.ascii_letters + " é", min_size=1, max_size=8)).strip() or "x" for _ in range(n)
        ]
    return frame[list(draw(st.permutations(list(frame.columns))))]


def written(frame: pd.DataFrame, form: str) -> tuple[bytes, str]:
    """The bytes of a table in a form, and the ending of its file's name."""
    text = {"csv": ",", "semicolon": ";", "tsv": "\t"}
    if form in text:
        return frame.to_csv(index=False, sep=text[form]).encode(
            "utf-8", "surrogatepass"
        ), ".csv" if form != "tsv" else ".tsv"
    if form == "jsonl":
        return "\n".join(json.dumps(row) for row in _records(frame)).encode(), ".jsonl"
    if form == "json":
        return json.dumps(_records(frame), indent=1).encode(), ".json"
    if form == "markdown":
        lines = ["| " + " | ".join(map(str, row)) + " |" for row in [list(frame.columns), *frame.values.tolist()]]
        return "\n".join([lines[0], "|" + "---|" * len(frame.columns), *lines[1:]]).encode(
            "utf-8", "surrogatepass"
        ), ".md"
    if form == "csv.gz":
        return gzip.compress(frame.to_csv(index=False).encode("utf-8", "surrogatepass"), mtime=0), ".csv.gz"
    if form == "csv.bz2":
        return bz2.compress(frame.to_csv(index=False).encode("utf-8", "surrogatepass")), ".csv.bz2"
    stream = io.BytesIO()
    if form == "parquet":
        frame.to_parquet(stream, index=False)
        return stream.getvalue(), ".parquet"
    if form == "arrow":
        frame.to_feather(stream)
        return stream.getvalue(), ".arrow"
    frame.to_excel(stream, index=False)
    return stream.getvalue(), ".xlsx"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.astype(object).values.tolist()]


@st.composite
def tables(draw: Any) -> Made:
    """A file: a table as it should be, one with a hostile cell or name, or one whose bytes were damaged."""
    frame, form = draw(frames()), draw(st.sampled_from(FORMS))
    how = draw(st.sampled_from(["valid", "cell", "name", "bytes", "cut", "noise", "swap"]))
    if how == "valid":
        return Made(*written(frame, form), valid=True, truth=frame)
    if how == "cell":
        frame = frame.astype(object)
        for _ in range(draw(st.integers(1, 2))):
            row, column = draw(st.integers(0, len(frame) - 1)), draw(st.integers(0, frame.shape[1] - 1))
            frame.iloc[row, column] = draw(st.sampled_from(NASTY) | st.text(max_size=6) | st.integers() | st.none())
    elif how == "name":
        names = list(frame.columns)
        names[draw(st.integers(0, len(names) - 1))] = draw(st.sampled_from(NAMES) | st.text(max_size=6))
        frame.columns = pd.Index(names, dtype=object)
    try:
        data, ending = written(frame, form)
    except Exception:  # the library that writes does not take it: then as the least particular form has it
        data, ending = written(frame.map(lambda v: v if isinstance(v, float) else str(v)), "csv")
    if how in ("cell", "name"):
        return Made(data, ending, valid=False)
    if how == "swap":
        return Made(
            data, draw(st.sampled_from([".csv", ".json", ".parquet", ".xlsx", ".md", ".txt", "", ".gz"])), False
        )
    return Made(draw(damaged(data, how)), ending, valid=False)


_FAR = 1 << 30


@st.composite
def damaged(draw: Any, data: bytes, how: str) -> bytes:
    """Bytes cut short, with some struck, or with a stretch replaced. Places are drawn as shares of the length: an
    archive's may differ with the time at which it was made."""

    def place() -> int:
        return draw(st.integers(0, _FAR - 1)) * len(data) // _FAR

    if how == "cut":
        return data[: place()]
    bent = bytearray(data)
    if how == "noise":
        at, piece = place(), draw(st.binary(min_size=1, max_size=40))
        bent[at : at + draw(st.sampled_from([0, 1])) * len(piece)] = piece
        return bytes(bent)
    for _ in range(draw(st.integers(1, 4))):
        at, bit = place(), draw(st.integers(0, 7))
        if bent:
            bent[at] ^= 1 << bit
    return bytes(bent)


def check_table(made: Made, folder: Path) -> int:
    """`validate` accepts what is valid, with every number as it was, and refuses the rest in a sentence; gives the exit
    code."""
    path = folder / f"table{made.ending}"
    path.write_bytes(made.data)
    code, out, err = said(["validate", str(path), "--json"])
    check_said(code, out, err)
    if code == 3:
        assert out == ""
        assert not made.valid, err
        return code
    assert code == 0
    body = json.loads(out)
    if made.truth is not None:
        design = body["runs"]["design"]
        assert body["runs"]["n"] == len(made.truth)
        for name in ("params", "tokens", "loss"):
            got, want = design[name], (made.truth[name].min(), made.truth[name].max())
            assert np.allclose(got, want, rtol=1e-12, atol=0), (name, got, want)
        check_rows(path, made.truth)
    return code


def check_rows(path: Path, truth: pd.DataFrame) -> None:
    """Every number of every run is as the file has it."""
    from bayes_scaling.runs.loading import load_runs

    runs = load_runs(str(path))
    for name in ("params", "tokens", "loss", "flops", "loss_sd"):
        if name in truth:
            np.testing.assert_allclose(getattr(runs, name), truth[name].to_numpy(float), rtol=1e-12)


# --- command lines

VALUES = [
    "1", "0", "-1", "1e24", "7B", "nan", "inf", "abc", "", "0.9", "90", "params=7B,tokens=1T", "params=7B",
    "params=,tokens=", "params=1e400,tokens=1", "flops=1e24,tokens=4T", "loss=eval", "chinchilla",
    "kaplan,chinchilla", "average", "kaplan", "normal", "alpha=lognormal(median=0.3, sigma=0.4)",
    "alpha=normal(mu=0, sigma=-1)", "alpha=(", "alpha", "$2M", "30days", "100PF-days", "H100", "expected",
    "cvar", "7B,13B", "1:2", "2:1", ":", "x" * 2000, "\x1b[2J", "\u202e", "\udcff", "--", "=", "gain",
    "params", "loss", "target-loss", "law", "curve", "new-run", "cpu", "auto", "tcp://x", "5:500", "2T",
    "1e-18", "0.4", "lognormal(median=2e12, sigma=0.5)", "beta(alpha=24, beta=36)", "group", "run", "1024",
    "90days", "12weeks", "2", "3", "50",
]  # fmt: skip


@st.composite
def command_lines(draw: Any) -> list[str]:
    """A command, some of its options with values good and bad, and slips of the pen."""
    from bayes_scaling.cli.parser import all_commands

    known = {command.name: options_of(command) for command in all_commands()}
    name = draw(st.sampled_from([*known, *known, "fi", "Forecast", "--help", "--version", ""]))
    words = [name]
    sources = [
        "TABLE",
        "FIT",
        "TABLE",
        "FIT",
        "pile",
        "missing.csv",
        ".",
        "-x",
        "",
        "known_models",
        "/dev/null",
        "FOLDER",
    ]
    if name not in ("laws", "data", "cache", "completion"):
        words.append(draw(st.sampled_from(sources)))
    options = known.get(name, [])
    wanted = {
        "forecast": ["--at", "params=70B,tokens=1.4T"],
        "frontier": ["--budget", "1e24"],
        "next": ["--budget", "1e23"],
    }
    if draw(st.booleans()):
        words += wanted.get(name, [])
    for _ in range(draw(st.integers(0, 4))):
        option, takes = draw(st.sampled_from(options)) if options else ("--json", False)
        if option in ("--out", "--scheduler", "--workers", "--clear", "--traceback"):
            continue  # these write, look for machines, delete, or show a traceback because they are asked to
        if draw(st.integers(0, 9)) == 0:
            option = draw(st.sampled_from([option[:-1], option.upper(), option + "s", "-" + option]))
        words.append(option)
        if takes:
            words.append(draw(st.sampled_from(VALUES) | st.text(max_size=5)))
    if draw(st.integers(0, 5)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(VALUES)))
    return words


def options_of(command: Any) -> list[tuple[str, bool]]:
    """Every option of a command, and whether it takes a value."""
    from bayes_scaling.cli.parser import Parser

    parser = Parser(prog="x")
    command.configure(parser)
    return [(names[-1], action.nargs != 0) for action in parser._actions if (names := action.option_strings)]


class Commands:
    """Command lines with a table, a saved fit and a folder at hand; where one would sample, it stops: a posterior is
    there, or the command ends as one whose data could not be used."""

    def __init__(self, folder: Path, fit: Path) -> None:
        self.places = {"TABLE": folder / "runs.csv", "FIT": folder / "fit.nc", "FOLDER": folder / "sub"}
        rng = np.random.default_rng(3)
        size, data = 10 ** rng.uniform(7, 10, 12), 10 ** rng.uniform(9, 12, 12)
        frame = pd.DataFrame({"params": size, "tokens": data, "loss": 1.8 + 400 / size**0.34 + 410 / data**0.28})
        frame.to_csv(self.places["TABLE"], index=False)
        self.places["FOLDER"].mkdir(exist_ok=True)
        shutil.copy(fit, self.places["FIT"])
        self.folder = folder

    def check(self, words: list[str]) -> int:
        """Run one; gives the exit code."""
        words = [str(self.places.get(word, word)) for word in words]
        before = sorted(self.folder.rglob("*"))
        with contextlib.ExitStack() as stack:
            for target in _STOPS:
                stack.enter_context(mock.patch(target, _stopped))
            for target in _MADE:
                stack.enter_context(mock.patch(target, _posterior))
            stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""))))
            stack.enter_context(contextlib.chdir(self.folder))
            code, out, err = said(words)
        check_said(code, out, err.replace("This is a fault of bayes-scaling", "Traceback"))
        if "--json" in words and code in (0, 4) and not out.startswith(("usage:", "bayes-scaling ")):
            json.loads(out)
        assert sorted(self.folder.rglob("*")) == before
        return code


_STOPS = (
    "bayes_scaling.evidence.comparing.compare",
    "bayes_scaling.validation.backtesting.backtest",
    "bayes_scaling.fleets.fitting.fleet",
    "bayes_scaling.reporting.report",
    "bayes_scaling.runs.datasets.fetch",
)
_MADE = ("bayes_scaling.inference.fitting.fit",)


def _stopped(*_: Any, **__: Any) -> None:
    raise DataError("What samples ends here.")


def _posterior(runs: Any, law: Any = "chinchilla", **_: Any) -> Any:
    if str(getattr(law, "name", law)) != "chinchilla":
        raise DataError("What samples ends here.")
    return by_hand(runs, BESIROGLU, spread=0.05, draws=200)


# --- damaged files


@dataclass
class Damage:
    """A saved fit and what it says, to be held against what damaged copies say."""

    whole: bytes
    folder: Path
    truth: str = ""

    def __post_init__(self) -> None:
        self.truth = self.forecast(self.whole)[1]
        assert json.loads(self.truth)["forecasts"]

    def forecast(self, data: bytes) -> tuple[int, str, str]:
        """What `forecast` says of a file of these bytes."""
        path = self.folder / "fit.nc"
        path.write_bytes(data)
        return said(["forecast", str(path), "--at", "params=70B,tokens=1.4T", "--json"])

    def check(self, data: bytes) -> int:
        """Refused in a sentence, or whole and saying the same to the last digit; gives the exit code."""
        code, out, err = self.forecast(data)
        check_said(code, out, err)
        assert code in (0, 3, 4)
        if code != 3:
            assert numbers(out) == numbers(self.truth), "a number changed in silence"
        return code


def numbers(text: str) -> Any:
    """What a result says, but for what may differ from run to run."""
    body = json.loads(text)
    return {k: v for k, v in body.items() if k not in ("seconds", "provenance", "warnings")}


def unsealed(data: bytes) -> bytes:
    """As an older version saved it, without its checksum and without word of one."""
    import h5py

    stream = io.BytesIO(data[:-55])
    with h5py.File(stream, "r+") as handle:
        del handle.attrs["bayes_scaling_sealed"]
    return stream.getvalue()


# --- hostile attributes

JUNK = [
    None, True, False, 0, -1, 1e308, float("nan"), float("inf"), "", "x", "\x1b[2J", "\u202e", "x" * 5000, [],
    {}, [1], [None], {"a": 1}, [[]], 10**400, "1e9", "ok", "failed", "kaplan", "chinchilla", "normal", -1e-300,
    2**63, [[1, 2], [3]],
]  # fmt: skip


@st.composite
def edits(draw: Any, note: dict[str, Any]) -> dict[str, Any]:
    """The note of a fit with one to three values replaced, removed or added, anywhere in it."""
    found = json.loads(json.dumps(note))
    for _ in range(draw(st.integers(1, 3))):
        place = found
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if how == "remove":
                del place[key]
            elif how == "replace" or isinstance(place, list):
                place[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            else:
                place[draw(st.sampled_from(["extra", "law", "", "\x1b"]))] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            break
    return found


def with_note(data: bytes, note: Any, how: str, resealed: bool) -> bytes:
    """A saved fit with another note: sealed again, as one who means harm would, or as an older version."""
    import h5py

    stream = io.BytesIO(data[:-55])
    with h5py.File(stream, "r+") as handle:
        del handle.attrs["bayes_scaling"]
        if how == "json":
            handle.attrs["bayes_scaling"] = json.dumps(note)
        elif how == "bytes":
            handle.attrs["bayes_scaling"] = np.void(json.dumps(note).encode())
        elif how == "array":
            handle.attrs["bayes_scaling"] = np.arange(3)
        else:
            handle.attrs["bayes_scaling"] = json.dumps(note)[: len(json.dumps(note)) // 2]
        if not resealed:
            del handle.attrs["bayes_scaling_sealed"]
    return seal(stream.getvalue()) if resealed else stream.getvalue()


def check_attributes(data: bytes, folder: Path) -> int:
    """A sentence or a result, never a traceback; gives the exit code."""
    path = folder / "hostile.nc"
    path.write_bytes(data)
    code, out, err = said(["forecast", str(path), "--at", "params=70B,tokens=1.4T", "--json"])
    check_said(code, out, err)
    if code in (0, 4):
        assert not re.search(r"\bnull\b", json.dumps(json.loads(out)["forecasts"][0]["median"]))
    return code


Check = Callable[..., int]
