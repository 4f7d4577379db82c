"""Tables that are refused: each with what its one message must say, and every bad cell in it."""

from __future__ import annotations

import contextlib
import os
import pickle
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.runs.loading import load_runs

GOOD = """run,params,tokens,loss,family
a,70M,2.1B,3.1,x
b,"410,000,000",8.2e9,2.7,x
c,1.4B,28B,2.3,y
d,7e9,0.14T,2.0,y
"""


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8")
    return path


def refused(source, *says, **options):
    with pytest.raises(DataError) as caught:
        load_runs(source, **options)
    message = str(caught.value)
    for part in says:
        assert part in message, message
    assert caught.value.exit_code == 3
    return message


# --- what is refused: cells
# -----------------------------------------------------------------------------------


def test_all_bad_cells_at_once(tmp_path):
    text = (
        "params,tokens,loss\n7B,1e11,2.0\nabc,1e11,2.0\n,1e11,2.1\n0,1e11,2.1\n-7B,1e11,2.1\ninf,1e11,2.1\n"
        '1e9,nan,2.2\n1e9,1e10,31\n1e9,1e10,-1\n1e9,1e10,"2,31"\n1e9,1e10,0\n1e9,1e10,True\n1e30,1e10,2\n'
    )
    message = refused(write(tmp_path, text), "runs.csv: 12 cells cannot be used")
    expected = [
        ("line 3", "'params'", "'abc'", "not a count; write a plain number, or 7B"),
        ("line 4", "'params'", "''", "missing; fill it in"),
        ("line 5", "'params'", "'0'", "zero"),
        ("line 6", "'params'", "'-7B'", "negative"),
        ("line 7", "'params'", "'inf'", "not finite"),
        ("line 8", "'tokens'", "'nan'", "missing"),
        ("line 9", "'loss'", "'31'", "implausible, above 30"),
        ("line 10", "'loss'", "'-1'", "negative"),
        ("line 11", "'loss'", "'2,31'", "decimal comma"),
        ("line 12", "'loss'", "'0'", "zero"),
        ("line 13", "'loss'", "'True'", "not a number"),
        ("line 14", "'params'", "'1e30'", "implausibly large"),
    ]
    lines = message.splitlines()[1:]
    assert len(lines) == len(expected)
    for line, parts in zip(lines, expected, strict=True):
        assert all(part in line for part in parts), line


def test_long_lists_are_cut(tmp_path):
    text = "params,tokens,loss\n" + "x,1e9,2\n" * 57
    message = refused(write(tmp_path, text), "57 cells", "and 37 more")
    assert message.count("line ") == 20


def test_lines_are_the_file_s_own(tmp_path):
    text = 'note,params,tokens,loss\n\n"two\nlines",1e9,1e10,3\n\nx,oops,1e10,3\ny,1e9,1e10,2\n'
    refused(write(tmp_path, text), "line 6, column 'params', value 'oops'")


def test_frames_name_their_index():
    frame = pd.DataFrame({"N": [1e9, np.nan, 3e9], "D": [1e10, 3e10, 1e11], "L": [3, 2.5, 2]}, index=["a", "b", "c"])
    refused(frame, "DataFrame", "row b", "'N'", "missing")


def test_odd_types_in_frames():
    frame = pd.DataFrame(
        {"N": [1e9, 2e9, 3e9], "D": pd.to_datetime(["2024-01-01"] * 3), "L": [3, 2.5 + 1j, 2]},
    )
    refused(frame, "6 cells", "'D'", "2024", "'L'", "not a number")


def test_terminal_escapes_are_not_passed_on(tmp_path):
    message = refused(write(tmp_path, "N,D,L\n\x1b[31mred,1e9,2\n1e9,1e9,2\n1e9,1e9,2\n"), r"\x1b[31mred")
    assert "\x1b" not in message


def test_counts_in_one_unit_are_legal_and_noticed(tmp_path):
    runs = load_runs(write(tmp_path, "N,D,L\n7,300,2\n1.5,20,3\n70,1400,1.9\n"))
    told = [notice.message for notice in runs.notices if notice.code == "units"]
    assert len(told) == 2
    assert "--map params='N*1e6'" in told[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("N,D,L\n79,3e11,2\n154,3e11,3\n411.6,3e11,1.9\n", ("'N'", "below 1000", "--map params='N*1e9'", "'N*1e6'")),
        ("N,D,L\n1e9,20,2\n2e9,40,3\n3e9,30,1.9\n", ("'D'", "below 1000", "--map tokens='D*1e9'")),
        ("N,D,L\n1e9,1e11,2.3\n4,1e11,2.2\n3e9,1e11,2.1\n", ("line 3", "'N'", "4 among counts from 1B on", "4B")),
        ("Params (M),D,L\n4e8,1e11,2.3\n5e8,1e11,2.2\n6e8,1e11,2.1\n", ("3 cells", "header 'Params (M)'", "*1'")),
        ("N;D;L\n411616256;2,058;3.645\n411616256;4,1;3.5\n9e8;8,2;3.2\n", ("'D'", "below 1000", "8.2")),
    ],
)
def test_rows_that_contradict_each_other_or_their_header(tmp_path, text, says):
    refused(write(tmp_path, text), *says)


def test_compute_in_pf_days_is_caught():
    frame = pd.DataFrame({"N": [1e9, 2e9, 3e9], "C": [3, 30, 300], "L": [3, 2.5, 2]})
    refused(frame, "'tokens'", "units do not fit", "--map pf_days")


