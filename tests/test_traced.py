"""Traced programs on disk: a second process needs neither PyMC nor a trace, and is never served another's program."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from xarray import DataTree

from bayes_scaling.base.settings import Settings
from bayes_scaling.engine import exports, modes
from bayes_scaling.engine import program as programs
from bayes_scaling.engine.backend import fold, jax_ready, key_of
from bayes_scaling.engine.coordinates import whitened
from bayes_scaling.engine.fingerprint import identity
from bayes_scaling.engine.model import columns, specify
from bayes_scaling.engine.program import Program, program_for
from bayes_scaling.engine.slices import Guide
from bayes_scaling.engine.tables import Table
from bayes_scaling.evidence.nested import start
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.fitting import collect
from bayes_scaling.inference.idata import Later, sampled
from bayes_scaling.inference.result import Fit
from bayes_scaling.inference.sampling import Draws
from bayes_scaling.laws.law import Scale, ScalingLaw
from bayes_scaling.laws.noise import NOISES
from bayes_scaling.laws.priors import lognormal
from bayes_scaling.laws.registry import all_laws

# What a fit from the command line to JSON can do without once its programs are kept; Dask is what xarray would import.
NEEDLESS = {"pymc", "pytensor", "numpyro", "blackjax", "arviz", "arviz_base", "arviz_stats", "xarray", "dask"}
SHORT = Settings(draws=60, chains=2, warmup=60)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty cache folder; programs made before are forgotten."""
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path))
    monkeypatch.setattr(programs, "_PROGRAMS", {})
    return tmp_path / "programs"


def kept(shelf):
    return sorted(path.name for path in shelf.glob("*.program"))


# --- A second process -----------------------------------------------------------------------------------


def in_a_process(folder, *words):
    code = (
        "import sys; from bayes_scaling.cli.main import main; code = main(sys.argv[1:]); "
        "print(' '.join(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr); sys.exit(code)"
    )
    surroundings = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=600,
        env=surroundings | {"BAYES_SCALING_CACHE": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), set(done.stderr.splitlines()[-1].split())


def test_a_second_process_needs_no_pymc_and_no_compilation_and_gives_the_same_numbers(tmp_path):
    words = ["fit", "pile", "--law", "kaplan_floor", "--draws", "200", "--chains", "2", "--json", "--allow-bad-fit"]
    first, loaded = in_a_process(tmp_path, *words)
    assert loaded > {"pymc", "jax"}
    compiled = sorted(p.name for p in (tmp_path / "jax").iterdir() if p.name.endswith("-cache"))
    programs = {p.name: p.read_bytes() for p in (tmp_path / "programs").iterdir()}
    assert len(compiled) >= 2
    assert len(programs) >= 4  # mode search, chain, description; and the outline
    second, loaded = in_a_process(tmp_path, *words)
    assert "jax" in loaded
    assert not loaded & NEEDLESS
    assert second["parameters"] == first["parameters"]
    assert second["diagnostics"] == first["diagnostics"]
    assert sorted(p.name for p in (tmp_path / "jax").iterdir() if p.name.endswith("-cache")) == compiled
    assert {p.name: p.read_bytes() for p in (tmp_path / "programs").iterdir()} == programs


# --- The same numbers -----------------------------------------------------------------------------------


def everything(program, table, nested=True):
    """Results of every verb, as a flat list of arrays; the block of nested sampling, dear to compile, comes last."""
    x = program.density.initial + 0.05 * np.random.default_rng(1).standard_normal((20, program.density.size))
    prior, likelihood = program.log_densities(x, table)
    where = modes.Modes(x[:1], np.zeros(1), np.eye(x.shape[1])[None], np.ones(1, int), 1)
    chain = program.chain(fold(key_of(3), 1), x[0], whitened(where), table, SHORT)
    found = [prior, likelihood, chain, program.describe(x, table), program.locate(5, table).points]
    if nested:
        guide = Guide.none(x.shape[1])
        found.append(program.nested(key_of(4), start(x, prior, likelihood), table, guide))
    return jax.tree.leaves(found)


