"""A short run over what strangers may hand us; `python benchmarks/fuzz.py` is the long one."""

from __future__ import annotations

import io
from collections import Counter

import pandas as pd
import pytest
from hostile import (
    Commands,
    Damage,
    Made,
    check_attributes,
    check_said,
    check_table,
    command_lines,
    damaged,
    edits,
    tables,
    unsealed,
    with_note,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_scaling.base.caches import Store
from bayes_scaling.engine import exports
from bayes_scaling.inference.netcdf import attribute

SHORT = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def test_tables(place):
    seen = Counter()

    @settings(SHORT, max_examples=300)
    @given(tables())
    def run(made):
        seen[made.valid, check_table(made, place)] += 1

    run()
    assert seen[True, 0] > 20  # valid ones, each accepted
    assert seen[False, 3] > 100
    assert seen[True, 3] == 0


def test_command_lines(place, saved):
    commands = Commands(place, saved[0])
    seen = Counter()

    @settings(SHORT, max_examples=100)
    @given(command_lines())
    def run(words):
        seen[commands.check(words)] += 1

    run()
    assert min(seen[0], seen[2], seen[3]) > 3


def test_damaged_fits(place, saved):
    damage = Damage(saved[0].read_bytes(), place)
    plain = unsealed(damage.whole)

    @settings(SHORT, max_examples=60)
    @given(st.sampled_from(["bytes", "cut", "noise"]).flatmap(lambda how: damaged(damage.whole, how)))
    def sealed(data):
        damage.check(data)

    @settings(SHORT, max_examples=25)
    @given(st.sampled_from(["bytes", "cut", "noise"]).flatmap(lambda how: damaged(plain, how)))
    def older(data):
        check_attributes(data, place)

    sealed()
    older()


def test_hostile_attributes(place, saved):
    whole = saved[0].read_bytes()
    note = attribute(saved[0], "bayes_scaling")

    @settings(SHORT, max_examples=25)
    @given(edits(note), st.sampled_from(["json", "json", "json", "bytes", "array", "half"]), st.booleans())
    def run(other, how, resealed):
        check_attributes(with_note(whole, other, how, resealed), place)

    run()


def test_damaged_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path))
    store = Store(tmp_path / "store", 1 << 20)
    payload = bytes(range(256)) * 8
    store.put("key", payload)
    exports.save("name", payload)
    for path, look in ((tmp_path / "store" / "key-cache", lambda: store.get("key")), (exports._path("name"), _program)):
        assert look() == payload
        _strike(path, look, payload)


def _program():
    return exports.load("name")


def _strike(path, look, payload):
    whole = path.read_bytes()

    @settings(SHORT, max_examples=100)
    @given(st.sampled_from(["bytes", "cut", "noise"]).flatmap(lambda how: damaged(whole, how)))
    def run(data):
        path.write_bytes(data)
        assert look() in (None, payload)

    run()


def test_what_the_harness_calls_a_fault_is_one(place):
    """A check that cannot fail proves nothing."""
    with pytest.raises(AssertionError):
        check_said(1, "", "Internal error")
    with pytest.raises(AssertionError):
        check_said(0, "\x1b[2J", "")
    rows = "params,tokens,loss\n1e9,2e10,2.5\n2e9,4e10,2.3\n4e9,1e11,2.2\n"
    truth = pd.read_csv(io.StringIO(rows))
    truth.loc[1, "loss"] = 2.4
    with pytest.raises(AssertionError):
        check_table(Made(rows.encode(), ".csv", True, truth), place)
    with pytest.raises(AssertionError):
        check_table(Made(b"nothing", ".csv", True, truth), place)
