"""Rules of choice held against closed forms and brute force on fine grids."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import BESIROGLU, POINTS, by_hand, constants, fine, loss_at
from scipy import stats

import bayes_scaling as bs
from bayes_scaling.base.errors import UsageError
from bayes_scaling.decisions.choosing import choose
from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.decisions.request import ask
from bayes_scaling.decisions.rules import check_rules
from bayes_scaling.decisions.rules.cvar import cvar
from bayes_scaling.decisions.rules.quantile import quantile
from bayes_scaling.decisions.rules.rule import Question
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import ensemble
from bayes_scaling.prediction.optimum import optimal_params
from bayes_scaling.prediction.search import minimise


@pytest.mark.parametrize("law", POINTS)
@pytest.mark.parametrize("budget", [1e19, 1e24, 1e30])
def test_with_one_draw_every_rule_gives_the_closed_form_optimum(tiny_runs, law, budget):
    fit = by_hand(tiny_runs, POINTS[law], law=law, draws=2)
    worlds = predictive(fit)
    rules = check_rules(None, 2.0)
    assert set(rules) == {"expected", "quantile", "cvar", "target", "regret", "minimax"}
    found = choose(worlds, Allocations(np.array(budget)), rules, Question(target_loss=2.0))
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
