"""The vectorised path, on the processor: the same chains as one by one, and the choice of where to compute."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import design

from bayes_scaling.base import platforms
from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.platforms import device_for, home, used
from bayes_scaling.base.settings import Settings
from bayes_scaling.cli.main import main
from bayes_scaling.engine.backend import fold, key_of
from bayes_scaling.engine.coordinates import whitened
from bayes_scaling.engine.model import columns, specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table
from bayes_scaling.inference import sampling, vectorised
from bayes_scaling.inference.diagnostics import RHAT_OK
from bayes_scaling.inference.sampling import sample_tables, starts
from bayes_scaling.laws.registry import get_law

SHORT = Settings(draws=200, chains=2, warmup=50)


@pytest.fixture(scope="module")
def fleet():
    """A program and three tables of 40 runs: of one padded length."""
    law, noise = specify("kaplan")
    frames = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        params, tokens = 10 ** rng.uniform(7, 10, 40), 10 ** rng.uniform(9, 12, 40)
        truth = get_law("kaplan").published[0].values
        loss = law.loss(truth, {"params": params, "tokens": tokens}) * np.exp(0.01 * rng.standard_normal(40))
        frames.append(columns(law, noise, design(params, tokens, loss, f"simulated {seed}")))
    return program_for(law, noise, frames[0]), [Table.padded(f) for f in frames]


def test_modes_are_those_of_one_by_one(fleet):
    program, tables = fleet
    together = vectorised.locate_in_step(program, tables, [1, 2, 3], None)
    for i, table in enumerate(tables):
        alone = program.locate(i + 1, table)
        np.testing.assert_allclose(together[i].points[0], alone.points[0], atol=1e-5)
        np.testing.assert_allclose(together[i].log_mass[0], alone.log_mass[0], atol=1e-5)
        np.testing.assert_array_equal(together[i].found, alone.found)


def test_chains_are_those_of_one_by_one(fleet):
    """The same keys make the same transitions, until the last digits of sums, which flows of this kind double every few
    steps, have grown to be seen: the first draws agree closely, and all of them as samples of one posterior."""
    program, tables = fleet
    found = [program.locate(i, t) for i, t in enumerate(tables)]
    where = [whitened(f) for f in found]
    begin = [starts(f, SHORT.chains, i) for i, f in enumerate(found)]
    together = vectorised.sample_in_step(program, tables, begin, where, [7, 8, 9], SHORT, None)
    close = []
    for i, table in enumerate(tables):
        for k in range(SHORT.chains):
            x, stats = together[i][k]
            mine, own = program.chain(fold(key_of(7 + i), k), begin[i][k], where[i], table, SHORT)
            assert x.shape == mine.shape
            assert stats["complete"]
            assert stats.keys() == own.keys()
            close.append(np.allclose(x[:3], mine[:3], rtol=1e-3, atol=1e-3))
            sd = np.hypot(mine.std(0), x.std(0))
            assert np.all(np.abs(x.mean(0) - mine.mean(0)) < 5 * sd / np.sqrt(len(x) / 10))
    # Fifty transitions of warm-up lie before the first draw.
    assert np.mean(close) > 0.5


def test_a_fleet_in_step_passes_the_same_checks(fleet, monkeypatch):
    program, tables = fleet
    alone = sample_tables(program, tables, SHORT, [1, 2, 3])
    monkeypatch.setattr(sampling, "in_step", lambda device: True)
    together = sample_tables(program, tables, SHORT, [1, 2, 3])
    for a, b in zip(alone, together, strict=True):
        assert b.diagnostics.rhat_max < RHAT_OK + 0.02
        assert b.diagnostics.verdict != "failed"
        assert b.x.shape == a.x.shape
        for name in a.values:
            x, y = a.values[name], b.values[name]
            se = np.hypot(x.std(), y.std()) / np.sqrt(100)
            assert abs(x.mean() - y.mean()) < 5 * se, name


def test_tables_go_together_by_length_in_powers_of_two_and_bounded():
    rows = [32] * 5 + [64] * 3 + [2**22] * 3
    parts = list(vectorised.chunks(rows, 4))
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    for part in parts:
        assert len({rows[i] for i in part}) == 1
        filled = vectorised._filled(part)
        assert len(filled) & (len(filled) - 1) == 0
        assert len(filled) * 4 * rows[part[0]] <= vectorised.CELLS or len(filled) == 1
    assert max(map(len, vectorised.chunks([32] * 100_000, 4))) * 4 <= vectorised.MOST


# --- where to compute -----------------------------------------------------------------------------------


@pytest.fixture
def gpu(monkeypatch):
    """As if there were a GPU; nothing is computed on it."""
    found = SimpleNamespace(device_kind="Imagined GPU", platform="gpu")
    monkeypatch.setattr(platforms, "accelerator", lambda: found)
    monkeypatch.setattr(platforms, "_USED", set())
    return found


def test_large_problems_go_to_the_gpu_and_it_is_said_once(gpu, monkeypatch, capsys):
    monkeypatch.delenv(platforms.VARIABLE, raising=False)
    assert device_for(256) is None
    assert used() == "cpu"
    assert device_for(2**20) is gpu
    assert device_for(256, 10_000) is gpu
    assert used() == "Imagined GPU"
    assert capsys.readouterr().err.count("Imagined GPU") == 1
    monkeypatch.setenv(platforms.VARIABLE, "cpu")
    assert device_for(2**20) is None
    monkeypatch.setenv(platforms.VARIABLE, "gpu")
    assert device_for(32) is gpu


def test_a_small_table_beside_a_gpu_is_bound_to_the_processor(gpu, monkeypatch):
    monkeypatch.delenv(platforms.VARIABLE, raising=False)
    place = home(64)
    assert place.platform == "cpu"
    table = Table({"a": np.ones(64)}, np.ones(64), 64).placed()
    assert table.mask.committed
    assert next(iter(table.mask.devices())).platform == "cpu"


def test_without_a_gpu_arrays_stay_where_they_are(monkeypatch):
    monkeypatch.setattr(platforms, "accelerator", lambda: None)
    table = Table({"a": np.ones(64)}, np.ones(64), 64)
    assert table.placed() is table
    monkeypatch.setenv(platforms.VARIABLE, "gpu")
    with pytest.raises(UsageError, match=r"cuda12"):
        device_for(64)
    monkeypatch.setenv(platforms.VARIABLE, "tpu")
    with pytest.raises(UsageError, match="auto, cpu, gpu"):
        device_for(64)


def test_the_command_line_chooses(monkeypatch, capsys):
    monkeypatch.setattr(platforms, "accelerator", lambda: None)
    monkeypatch.setenv(platforms.VARIABLE, "auto")  # restored afterwards, whatever the command sets
    assert main(["fit", "pile", "--law", "kaplan", "--platform", "gpu", "--no-cache", "--quiet"]) == 2
    assert "finds no GPU" in capsys.readouterr().err


def test_a_processor_asked_for_wakes_no_gpu():
    code = "from bayes_scaling.engine import jax_ready; print(jax_ready().config.jax_platforms)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, platforms.VARIABLE: "cpu"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "cpu"
