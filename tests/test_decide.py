"""Decisions held against closed forms, brute force on fine grids, and published cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from test_answers import BESIROGLU, HOFFMANN, by_hand, loss_at

import bayes_scaling as bs
from bayes_scaling.accelerators import all_devices, get_device
from bayes_scaling.asking import ask
from bayes_scaling.assurance import assure, budget_grid, trace
from bayes_scaling.averaging import Averaging
from bayes_scaling.costs import CostModel, draw_rates, parse_amount
from bayes_scaling.ensemble import ensemble, validated
from bayes_scaling.errors import DataError, InfeasibleError, UsageError
from bayes_scaling.forecasting import forecast
from bayes_scaling.laws import get_law
from bayes_scaling.limits import Allocations, Limits
from bayes_scaling.noise import NOISES
from bayes_scaling.optimum import optimal_params
from bayes_scaling.outcomes import outcomes
from bayes_scaling.plans import Plan, compare_plans
from bayes_scaling.rules import check_rules, choose, cvar, quantile
from bayes_scaling.searching import minimise
from bayes_scaling.serving import best_for_budget, cheapest, demand_draws, demand_for

# Constants near what each law fits to the digitised Chinchilla runs.
POINTS = {
    "chinchilla": HOFFMANN,
    "kaplan": {"gap_params": 2.37, "gap_tokens": 2.28, "alpha": 0.092, "beta": 0.122},
    "coupled": {"E": 1.755, "gap_params": 0.436, "gap_tokens": 0.45, "alpha": 0.328, "beta": 0.332, "k": 0.8},
}
SARDANA = {**HOFFMANN, "alpha": 0.336, "beta": 0.283}


@pytest.fixture
def cloud(tiny_runs):
    """A Chinchilla posterior by hand, wide enough for the rules to differ."""
    return by_hand(tiny_runs, BESIROGLU, spread=0.05, draws=2000, sigma=0.01)


@pytest.fixture
def blend(tiny_runs):
    """Two laws blended under a rule with a discrepancy."""
    fits = [
        by_hand(tiny_runs, BESIROGLU, spread=0.03, draws=1000, seed=1),
        by_hand(tiny_runs, POINTS["coupled"], law="coupled", spread=0.03, draws=800, seed=2),
    ]
    rule = Averaging(
        {"chinchilla": 0.3, "coupled": 0.7}, np.array([0.005, 0.02]), np.array([0.5, 0.5]), 8.0, 4, {}, "t"
    )
    return validated(fits, rule)


def constants(fit):
    """Columns of posterior draws in the formula's own constants, dims (draw, 1)."""
    return {k: v[:, None] for k, v in fit.law.derived_values(fit.draws(*fit.law.parameters)).items()} | {
        k: v[:, None] for k, v in fit.draws("E", "alpha", "beta").items()
    }


def fine(budget, low=1e10, high=1e12, points=2001):
    n = np.geomspace(low, high, points)
    return n, budget / (6 * n)


# --- one draw: closed forms -----------------------------------------------------------------------------


@pytest.mark.parametrize("law", POINTS)
@pytest.mark.parametrize("budget", [1e19, 1e24, 1e30])
def test_with_one_draw_every_rule_gives_the_closed_form_optimum(tiny_runs, law, budget):
    fit = by_hand(tiny_runs, POINTS[law], law=law, draws=2)
    worlds = outcomes(fit)
    rules = check_rules(None, 2.0)
    assert set(rules) == {"expected", "quantile", "cvar", "target", "regret", "minimax"}
    found = choose(worlds, Allocations(np.array(budget)), rules, target_loss=2.0)
    truth = optimal_params(get_law(law), fit.draws(*get_law(law).parameters), np.array([budget]))[0, 0]
    np.testing.assert_allclose(found.params, truth, rtol=1e-6)
    np.testing.assert_allclose(found.optimum, truth, rtol=1e-6)


def test_the_search_finds_minima_of_known_functions():
    centres = np.array([-3.3, 0.0, 7.77, 40.0])  # the last beyond the range: its end is the answer
    grid = np.linspace(-10, 20, 61)

    def valleys(u):
        return np.cosh(0.3 * (u - centres[:, None])) + 0.1 * np.cos(u - centres[:, None] + np.pi)

    place, value = minimise(valleys, grid, valleys(np.broadcast_to(grid, (4, 61))))
    np.testing.assert_allclose(place, [-3.3, 0.0, 7.77, 20.0], atol=1e-7)
    np.testing.assert_allclose(value[:3], 0.9, atol=1e-12)


