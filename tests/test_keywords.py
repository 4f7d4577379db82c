"""A keyword that nobody reads is an error that names the nearest, on every public function."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import bayes_scaling as bs
from bayes_scaling.base.keywords import keywords
from bayes_scaling.inference.fitting import fit_laws
from bayes_scaling.laws.registry import all_laws, input_names

AT = {"params": 7e10, "tokens": 1.4e12}
# Functions that take settings, sizes or limits; what is wrong with each call, and what the message must say.
CALLS = {
    "fit": (lambda s: bs.fit("pile", draw=100), ["fit()", "'draw'", "'draws'"]),
    "fit_laws": (lambda s: fit_laws("pile", chain=2), ["fit_laws()", "'chain'", "'chains'"]),
    "sample": (lambda s: bs.sample(None, tune=5), ["sample()", "'tune'", "warmup"]),
    "forecast, interval": (lambda s: bs.forecast(s, **AT, ci=0.5), ["forecast()", "'ci'", "'ci_prob'"]),
    "forecast, input": (lambda s: bs.forecast(s, **AT, token=1), ["forecast()", "'token'", "'tokens'"]),
    "frontier": (lambda s: bs.frontier(s, 1e24, budget=1e24), ["frontier()", "'budget'", "'budgets'"]),
    "average": (lambda s: bs.average("pile", prior={}), ["average()", "'prior'", "'priors'"]),
    "compare": (lambda s: bs.compare("pile", targetaccept=0.9), ["compare()", "'target_accept'"]),
    "backtest": (lambda s: bs.backtest("pile", seed=1), ["backtest()", "'seed'", "random_seed"]),
    "report": (lambda s: bs.report("pile", budget="1e24"), ["report()", "'budget'", "'budgets'"]),
    "fleet": (lambda s: bs.fleet(["pile"], lossunit="nats"), ["fleet()", "'lossunit'", "'loss_unit'"]),
    "suggest": (lambda s: bs.suggest(s, budget=1e24, run_budget=1e20), ["suggest()", "'runs_budget'"]),
    "exponents": (lambda s: bs.exponents(s, roope=0.1), ["exponents()", "'rope'"]),
    "decide, target": (lambda s: bs.decide(s, budget=1e24, target=1.45), ["decide()", "'target'", "'target_loss'"]),
    "decide, limits": (
        lambda s: bs.decide(s, budget=1e24, max_tokens=1e12),
        ["decide()", "'max_tokens'", "limits=bs.Limits(max_tokens=...)"],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_misspelt_keyword_is_told(cloud, name):
    call, words = CALLS[name]
    with pytest.raises(bs.UsageError) as told:
        call(cloud)
    for word in words:
        assert word in str(told.value)


def test_every_public_function_checks_its_keywords():
    """Those that take options; not the ones that load, save or build."""
    options = ("ci_prob", "random_seed", "draws")
    missing = []
    for name in dir(bs):
        function = getattr(bs, name)
        if inspect.isfunction(function) and set(options) & set(inspect.signature(function).parameters):
            try:
                function(no_such_keyword=1)
            except bs.UsageError:
                continue
            except TypeError:
                missing.append(name)
    assert missing == []


def test_what_is_known_still_passes(cloud):
    plain = bs.forecast(cloud, **AT)
    assert bs.forecast(cloud, **AT, ci_prob=0.5).ci_prob == 0.5
    # An input that some law names is no slip, even where this law does not read it.
    names = set().union(*(law.inputs for law in all_laws().values()))
    assert input_names(cloud) >= {"params", "tokens"}
    assert input_names([cloud]) == names | set(cloud.law.inputs)
    assert bs.decide(cloud, budget=1e24, limits=bs.Limits(max_tokens=1e13)).limits.max_tokens == 1e13
    np.testing.assert_array_equal(plain.draws, bs.forecast(fits=cloud, **AT).draws)


def test_a_function_is_still_itself():
    @keywords()
    def wide(a: int, *, b: int = 2) -> int:
        """Text."""
        return a + b

    assert (wide.__name__, wide.__doc__, wide(1, b=3)) == ("wide", "Text.", 4)
    assert list(inspect.signature(bs.fit).parameters)[:2] == ["runs", "law"]


def test_settings_are_one_object_or_keywords(tiny_runs):
    how = bs.Settings(draws=60, chains=2, warmup=60, random_seed=3, method="laplace")
    one = bs.fit(tiny_runs, settings=how)
    other = bs.fit(tiny_runs, draws=60, chains=2, warmup=60, random_seed=3, method="laplace")
    assert one.settings == other.settings == how
    np.testing.assert_array_equal(one.draws("alpha")["alpha"], other.draws("alpha")["alpha"])
    several = bs.average(tiny_runs, ["kaplan", "chinchilla"], settings=how)
    assert [f.settings for f in several.fits] == [how, how]
    with pytest.raises(bs.UsageError, match=r"draws beside them.*bs\.Settings\(draws="):
        bs.fit(tiny_runs, settings=how, draws=100)
    with pytest.raises(bs.UsageError, match="random_seed"):
        bs.compare(tiny_runs, settings=how, random_seed=1)
    with pytest.raises(bs.UsageError, match=r"must be a bs\.Settings"):
        bs.fit(tiny_runs, settings={"draws": 100})


# --- Weights ------------------------------------------------------------------------------------------------


def test_weights_given_to_an_average_are_applied(blend):
    """All on one law: the curve is that law's, but for the discrepancy; half and half lies between."""
    names = [f.law.name for f in blend.fits]
    assert blend.averaging is not None

    def middle(weights):
        found = bs.forecast(blend, **AT, kind="curve", weights=weights)
        assert found.weights_from == "given"
        return found.rows()[0]["median"], found

    first, found = middle([1, 0])
    second, _ = middle({names[0]: 0, names[1]: 2})
    both, _ = middle([1, 1])
    assert found.law_weights == {names[0]: 1.0, names[1]: 0.0}
    for fit, value in zip(blend.fits, (first, second), strict=True):
        assert value == pytest.approx(bs.forecast(fit, **AT, kind="curve").rows()[0]["median"], rel=5e-3)
    assert min(first, second) < both < max(first, second)
    own = bs.forecast(blend, **AT, kind="curve", weights=dict(blend.law_weights))
    assert own.rows()[0]["median"] == bs.forecast(blend, **AT, kind="curve").rows()[0]["median"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("nonsense", "one number each"),
        ([1], "one number each"),
        ([1, -1], "none negative"),
        ([0, 0], "none negative"),
        ({"chinchila": 1, "coupled": 1}, "Did you mean 'chinchilla'"),
        ({"chinchilla": 1}, "No weight for coupled"),
        (3, "one number each"),
    ],
)
def test_weights_that_are_none_are_refused(blend, weights, words):
    for fits in (blend, list(blend.fits)):
        with pytest.raises(bs.UsageError, match=words):
            bs.forecast(fits, **AT, weights=weights)
        with pytest.raises(bs.UsageError, match=words):
            bs.frontier(fits, 1e24, weights=weights)
