"""Decisions as a whole, and plans held against one another."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import constants

import bayes_scaling as bs
from bayes_scaling.decisions.costs import CostModel, draw_rates
from bayes_scaling.decisions.plans import Plan, compare_plans
from bayes_scaling.prediction.drawing import predictive


def test_plans_are_compared_in_the_same_draws(cloud):
    plans = [Plan(7e9, 2e12, name="long"), Plan(13e9, 1e12), Plan(13e9, 1e12, price=5.0, name="same")]
    worlds = predictive(cloud)
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