# --- paired draws ---------------------------------------------------------------------------------------


def test_outcomes_are_the_draws_of_the_forecast(blend):
    n, d = np.array([1e9, 70e9, 4e11]), np.array([2e10, 1.4e12, 1e12])
    worlds = outcomes(blend, random_seed=5)
    told = forecast(blend, params=n, tokens=d, kind="curve", random_seed=5)
    np.testing.assert_allclose(worlds.loss(n, d), told.draws, rtol=1e-12)
    # Each draw with plans of its own: the same numbers where the plans are the same.
    own = np.broadcast_to(n, (worlds.n_draws, 3))
    np.testing.assert_allclose(worlds.loss(own, d), told.draws, rtol=1e-12)
    some = np.array([3, 999, 42])
    np.testing.assert_allclose(worlds.take(some).loss(n, d), told.draws[some], rtol=1e-12)


def test_evidence_and_runs_are_averaged_as_forecasts_are(tiny_runs, blend, monkeypatch):
    from bayes_scaling import averages as module
    from bayes_scaling.comparing import Evidence

    asked = []
    monkeypatch.setattr(module, "validated_average", lambda fits, random_seed: (asked.append(fits), (blend, None))[1])
    monkeypatch.setattr(module, "average", lambda runs, **k: (asked.append(runs), blend)[1])
    probability = {f.law.name: 0.5 for f in blend.fits}
    evidence = Evidence(tiny_runs, blend.fits, {}, {}, {}, probability, ())
    by_evidence = bs.decide(evidence, budget=1e24, rules=["expected"])
    by_runs = bs.decide(tiny_runs, budget=1e24, rules=["expected"])
    assert asked == [blend.fits, tiny_runs]
    assert by_evidence.decisions == by_runs.decisions == bs.decide(blend, budget=1e24, rules=["expected"]).decisions
    # By evidence alone where that is asked for: no discrepancy, equal weights.
    alone = bs.decide(evidence.ensemble(), budget=1e24, rules=["expected"])
    assert alone.weights_from == "evidence"
    assert alone.law_weights == pytest.approx(probability)


def test_a_mixture_has_as_many_draws_of_each_law_as_it_weighs(tiny_runs):
    low, high = (
        by_hand(tiny_runs, HOFFMANN, draws=400),
        by_hand(tiny_runs, POINTS["coupled"], law="coupled", draws=1000),
    )
    worlds = outcomes(ensemble([low, high], [0.25, 0.75]))
    assert [len(m.rows) for m in worlds.members] == [250, 750]
    loss = worlds.loss([7e9], [1e11])[:, 0]
    assert np.mean(np.isclose(loss, loss_at(HOFFMANN, 7e9, 1e11))) == 0.25


@pytest.mark.parametrize("noise", NOISES)
def test_each_noise_model_knows_its_own_probabilities(noise):
    rng = np.random.default_rng(3)
    p = {"sigma": 1.0, "nu": 3.0, "growth": 0.0}
    z = np.array([-2.0, -0.5, 0.0, 1.0])
    drawn = NOISES[noise].draw(rng, p, (200_000, 1))
    np.testing.assert_allclose(NOISES[noise].cdf(z, p), (drawn <= z).mean(axis=0), atol=5 * 0.5 / np.sqrt(200_000))
    slope = (NOISES[noise].cdf(z + 1e-6, p) - NOISES[noise].cdf(z - 1e-6, p)) / 2e-6
    inner = z != 0  # Laplace has a corner there
    np.testing.assert_allclose(np.log(slope)[inner], NOISES[noise].logpdf(z, p)[inner], atol=1e-5)
    assert NOISES[noise].cdf(np.array(-30.0), p) > 0  # exact in the tail, not rounded to zero


def test_the_probability_of_a_target_counts_the_noise(cloud):
    worlds = outcomes(cloud)
    n, d = [4e10], [4e12]
    curve = worlds.log_curve(n, d)
    hit, miss = worlds.p_below(1.95, curve, 6 * 4e10 * 4e12)
    seen = forecast(cloud, params=n, tokens=d, random_seed=9).draws[:, 0]
    assert hit.mean() == pytest.approx((seen <= 1.95).mean(), abs=4 * 0.5 / np.sqrt(len(seen)))
    np.testing.assert_allclose(hit + miss, 1, atol=1e-12)
    mine = worlds.new_run(curve, 6 * 4e10 * 4e12)[:, 0]
    assert (mine <= 1.95).mean() == pytest.approx(hit.mean(), abs=4 * 0.5 / np.sqrt(len(seen)))


