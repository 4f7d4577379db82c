"""Limits on plans held against brute force, and what cannot be met."""

from __future__ import annotations

import pytest
from by_hand import HOFFMANN, by_hand, loss_at

import bayes_scaling as bs
from bayes_scaling.base.errors import InfeasibleError, UsageError
from bayes_scaling.decisions.costs import CostModel
from bayes_scaling.decisions.limits import Limits
from bayes_scaling.laws.registry import get_law


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


def test_one_size_on_offer_is_not_praised_above_others(tiny_runs):
    fit = by_hand(tiny_runs, HOFFMANN, draws=2)

    def said(**limits):
        return bs.decide(fit, budget=1e24, limits=Limits(**limits)).sentence

    for only in ({"sizes": (7e9,)}, {"sizes": (7e9, 7e10), "max_params": 1e10}):
        assert "No other size is on offer." in said(**only)
        assert "comes within" not in said(**only)
    assert "No other size on offer comes within 0.5 % of its loss" in said(sizes=(1e9, 3e11, 3e10))


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
