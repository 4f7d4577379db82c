"""What is written is whole or absent, replaces only what is ours, and is believed only while its checksum holds."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from bayes_scaling import report
from bayes_scaling.base.caches import Store, cache_folder, prune, trusted
from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import dump_json, write_bytes, write_text
from bayes_scaling.base.sealed import seal, unseal
from bayes_scaling.cli.main import main
from bayes_scaling.inference.netcdf import attribute, write_tree
from bayes_scaling.inference.storage import NOTE, is_fit_file, load_fit, save_fit
from bayes_scaling.reporting.ownership import check_ours, claim, done

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def refused(capsys, words, *says):
    assert main(words) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert "Traceback" not in said.err
    for part in says:
        assert part in said.err


@pytest.mark.parametrize("what", ["text", "foreign netCDF", "other HDF5", "fleet", "cut short", "device"])
def test_an_output_that_is_not_ours_is_left_as_it_is(capsys, tmp_path, saved, what):
    import h5py
    import xarray as xr

    target = tmp_path / "theirs.nc"
    if what == "text":
        target.write_text("my notes")
    elif what == "foreign netCDF":
        xr.Dataset({"t": ("x", np.arange(3.0))}).to_netcdf(target, engine="h5netcdf")
    elif what == "other HDF5":
        with h5py.File(target, "w") as handle:
            handle["weights"] = np.arange(3.0)
    elif what == "fleet":
        tree = xr.DataTree(xr.Dataset(attrs={"bayes_scaling_fleet": "{}"}))
        write_tree(tree, target)
    elif what == "cut short":
        target.write_bytes(saved[0].read_bytes()[:5000])
    else:
        target.symlink_to("/dev/null")
    before = target.read_bytes()
    refused(capsys, ["fit", "pile", "--law", "kaplan", "--out", str(target)], "is no saved fit", "left as it is")
    if what != "fleet":
        refused(capsys, ["fleet", "pile", "--law", "kaplan", "--out", str(target)], "is no saved fleet")
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["theirs.nc"]


STRANGERS = ["index.html", "report.json", "tables/runs.csv", "figures/mine.svg", "fits/chinchilla.nc"]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_folder_is_left_as_it_is(capsys, tmp_path, name):
    (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "site" / name).write_text('{"command": "mine"}')
    refused(capsys, ["report", "pile", "--out", str(tmp_path / "site")], name, "left as it is", "--out")
    with pytest.raises(DataError, match="left as it is"):
        report("pile", out=tmp_path / "site")
    assert sorted(str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*") if p.is_file()) == [
        name
    ]


def test_an_interrupted_report_is_ours(tmp_path, saved):
    claim(tmp_path)  # an empty folder
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "runs.csv").write_text("params\n")
    check_ours(tmp_path)  # its report.json is not there yet
    done(tmp_path)
    with pytest.raises(DataError, match=r"runs\.csv"):
        check_ours(tmp_path)
    (tmp_path / "report.json").write_text('{"command": "report"}')
    check_ours(tmp_path)
    other = tmp_path / "other"
    (other / "fits").mkdir(parents=True)
    (other / "README").write_text("in nobody's way")
    shutil.copy(saved[0], other / "fits" / "chinchilla.nc")
    check_ours(other)


def test_a_saved_fit_that_was_damaged_is_refused(tmp_path, saved):
    whole = saved[0].read_bytes()
    truth = load_fit(saved[0]).idata["posterior"]["alpha"].to_numpy()
    damaged = tmp_path / "damaged.nc"
    rng = np.random.default_rng(7)
    loaded = 0
    for position in rng.integers(0, len(whole), 60):
        bent = bytearray(whole)
        bent[position] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(bent)
        try:
            found = load_fit(damaged)
        except DataError as error:
            assert "Make one with" in str(error)  # noqa: PT017
        else:  # the seal itself was struck, and the rest is whole
            loaded += 1
            np.testing.assert_array_equal(found.idata["posterior"]["alpha"], truth)
    assert loaded <= 1  # 55 bytes of some million
    for length in rng.integers(0, len(whole) - 55, 20):
        damaged.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load_fit(damaged)
    damaged.write_bytes(whole[:-55])
    with pytest.raises(DataError, match="checksum is gone"):
        load_fit(damaged)
    assert attribute(damaged, NOTE) is None


def older(saved, path, change=None):
    """As an older version saved it: without a checksum; `change` edits the tree and its note."""
    import xarray as xr

    with xr.open_datatree(saved, engine="h5netcdf") as opened:
        tree = opened.load().copy()
    tree.attrs.pop("bayes_scaling_sealed")
    note = json.loads(tree.attrs[NOTE])
    if change is not None:
        change(note, tree)
    tree.attrs[NOTE] = json.dumps(note) if isinstance(note, dict) else note
    tree.to_netcdf(path, engine="h5netcdf")
    return path


def test_a_fit_without_a_checksum_opens_with_a_notice(capsys, tmp_path, saved):
    path = older(saved[0], tmp_path / "old.nc")
    assert [n.code for n in load_fit(path).runs.notices] == ["no_checksum"]
    assert main(["forecast", str(path), "--at", "params=70B,tokens=1.4T"]) == 0
    assert "without a checksum" in capsys.readouterr().err
    assert "no_checksum" not in [n.code for n in load_fit(saved[0]).notices]


HOSTILE = {
    "verdict of another type": lambda n, t: n["diagnostics"].update(verdict=5),
    "unknown verdict": lambda n, t: n["diagnostics"].update(verdict="fine"),
    "messages a number": lambda n, t: n["diagnostics"].update(messages=5),
    "messages of numbers": lambda n, t: n["diagnostics"].update(messages=[5]),
    "rhat a word": lambda n, t: n["diagnostics"].update(rhat_max="low"),
    "diagnostics a list": lambda n, t: n.update(diagnostics=[]),
    "law a list": lambda n, t: n.update(law=["chinchilla"]),
    "law null": lambda n, t: n.update(law=None),
    "unknown law": lambda n, t: n.update(law="\x1b[31mred"),
    "noise a number": lambda n, t: n.update(noise=3),
    "priors a list": lambda n, t: n.update(priors=["alpha"]),
    "priors of numbers": lambda n, t: n["priors"].update(alpha=3),
    "scale a word": lambda n, t: n.update(scale="large"),
    "scale of words": lambda n, t: n["scale"].update(params="many"),
    "settings a word": lambda n, t: n.update(settings="many"),
    "draws a word": lambda n, t: n["settings"].update(draws="many"),
    "seed a list": lambda n, t: n["settings"].update(random_seed=[1]),
    "runs a list": lambda n, t: n.update(runs=[]),
    "name a number": lambda n, t: n["runs"].update(name=7),
    "no runs": lambda n, t: t.__delitem__("runs"),
    "no draws": lambda n, t: t.__delitem__("posterior"),
    "draws of text": None,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_attributes_are_one_sentence(capsys, tmp_path, saved, name):
    import xarray as xr

    def change(note, tree):
        if name == "draws of text":
            group = tree["posterior"].to_dataset()
            tree["posterior"] = xr.DataTree(group.assign(alpha=group["alpha"].astype(str)))
        else:
            HOSTILE[name](note, tree)

    path = older(saved[0], tmp_path / "hostile.nc", change)
    refused(capsys, ["forecast", str(path), "--at", "params=70B,tokens=1.4T"], "hostile.nc")
    with pytest.raises(DataError) as raised:
        load_fit(path)
    assert "\x1b" not in str(raised.value)


def test_an_archive_that_claims_terabytes(tmp_path, saved):
    import h5py

    path = tmp_path / "bomb.nc"
    shutil.copy(older(saved[0], tmp_path / "old.nc"), path)
    with h5py.File(path, "a") as handle:
        handle.create_dataset("bomb", shape=(1 << 40,), dtype="f8", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(DataError, match="cannot be read"):
        load_fit(path)


FULL = """
    import resource, sys
    from bayes_scaling.cli.main import main
    from bayes_scaling.inference import storage
    made = storage.load_fit(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        storage.save_fit(made, sys.argv[2])
    except Exception as error:
        print(type(error).__name__, error)
"""


@posix
def test_a_disk_that_is_full_leaves_nothing(tmp_path, saved):
    target = tmp_path / "out" / "fit.nc"
    words = [sys.executable, "-c", textwrap.dedent(FULL), str(saved[0]), str(target)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("DataError Cannot write")
    assert list(target.parent.iterdir()) == []


@posix
def test_files_have_the_permissions_they_should(tmp_path):
    umask = os.umask(0o027)
    try:
        assert stat.S_IMODE(write_text(tmp_path / "new", "x").stat().st_mode) == 0o640
    finally:
        os.umask(umask)
    secret = tmp_path / "secret"
    secret.write_text("old")
    secret.chmod(0o600)
    write_text(secret, "new")
    assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == ("new", 0o600)
    link = tmp_path / "link"
    link.symlink_to(secret)
    write_text(link, "through")
    assert link.is_symlink()
    assert secret.read_text() == "through"


def test_names_of_any_length(tmp_path):
    for name in ("x" * 250 + ".nc", "名" * 84, "a b\tc"):
        assert write_bytes(tmp_path / name, b"data").read_bytes() == b"data"
    for name in ("x" * 300, "nul\0byte"):
        with pytest.raises(DataError, match="Cannot write"):
            write_bytes(tmp_path / name, b"data")
    assert len(list(tmp_path.iterdir())) == 3


@posix
def test_caches_are_private(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path / "new"))
    folder = cache_folder("jax")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert trusted(folder)
    folder.chmod(0o777)
    assert not trusted(folder)
    assert trusted(cache_folder("jax"))  # it is ours, so it is mended
    (tmp_path / "own").mkdir()
    (tmp_path / "own").chmod(0o755)
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path / "own"))
    cache_folder("jax")
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o755  # a folder that the user named stays as it is
    assert not trusted(tmp_path / "nowhere")


def test_compiled_programs_are_bounded_and_checked(tmp_path):
    store = Store(tmp_path, 10_000)
    store.put("a", b"program")
    assert store.get("a") == b"program"
    assert store.get("b") is None
    path = tmp_path / "a-cache"
    for damaged in (b"", b"program", path.read_bytes()[:-1], path.read_bytes().replace(b"prog", b"grog")):
        path.write_bytes(damaged)
        assert store.get("a") is None
    store.put("a", b"program")
    assert store.get("a") == b"program"
    for i in range(30):
        store.put(f"many{i}", bytes(1000))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 10_000
    assert store.get("many29") == bytes(1000)


def test_jax_keeps_its_programs_in_our_store():
    """A JAX that has moved what is replaced here would leave its cache unbounded and unchecked."""
    from jax._src import compilation_cache

    from bayes_scaling.engine.backend import jax_ready

    folder = jax_ready().config.jax_compilation_cache_dir
    assert isinstance(compilation_cache.get_file_cache(folder)[0], Store)
    assert not isinstance(compilation_cache.get_file_cache(f"{folder}/other")[0], Store)


def test_what_killed_processes_left_goes(tmp_path):
    for name, age in {".old.tmp": 7200, ".new.tmp": 60, "kept": 9999}.items():
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (0, (tmp_path / name).stat().st_mtime - age))
    prune(tmp_path, 100)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".new.tmp", "kept"]


def test_seals():
    for data in (b"", b"x", bytes(100_000)):
        assert (bytes(unseal(seal(data))[0]), unseal(seal(data))[1]) == (data, True)
        assert unseal(data)[1] is False
    with pytest.raises(DataError):
        unseal(seal(b"data").replace(b"data", b"date"))


@posix
def test_a_pipe_is_not_eaten(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not is_fit_file(tmp_path / "pipe")  # opening it would wait for a writer


def test_a_file_that_bears_a_data_sets_name_is_not_taken_for_it(tmp_path, monkeypatch):
    from bayes_scaling import load_runs
    from bayes_scaling.reporting.page import _runs_argument

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pile").write_text("params,tokens,loss\n1e9,2e10,2.5\n2e9,4e10,2.3\n4e9,1e11,2.2\n")

    def argument(runs):
        return _runs_argument({"asked": {"source": runs.source}, "provenance": {"runs_sha256": runs.sha256}})

    assert argument(load_runs("pile")) == "pile"
    assert argument(load_runs("./pile")) == "tables/runs.csv"
    assert argument(load_runs("pile", columns={"flops": ""})) == "tables/runs.csv"


def test_json_of_lone_surrogates():
    assert json.loads(dump_json({"name": "\ud800", "é": 1})) == {"name": "\ud800", "é": 1}
    assert "é" in dump_json({"é": 1})


def test_saving_twice_gives_the_same_numbers(tmp_path, saved):
    first = load_fit(saved[0])
    again = load_fit(save_fit(first, tmp_path / "again.nc"))
    assert first.idata["posterior"].to_dataset().identical(again.idata["posterior"].to_dataset())
    assert first.idata.attrs == again.idata.attrs