# --- rules against brute force --------------------------------------------------------------------------


def test_cvar_is_the_mean_of_the_worst():
    rng = np.random.default_rng(0)
    loss = rng.standard_normal((1000, 3))
    worst = np.sort(loss, axis=0)[-100:].mean(axis=0)
    np.testing.assert_allclose(cvar(loss, 0.9), worst, rtol=1e-12)
    # 2.5 draws in the tail: two whole and half of the third.
    few = np.arange(10.0)[:, None]
    assert cvar(few, 0.75)[0] == pytest.approx((9 + 8 + 0.5 * 7) / 2.5)
    assert cvar(few[:1], 0.9)[0] == 0.0
    # The worst tenth of a standard normal: phi(z) / 0.1.
    many = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    assert cvar(many, 0.9)[0] == pytest.approx(stats.norm.pdf(stats.norm.ppf(0.9)) / 0.1, rel=1e-3)


def test_rules_agree_with_brute_force_on_a_fine_grid(cloud):
    budget, level, target = 1e24, 0.9, 1.96
    c = constants(cloud)
    n, d = fine(budget)
    loss = c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]
    noise = cloud.draws("sigma", "nu")
    z = (np.log(target) - np.log(loss)) / noise["sigma"][:, None]
    brute = {
        "expected": loss.mean(axis=0),
        "quantile": np.quantile(loss, level, axis=0),
        "cvar": np.sort(loss, axis=0)[-200:].mean(axis=0),
        "target": -stats.t.cdf(z, noise["nu"][:, None]).mean(axis=0),
    }
    made = bs.decide(cloud, budget=budget, target_loss=target, level=level)
    for rule, values in brute.items():
        row = made.rule(rule)
        at = np.interp(np.log(row["params"]), np.log(n), values)
        assert at <= values.min() + 1e-5 * abs(values.min())  # no plan on the grid is better
        shown = {"expected": row["loss"]["mean"], "target": -(row["p_target"] or 0)}.get(rule, row.get(rule))
        assert shown == pytest.approx(values.min(), rel=1e-3)
    regret = (loss - loss.min(axis=1, keepdims=True)).mean(axis=0)
    assert made.rule("regret")["regret"] == pytest.approx(regret.min(), abs=1e-3 * loss.mean())
    assert made.rule("regret")["regret"] == pytest.approx(regret.min(), rel=0.02)
    assert made.rule("regret")["params"] == made.rule("expected")["params"]
    for row in made.decisions:
        assert 0 < row["mcse"]["loss"] < row["loss"]["sd"]
        assert row["flops"] == pytest.approx(budget)
        assert row["cvar"] > row["quantile"] > row["loss"]["mean"]
    # Where the truth may lie, against each draw's own formula.
    own = optimal_params(cloud.law, cloud.draws(*cloud.law.parameters), np.array([budget]))[:, 0]
    assert made.optimum["params"]["median"] == pytest.approx(np.median(own), rel=1e-6)
    low, high = n[loss.mean(axis=0) <= loss.mean(axis=0).min() * 1.005][[0, -1]]
    assert made.flat["params"]["lower"] == pytest.approx(low, rel=0.1)
    assert made.flat["params"]["upper"] == pytest.approx(high, rel=0.1)


def test_monte_carlo_errors_are_the_scatter_over_repeats(tiny_runs):
    """Errors of one posterior of 400 draws against the scatter over sixty of them."""
    shown, values = [], []
    for seed in range(60):
        fit = by_hand(tiny_runs, BESIROGLU, spread=0.05, draws=400, seed=seed)
        row = bs.decide(fit, budget=1e24, rules=["expected"]).decisions[0]
        values.append([row["loss"]["mean"], row["quantile"], row["cvar"]])
        shown.append([row["mcse"][k] for k in ("loss", "quantile", "cvar")])
    ratio = np.mean(shown, axis=0) / np.std(values, axis=0, ddof=1)
    np.testing.assert_allclose(
        ratio, 1, atol=0.4
    )  # the scatter of sixty is known to 9 %, that of a tail's error to less


