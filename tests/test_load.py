"""Reading runs: every way in, what is noticed and kept, and the value that comes out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.runs import Runs

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
    days = pd.DataFrame({"params": base["params"], "loss": base["loss"], "pf_days": np.array(flops) / 8.64e19})
    np.testing.assert_allclose(load_runs(days).tokens, base["tokens"])
    text = days.assign(pf_days=[f"{d!r}PF-days" for d in days.pf_days.tolist()]).rename(columns={"pf_days": "C"})
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
    frame = pd.DataFrame({"N": [1e9, 2e9, 3e9], "D": [1e10, 3e10, 1e11], "C": [1e20, 5e20, 9e20], "loss": [3, 2.5, 2]})
    assert "flops_differ" in codes(load_runs(frame))
    runs = load_runs(frame, columns={"flops": ""})
    assert runs.flops[0] == 6e19
    assert codes(runs) == []


# --- what is noticed and kept
# ---------------------------------------------------------------------------------


def test_flops_that_differ_are_kept():
    frame = pd.DataFrame({"N": [1e9, 2e9, 3e9], "D": [1e10, 3e10, 1e11], "C": [6e19, 4e20, 3e21], "L": [3, 2.5, 2]})
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


# --- the value itself
# -----------------------------------------------------------------------------------------


def test_runs_cannot_be_changed(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match="read-only"):
        runs.loss[0] = 1
    with pytest.raises(AttributeError):
        runs.name = "other"
    assert load_runs(runs) is runs
    assert load_runs(runs, name="again").name == "again"
    with pytest.raises(UsageError, match="read already"):
        load_runs(runs, group="run")


def test_the_hash_is_of_content(tmp_path):
    runs = load_runs(write(tmp_path, GOOD))
    assert runs.sha256 == load_runs(runs.to_frame(), name="else").sha256
    assert runs.sha256 != load_runs(write(tmp_path, GOOD.replace("3.1", "3.2"))).sha256
    assert runs.sha256 != load_runs(write(tmp_path, GOOD.replace("2.7,x", "2.7,y"))).sha256
    assert len(runs.sha256) == 64


def test_frame_dict_and_design(tmp_path):
    runs = load_runs(write(tmp_path, GOOD.replace("family", "family,lr").replace(",x", ",x,1e-3").replace(",y", ",y,")))
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
    from bayes_scaling.runs.readers import read_csv

    frame = pd.DataFrame(rows, columns=["params", "tokens", "loss"])
    direct = load_runs(frame)
    again = load_runs(read_csv(frame.to_csv(index=False), "t").frame)
    assert direct.sha256 == again.sha256
    np.testing.assert_allclose(direct.flops, 6 * frame.params * frame.tokens)


def test_reading_imports_no_engine(tmp_path):
    path = write(tmp_path, GOOD)
    program = (
        "import sys; from bayes_scaling.runs.loading import load_runs; load_runs(sys.argv[1]);"
        "print([m for m in ('jax', 'pymc', 'arviz', 'numpyro', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_hundred_thousand_runs_in_seconds(tmp_path):
    # Every cell of two columns needs the slow way of reading: "1M", "2B".
    lines = "".join(f"{n}M,2B,{2 + n / 1e6:.6f}\n" for n in range(1, 100_001))
    path = write(tmp_path, "params,tokens,loss\n" + lines)
    start = time.perf_counter()
    assert load_runs(path).n == 100_000
    assert time.perf_counter() - start < 5
