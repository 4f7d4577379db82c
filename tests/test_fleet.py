"""Fleets: the right posteriors, the same wherever they are computed, and members that fail by themselves."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats

from bayes_scaling import cluster, fit, fleet
from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.cli.main import main
from bayes_scaling.engine import hmc
from bayes_scaling.engine.backend import jax_ready
from bayes_scaling.fleets import chunks, clusters, dispatch
from bayes_scaling.fleets.storage import load_fleet, save_fleet
from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.loading import load_runs

TRUTH = get_law("chinchilla").published[1].values
# All fleets here have these draws and tables of up to 128 runs, so one set of compiled programs serves the whole file.
HOW = {"draws": 400, "chains": 4, "random_seed": 4}


def table(seed: int, n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng([seed, 3])
    flops = 10 ** rng.uniform(18.5, 21.5, n)
    params = np.sqrt(flops / 120) * 10 ** rng.normal(0, 0.4, n)
    tokens = flops / (6 * params)
    curve = get_law("chinchilla").loss(TRUTH, {"params": params, "tokens": tokens})
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": curve * np.exp(0.004 * rng.standard_normal(n))})


@pytest.fixture(scope="module")
def tables():
    return {f"table {i}": table(i) for i in range(9)}


@pytest.fixture(scope="module")
def here(tables):
    """The fleet that every other way of computing it is held to."""
    return fleet(tables, "chinchilla", **HOW)


def draws_of(result, law="chinchilla"):
    x = result.idata[f"{law}/unconstrained_posterior"]["x"]
    return {str(name): x.sel(dataset=name).to_numpy() for name in x["dataset"].to_numpy()}


def assert_same(one, other):
    mine, theirs = draws_of(one), draws_of(other)
    assert mine.keys() == theirs.keys()
    for name, x in mine.items():
        np.testing.assert_array_equal(x, theirs[name], err_msg=name)
    a, b = (f.diagnostics.drop(columns="seconds").sort_index() for f in (one, other))
    pd.testing.assert_frame_equal(a, b)


# --- the kernel ------------------------------------------------------------------------


@pytest.mark.parametrize("thin", [1, 3])
def test_chains_in_step_sample_a_known_density(thin):
    """Two correlated normals and a skewed margin (log of a Gamma(3)), each with known mean and variance."""
    import jax
    import jax.numpy as jnp

    def log_density(x):
        a, b = x[0], (x[1] - 0.6 * x[0]) / 0.8
        return -0.5 * (a**2 + b**2) + 3 * x[2] - jnp.exp(x[2])

    start = np.random.default_rng(1).standard_normal((4, 3))
    jax_ready()
    how = {"warmup": 100, "draws": 2000, "thin": thin}
    x, stats = hmc.chains(log_density, jax.random.key(2), jnp.asarray(start), lambda z: z, **how)
    x = np.asarray(x)
    np.testing.assert_allclose(stats["lp"][1, 7], log_density(x[1, 7]), rtol=1e-12)
    from scipy.special import digamma, polygamma

    truth = [(0, 1), (0, 1), (float(digamma(3)), float(polygamma(1, 3)))]
    for j, (mean, variance) in enumerate(truth):
        draws = x[..., j]
        assert array_stats.rhat(draws, chain_axis=0, draw_axis=1) < 1.01
        for value, target in ((draws, mean), ((draws - mean) ** 2, variance)):
            ess = float(array_stats.ess(value, chain_axis=0, draw_axis=1, method="mean"))
            assert ess > 400
            assert abs(value.mean() - target) < 5 * value.std() / np.sqrt(ess)
    assert np.corrcoef(x[..., 0].ravel(), x[..., 1].ravel())[0, 1] == pytest.approx(0.6, abs=0.06)
    assert 0.8 < float(np.mean(stats["acceptance_rate"])) < 0.97


# --- the fleet -----------------------------------------------------------------------------------------


def test_members_are_the_posteriors_that_fit_gives(here, tables):
    for name in ("table 0", "table 5"):
        alone = fit(tables[name], "chinchilla", draws=500, random_seed=9)
        mine, theirs = here[name].summary(), alone.summary()
        for parameter in ("E", "alpha", "beta"):
            a, b = mine[parameter], theirs[parameter]
            sd = b["sd"]
            error = sd * np.hypot(1 / np.sqrt(a["ess_bulk"]), 1 / np.sqrt(b["ess_bulk"]))
            assert abs(a["mean"] - b["mean"]) < 5 * error, parameter
            # The error of a standard deviation is about sd / sqrt(2 ESS) near normal; tails ask for twice that.
            assert abs(a["sd"] / sd - 1) < 10 / np.sqrt(2 * min(a["ess_tail"], b["ess_tail"]))


def test_what_a_fleet_tells(here, tables):
    frame, diagnostics = here.to_frame(), here.diagnostics
    assert set(frame["dataset"]) == set(tables)
    assert len(diagnostics) == len(here) == len(tables)
    for column in ("verdict", "rhat_max", "ess_bulk_min", "divergences", "redone", "method", "rhat_first", "seconds"):
        assert column in diagnostics
    posterior = here.idata["chinchilla/posterior"]
    assert posterior["alpha"].dims == ("dataset", "chain", "draw")
    alpha = posterior["alpha"].sel(dataset="table 2").to_numpy()
    row = frame[(frame["dataset"] == "table 2") & (frame["parameter"] == "alpha")].iloc[0]
    assert row["median"] == pytest.approx(np.median(alpha))
    assert [row["lower"], row["upper"]] == pytest.approx(list(np.quantile(alpha, [0.05, 0.95])))
    assert here["table 2"].diagnostics.rhat_max == diagnostics.loc[("table 2", "chinchilla"), "rhat_max"]
    np.testing.assert_array_equal(here["table 2"].draws("alpha")["alpha"], alpha.ravel())
    assert "Fleet of 9 posteriors" in str(here)
    assert "table 3" in here._repr_html_()
    with pytest.raises(UsageError, match="Known"):
        here["table 99"]


def test_order_company_and_chunks_change_nothing(here, tables, monkeypatch):
    monkeypatch.setattr("bayes_scaling.fleets.fitting.CHUNK", 3)
    some = dict(list(tables.items())[::-2])
    other = fleet(some, "chinchilla", **HOW)
    mine, theirs = draws_of(here), draws_of(other)
    assert list(theirs) == list(some)
    for name, x in theirs.items():
        np.testing.assert_array_equal(x, mine[name])


def test_few_programs_whatever_the_number_of_members(here, tables):
    from bayes_scaling.engine.model import columns, specify
    from bayes_scaling.engine.program import program_for

    law, noise = specify("chinchilla")
    program = program_for(law, noise, columns(law, noise, load_runs(tables["table 0"])))
    # More tables of one padded length: nothing more to compile, but for members that need another method.
    fleet({f"more {i}": table(50 + i) for i in range(3)}, "chinchilla", **HOW)
    sizes = {shape: compiled._cache_size() for shape, compiled in program._jitted.items()}
    assert any("hamilton" in str(shape) for shape in sizes)
    again = fleet({f"more {i}": table(50 + i) for i in range(3)}, "chinchilla", **HOW)
    assert not again.failed
    assert {shape: compiled._cache_size() for shape, compiled in program._jitted.items()} == sizes


def test_bad_members_fail_alone(here, tables):
    broken = tables["table 1"].assign(loss=lambda t: t["loss"].where(t.index != 3, np.nan))
    data = {"broken": broken, "absent": "no/such/file.csv", "table 1": tables["table 1"]}
    law = get_law("chinchilla")
    needy = replace(law, name="needy", inputs=("params", "tokens", "experts"))
    result = fleet(data, [law, needy], **HOW)
    np.testing.assert_array_equal(draws_of(result)["table 1"], draws_of(here)["table 1"])
    assert "loss" in result.failed["broken", "chinchilla"]
    assert "no/such/file.csv" in result.failed["absent", "chinchilla"]
    assert ("table 1", "chinchilla") not in result.failed
    assert "'experts'" in result.failed["table 1", "needy"]
    assert not result.ok
    with pytest.raises(DataError, match="loss"):
        result["broken", "chinchilla"]
    members = {(m["dataset"], m["law"]): m for m in result.to_dict()["members"]}
    assert members["broken", "chinchilla"]["parameters"] is None
    assert members["broken", "chinchilla"]["diagnostics"]["verdict"] == "failed"
    assert members["broken", "chinchilla"]["error"]
    with pytest.raises(DataError, match="None of the data sets"):
        fleet({"absent": "no/such/file.csv"}, "chinchilla", **HOW)


def test_numbers_that_cannot_be_sampled_fail_alone(monkeypatch, here, tables):
    real = chunks._sampled

    def stumbling(program, padded, seed, names, chunk):
        if seed == chunks.seed_of(HOW["random_seed"], "table 2"):
            raise np.linalg.LinAlgError("Singular matrix")
        return real(program, padded, seed, names, chunk)

    monkeypatch.setattr(chunks, "_sampled", stumbling)
    result = fleet({k: tables[k] for k in ("table 1", "table 2", "table 3")}, "chinchilla", **HOW)
    assert list(result.failed) == [("table 2", "chinchilla")]
    assert "Singular matrix" in result.failed["table 2", "chinchilla"]
    np.testing.assert_array_equal(draws_of(result)["table 3"], draws_of(here)["table 3"])
    assert "table 2" not in result.summary()
    json.dumps(result.to_dict(), default=str)


def test_a_member_that_is_not_clean_is_redone_and_says_so(monkeypatch, here, tables):
    """One member's first attempt is held unclean: it alone is redone, by the next method, and says so."""
    rows = here.diagnostics.xs("chinchilla", level="law")
    name, other = rows.index[~rows["redone"].astype(bool)][:2]
    real, first, refused = chunks._clean, draws_of(here)[name], []

    def strict(sample, settings):
        if np.array_equal(sample.x, first):
            refused.append(name)
            return False
        return real(sample, settings)

    monkeypatch.setattr(chunks, "_clean", strict)
    again = fleet({k: tables[k] for k in (name, other)}, "chinchilla", **HOW).diagnostics.xs("chinchilla", level="law")
    assert refused
    assert again["redone"].to_dict() == {name: True, other: False}
    assert rows.loc[name, "method"] == chunks.METHODS[0]
    assert again.loc[name, "gradients"] > 2 * rows.loc[name, "gradients"]
    assert again.loc[name, "rhat_first"] == rows.loc[name, "rhat_first"]