def test_minimax_regret_over_laws_against_brute_force(tiny_runs):
    fits = [
        by_hand(tiny_runs, BESIROGLU, draws=200),
        by_hand(tiny_runs, POINTS["kaplan"], law="kaplan", draws=200),
    ]
    made = bs.decide(ensemble(fits, [0.9, 0.1]), budget=1e24, rules=["expected", "minimax"])
    n, d = fine(1e24, 1e9, 1e13, 20_001)
    own = np.stack([loss_at(BESIROGLU, n, d), get_law("kaplan").loss(POINTS["kaplan"], {"params": n, "tokens": d})])
    worst = (own - own.min(axis=1, keepdims=True)).max(axis=0)
    assert made.rule("minimax")["params"] == pytest.approx(n[np.argmin(worst)], rel=2e-3)
    mixed = 0.9 * own[0] + 0.1 * own[1]
    assert made.rule("expected")["params"] == pytest.approx(n[np.argmin(mixed)], rel=2e-3)


def test_the_discrepancy_cancels_between_plans_of_equal_compute(blend):
    """Inside the runs' range of N and D, and along C, it moves every plan alike."""
    worlds = outcomes(blend)
    n = np.array([4e9, 8e9])  # neither N nor D is further from the runs than C is
    d = 1e22 / (6 * n)
    shift = worlds.log_curve(n, d) - outcomes(blend).__class__(
        **{**vars(worlds), "slopes": np.zeros_like(worlds.slopes)}
    ).log_curve(n, d)
    assert shift.std() > 0.001
    np.testing.assert_allclose(shift[:, 0], shift[:, 1], atol=1e-12)


# --- assurance ------------------------------------------------------------------------------------------


def test_assurance_of_one_draw_is_the_quantile_of_its_noise(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, noise="normal", sigma=0.02, draws=2)
    found = assure(outcomes(fit), 2.0, 0.9)
    law, p = get_law("chinchilla"), {k: v[:1] for k, v in fit.draws(*get_law("chinchilla").parameters).items()}

    def short(log_c):
        n = optimal_params(law, p, np.exp([log_c]))[0, 0]
        return np.log(loss_at(HOFFMANN, n, np.exp(log_c) / 6 / n)) + 0.02 * stats.norm.ppf(0.9) - np.log(2.0)

    assert found.flops == pytest.approx(np.exp(brentq(short, np.log(1e20), np.log(1e28))), rel=1e-3)
    assert found.attained == pytest.approx(0.9, abs=1e-3)
    # Had the truth been known, the curve itself would have had to be at the target.
    known = brentq(lambda c: short(c) - 0.02 * stats.norm.ppf(0.9), np.log(1e20), np.log(1e28))
    np.testing.assert_allclose(found.needed, np.exp(known), rtol=0.02)
    assert found.overspend == pytest.approx(found.flops - found.needed[0])


def test_an_assured_plan_reaches_its_target_as_often_as_it_says(blend):
    found = assure(outcomes(blend), 2.0, 0.8)
    seen = forecast(blend, params=found.params, tokens=found.tokens, random_seed=0).draws[:, 0]
    assert (seen <= 2.0).mean() == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(len(seen)) + 4 * found.attained_mcse)
    assert 6 * found.params * found.tokens == pytest.approx(found.flops)
    assert np.all(np.diff(found.probabilities) >= 0)
    less = assure(outcomes(blend), 2.0, 0.5)
    assert less.flops < found.flops
    body = found.to_dict()
    assert body["needed"]["lower"] < body["needed"]["median"] < body["needed"]["upper"]
    assert 0 < body["overspend_share"] < 1


def test_the_path_over_budgets_is_the_frontier(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)
    worlds = outcomes(fit)
    path = trace(worlds, budget_grid(worlds))
    truth = optimal_params(fit.law, {k: v[:1] for k, v in fit.draws(*fit.law.parameters).items()}, path.budgets)[0]
    np.testing.assert_allclose(path.params, truth, rtol=1e-3)


def test_targets_out_of_reach(cloud):
    with pytest.raises(
        InfeasibleError, match=r"1\.7 cannot be reached with probability 0\.9 by 1e32 FLOP: at most 0\."
    ):
        assure(outcomes(cloud), 1.7, 0.9)
    with pytest.raises(InfeasibleError, match="The limit on parameters binds: without it about"):
        assure(outcomes(cloud), 2.0, 0.9, limits=Limits(max_params=1e9))
    with pytest.raises(InfeasibleError, match="The limit on tokens binds: without it about"):
        assure(outcomes(cloud), 2.0, 0.9, limits=Limits(max_tokens=1e11))
    # What is said to be attainable is: 1e32 FLOP reach the loss named, with that probability.
    with pytest.raises(InfeasibleError) as caught:
        assure(outcomes(cloud), 1.7, 0.9)
    named = float(str(caught.value).split()[-1].rstrip("."))
    assert assure(outcomes(cloud), named + 0.002, 0.9).flops <= 1e32


