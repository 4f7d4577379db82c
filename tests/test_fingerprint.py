"""An edited formula gives its own numbers wherever an earlier one of its name has left something."""

from __future__ import annotations

import functools
import importlib
import random
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import design

from bayes_scaling import average, fit, forecast, frontier
from bayes_scaling.base.settings import Settings
from bayes_scaling.base.written import written
from bayes_scaling.engine.fingerprint import computation, fit_key, identity
from bayes_scaling.engine.model import columns
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table
from bayes_scaling.evidence.variations import as_fitted, varied_draws, varied_program, varied_table
from bayes_scaling.fleets import dispatch
from bayes_scaling.fleets.chunks import Chunk
from bayes_scaling.fleets.fitting import _chunks
from bayes_scaling.inference import cache as posteriors
from bayes_scaling.inference.cache_contents import LIMIT_VARIABLE
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.optimum import optimal_params
from bayes_scaling.reporting.study import fit_or_load, request

SHORT = {"draws": 100, "chains": 2, "warmup": 60, "method": "laplace"}
CONSTANTS = {"E": 1.8, "gap_params": 0.5, "gap_tokens": 0.5, "alpha": 0.35, "beta": 0.37}


@pytest.fixture(scope="module")
def runs():
    law, rng = get_law("chinchilla"), np.random.default_rng(3)
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(5e7, 5e9, 5), np.geomspace(1e9, 1e11, 4)))
    loss = law.loss(CONSTANTS, {"params": n, "tokens": d}) * np.exp(0.004 * rng.standard_normal(n.size))
    return design(n, d, loss, "twenty")


def with_formula(formula) -> ScalingLaw:
    """Chinchilla under its own name with another formula; its optimum is found numerically."""
    return replace(get_law("chinchilla"), formula=formula, optimum=None, optimum_exponent=None)


def chinchilla(p, x):
    return get_law("chinchilla").formula(p, x)


@pytest.fixture
def laws():
    """As it is, and with a term that rises with the size of the model: far smaller models are then the best."""
    return with_formula(chinchilla), with_formula(lambda p, x: chinchilla(p, x) * (1 + 0.05 * x.n**0.5))


@pytest.fixture
def warm(tmp_path, monkeypatch):
    """An empty cache of posteriors."""
    folder = tmp_path / "posteriors"
    folder.mkdir()
    monkeypatch.setenv(LIMIT_VARIABLE, "100")
    monkeypatch.setattr(posteriors, "cache_folder", lambda name: folder)
    return folder


def test_fit_forecast_and_frontier_of_an_edited_law(laws, runs, warm):
    old, new = laws
    first = fit(runs, old, **SHORT)
    posteriors.flush()
    assert fit(runs, old, **SHORT).cached
    edited, alone = fit(runs, new, **SHORT), fit(runs, new, cache=False, **SHORT)
    assert not edited.cached
    frontier(first, 1e24)
    for made in (edited, alone):
        np.testing.assert_array_equal(made.draws("alpha")["alpha"], alone.draws("alpha")["alpha"])
    at = {"params": 1e12, "tokens": 1e12}
    losses = [forecast(f, **at, kind="curve").draws.mean() for f in (first, edited, alone)]
    assert losses[1] == losses[2]
    assert abs(losses[0] - losses[1]) > 0.01
    sizes = [np.nanmedian(frontier(f, 1e24).draws("params")) for f in (first, edited, alone)]
    assert sizes[1] == sizes[2]
    assert sizes[0] > 3 * sizes[1]


def test_the_optimum_of_an_edited_law(laws):
    """The search is compiled once a law; N* must lie where the law's own loss is least."""
    budgets = np.array([1e22, 1e25])
    values = {k: np.array([v]) for k, v in CONSTANTS.items()}
    closed = optimal_params(get_law("chinchilla"), values, budgets, method="closed")
    for law in laws:
        n = optimal_params(law, values, budgets)[0]
        for best, c in zip(n, budgets, strict=True):
            sizes = best * np.array([0.99, 1.0, 1.01])
            loss = law.loss(CONSTANTS, {"params": sizes, "tokens": c / (6 * sizes)})
            assert loss[1] < min(loss[0], loss[2])
    np.testing.assert_allclose(optimal_params(laws[0], values, budgets), closed, rtol=1e-6)


def test_variations_of_an_edited_law(laws, runs):
    """The density with priors as data is that of the law's own program."""
    for law in laws:
        made = fit(runs, law, **SHORT)
        table = varied_table(made, as_fitted(made))
        x = varied_draws(made, np.random.default_rng(0))[:20]
        _, whole = varied_program(made).log_densities(x, table)
        frame = columns(made.law, made.noise, runs)
        prior, likelihood = program_for(made.law, made.noise, frame).log_densities(x[:, :-1], Table.padded(frame))
        unused = as_fitted(made).priors["growth"].dist.logpdf(x[:, -1])  # of the richest noise model, last
        np.testing.assert_allclose(whole, prior + likelihood + unused, rtol=1e-9)


def test_the_average_over_laws_with_an_edited_one(laws, runs):
    """Folds are fitted by programs that the process keeps."""
    old, new = laws
    at = {"params": 1e12, "tokens": 1e12}
    means = [float(forecast(average(runs, [law], **SHORT), **at).draws.mean()) for law in (old, new, old)]
    assert means[0] == means[2]
    assert abs(means[0] - means[1]) > 0.005