@pytest.mark.slow
def test_a_posterior_too_hard_for_chains_in_step_goes_to_nuts(tables):
    """Four runs for seven unknowns."""
    result = fleet({"few": table(1, 4), "table 0": tables["table 0"]}, "chinchilla", **HOW)
    rows = result.diagnostics
    assert rows.loc[("few", "chinchilla"), "method"] in chunks.METHODS[1:]
    assert rows.loc[("few", "chinchilla"), "rhat_max"] < rows.loc[("few", "chinchilla"), "rhat_first"]
    assert any("4 runs for 7 unknowns" in m for m in result["few"].diagnostics.messages)


def test_evidence_of_members_is_what_compare_gives(tables):
    from bayes_scaling.evidence.bridge import log_evidence

    result = fleet({"table 0": tables["table 0"]}, "chinchilla", evidence=True, **HOW)
    row = result.diagnostics.loc[("table 0", "chinchilla")]
    alone = log_evidence(fit(tables["table 0"], "chinchilla", draws=500, random_seed=2))
    assert abs(row["log_evidence"] - alone.value) < 5 * np.hypot(row["log_evidence_sd"], alone.sd)


def test_one_table_by_column(here, tables):
    both = pd.concat([tables["table 0"].assign(corpus="table 0"), tables["table 1"].assign(corpus="table 1")])
    both = both.reset_index(drop=True)
    result = fleet(both, "chinchilla", by="corpus", **HOW)
    for name in ("table 0", "table 1"):
        np.testing.assert_array_equal(draws_of(result)[name], draws_of(here)[name])
    with pytest.raises(DataError, match="no column 'family'"):
        fleet(both, "chinchilla", by="family", **HOW)