# --- serving --------------------------------------------------------------------------------------------


def test_sardanas_case(tiny_runs):
    """Reference case of Sardana et al. (2023): a 7B-quality model, 1e11 tokens served."""
    law = get_law("chinchilla")
    for point, size, data in ((SARDANA, 6.00e9, 1.18), (HOFFMANN, 6.34e9, 1.11)):
        fit = by_hand(tiny_runs, point, draws=2)
        p = {k: v[:1] for k, v in fit.draws(*law.parameters).items()}

        def too_small(log_c, p=p):
            return np.log(optimal_params(law, p, np.exp([log_c]))[0, 0] / 7e9)

        d = np.exp(brentq(too_small, np.log(1e20), np.log(1e26))) / (6 * 7e9)
        if point is SARDANA:
            assert d == pytest.approx(276e9, rel=0.005)
        found = cheapest(outcomes(fit), loss_at(point, 7e9, d), np.full(2, 1e11))
        assert found.params[0] == pytest.approx(size, rel=0.002)
        assert found.tokens[0] / d == pytest.approx(data, abs=0.005)
        nothing = cheapest(outcomes(fit), loss_at(point, 7e9, d), np.zeros(2))
        assert nothing.params[0] == pytest.approx(7e9, rel=1e-6)  # without demand: the training optimum


def test_serving_within_a_budget(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)
    worlds, budget, served = outcomes(fit), 1e24, 2e12
    truth = optimal_params(fit.law, {k: v[:1] for k, v in fit.draws(*fit.law.parameters).items()}, np.array([budget]))
    nothing = best_for_budget(worlds, budget, np.zeros(2))
    assert nothing.params[0] == pytest.approx(truth[0, 0], rel=1e-6)
    found = best_for_budget(worlds, budget, np.full(2, served))
    n = np.geomspace(1e9, 2e11, 20_001)
    d = (budget - 2 * n * served) / (6 * n)
    inside = d > 0
    loss = loss_at(HOFFMANN, n[inside], d[inside])
    assert found.params[0] == pytest.approx(n[inside][np.argmin(loss)], rel=1e-3)
    assert 6 * found.params[0] * found.tokens[0] + 2 * found.params[0] * served == pytest.approx(budget)
    made = bs.decide(fit, budget=budget, inference_tokens=served, rules=["expected"])
    assert made.decisions[0]["params"] == pytest.approx(found.params[0], rel=1e-6)
    assert made.decisions[0]["total_flops"] == pytest.approx(budget)
    assert made.serving["at_loss"]["saving"]["median"] > 0
    zero = bs.decide(fit, budget=budget, inference_tokens=0, rules=["expected"]).decisions[0]
    assert zero["params"] == pytest.approx(truth[0, 0], rel=1e-6)


def test_the_demand_at_which_a_plan_becomes_right(tiny_runs):
    worlds = outcomes(by_hand(tiny_runs, HOFFMANN, draws=2))
    for served in (1e11, 3e12):
        found = cheapest(worlds, 2.1, np.full(2, served))
        right = demand_for(worlds, found.params[0], found.tokens[0])
        np.testing.assert_allclose(right, served, rtol=1e-4)
    assert (demand_for(worlds, 175e9, 300e9) < 0).all()  # larger than the training optimum: GPT-3


def test_tokens_served_have_a_distribution():
    drawn = demand_draws("lognormal(median=1e12, sigma=0.5)", 2000)
    assert np.median(drawn) == pytest.approx(1e12, rel=0.01)
    assert np.log(drawn).std() == pytest.approx(0.5, rel=0.02)
    assert set(demand_draws("2T", 3)) == {2e12}
    for wrong in (-1.0, "normal(mu=0, sigma=1)", "some"):
        with pytest.raises(InfeasibleError):
            demand_draws(wrong, 100)


# --- limits ---------------------------------------------------------------------------------------------