def test_small_models_are_only_noticed():
    frame = pd.DataFrame({"N": [1e4, 2e4, 3e4], "D": [1e8, 3e8, 1e9], "L": [6, 5.5, 5]})
    assert [notice.code for notice in load_runs(frame).notices] == ["units"]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_runs(tmp_path, count):
    refused(write(tmp_path, "N,D,L\n" + "1e9,1e10,3\n" * count), f"holds {count} run", "at least 3", "Add runs")


# --- what is refused: columns
# ---------------------------------------------------------------------------------


def test_no_loss_column(tmp_path):
    path = write(tmp_path, "N,D,eval/c4_loss\n1e9,1e10,3\n")
    refused(path, "no column 'loss'", "N, D, eval/c4_loss", "--map loss=eval/c4_loss")


def test_no_params_column(tmp_path):
    refused(
        write(tmp_path, "D,L\n1e9,3\n"),
        "no column 'params'",
        "--map params=",
        "Two of params, tokens and flops",
    )
    refused(write(tmp_path, "L\n3\n"), "it has none of them")


def test_a_column_understood_two_ways(tmp_path):
    path = write(tmp_path, "params,N,D,L\n1e9,1e9,1e10,3\n2e9,2e9,1e10,3\n3e9,3e9,1e11,2\n")
    refused(path, "'params' and 'N'", "--map params=params or --map params=N")
    assert load_runs(path, columns={"params": "N"}).extra.columns.tolist() == ["source_params"]
    refused(write(tmp_path, "N,D,loss,val_loss\n1,2,3,4\n"), "'loss' and 'val_loss'", "--map loss=")
    refused(write(tmp_path, "N,flops,pf_days,L\n1,2,3,4\n"), "--map flops=flops or --map pf_days=pf_days")


def test_bad_maps(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(UsageError, match="Did you mean 'params'"):
        load_runs(path, columns={"parms": "params"})
    with pytest.raises(UsageError, match="twice"):
        load_runs(path, columns={"params": "tokens", "tokens": "tokens"})
    with pytest.raises(UsageError, match="given twice"):
        load_runs(path, columns={"group": "run"}, group="family")
    refused(path, "'los'", "Did you mean 'loss'", columns={"loss": "los"})
    refused(path, "--group", "'famly'", "Did you mean 'family'", group="famly")


def test_groups_must_be_named_throughout(tmp_path):
    refused(write(tmp_path, GOOD.replace("2.3,y", "2.3,")), "line 4", "'family'", "missing")


def test_names_given_twice(tmp_path):
    refused(write(tmp_path, "params,tokens,loss,loss\n1,2,3,4\n"), "more than one column is called loss", "Rename")
    refused(pd.DataFrame([[1, 2, 3]] * 3, columns=["N", "L", "L"]), "more than one column is called L")


# --- what is refused: files
# -----------------------------------------------------------------------------------


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "no.csv", "No such file", "no.csv")
    write(tmp_path, GOOD)
    refused(tmp_path, "is a folder", "runs.csv")
    refused("x" * 5000, "neither a file nor")
    with pytest.raises(UsageError, match="from a list"):
        load_runs([1, 2, 3])
    refused("piel", "neither a file nor a known data set", "pile")


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("", "r.csv", "is empty"),
        ("\n \n", "r.csv", "is empty"),
        ("params,tokens,loss\n", "r.csv", "no runs below"),
        ("1e9,1e10,3\n2e9,1e10,3\n", "r.csv", "header line"),
        ("params,tokens,loss\n1,2\n1,2,3,4\n", "r.csv", "line 2 has 2, line 3 has 4"),
        ('params,tokens,loss\n1,2,"3\n', "r.csv", "quotation"),
        ("params,tokens,loss\n1,2,caf\xe9\n".encode("latin-1"), "r.csv", "line 2: byte 0xe9"),
        (b"params,tokens,loss\n1,2,\x00\n", "r.csv", "line 2: holds a NUL byte"),
        (b"PAR1" + b"\x01" * 20, "r.csv", "not readable as Parquet"),
        (b"PK\x03\x04" + b"\x01" * 20, "r.csv", "compressed file or a workbook"),
        ("params,tokens,loss\n1,2,3\n", "r.parquet", "not readable as Parquet"),
        ("", "r.parquet", "not readable as Parquet"),
        ("", "r.jsonl", "is empty"),
        ('{"N": 1}\n{"N": \n', "r.jsonl", "line 2: not valid JSON"),
        ('{"N": 1, "N": 2}\n', "r.jsonl", "line 1: not valid JSON (key 'N' given twice)"),
        ("[1, 2]\n", "r.jsonl", "no JSON object"),
        ("[" * 200_000 + "\n", "r.jsonl", "line 1: not valid JSON"),
        ('{"N": 1e9, "D": 1e10, "L": 3}\n{"N": [1], "D": {}, "L": null}\n{"N": true, "D": 1, "L": 3}\n',
        "r.jsonl",
         "5 cells"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, content, name, says):
    refused(write(tmp_path, content, name), name, says)


def test_a_large_file_of_zeros_is_refused_at_once(tmp_path):
    path = tmp_path / "zeros.csv"
    with path.open("wb") as stream:
        stream.truncate(200 * 2**20)
    start = time.perf_counter()
    refused(path, "zeros.csv", "NUL")
    assert time.perf_counter() - start < 0.5


def test_a_pickle_is_not_opened(tmp_path):
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    refused(write(tmp_path, pickle.dumps(Trap()), "r.csv"), "r.csv")
    assert not marker.exists()


# --- anything at all


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("NDL,;\n\r\"'0123456789.eB- \t{}"), max_size=120))
def test_any_text_loads_or_says_why(text):
    from bayes_scaling.runs.readers import read_csv, read_jsonl

    for reader in (read_csv, read_jsonl):
        with contextlib.suppress(DataError):
            assert load_runs(reader(text, "t").frame).n >= 3
