"""The frontier asked the other way: which budget a size, or a number of tokens, is the best for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from by_hand import BESIROGLU, by_hand

import bayes_scaling as bs
from bayes_scaling.base.errors import UsageError
from bayes_scaling.cli.main import main


def test_it_is_the_inverse_of_the_closed_form(tiny_runs):
    """Eq. 4 of Hoffmann et al. (2022): N* = G (C/6)^a, so that C = 6 (N/G)^(1/a)."""
    fit = by_hand(tiny_runs, BESIROGLU, spread=0.02)
    p = fit.draws(*fit.law.parameters)
    a = p["beta"] / (p["alpha"] + p["beta"])
    big_a, big_b = p["gap_params"] * 1e9 ** p["alpha"], p["gap_tokens"] * 2e10 ** p["beta"]
    g = (p["alpha"] * big_a / (p["beta"] * big_b)) ** (1 / (p["alpha"] + p["beta"]))
    found = bs.sizing(fit, params=1e10)
    c = 6 * (1e10 / g) ** (1 / a)
    np.testing.assert_allclose(found.values["flops"], c, rtol=1e-6)
    np.testing.assert_allclose(found.values["tokens"], c / 6e10, rtol=1e-6)
    there = bs.sizing(fit, tokens=1e12)
    np.testing.assert_allclose(there.values["flops"], 6 * (1e12 * g) ** (1 / (1 - a)), rtol=1e-6)


def test_each_draw_stands_on_its_own_frontier(blend):
    for asked in ({"params": 3e9}, {"tokens": 2e11}):
        found = bs.sizing(blend, **asked)
        budget = float(np.nanmedian(found.values["flops"]))
        front = bs.frontier(blend, budget)
        name, value = next(iter(asked.items()))
        # As many draws have their best above the value at the median budget as below it.
        assert np.mean(front.draws(name)[:, 0] > value) == pytest.approx(0.5, abs=0.02)
        body = found.to_dict()
        assert body[name]["lower"] == body[name]["upper"] == pytest.approx(value)
        assert body["loss"]["median"] == pytest.approx(front.rows()[0]["loss"]["median"], rel=0.01)


def test_one_of_the_two_is_asked_for(blend):
    for wrong in ({}, {"params": 1e9, "tokens": 1e10}, {"params": -1.0}):
        with pytest.raises(UsageError):
            bs.sizing(blend, **wrong)


def test_the_command(capsys, saved):
    path = str(saved[0])
    assert main(["frontier", path, "--params", "10B", "--tokens", "1T", "--json", "--quiet"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [(s["given"], s["value"]) for s in body["sizes"]] == [("params", 1e10), ("tokens", 1e12)]
    assert body["frontier"][0]["flops"] == pytest.approx(body["sizes"][0]["flops"]["median"])
    assert body["frontier"][0]["params"]["median"] == pytest.approx(1e10, rel=0.05)
    assert main(["frontier", path, "--params", "10B", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("10B params are the best at ")
    assert main(["frontier", path, "--quiet"]) == 2
    assert "--params 10B" in capsys.readouterr().err