def test_limits_against_brute_force(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)

    def chosen(**limits):
        row = bs.decide(fit, budget=1e24, limits=Limits(**limits), rules=["expected"]).decisions[0]
        return row["params"], row["tokens"]

    sizes = (7e9, 34e9, 175e9)
    best = min(sizes, key=lambda n: loss_at(HOFFMANN, n, 1e24 / (6 * n)))
    assert chosen(sizes=sizes) == pytest.approx((best, 1e24 / (6 * best)))
    assert chosen(sizes=sizes, max_params=1e10) == pytest.approx((7e9, 1e24 / (6 * 7e9)))
    assert chosen(max_params=1e10) == pytest.approx((1e10, 1e24 / 6e10))
    assert chosen(min_params=1e12) == pytest.approx((1e12, 1e24 / 6e12))
    # Fewer tokens than the optimum has: all of them, and the model that the rest of the budget pays for.
    assert chosen(max_tokens=1e12) == pytest.approx((1e24 / 6e12, 1e12))
    made = bs.decide(fit, budget=1e24, limits=Limits(max_tokens=1e11, max_params=1e10))
    assert (made.best["params"], made.best["tokens"]) == pytest.approx((1e10, 1e11))
    told = [n.message for n in made.notices if n.code == "limit_binds"]
    assert any("100B tokens binds; 99.4 % of the budget" in text for text in told)
    assert any("largest model, 10B parameters, binds" in text for text in told)


def test_a_law_that_knows_repeats_may_see_tokens_again(tiny_runs):
    """A stand-in: repeated tokens are worth nothing, which the law says itself, so that no cap is laid on top."""
    from dataclasses import replace

    base = get_law("chinchilla")

    def formula(p, x):
        return p.E + p.gap_params * x.n**-p.alpha + p.gap_tokens * (x.unique_tokens / 2e10) ** -p.beta

    law = replace(base, name="repeats", formula=formula, inputs=("params", "tokens", "unique_tokens"), optimum=None)
    fit = replace(by_hand(tiny_runs, HOFFMANN, draws=2), law=law)
    made = bs.decide(fit, budget=1e24, limits=Limits(max_tokens=1e11, sizes=(1e10,)))
    assert made.best["tokens"] == pytest.approx(1e24 / 6e10)  # not capped
    assert made.best["loss"]["mean"] == pytest.approx(loss_at(HOFFMANN, 1e10, 1e11))


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"budget": 0}, "must be above 0"),
        ({"budget": "-3e20"}, "must be above 0"),
        ({"budget": "$5M"}, "needs to know the device"),
        ({"budget": "$5M", "cost": CostModel("H100")}, "needs the price"),
        ({"budget": "30days", "cost": CostModel("H100")}, "needs the number of devices"),
        ({"budget": 1e26, "cost": CostModel("H100", devices=8, deadline_days=30)}, "Feasible: .* FLOP by then"),
        ({"budget": 1e26, "cost": CostModel("H100", deadline_days=1e-4)}, "no cluster has. Feasible: .* days on 10M"),
        ({"target_loss": 2.0, "cost": CostModel("A100", devices=8, deadline_days=1)}, "binds.* probability 0.000."),
        ({"budget": 1e20, "limits": Limits(min_params=1e17)}, "at most .* are feasible"),
        ({"budget": 1e20, "limits": Limits(sizes=(1e17,))}, "none of the sizes on offer"),
        ({"budget": 1e20, "inference_tokens": 1e18}, "after serving"),
        ({"target_loss": 1.5}, "at most 0.000 is attainable"),
    ],
)
def test_what_cannot_be_met_names_the_limit_and_what_is_feasible(tiny_runs, request_, says):
    fit = by_hand(tiny_runs, HOFFMANN, draws=20)
    with pytest.raises(InfeasibleError, match=says) as caught:
        bs.decide(fit, **request_)
    assert caught.value.exit_code == 3


def test_what_is_feasible_by_the_deadline_is(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=20)
    cluster = {"device": "H100", "utilisation": 0.4, "devices": 8}
    with pytest.raises(InfeasibleError, match="binds") as caught:
        bs.decide(fit, budget=1e26, cost=CostModel(**cluster, deadline_days=30))
    said = str(caught.value).split("Feasible: ")[1]
    made = bs.decide(fit, budget=said.split()[0], cost=CostModel(**cluster, deadline_days=30.1))
    assert made.best["days"]["median"] == pytest.approx(30, rel=0.01)
    # The cluster and its deadline are a budget of their own.
    whole = bs.decide(fit, cost=CostModel(**cluster, deadline_days=30))
    assert whole.best["flops"] == pytest.approx(30 * 24 * 3600 * 8 * 989.4e12 * 0.4)