def test_kept_programs_give_what_traced_ones_give_to_the_last_bit(shelf, tiny_runs):
    law, noise = specify("kaplan", "normal")
    frame = columns(law, noise, tiny_runs)
    table = Table.padded(frame)
    first = program_for(law, noise, frame)
    traced_now = everything(first, table)
    assert len(kept(shelf)) == 1 + 5  # the outline and every verb
    programs._PROGRAMS.clear()
    again = program_for(law, noise, frame)
    assert again is not first
    assert again.identity == first.identity
    for ours, theirs in zip(everything(again, table), traced_now, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    plain = everything(Program(first.density), table, nested=False)  # never exported
    for ours, theirs in zip(plain, traced_now[: len(plain)], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(kept(shelf)) == 6


def test_a_model_known_in_outline_is_traced_for_a_new_shape(shelf, tiny_runs):
    """The model is then built in the middle of a trace, and must not become part of it."""
    law, noise = specify("kaplan", "normal", {"sigma": lognormal(median=0.02, sigma=0.5)})
    frame = columns(law, noise, tiny_runs)
    x = program_for(law, noise, frame).density.initial[None] + [[0.1], [0.2]]
    programs._PROGRAMS.clear()
    outlined = program_for(law, noise, frame)
    short = outlined.log_densities(x, Table.padded(frame))
    long = outlined.log_densities(x, Table.padded(frame, 48))
    np.testing.assert_allclose(long, short, rtol=1e-12)
    assert len(kept(shelf)) == 3


def test_priors_of_kept_programs_are_those_that_were_asked_for(shelf, tiny_runs):
    tried = {}
    for median in (0.5, 0.5000001):
        for _ in range(2):
            law, noise = specify("kaplan", "normal", {"sigma": lognormal(median=median, sigma=0.3)})
            frame = columns(law, noise, tiny_runs)
            free = {**law.parameters, **noise.parameters}
            programs._PROGRAMS.clear()
            x = np.linspace(-2, 0.5, 2 * len(free)).reshape(2, -1)
            prior, _ = program_for(law, noise, frame).log_densities(x, Table.padded(frame))
            # All of these are positive: x is the logarithm, and the Jacobian of exp is exp itself.
            truth = sum(p.prior.dist.logpdf(np.exp(x[:, i])) + x[:, i] for i, p in enumerate(free.values()))
            np.testing.assert_allclose(prior, truth, rtol=1e-9)
            tried.setdefault(median, []).append(prior)
    assert not np.array_equal(tried[0.5][0], tried[0.5000001][0])
    assert len(kept(shelf)) == 4


def test_a_fit_builds_its_tree_when_asked(tiny_runs):
    rng = np.random.default_rng(0)
    law, noise = specify("kaplan", "normal")
    names = [*law.parameters, *law.derived, *noise.parameters]
    values = {name: rng.uniform(1, 2, (2, 60)) for name in names}
    verdict = Diagnostics("ok", 1.0, 100.0, 100.0, 0, 1.0, ())
    settings = Settings(draws=60, chains=2)
    blank, pointwise = np.zeros((2, 60)), np.zeros((2, 60, tiny_runs.n))
    drawn = Draws(np.zeros((2, 60, 3)), values, blank, pointwise, {"lp": blank}, None, verdict, settings)
    frame = columns(law, noise, tiny_runs)
    later = Later(values, partial(collect, drawn, law, noise, tiny_runs, frame, ("a", "b", "c"), settings))
    result = Fit(law, noise, tiny_runs, later, verdict, settings)
    summary = result.summary()
    assert list(summary) == names
    copy = pickle.loads(pickle.dumps(result))
    assert isinstance(result.idata, DataTree)
    assert result.idata is result.idata
    assert set(sampled(result).children) == {
        "posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data", "unconstrained_posterior",
    }  # fmt: skip
    assert result.summary() == summary
    assert result.n_draws == 120
    for name, value in values.items():
        np.testing.assert_array_equal(result.idata["posterior"][name], value)
        np.testing.assert_array_equal(copy.draws(name)[name], value.ravel())
    assert copy.idata["posterior"].to_dataset().equals(result.idata["posterior"].to_dataset())


# --- What a name on disk depends on ---------------------------------------------------------------------


def test_every_law_and_noise_has_an_identity_of_its_own():
    found = [identity(*specify(law, noise)) for law in all_laws() for noise in NOISES]
    assert None not in found
    assert len(set(found)) == len(found)


class Changed:
    """A law's formula with a constant in it."""

    def __init__(self, formula, factor):
        self.formula, self.factor = formula, factor

    def __call__(self, p, x):
        return self.formula(p, x) * self.factor


class Subclass(ScalingLaw):
    pass


def test_identity_follows_what_is_computed_and_nothing_else(monkeypatch):
    jax_ready()
    law, noise = specify("chinchilla")
    base = identity(law, noise)
    assert identity(replace(law, title="Other", citation="nobody", trust=5), noise) == base
    parameters = dict(law.parameters)
    others = {
        "formula": replace(law, formula=Changed(law.formula, 1.0001)),
        "same name, other constant": replace(law, formula=Changed(law.formula, 1.0002)),
        "derived": replace(law, derived={"A": law.derived["B"], "B": law.derived["A"]}),
        "scale": replace(law, scale=Scale(1e9, 2.0000001e10)),
        "order": replace(law, parameters=dict(reversed(parameters.items()))),
        "prior": law.with_priors({"E": lognormal(median=1.6, sigma=0.50000001)}),
        "direct prior": law.with_priors({"A": lognormal(median=400, sigma=1)}),
    }
    found = {name: identity(other, noise) for name, other in others.items()}
    found["noise prior"] = identity(*specify("chinchilla", priors={"nu": lognormal(median=4, sigma=1)}))
    monkeypatch.setattr(modes, "STARTS", modes.STARTS + 1)
    found["constant of the engine"] = identity(law, noise)
    assert None not in found.values()
    assert len({base, *found.values()}) == 1 + len(found), found


def test_a_law_that_cannot_be_told_apart_is_not_kept():
    """One that JAX does not run is told by how it is written; one whose Python is not all of it, not at all."""
    law, noise = specify("chinchilla")
    strange = random.Random(3)

    def only_pytensor(factor):
        def formula(p, x):
            import pytensor.tensor as pt

            return pt.as_tensor_variable(p.E) + factor * x.n

        return formula

    written = [identity(replace(law, formula=only_pytensor(factor)), noise) for factor in (1.0, 1.0, 2.0)]
    assert written[0] == written[1] != written[2]
    assert None not in written
    assert identity(replace(law, formula=only_pytensor(strange)), noise) is None
    called = replace(law, formula=lambda p, x: jax.pure_callback(strange.gauss, p.E, p.E, x.n))
    assert identity(called, noise) is None
    bases = {identity(law, noise), identity(Subclass(**vars(law)), noise)}
    bases |= {identity(law, replace(noise, likelihood=lambda *args, sign=s: sign)) for s in (1, 2)}
    assert len(bases) == 4
    assert None not in bases


def test_laws_of_one_name_have_programs_of_their_own(shelf, tiny_runs):
    law, noise = specify("kaplan", "normal")
    other = replace(law, formula=Changed(law.formula, 1.5))
    frame = columns(law, noise, tiny_runs)
    x = program_for(law, noise, frame).density.initial[None]
    found = [program_for(which, noise, frame).log_densities(x, Table.padded(frame))[1] for which in (law, other)]
    assert found[0] != found[1]


# --- The files ------------------------------------------------------------------------------------------


def counted():
    """A function to be traced, and how often it was."""
    traces = []

    def make():
        def program(x):
            traces.append(1)
            return {"twice": 2 * x, "sum": x.sum()}

        return program

    return make, traces


DAMAGE = {
    "empty": lambda whole: b"",
    "cut short": lambda whole: whole[: len(whole) // 2],
    "one byte less": lambda whole: whole[:-1],
    "a flipped bit": lambda whole: whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:],
    "another's": lambda whole: b"\x80\x04K\x01." + whole,
    "text": lambda whole: b"hello",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_traced_anew_and_mended(shelf, damage):
    make, traces = counted()
    x = np.arange(3.0)
    function = exports.function("f", make, (x,))
    assert len(traces) == 1
    (path,) = shelf.iterdir()
    whole = path.read_bytes()
    again = exports.function("f", make, (x,))
    assert len(traces) == 1
    np.testing.assert_array_equal(jax.jit(again)(x)["twice"], jax.jit(function)(x)["twice"])
    path.write_bytes(damage(whole))
    mended = exports.function("f", make, (x,))
    assert len(traces) == 2
    assert float(jax.jit(mended)(x)["sum"]) == 3.0
    assert exports.load("f") is not None


def test_whole_files_of_another_kind_are_no_programs(shelf):
    make, traces = counted()
    x = np.arange(3.0)
    exports.save("f", b"whole, and no program")
    assert float(jax.jit(exports.function("f", make, (x,)))(x)["sum"]) == 3.0
    assert len(traces) == 1
    exports.function("g", make, (x,))
    (shelf / "f.program").write_bytes((shelf / "g.program").read_bytes())
    assert exports.load("f") is None  # under another's name it is not taken
    for content in (b"[]", b"{}", b'{"names": ["a"], "shapes": [[2]], "initial": [1.0]}', b"\xff"):
        exports.save("model-outline", content)
        assert exports.load_outline("model") is None
    outline = exports.Outline(("a", "b"), ((), (2,)), (0.1, 1 / 3, -2e-300))
    exports.save_outline("model", outline)
    assert exports.load_outline("model") == outline


def test_what_cannot_be_exported_or_written_is_compiled_all_the_same(shelf, monkeypatch, tmp_path):
    x = np.arange(3.0)
    shape = jax.ShapeDtypeStruct((), x.dtype)

    def make():
        return lambda x: jax.pure_callback(lambda v: np.asarray(v).sum(), shape, x)

    assert float(jax.jit(exports.function("f", make, (x,)))(x)) == 3.0
    assert not shelf.exists() or not kept(shelf)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path / "file" / "folder"))
    make, traces = counted()
    for _ in range(2):
        assert float(jax.jit(exports.function("f", make, (x,)))(x)["sum"]) == 3.0
    assert len(traces) == 2


def test_the_longest_unused_go_first(shelf, monkeypatch):
    monkeypatch.setattr(exports, "LIMIT", 40_000)
    for i, name in enumerate("abcd"):
        exports.save(name, bytes(9_000))
        os.utime(shelf / f"{name}.program", (i, i))
    assert exports.load("a") is not None  # used just now
    exports.save("e", bytes(9_000))
    assert kept(shelf) == ["a.program", "d.program", "e.program"]


def test_writers_and_readers_at_once(shelf):
    payload = os.urandom(300_000)
    exports.save("f", payload)

    def work(i):
        if i % 2:
            exports.save("f", payload)
        return exports.load("f") == payload

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    assert kept(shelf) == ["f.program"]
    assert len(list(shelf.iterdir())) == 1
