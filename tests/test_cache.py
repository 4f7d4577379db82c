"""Finished posteriors are found again, are the same, and are never half a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import design

from bayes_scaling import fit, forecast, frontier
from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.settings import Settings
from bayes_scaling.cli.main import main
from bayes_scaling.inference import cache as posteriors
from bayes_scaling.inference.cache import cache_key, flush, keep, prune
from bayes_scaling.inference.cache_contents import LIMIT_VARIABLE, cache_contents, limit
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.ops import exp
from bayes_scaling.laws.priors import lognormal
from bayes_scaling.laws.registry import get_law

# The approximation is quick to compile, and this is about what becomes of draws, not how they were made.
SHORT = {"draws": 100, "chains": 2, "warmup": 50, "method": "laplace"}


def simulated(n: int = 40, seed: int = 1):
    law = get_law("chinchilla")
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(9, 12, n)
    loss = law.loss(law.published[0].values, {"params": params, "tokens": tokens})
    return design(params, tokens, loss * np.exp(0.005 * rng.standard_normal(n)), f"simulated {seed}")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of posteriors; compiled programs stay where they are."""
    folder = tmp_path / "posteriors"
    monkeypatch.setenv(LIMIT_VARIABLE, "100")
    monkeypatch.setattr(posteriors, "cache_folder", lambda name: folder)
    folder.mkdir()
    return folder


def kept(folder: Path) -> list[str]:
    flush()
    return sorted(p.name for p in folder.iterdir())