def test_limits_that_contradict_one_another():
    with pytest.raises(InfeasibleError, match="No model meets the limits"):
        Limits(min_params=1e10, max_params=1e9)
    with pytest.raises(InfeasibleError, match=r"No size on offer \(7B\)"):
        Limits(sizes=(7e9,), max_params=1e9)
    with pytest.raises(UsageError):
        Limits(max_tokens=-1)


# --- costs ----------------------------------------------------------------------------------------------


def test_amounts_as_people_write_them():
    for text, value, unit in [
        ("1e24", 1e24, "FLOP"), ("100PF-days", 8.64e21, "FLOP"), ("$2M", 2e6, "money"), ("2M EUR", 2e6, "money"),
        ("50k GPU-hours", 5e4, "device-hours"), ("50000device-hours", 5e4, "device-hours"), ("2 weeks", 14, "days"),
        ("30days", 30, "days"), (1e23, 1e23, "FLOP"),
    ]:  # fmt: skip
        amount = parse_amount(text)
        assert (amount.value, amount.unit) == (pytest.approx(value), unit)
    assert parse_amount("2M EUR").currency == "EUR"
    for wrong in ("lots", "1e24 apples", "nan"):
        with pytest.raises(UsageError):
            parse_amount(wrong)


def test_flop_as_hours_money_and_days_by_hand():
    model = CostModel("H100", utilisation=0.4, price=2.5, devices=1024, failed=0.1)
    rates = draw_rates(model, 3)
    hours = 1e24 / (989.4e12 * 0.4 * 3600 * 0.9)
    np.testing.assert_allclose(rates.hours(1e24), hours)
    np.testing.assert_allclose(rates.cost(1e24), 2.5 * hours)
    np.testing.assert_allclose(rates.days(1e24), hours / 1024 / 24)
    for text in (f"{hours}device-hours", f"${2.5 * hours}", f"{hours / 1024 / 24} days"):
        np.testing.assert_allclose(rates.flops(parse_amount(text)), 1e24)
    with pytest.raises(UsageError, match="one currency"):
        rates.flops(parse_amount("2M EUR"))


def test_utilisation_is_uncertain_and_so_is_what_money_buys(tiny_runs):
    model = CostModel("H100", price=2.0)
    rates = draw_rates(model, 4000)
    share = rates.per_hour / (989.4e12 * 3600)
    assert share.mean() == pytest.approx(0.4, rel=1e-3)  # beta(24, 36)
    assert share.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 61), rel=0.01)
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.01)
    sure = bs.decide(fit, budget=1e23, cost=model, rules=["expected"]).best
    bought = bs.decide(fit, budget="$1M", cost=model, rules=["expected"]).best
    assert sure["tokens_range"] is None
    assert sure["cost"]["lower"] < sure["cost"]["median"] < sure["cost"]["upper"]
    assert bought["tokens_range"]["lower"] < bought["tokens"] < bought["tokens_range"]["upper"]
    assert bought["cost"]["median"] == pytest.approx(1e6)


@pytest.mark.parametrize(
    "wrong",
    [{"price": 0}, {"price": -2.5}, {"devices": 0}, {"deadline_days": -1}, {"failed": 1.0}, {"utilisation": 1.5},
     {"utilisation": 0.0}],
)  # fmt: skip
def test_costs_that_cannot_be(wrong):
    with pytest.raises(InfeasibleError):
        CostModel("H100", **wrong)
    with pytest.raises(UsageError, match="--price needs a device"):
        CostModel(price=2.0)


def test_devices(tmp_path):
    assert get_device("h100").peak_flops == 9.894e14
    assert get_device("tpu v5p").peak_flops == 4.59e14
    assert get_device("H100", "fp8").peak_flops == 1.9789e15
    with pytest.raises(UsageError, match=r"Unknown device 'H1000'. Did you mean 'H100'"):
        get_device("H1000")
    with pytest.raises(UsageError, match="Known: bf16"):
        get_device("A100", "fp4")
    assert all(d.source for d in all_devices())
    own = tmp_path / "own.csv"
    own.write_text("device,precision,peak_flops\nH100,bf16,8e14\nToy,bf16,1e12\n")
    assert get_device("H100", extra=own).peak_flops == 8e14  # the user's goes first
    assert get_device("toy", extra=own).peak_flops == 1e12
    own.write_text("device,precision,peak_flops\nToy,bf16,fast\n")
    with pytest.raises(DataError, match="line 2"):
        get_device("toy", extra=own)
    with pytest.raises(DataError, match="Cannot read"):
        get_device("toy", extra=tmp_path / "none.csv")


