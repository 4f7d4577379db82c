"""One quantity, one value: what frontier, decide, next and the report say of the same thing is equal.

Three tables (the bundled Pile runs, and two made here: a grid and isoFLOP slices), each under a blend by a validated
rule with a discrepancy, and under a mixture by weights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from by_hand import BESIROGLU, POINTS, by_hand
from scipy import stats

import bayes_scaling as bs
from bayes_scaling.decisions.costs import CostModel
from bayes_scaling.decisions.limits import Allocations, Limits
from bayes_scaling.experiments.suggesting import suggest
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble, ensemble, validated
from bayes_scaling.prediction.weights import SCALES, Averaging
from bayes_scaling.runs.loading import load_runs

TABLES, POOLS = ("pile", "grid", "slices"), ("blend", "mixture")


@cache
def table(name: str):
    if name == "pile":
        return load_runs("pile")
    if name == "grid":
        n, d = (v.ravel() for v in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 6e10, 3)))
    else:
        c, ratio = (v.ravel() for v in np.meshgrid([1e18, 1e19, 1e20], np.geomspace(2, 200, 7)))
        n = np.sqrt(c / 6 / ratio)
        d = ratio * n
    loss = by_hand_loss(n, d)
    return load_runs(pd.DataFrame({"params": n, "tokens": d, "loss": loss}), name=name)


def by_hand_loss(n, d):
    c = BESIROGLU
    noise = np.exp(0.005 * np.random.default_rng(20).standard_normal(len(n)))
    return (c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]) * noise


@cache
def group(name: str, pool: str) -> Ensemble:
    fits = [
        by_hand(table(name), BESIROGLU, spread=0.03, draws=1000, seed=1),
        by_hand(table(name), POINTS["coupled"], law="coupled", spread=0.03, draws=800, seed=2),
        by_hand(table(name), POINTS["kaplan"], law="kaplan", spread=0.03, draws=900, seed=3),
    ]
    weights = {"chinchilla": 0.3, "coupled": 0.55, "kaplan": 0.15}
    if pool == "mixture":
        return ensemble(fits, weights)
    scale = np.exp(-0.5 * (np.log(SCALES / 0.01) / 0.8) ** 2)
    return validated(fits, Averaging(weights, SCALES, scale / scale.sum(), 8.0, 4, {}, "a test"))


@pytest.fixture(params=[(t, p) for t in TABLES for p in POOLS], ids=lambda p: "-".join(p))
def asked(request):
    one = group(*request.param)
    return one, 20 * float(one.fits[0].runs.flops.max())


def test_the_best_size_and_the_loss_there_are_the_same_wherever_they_are_asked_for(asked):
    one, budget = asked
    told = bs.frontier(one, budget).to_dict()["frontier"][0]
    decided = bs.decide(one, budget=budget).to_dict()["optimum"]
    now = suggest(one, budget=budget, n_runs=1, worlds=20).to_dict()["now"]
    for name in ("params", "loss"):
        assert told[name] == decided[name] == now[name], name
    assert told["tokens"] == pytest.approx(decided["tokens"])
    assert decided["limited"] is None
    under = bs.decide(one, budget=budget, limits=Limits(max_params=0.3 * told["params"]["median"])).optimum
    assert under["params"] == told["params"]
    assert under["limited"]["params"]["upper"] <= 0.3 * told["params"]["median"] * (1 + 1e-9)


def test_each_draws_best_size_is_the_lowest_point_of_its_own_surface(asked):
    one, budget = asked
    worlds = predictive(one)
    found = best_sizes(worlds, np.array([budget]))
    few = worlds.thinned(150)
    u = np.linspace(np.log(1e6), np.log(budget / 6e6), 3001)
    on_grid = few.log_curve(np.exp(u), worlds.compute.tokens(np.exp(u), budget))
    mine = best_sizes(few, np.array([budget]))
    assert (mine.log_loss[:, 0] <= on_grid.min(axis=1) + 1e-10).all()
    np.testing.assert_allclose(mine.log_loss[:, 0], on_grid.min(axis=1), atol=1e-5)
    assert np.isfinite(found.log_params).all()


def test_perfect_knowledge_is_worth_the_regret_of_the_plan_of_least_expected_loss(asked):
    one, budget = asked
    made = bs.decide(one, budget=budget)
    known = made.worth["knowing"]
    assert known == pytest.approx(made.rule("expected")["regret"], rel=1e-9)
    assert known == pytest.approx(suggest(one, budget=budget, n_runs=1, worlds=20).to_dict()["worth"]["knowing"])
    # Brute force over the same draws: no size on a fine grid has less regret.
    worlds = predictive(one)
    u = np.linspace(np.log(made.best["params"]) - 2, np.log(made.best["params"]) + 2, 401)
    loss = worlds.loss(np.exp(u), worlds.compute.tokens(np.exp(u), budget))
    best = np.exp(best_sizes(worlds, np.array([budget])).log_loss[:, 0])
    regret = (loss - best[:, None]).mean(axis=0)
    assert (best[:, None] <= loss + 1e-10).all()
    assert known <= regret.min() * (1 + 1e-9) + 1e-12
    assert known == pytest.approx(regret.min(), rel=0.01)
    for row in made.decisions:
        assert row["regret"] >= known - 1e-12
    # Under limits the same holds among the plans that they leave.
    limits = Limits(sizes=tuple(made.best["params"] * f for f in (0.2, 0.6, 3.0)))
    under = bs.decide(one, budget=budget, limits=limits)
    offered = np.array(limits.sizes)
    loss = worlds.loss(offered, worlds.compute.tokens(offered, budget))
    assert under.worth["knowing"] == pytest.approx((loss - loss.min(axis=1, keepdims=True)).mean(axis=0).min())


@pytest.mark.parametrize("target", ["params", "loss", "law", "information"])
@pytest.mark.parametrize("pool", POOLS)
def test_no_study_is_worth_more_than_knowing(pool, target):
    for name in TABLES:
        one = group(name, pool)
        budget = 20 * float(one.fits[0].runs.flops.max())
        worth = suggest(one, budget=budget, n_runs=2, worlds=60, target=target).to_dict()["worth"]
        assert 0 <= worth["study"] <= worth["knowing"], name


def test_measures_of_risk_are_those_of_brute_force_over_the_draws(asked):
    """Expected loss, quantile, CVaR, regret and the chance of a target, worked out here from the surfaces."""
    one, budget = asked
    worlds = predictive(one)
    n = 0.7 * float(np.median(best_sizes(worlds, np.array([budget])).params))
    d = float(worlds.compute.tokens(n, budget))
    loss = worlds.loss([n], [d])[:, 0]
    target = float(np.quantile(loss, 0.4))
    made = bs.decide(one, budget=budget, target_loss=target, limits=Limits(sizes=(n,)), level=0.9)
    row = made.rule("expected")
    assert row["loss"]["mean"] == pytest.approx(loss.mean())
    assert row["quantile"] == pytest.approx(np.quantile(loss, 0.9))
    tail = np.sort(loss)[-round(0.1 * len(loss)) :]
    assert row["cvar"] == pytest.approx(tail.mean(), abs=2 * row["mcse"]["cvar"] / np.sqrt(len(tail)) + 1e-9)
    seen = bs.forecast(one, params=n, tokens=d).draws[:, 0]
    error = 4 * 0.5 / np.sqrt(len(seen))
    assert row["p_target"] == pytest.approx((seen <= target).mean(), abs=error)
    assert [row["new_run"][k] for k in ("lower", "median", "upper")] == pytest.approx(
        np.quantile(seen, [0.05, 0.5, 0.95]).tolist()
    )
    assert "No other size is on offer" in made.sentence


def test_an_assured_budget_is_that_of_brute_force(asked):
    one, budget = asked
    told = bs.frontier(one, budget).to_dict()["frontier"][0]
    made = bs.decide(one, target_loss=told["loss"]["median"], probability=0.6)
    plan = made.assurance
    seen = bs.forecast(one, params=plan.params, tokens=plan.tokens).draws[:, 0]
    assert (seen <= plan.target_loss).mean() == pytest.approx(0.6, abs=4 * 0.5 / np.sqrt(len(seen)))
    # A tenth less compute is not enough, whatever the size.
    sizes = plan.params * np.exp(np.linspace(-1, 1, 41))
    worlds = predictive(one)
    tokens = worlds.compute.tokens(sizes, 0.9 * plan.flops)
    chance = worlds.at(sizes, tokens).p_reached(plan.target_loss).mean(axis=0)
    assert chance.max() < 0.6


# --- plans that make sense ------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", POOLS)
def test_training_comes_before_serving_and_every_limit_holds_in_each_table(pool):
    one = group("slices", pool)
    cost, limits = CostModel("A100", price=2.0), Limits(max_tokens=1e12)
    made = bs.decide(one, budget="$2M", cost=cost, limits=limits, inference_tokens=1e13)
    for row in made.decisions:
        assert row["cvar"] < 1.2 * row["loss"]["median"]  # no draw's loss explodes
        assert row["tokens"] <= 1e12 * (1 + 1e-9)
        assert 0 < row["p_short"] < 1
    low, high = made.flat["params"]["lower"], made.flat["params"]["upper"]
    assert low <= made.rule("expected")["params"] <= high
    for part in ("at_budget", "training_only", "at_loss"):
        assert made.serving[part]["tokens"]["upper"] <= 1e12 * (1 + 1e-9), part
    assert made.optimum["limited"]["tokens"]["upper"] <= 1e12 * (1 + 1e-9)
    assert made.thrifty is None or made.thrifty["tokens"] <= 1e12 * (1 + 1e-9)
    assert "The money runs out before all tokens are served with probability" in made.sentence
    small = replace(limits, max_params=2e9, min_params=1e9)
    within = bs.decide(one, budget="$2M", cost=cost, limits=small, inference_tokens=1e13).serving
    for part in ("at_budget", "training_only", "at_loss"):
        sizes = within[part]["params"]
        assert sizes is None or (sizes["lower"] >= 1e9 * (1 - 1e-9) and sizes["upper"] <= 2e9 * (1 + 1e-9)), part


def test_the_chance_that_the_money_runs_out_is_that_of_its_draws(cloud):
    share = 0.4
    made = bs.decide(
        cloud,
        budget="$2M",
        cost=CostModel("A100", price=2.0, utilisation=share),
        inference_tokens="lognormal(median=1e12, sigma=0.5)",
    )
    row = made.rule("expected")
    flops = 1e6 * 3600 * 312e12 * share
    left = (flops - 6 * row["params"] * row["tokens"]) / (2 * row["params"])
    assert row["p_short"] == pytest.approx(stats.lognorm(0.5, scale=1e12).sf(left), abs=0.002)


@pytest.mark.parametrize("pool", POOLS)
def test_money_that_buys_nothing_is_left_and_a_plan_outside_the_runs_is_told(pool):
    one = group("slices", pool)
    made = bs.decide(one, budget=1e26, limits=Limits(max_tokens=1e12), rules=["expected"])
    assert made.best["params"] == pytest.approx(1e26 / 6e12, rel=0.5)
    assert "outside_runs" in [n.code for n in made.notices]
    cheap = made.thrifty
    assert cheap["share"] < 0.3
    assert cheap["loss"]["mean"] <= 1.005 * made.best["loss"]["mean"] * (1 + 1e-3)
    # A tenth cheaper loses more, whatever the size.
    n = cheap["params"] * np.exp(np.linspace(-2, 2, 81))
    d = np.minimum(1e12, 0.9 * cheap["total_flops"] / 6 / n)
    assert predictive(one).loss(n, d).mean(axis=0).min() > 1.005 * made.best["loss"]["mean"] * (1 - 1e-3)
    near = bs.decide(one, budget=5 * float(one.fits[0].runs.flops.max()), rules=["expected"])
    assert "outside_runs" not in [n.code for n in near.notices]


def test_an_unreachable_target_gives_the_plan_and_its_probability(cloud):
    alone = bs.decide(cloud, target_loss=1.7)
    budgeted = bs.decide(cloud, budget=1e24, target_loss=1.7)
    for made in (alone, budgeted):
        assert made.unattainable.startswith("No budget makes it safe")
        assert "unattainable" in [n.code for n in made.notices]
        body = made.to_dict()
        assert body["assurance"]["flops"] is None
        assert body["assurance"]["probability"] == 0.9
        assert 0 <= body["assurance"]["attained"] < 0.9
        assert body["decisions"][0]["p_target"] <= body["assurance"]["attained"] + 0.01
    assert alone.best["flops"] == pytest.approx(alone.assurance.spent)
    assert budgeted.best["flops"] == pytest.approx(1e24)


def test_a_law_without_a_best_size_says_so(tiny_runs):
    from bayes_scaling.base.errors import InfeasibleError
    from bayes_scaling.laws.registry import get_law

    def formula(p, x):
        return p.E + p.gap_params * (x.n * x.d) ** (-p.alpha)

    flat = replace(get_law("chinchilla"), name="flat", formula=formula, optimum=None, optimum_exponent=None, derived={})
    fit = replace(by_hand(tiny_runs, BESIROGLU, spread=0.02), law=flat)
    for question in (bs.frontier, lambda f, c: bs.decide(f, budget=c), lambda f, c: suggest(f, budget=c)):
        with pytest.raises((InfeasibleError, bs.DataError), match="no best size"):
            question(fit, 1e23)
    assert bs.forecast(fit, params=1e9, tokens=1e11).draws.std() > 0
    allocations = Allocations(np.asarray(1e23))
    assert predictive(fit).loss([1e9, 1e10], allocations.tokens([1e9, 1e10])).std(axis=1).max() < 1e-9