def test_without_draws_the_numbers_are_the_same(here, tables):
    result = fleet({"table 0": tables["table 0"]}, "chinchilla", keep_draws=False, **HOW)
    assert result.summary()["table 0"] == here.summary()["table 0"]
    assert "posterior" not in result.idata["chinchilla"].children
    with pytest.raises(UsageError, match="keep_draws"):
        result["table 0"]


def test_a_saved_fleet_comes_back_as_it_was(here, tmp_path):
    back = load_fleet(save_fleet(here, tmp_path / "fleet.nc"))
    assert_same(back, here)
    assert back.summary() == here.summary()
    assert back["table 1"].runs.sha256 == here["table 1"].runs.sha256
    (tmp_path / "fleet.nc").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"is not a saved fit: it is no netCDF"):
        load_fleet(tmp_path / "fleet.nc")


# --- elsewhere -----------------------------------------------------------------------------------------


class Plain:
    """The least that an executor can be: `submit`, and a future with nothing but `result`."""

    class Done:
        def __init__(self, value):
            self._value = value

        def result(self):
            return self._value

    def __init__(self):
        self.tasks = []

    def submit(self, function, task):
        self.tasks.append(task)
        return self.Done(function(task))


def test_any_executor_will_do(here, tables):
    executor = Plain()
    assert_same(fleet(tables, "chinchilla", executor=executor, **HOW), here)
    assert [len(task.names) for task in executor.tasks] == [4, 4, 1]
    assert all(task.law == "chinchilla" and task.noise == "student_t" for task in executor.tasks)


@pytest.mark.slow
def test_processes_give_the_same(here, tables):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert_same(fleet(tables, "chinchilla", executor=pool, **HOW), here)