# --- plans ----------------------------------------------------------------------------------------------


def test_plans_are_compared_in_the_same_draws(cloud):
    plans = [Plan(7e9, 2e12, name="long"), Plan(13e9, 1e12), Plan(13e9, 1e12, price=5.0, name="same")]
    worlds = outcomes(cloud)
    found = compare_plans(worlds, plans, draw_rates(CostModel(), worlds.n_draws), target_loss=2.06)
    c = constants(cloud)
    n, d = np.array([7e9, 13e9]), np.array([2e12, 1e12])
    loss = c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]
    gap = loss[:, 0] - loss[:, 1]
    pair = found["differences"][0]
    assert pair["difference"]["mean"] == pytest.approx(gap.mean(), rel=1e-9)
    assert pair["p_lower"] == pytest.approx((gap < 0).mean())
    assert pair["difference"]["sd"] < 0.5 * np.hypot(*loss.std(axis=0))  # unpaired, it would drown
    rows = found["plans"]
    assert sum(r["p_best"] for r in rows) == pytest.approx(1)
    assert rows[1]["p_best"] == pytest.approx(rows[2]["p_best"])
    assert rows[1]["p_best"] == pytest.approx((gap > 0).mean() / 2)
    assert found["differences"][2]["p_lower"] == 0.5
    assert (rows[2]["price"], rows[2]["cost"], rows[1]["price"]) == (5.0, None, None)
    assert rows[0]["regret"] == pytest.approx(np.maximum(gap, 0).mean())
    one = bs.decide(cloud, plans=plans[:1])
    assert one.decisions == ()
    assert one.sentence.startswith("The plan long: an expected loss of")
    likely = "long" if rows[0]["p_best"] > 0.5 else "13B on 1T"
    assert f"Of the plans, {likely} is the best" in bs.decide(cloud, plans=plans[:2]).sentence


# --- the whole ------------------------------------------------------------------------------------------


def test_a_decision_has_what_the_contract_promises(blend):
    made = bs.decide(blend, budget=1e24, target_loss=2.1, plans=[{"params": 7e9, "tokens": 1e12}])
    body = made.to_dict()
    for row in body["decisions"]:
        wanted = {"rule", "params", "tokens", "flops", "cost", "loss", "cvar", "regret", "p_target", "mcse"}
        assert row.keys() >= wanted
        assert row["loss"]["lower"] < row["loss"]["median"] < row["loss"]["upper"]
        assert row["new_run"]["mean"] is None  # Student-t
    assert body["assurance"].keys() >= {"target_loss", "probability", "flops"}
    assert made.sentence in repr(made)
    assert "1e24 FLOP" in made.sentence
    assert len(made.to_frame()) == len(body["decisions"])
    assert "<table" in made._repr_html_()
    budgets = [r["flops"] for r in body["fan"]]
    assert budgets == sorted(budgets)
    assert all(r["lower"] < r["q25"] < r["median"] < r["q75"] < r["upper"] for r in body["fan"])
    assert bs.decide(blend, budget=1e24, target_loss=2.1).decisions == made.decisions  # same seed, same numbers


def test_a_target_alone_buys_what_it_takes(cloud):
    made = bs.decide(cloud, target_loss=2.0, probability=0.8)
    assert made.budget is None
    assert made.best["flops"] == pytest.approx(made.assurance.flops)
    assert made.rule("target")["p_target"] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({}, "Nothing to decide"),
        ({"budget": 1e24, "rules": ["best"]}, "Unknown rule 'best'"),
        ({"budget": 1e24, "rules": ["target"]}, "needs a target"),
        ({"budget": 1e24, "level": 1.0}, "between 0 and 1"),
        ({"target_loss": 2.0, "probability": 0}, "between 0 and 1"),
        ({"plans": [{"params": 1e9}]}, "params and tokens"),
        ({"plans": [{"params": 1e9, "tokens": -1}]}, "positive"),
    ],
)
def test_requests_that_make_no_sense(request_, says):
    with pytest.raises(UsageError, match=says):
        ask(**request_)


def test_quantile_and_cvar_of_equal_draws_are_the_draw():
    same = np.full((50, 2), 1.7)
    np.testing.assert_allclose(quantile(same, 0.9), 1.7)
    np.testing.assert_allclose(cvar(same, 0.9), 1.7)