def test_the_suite_does_not_use_a_users_cache():
    """`conftest` turns it off for this process and for all it starts."""
    assert limit() == 0
    assert cache_key(simulated(), get_law("chinchilla"), get_noise("student_t"), Settings()) is None
    said = subprocess.run(
        [sys.executable, "-c", "from bayes_scaling.inference.cache_contents import limit; print(limit())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "0"


def test_a_second_fit_is_the_first(cache):
    runs = simulated()
    first = fit(runs, "chinchilla", **SHORT)
    assert not first.cached
    assert len(kept(cache)) == 1
    again = fit(runs, "chinchilla", ci_prob=0.5, **SHORT)
    assert again.cached
    assert again.ci_prob == 0.5
    for group in ("posterior", "sample_stats", "log_likelihood", "unconstrained_posterior", "constant_data"):
        assert first.idata[group].to_dataset().identical(again.idata[group].to_dataset()), group
    assert set(first.idata.children) == set(again.idata.children)
    assert first.summary(0.9) == again.summary(0.9)
    assert again.to_dict()["provenance"]["cached_posteriors"] == ["chinchilla"]
    assert first.to_dict()["provenance"]["cached_posteriors"] == []
    for made in (forecast(again, params=1e10, tokens=1e12), frontier(again, 1e22)):
        assert made.to_dict()["provenance"]["cached_posteriors"] == ["chinchilla"]
    alone = fit(runs, "chinchilla", cache=False, **SHORT)
    assert not alone.cached
    np.testing.assert_array_equal(alone.idata["posterior"]["alpha"], again.idata["posterior"]["alpha"])


def test_whatever_changes_the_posterior_changes_its_key(monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "100")
    law, noise, runs, how = get_law("chinchilla"), get_noise("student_t"), simulated(), Settings()
    key = lambda **other: cache_key(  # noqa: E731
        **{"runs": runs, "law": law, "noise": noise, "settings": how} | other
    )
    bent = replace(law, formula=lambda p, x: law.formula(p, x) + 1e-3 * exp(-x.n))
    keys = [
        key(),
        key(runs=simulated(seed=2)),
        key(law=law.with_priors({"alpha": lognormal(median=0.3, sigma=0.4)})),
        key(law=law.with_scale(params=1e8, tokens=1e9)),
        key(law=bent),
        key(noise=get_noise("normal")),
        *(key(settings=replace(how, **{k: v})) for k, v in {"draws": 999, "random_seed": 1, "method": "auto"}.items()),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "zeroed", "flipped", "unsealed"])
def test_a_damaged_file_is_made_again(cache, damage):
    runs = simulated()
    first = fit(runs, "chinchilla", **SHORT)
    (name,) = kept(cache)
    whole = (cache / name).read_bytes()
    middle = len(whole) // 2
    (cache / name).write_bytes(
        {
            "cut": whole[:middle],
            "empty": b"",
            "other": b"not a fit",
            "zeroed": whole[:middle] + bytes(4096) + whole[middle + 4096 :],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "unsealed": whole[:-55],  # without its checksum nothing vouches for it
        }[damage]
    )
    again = fit(runs, "chinchilla", **SHORT)
    assert not again.cached
    assert kept(cache) == [name]
    assert fit(runs, "chinchilla", **SHORT).cached
    np.testing.assert_array_equal(first.idata["posterior"]["alpha"], again.idata["posterior"]["alpha"])


def test_the_ones_used_longest_ago_go_first(cache, monkeypatch):
    made = fit(simulated(), "chinchilla", cache=False, **SHORT)
    for name in ("a", "b", "c"):
        keep(name, made)
    flush()
    size = (cache / "a.nc").stat().st_size
    for name, age in {"a": 300, "b": 100, "c": 200}.items():
        os.utime(cache / f"{name}.nc", (0, (cache / f"{name}.nc").stat().st_mtime - age))
    left_behind, being_written = cache / ".x.nc.old.nc", cache / ".x.nc.new.nc"
    for path in (left_behind, being_written):
        path.write_bytes(b"half")
    os.utime(left_behind, (0, 0))
    monkeypatch.setenv(LIMIT_VARIABLE, str(2.5 * size / 1e6))
    prune()
    assert kept(cache) == sorted(["b.nc", "c.nc", being_written.name])
    monkeypatch.setenv(LIMIT_VARIABLE, str(0.5 * size / 1e6))
    keep("d", made)
    assert kept(cache) == [being_written.name]


def test_where_nothing_can_be_written_nothing_is_kept(cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posteriors, "save_fit", full)
    assert not fit(simulated(), "chinchilla", **SHORT).cached
    assert kept(cache) == []


def test_an_odd_limit_is_named(monkeypatch):
    for text in ("much", "-1", "nan"):
        monkeypatch.setenv(LIMIT_VARIABLE, text)
        with pytest.raises(UsageError, match="number of megabytes"):
            limit()


WRITER = """
    import sys
    import numpy as np
    from bayes_scaling import fit
    from bayes_scaling.inference import cache as posteriors
    from bayes_scaling.inference.storage import load_fit

    saved, rounds = sys.argv[1], int(sys.argv[2])
    made = load_fit(saved)
    key = "shared"
    truth = made.idata["posterior"]["alpha"].to_numpy()
    for i in range(rounds):
        posteriors.keep(key, made)
        posteriors.flush()
        path = posteriors._path(key)
        found = load_fit(path)  # raises if it is half a file
        assert np.array_equal(found.idata["posterior"]["alpha"], truth)
    print("whole", rounds)
"""


def test_two_processes_at_once_never_see_half_a_file(tmp_path):
    from bayes_scaling.inference.storage import save_fit

    saved = save_fit(fit(simulated(), "chinchilla", **SHORT), tmp_path / "fit.nc")
    surroundings = {**os.environ, "BAYES_SCALING_CACHE": str(tmp_path / "cache"), LIMIT_VARIABLE: "100"}
    words = [sys.executable, "-c", textwrap.dedent(WRITER), str(saved), "6"]
    both = [
        subprocess.Popen(words, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert out.strip() == "whole 6"
    assert [p.name for p in (tmp_path / "cache" / "posteriors").iterdir()] == ["shared.nc"]


def test_the_command_looks_and_clears(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path))
    monkeypatch.setenv(LIMIT_VARIABLE, "250")
    for name, size in {"posteriors/a.nc": 3000, "jax/b": 200, "jax/deep/c": 50, "programs/d.program": 10}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "pile.csv").write_text("a data set that was downloaded")
    for clear in ([], ["--clear"]):
        assert main(["cache", "--json", *clear]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {p["name"]: (p["files"], p["bytes"]) for p in found["parts"]} == {
            "posteriors": (1, 3000),
            "jax": (2, 250),
            "programs": (1, 10),
        }
        assert found["bytes"] == 3260
        assert found["posteriors_limit_bytes"] == 250_000_000
        assert found["cleared"] is bool(clear)
    assert cache_contents().bytes == 0
    assert (tmp_path / "pile.csv").exists()
    assert main(["cache"]) == 0
    assert "0.0 MB in" in capsys.readouterr().out


def test_commands_take_posteriors_up_and_say_so(cache, tmp_path, capsys):
    table = tmp_path / "runs.csv"
    simulated().to_frame().to_csv(table, index=False)
    words = ["--law", "kaplan", "--draws", "200", "--chains", "2", "--allow-bad-fit", "--json"]
    bodies = []
    for command in (["fit"], ["fit"], ["forecast", "--at", "params=1e10,tokens=1e12"], ["fit", "--no-cache"]):
        assert main([command[0], str(table), *command[1:], *words]) == 0
        flush()
        said = capsys.readouterr()
        bodies.append((json.loads(said.out), said.err))
    cached = [body["provenance"]["cached_posteriors"] for body, _ in bodies]
    assert cached == [[], ["kaplan"], ["kaplan"], []]
    assert "from the cache" in bodies[1][1]
    assert "from the cache" not in bodies[3][1]
    assert bodies[0][0]["parameters"] == bodies[1][0]["parameters"] == bodies[3][0]["parameters"]