def test_a_resumed_report_fits_an_edited_law_again(laws, runs, tmp_path):
    old, new = laws
    settings = Settings(draws=60, chains=2, warmup=60)
    folder, fresh = tmp_path / "report", tmp_path / "fresh"

    def found(law, where):
        fits, resumed = fit_or_load(runs, request([law], "student_t", None, settings, 0.9, cache=False), where)
        return fits[0].draws("alpha")["alpha"], resumed

    first, _ = found(old, folder)
    again, resumed = found(old, folder)
    assert resumed == ("chinchilla",)
    np.testing.assert_array_equal(first, again)
    edited, resumed = found(new, folder)
    assert resumed == ()
    np.testing.assert_array_equal(edited, found(new, fresh)[0])
    assert abs(edited.mean() - first.mean()) > 0.005


def test_a_fleet_does_not_go_on_from_an_edited_law(laws, runs, tmp_path):
    settings, noise = Settings(draws=60, chains=2), get_noise("student_t")

    def found(law, folder: Path):
        frames = {"a": columns(law, noise, runs)}
        how = {"ci_prob": 0.9, "evidence": False, "keep_draws": True}
        chunks: list[Chunk] = list(_chunks(law, noise, {}, (law, noise), frames, settings, how))
        ((_, result),) = dispatch.dispatched(chunks, None, folder)
        return result["intervals"], chunks[0].key

    old, key = found(laws[0], tmp_path)
    kept = list(tmp_path.iterdir())
    again, _ = found(laws[0], tmp_path)
    np.testing.assert_array_equal(old, again)
    assert [p.stem for p in kept] == [key]
    edited, other = found(laws[1], tmp_path)
    assert other != key
    np.testing.assert_array_equal(edited, found(laws[1], tmp_path / "fresh")[0])
    assert np.abs(edited - old).max() > 0.005


def test_what_cannot_be_told_is_never_reused(runs, warm, tmp_path):
    """A formula that asks an object without fields through a call that JAX does not look into."""
    import jax

    strange = random.Random(1)

    def asked(p, x):
        return jax.pure_callback(lambda v: v + 0 * strange.random(), p.E, p.E) + 0 * x.n

    law = with_formula(asked)
    settings, noise = Settings(draws=60, chains=2), get_noise("student_t")
    assert computation(law) is identity(law, noise) is fit_key(runs, law, noise, settings) is None
    assert posteriors.cache_key(runs, law, noise, settings) is None
    frames = {"a": columns(law, noise, runs)}
    how = {"ci_prob": 0.9, "evidence": False, "keep_draws": True}
    (chunk,) = _chunks(law, noise, {}, (law, noise), frames, settings, how)
    assert chunk.key is None
    dispatch.forget(tmp_path, [chunk])


# --- How functions are told ------------------------------------------------------------------------------

FACTOR = 1.0


def with_a_global(p, x):
    return p.E * FACTOR + x.n


def test_a_function_that_looks_up_another_number_is_another(monkeypatch):
    law, noise = with_formula(with_a_global), get_noise("student_t")
    before = identity(law, noise), written(with_a_global)
    assert before == (identity(law, noise), written(with_a_global))
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert identity(law, noise) != before[0]
    assert written(with_a_global) != before[1]


class Formula:
    def __init__(self, k):
        self.k = k

    def __call__(self, p, x):
        return self.k


class Slotted:
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k


def closed_over(k):
    return lambda p, x: k


def test_every_way_of_holding_a_number_is_seen():
    inner = types.SimpleNamespace
    makers = {
        "closure": closed_over,
        "constant": lambda k: eval(f"lambda p, x: {k!r}"),
        "default": lambda k: lambda p, x, k=k: k,
        "object": Formula,
        "method": lambda k: Formula(k).__call__,
        "partial": lambda k: functools.partial(closed_over, k),
        "slots": lambda k: closed_over(Slotted(k)),
        "namespace": lambda k: closed_over(inner(a=inner(b=k))),
        "array": lambda k: closed_over(np.array([0.0, k])),
        "set": lambda k: closed_over({k, "other"}),
        "dict": lambda k: closed_over({"a": [k]}),
        "wrapped": lambda k: functools.wraps(closed_over)(closed_over(k)),
        "class": lambda k: type("Own", (), {"k": k, "__call__": lambda self, p, x: self.k})(),
    }
    for name, make in makers.items():
        one, same, other = written(make(1.5)), written(make(1.5)), written(make(2.5))
        assert one.complete, name
        assert one == same != other, name
    for value in (random.Random(1), object(), functools.lru_cache(closed_over(1.5)), iter([1])):
        assert not written(closed_over(value)).complete


def test_recursive_functions_come_to_an_end():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert written(even).complete
    assert written(even) == written(even) != written(odd)


def test_a_law_in_a_file_that_was_edited(tmp_path, monkeypatch):
    """Comments and other functions of the file change nothing; what the formula calls does."""
    monkeypatch.syspath_prepend(tmp_path)
    text = "import helper\ndef formula(p, x):\n    return p.E + helper.term(p, x)\n"
    (tmp_path / "edited_law.py").write_text(text)
    seen = []
    for body in ("x.n", "x.n  # the same", "x.n + x.d"):
        (tmp_path / "helper.py").write_text(f"def unused():\n    return {body!r}\ndef term(p, x):\n    return {body}\n")
        for name in ("helper", "edited_law"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            module = importlib.import_module("edited_law")
        finally:
            sys.dont_write_bytecode = before
        seen.append(identity(with_formula(module.formula), get_noise("student_t")))
    assert seen[0] == seen[1] != seen[2]
    assert None not in seen
