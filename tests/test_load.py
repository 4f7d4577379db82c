"""Reading and checking runs: every way in, and every bad table with what its message must say."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.errors import DataError, UsageError
from bayes_scaling.load import load_runs
from bayes_scaling.runs import Runs

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


def codes(runs):
    return [notice.code for notice in runs.notices]


# --- what is understood
# ---------------------------------------------------------------------------------------


def check_good(runs):
    np.testing.assert_allclose(runs.params, [70e6, 410e6, 1.4e9, 7e9])
    np.testing.assert_allclose(runs.tokens, [2.1e9, 8.2e9, 28e9, 140e9])
    np.testing.assert_allclose(runs.flops, 6 * runs.params * runs.tokens)
    assert runs.loss.tolist() == [3.1, 2.7, 2.3, 2.0]
    assert runs.group.tolist() == ["x", "x", "y", "y"]
    assert runs.run.tolist() == ["a", "b", "c", "d"]


def test_csv(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    check_good(runs)
    assert (runs.n, len(runs), runs.name, runs.source, runs.groups) == (4, 4, "runs", "runs.csv", ("x", "y"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le-bom"])
def test_byte_order_marks_are_read(tmp_path, encoding):
    data = b"\xff\xfe" + GOOD.encode("utf-16-le") if encoding == "utf-16-le-bom" else GOOD.encode(encoding)
    check_good(load_runs(write(tmp_path, data)))


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_endings(tmp_path, ending):
    check_good(load_runs(write(tmp_path, GOOD.replace("\n", ending).encode())))


def test_semicolons_are_read_with_a_notice(tmp_path):
    runs = load_runs(write(tmp_path, GOOD.replace('"410,000,000"', "410M").replace(",", ";")))
    check_good(runs)
    assert codes(runs) == ["separator"]


def test_spreadsheet_leftovers(tmp_path):
    lines = GOOD.replace('"410,000,000"', "410M").splitlines()
    check_good(load_runs(write(tmp_path, "\n\n" + ",,\n".join(lines) + ",,\n,,,,,,\n\n")))


def test_parquet_jsonl_and_frames(tmp_path):
    frame = pd.read_csv(io.StringIO(GOOD), dtype={"params": object, "tokens": object})
    check_good(load_runs(frame))
    frame.to_parquet(tmp_path / "r.parquet")
    check_good(load_runs(tmp_path / "r.parquet"))
    frame.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    check_good(load_runs(str(tmp_path / "r.jsonl")))


def test_a_frame_is_not_touched_and_its_types_do_not_matter():
    frame = pd.DataFrame({"N": [10**9, 2 * 10**9, 10**12], "D": [1e10, 3e10, 1e13], "L": [3, 2.5, 2]})
    before = frame.copy()
    runs = load_runs(frame.astype({"N": "Int64", "L": "float32"}))
    load_runs(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert runs.flops[-1] == 6e25  # far beyond 64-bit integers
    assert runs.params.dtype == np.float64


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    runs = load_runs("-")
    check_good(runs)
    assert runs.name == "stdin"


def test_any_two_give_the_third():
    base = {"loss": [3.0, 2.5, 2.2], "params": [1e8, 1e9, 2e9], "tokens": [2e9, 3e10, 5e10]}
    flops = [6 * n * d for n, d in zip(base["params"], base["tokens"], strict=True)]
    for absent in ("params", "tokens"):
        frame = pd.DataFrame({k: v for k, v in base.items() if k != absent} | {"flops": flops})
        np.testing.assert_allclose(getattr(load_runs(frame), absent), base[absent])
    days = pd.DataFrame(
        {"params": base["params"], "loss": base["loss"], "pf_days": np.array(flops) / 8.64e19}
    )
    np.testing.assert_allclose(load_runs(days).tokens, base["tokens"])
    text = days.assign(pf_days=[f"{d!r}PF-days" for d in days.pf_days.tolist()]).rename(
        columns={"pf_days": "C"}
    )
    np.testing.assert_allclose(load_runs(text).tokens, base["tokens"])


def test_bits_become_nats():
    frame = pd.DataFrame(
        {"N": [1e8, 1e9, 2e9], "D": [2e9, 3e10, 5e10], "loss": [4.0, 3, 2], "loss_sd": [0.1, 0.1, 0.2]}
    )
    runs = load_runs(frame, loss_unit="bits")
    np.testing.assert_allclose(runs.loss, np.log(2) * frame.loss)
    np.testing.assert_allclose(runs.loss_sd, np.log(2) * frame.loss_sd)
    with pytest.raises(UsageError, match="nats or bits"):
        load_runs(frame, loss_unit="perplexity")


def test_map_and_group():
    frame = pd.DataFrame(
        {
            "size": ["1B", "2B", "3B"],
            "D": [1e10, 3e10, 1e11],
            "loss": [9, 9, 9],
            "eval/c4_loss": [3, 2.5, 2],
            "shards": [1, 1, 2],
            "U": ["1B", "", "2B"],
        }
    )
    mapping = {"params": "size", "loss": "eval/c4_loss", "unique_tokens": "U"}
    runs = load_runs(frame, columns=mapping, group="shards", name="mine")
    assert runs.loss.tolist() == [3, 2.5, 2]
    assert runs.extra.columns.tolist() == ["source_loss", "unique_tokens"]
    np.testing.assert_array_equal(runs.extra["unique_tokens"], [1e9, np.nan, 2e9])
    assert runs.groups == ("1", "2")
    assert runs.name == "mine"


def test_an_empty_map_leaves_a_column_out():
    frame = pd.DataFrame(
        {"N": [1e9, 2e9, 3e9], "D": [1e10, 3e10, 1e11], "C": [1e25, 1e25, 1e25], "loss": [3, 2.5, 2]}
    )
    assert "flops_differ" in codes(load_runs(frame))
    runs = load_runs(frame, columns={"flops": ""})
    assert runs.flops[0] == 6e19
    assert codes(runs) == []


# --- what is noticed and kept
# ---------------------------------------------------------------------------------


def test_flops_that_differ_are_kept():
    frame = pd.DataFrame(
        {"N": [1e9, 2e9, 3e9], "D": [1e10, 3e10, 1e11], "C": [6e19, 4e20, 3e21], "L": [3, 2.5, 2]}
    )
    runs = load_runs(frame)
    assert runs.flops.tolist() == [6e19, 4e20, 3e21]
    assert codes(runs) == ["flops_differ"]
    assert "2 of 3" in runs.notices[0].message


def test_blank_flops_are_derived(tmp_path):
    runs = load_runs(write(tmp_path, "N,D,C,L\n1e9,1e10,6e19,3\n2e9,3e10,,2.5\n3e9,1e11,1.8e21,2\n"))
    assert runs.flops[1] == 3.6e20
    assert codes(runs) == ["flops_derived"]


def test_whole_row_duplicates_are_kept_and_replicates_welcome(tmp_path):
    runs = load_runs(write(tmp_path, "N,D,L\n1e9,1e10,3\n1e9,1e10,3\n1e9,1e10,3.01\n2e9,1e11,2\n"))
    assert runs.n == 4
    assert codes(runs) == ["duplicate_rows"]
    assert "line 3" in runs.notices[0].message
    assert runs.design["replicates"] == 2


@pytest.mark.parametrize(
    ("params", "tokens", "says"),
    [
        ([1e9, 1e9, 1.005e9], [1e10, 2e10, 3e10], "model size"),
        ([1e9, 2e9, 3e9], [1e10, 1e10, 1e10], "number of tokens"),
        ([1e9, 2e9, 3e9], [2e10, 4e10, 6e10], "ratio"),
    ],
)
def test_designs_that_identify_too_little(params, tokens, says):
    runs = load_runs(pd.DataFrame({"N": params, "D": tokens, "L": [3, 2.5, 2]}))
    assert codes(runs) == ["not_identified"]
    assert says in runs.notices[0].message


def test_two_possible_groups_are_left_to_the_user():
    frame = pd.DataFrame(
        {
            "N": [1e9, 2e9, 3e9],
            "D": [1e10, 3e10, 1e11],
            "L": [3, 2.5, 2],
            "family": list("aab"),
            "corpus": list("xyy"),
        }
    )
    runs = load_runs(frame)
    assert runs.group is None
    assert codes(runs) == ["group_unclear"]
    assert load_runs(frame, group="corpus").groups == ("x", "y")


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
    frame = pd.DataFrame(
        {"N": [1e9, np.nan, 3e9], "D": [1e10, 3e10, 1e11], "L": [3, 2.5, 2]}, index=["a", "b", "c"]
    )
    refused(frame, "DataFrame", "row b", "'N'", "missing")


def test_odd_types_in_frames():
    frame = pd.DataFrame(
        {"N": [1e9, 2e9, 3e9], "D": pd.to_datetime(["2024-01-01"] * 3), "L": [3, 2.5 + 1j, 2]},
    )
    refused(frame, "6 cells", "'D'", "2024", "'L'", "not a number")


def test_terminal_escapes_are_not_passed_on(tmp_path):
    message = refused(write(tmp_path, "N,D,L\n\x1b[31mred,1e9,2\n1e9,1e9,2\n1e9,1e9,2\n"), r"\x1b[31mred")
    assert "\x1b" not in message


def test_counts_in_billions(tmp_path):
    message = refused(
        write(tmp_path, "N,D,L\n7,300,2\n1.5,20,3\n70,1400,1.9\n"), "'N'", "below 1000", "70e9", "billion"
    )
    assert (
        "every value of column 'D'" not in message
    )  # 1400 is not below 1000, and one remedy a column is enough


def test_compute_in_pf_days_is_caught():
    frame = pd.DataFrame({"N": [1e9, 2e9, 3e9], "C": [3, 30, 300], "L": [3, 2.5, 2]})
    refused(frame, "'tokens'", "units do not fit", "--map pf_days")


def test_small_models_are_only_noticed():
    frame = pd.DataFrame({"N": [1e4, 2e4, 3e4], "D": [1e8, 3e8, 1e9], "L": [6, 5.5, 5]})
    assert codes(load_runs(frame)) == ["units"]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_runs(tmp_path, count):
    refused(
        write(tmp_path, "N,D,L\n" + "1e9,1e10,3\n" * count), f"holds {count} run", "at least 3", "Add runs"
    )


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
    refused(
        write(tmp_path, "params,tokens,loss,loss\n1,2,3,4\n"), "more than one column is called loss", "Rename"
    )
    refused(pd.DataFrame([[1, 2, 3]] * 3, columns=["N", "L", "L"]), "more than one column is called L")


# --- what is refused: files
# -----------------------------------------------------------------------------------


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "no.csv", "No such file", "no.csv")
    write(tmp_path, GOOD)
    refused(tmp_path, "is a folder", "runs.csv")
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
        (b"PAR1" + b"\x01" * 20, "r.csv", "ending .parquet"),
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
         "4 cells"),
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

    import pickle

    refused(write(tmp_path, pickle.dumps(Trap()), "r.csv"), "r.csv")
    assert not marker.exists()


# --- the value itself
# -----------------------------------------------------------------------------------------


def test_runs_cannot_be_changed(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match="read-only"):
        runs.loss[0] = 1
    with pytest.raises(AttributeError):
        runs.name = "other"
    assert load_runs(runs) is runs


def test_the_hash_is_of_content(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    assert runs.sha256 == load_runs(runs.to_frame(), name="else").sha256
    assert runs.sha256 != load_runs(write(tmp_path, GOOD.replace("3.1", "3.2"))).sha256
    assert runs.sha256 != load_runs(write(tmp_path, GOOD.replace("2.7,x", "2.7,y"))).sha256
    assert len(runs.sha256) == 64


def test_frame_dict_and_design(tmp_path):
    runs = load_runs(
        write(tmp_path, GOOD.replace("family", "family,lr").replace(",x", ",x,1e-3").replace(",y", ",y,"))
    )
    frame = runs.to_frame()
    assert frame.columns.tolist() == ["run", "group", "params", "tokens", "flops", "loss", "lr"]
    assert frame["lr"].dtype == np.float64
    record = runs.to_dict()
    json.dumps(record)
    assert record["n"] == 4
    assert record["params"] == runs.params.tolist()
    assert runs.design["decades"]["params"] == pytest.approx(2)


def test_subset(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    part = runs.subset(runs.params > 1e9, name="large")
    assert (part.n, part.name, part.run.tolist()) == (2, "large", ["c", "d"])
    assert "not_identified" in codes(part)  # both at 20 tokens a parameter
    assert runs.subset([3, 0]).run.tolist() == ["d", "a"]
    for wrong in ([True], [9], runs.params > 1e15, runs.params):
        with pytest.raises(DataError):
            runs.subset(wrong)


def test_printed(tmp_path):
    runs = load_runs(write(tmp_path, GOOD.replace("a,70M", "<b>&,70M")), name="<i>")
    assert "4 runs, 2 groups" in repr(runs)
    assert "70M to 7B" in repr(runs)
    page = runs._repr_html_()
    assert "&lt;b&gt;&amp;" in page
    assert "<i>" not in page


def test_the_constructor_checks_shapes():
    with pytest.raises(ValueError, match="shape"):
        Runs(params=[1.0], tokens=[1.0], flops=[1.0], loss=[1.0, 2.0])


numbers = st.floats(min_value=1e6, max_value=1e15)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, st.floats(min_value=0.1, max_value=20)), min_size=3, max_size=8))
def test_a_frame_of_good_numbers_survives_csv(rows):
    from bayes_scaling.readers import read_csv

    frame = pd.DataFrame(rows, columns=["params", "tokens", "loss"])
    direct = load_runs(frame)
    again = load_runs(read_csv(frame.to_csv(index=False), "t").frame)
    assert direct.sha256 == again.sha256
    np.testing.assert_allclose(direct.flops, 6 * frame.params * frame.tokens)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("NDL,;\n\r\"'0123456789.eB- \t{}"), max_size=120))
def test_any_text_loads_or_says_why(text):
    from bayes_scaling.readers import read_csv, read_jsonl

    for reader in (read_csv, read_jsonl):
        with contextlib.suppress(DataError):
            assert load_runs(reader(text, "t").frame).n >= 3


def test_reading_imports_no_engine(tmp_path):
    path = write(tmp_path, GOOD)
    program = (
        "import sys; from bayes_scaling.load import load_runs; load_runs(sys.argv[1]);"
        "print([m for m in ('jax', 'pymc', 'arviz', 'numpyro', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_hundred_thousand_runs_in_seconds(tmp_path):
    # Every cell of two columns needs the slow way of reading: "1M", "2B".
    lines = "".join(f"{n}M,2B,{2 + n / 1e6:.6f}\n" for n in range(1, 100_001))
    path = write(tmp_path, "params,tokens,loss\n" + lines)
    start = time.perf_counter()
    assert load_runs(path).n == 100_000
    assert time.perf_counter() - start < 5