def test_an_interrupted_fleet_goes_on_where_it_stopped(here, tables, tmp_path, monkeypatch):
    real, done = dispatch.fit_chunk, []

    def failing(chunk):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(chunk.names)
        return real(chunk)

    class Serial(Plain):
        def submit(self, function, task):
            future = Future()
            try:
                future.set_result(failing(task))
            except KeyboardInterrupt as stop:
                future.set_exception(stop)
            return future

    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        fleet(tables, "chinchilla", executor=Serial(), checkpoint=folder, **HOW)
    kept = sorted(folder.glob("*.npz"))
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:1000])  # damaged: done again
    again = Plain()
    result = fleet(tables, "chinchilla", executor=again, checkpoint=folder, **HOW)
    assert len(again.tasks) == 2
    assert_same(result, here)
    assert not folder.exists()


# --- Dask ----------------------------------------------------------------------------------------------


def test_clusters_say_what_is_missing(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "distributed":
            raise ModuleNotFoundError("No module named 'distributed'", name="distributed")
        return real(name, *rest, **more)

    with pytest.raises(UsageError, match="one of the two"), cluster():
        pass
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'bayes-scaling\[dask\]'"), cluster(workers=2):
        pass


def test_a_scheduler_that_does_not_answer_is_named():
    pytest.importorskip("distributed")
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"tcp://127.0.0.1:9"), cluster("tcp://127.0.0.1:9", timeout=1):
        pass
    assert time.monotonic() - begin < 15


@pytest.mark.slow
def test_dask_loses_nothing_when_a_worker_is_killed(here, tables, monkeypatch):
    pytest.importorskip("distributed")
    with cluster(workers=2) as executor:
        client = executor._client
        pids = client.run(os.getpid)
        assert len(set(pids.values())) == 2
        killed = []

        def kill_one(*_):
            if not killed:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        real = dispatch._elsewhere

        def watched(chunks, waiting, pool):
            for position, result in real(chunks, waiting, pool):
                kill_one()  # after the first chunk that is done, the others being under way
                yield position, result

        monkeypatch.setattr(dispatch, "_elsewhere", watched)
        monkeypatch.setattr("bayes_scaling.fleets.fitting.CHUNK", 1)
        result = fleet(tables, "chinchilla", executor=executor, **HOW)
        assert killed
        assert_same(result, here)
    with cluster(workers=1) as executor:
        assert_same(fleet(tables, "chinchilla", executor=executor, **HOW), here)


def test_workers_have_one_thread():
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert clusters.ONE_THREAD[name] == "1"


# --- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, tables):
    for i in range(2):
        tables[f"table {i}"].to_csv(tmp_path / f"table {i}.csv", index=False)
    (tmp_path / "bad.csv").write_text("params,tokens,loss\n1e9,2e10,2.5\n2e9,,2.4\n4e9,8e10,2.3\n")
    return tmp_path


QUICK = ["--law", "chinchilla", "--draws", "400", "--seed", "4"]


def test_the_command(files, capsys, here):
    words = [str(files / "table 0.csv"), str(files / "table 1.csv")]
    out = files / "fleet.nc"
    assert main(["fleet", *words, *QUICK, "--json", "--quiet", "--out", str(out)]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["command"] == "fleet"
    assert [(m["dataset"], m["law"]) for m in body["members"]] == [(f"table {i}", "chinchilla") for i in range(2)]
    value = body["members"][0]["parameters"]["alpha"]
    assert value.keys() >= {"mean", "sd", "median", "lower", "upper", "ess_bulk", "ess_tail", "rhat"}
    assert body["members"][0]["diagnostics"].keys() >= {"verdict", "rhat_max", "divergences", "messages", "redone"}
    # Written to text with all digits, the numbers are the same.
    assert value["median"] == pytest.approx(here.summary()["table 0"]["chinchilla"]["alpha"]["median"], rel=1e-9)
    assert load_fleet(out).summary()["table 1"].keys() == {"chinchilla"}
    assert not list(files.glob(".*parts"))


def test_the_command_with_a_bad_member(files, capsys):
    words = ["fleet", str(files / "table 0.csv"), str(files / "bad.csv"), *QUICK]
    assert main(words) == 3  # its data are bad: no diagnostics failed
    out, err = capsys.readouterr()
    assert "table 0" in out
    assert "bad  " in out.partition("Not used")[2]
    assert "1 data set could not be used" in err
    assert "tokens" in err
    assert "diagnostics failed" not in err
    assert main([*words, "--allow-bad-fit"]) == 0
    assert main(["fleet", str(files / "bad.csv"), *QUICK, "--quiet"]) == 3
    assert main(["fleet", "a.csv", "--workers", "2", "--scheduler", "tcp://x:1"]) == 2
    assert main(["fleet", "a.csv", "b.csv", "--by", "corpus"]) == 2
