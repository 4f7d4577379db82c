"""What comes of a budget: each rule's plan and its risk, where the truth may lie, and how much the size matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.intervals import interval_value, tail_probs
from bayes_scaling.base.units import format_count
from bayes_scaling.decisions.choosing import Choices, choose, optima
from bayes_scaling.decisions.costs import Rates
from bayes_scaling.decisions.limits import SERVING_FLOP, Allocations
from bayes_scaling.decisions.request import Request
from bayes_scaling.decisions.rules import RULES
from bayes_scaling.decisions.rules.rule import Question
from bayes_scaling.decisions.serving import MOST
from bayes_scaling.decisions.thrift import thrifty
from bayes_scaling.prediction.forecasting import decades_beyond, leaving
from bayes_scaling.prediction.frontiers import FLATNESS, missing_optima
from bayes_scaling.prediction.predictive import Predictive

FLAT_POINTS = 201
FLAT_SHOWN = 4.0
"""Sizes are listed up to that many times the loss that counts as flat."""


@dataclass(frozen=True, eq=False)
class Found:
    """What comes of a budget: the parts of a `Decision`."""

    rows: tuple[dict[str, Any], ...] = ()
    flops: dict[str, Any] | None = None
    optimum: dict[str, Any] | None = None
    worth: dict[str, Any] | None = None
    flat: dict[str, Any] | None = None
    thrifty: dict[str, Any] | None = None
    beyond: float | None = None
    notices: tuple[Notice, ...] = ()


def found(
    worlds: Predictive, allocations: Allocations, asked: Request, rates: Rates, served: np.ndarray | None = None
) -> Found:
    """Of the plans that a budget leaves; `served` has dims (draw,), tokens, None where none are."""
    question = Question(asked.level, asked.target_loss)
    choices = choose(worlds, allocations, asked.rules, question)
    question = replace(question, best=choices.best_loss)
    rows = _rows(worlds, allocations, choices, question, asked.ci_prob, rates, served)
    size, tokens = rows[0]["params"], rows[0]["tokens"]
    spent = Question(best=choices.best_loss)
    taken = worlds.at(*_plan(allocations, choices.expected_params))
    knowing, knowing_error = RULES["regret"].value, RULES["regret"].error
    assert knowing is not None
    assert knowing_error is not None
    return Found(
        rows=tuple(rows),
        flops=interval_value(np.atleast_1d(allocations.flops), asked.ci_prob),
        optimum=_optimum(worlds, allocations, choices, asked.ci_prob),
        worth={
            "knowing": float(knowing(taken, spent)[0]),
            "study": None,
            "mcse": float(knowing_error(taken, spent)[0]),
        },
        flat=_flat(worlds, allocations, choices, asked.ci_prob),
        thrifty=thrifty(worlds, allocations, taken, asked, rates),
        beyond=float(decades_beyond(worlds.runs, [size], [tokens], worlds.compute)["flops"][0]),
        notices=(
            *_binding(allocations, rows[0]),
            *leaving(worlds.runs, size, tokens, worlds.compute),
            *missing_optima(np.array([np.isnan(choices.optimum).mean()])),
        ),
    )


def _plan(allocations: Allocations, params: float) -> tuple[np.ndarray, np.ndarray]:
    """A size and its tokens, dims (1,), or (draw, 1) of the latter."""
    n = np.array([params])
    return n, allocations.tokens(n)


def _rows(
    worlds: Predictive,
    allocations: Allocations,
    choices: Choices,
    asked: Question,
    ci_prob: float,
    rates: Rates,
    served: np.ndarray | None,
) -> list[dict[str, Any]]:
    n = choices.params
    d = allocations.tokens(n)
    training = allocations.training_flops(n, d)
    losses = worlds.at(n, d)
    loss, seen = losses.curve, losses.new_runs()
    shown = {
        name: (rule.value(losses, asked), rule.error(losses, asked))
        for name, rule in RULES.items()
        if rule.value is not None
        and rule.error is not None
        and (not rule.needs_target or asked.target_loss is not None)
    }

    def measure(name: str, j: int, which: int) -> float | None:
        return float(shown[name][which][j]) if name in shown else None

    rows = []
    for j, rule in enumerate(choices.rules):
        own_tokens = d if d.ndim == 1 else d[:, j]
        tokens = float(d[j]) if d.ndim == 1 else float(np.median(own_tokens))
        own = training[j] if training.ndim == 1 else training[:, j]
        total = own + SERVING_FLOP * n[j] * allocations.serving_tokens
        days = rates.days(own)
        rows.append(
            {
                "rule": rule,
                "params": float(n[j]),
                "tokens": tokens,
                "flops": float(np.median(own)),
                "total_flops": float(np.median(total)),
                "tokens_range": None if d.ndim == 1 else interval_value(own_tokens, ci_prob),
                "cost": interval_value(np.atleast_1d(rates.cost(total)), ci_prob),
                "days": None if days is None else interval_value(days, ci_prob),
                "loss": interval_value(loss[:, j], ci_prob),
                "new_run": interval_value(seen[:, j], ci_prob, moments=losses.finite_mean),
                "quantile": measure("quantile", j, 0),
                "cvar": measure("cvar", j, 0),
                "regret": measure("regret", j, 0),
                "p_target": measure("target", j, 0),
                "p_short": allocations.p_short(float(n[j]), own_tokens, served),
                "mcse": {
                    "loss": measure("expected", j, 1),
                    "quantile": measure("quantile", j, 1),
                    "cvar": measure("cvar", j, 1),
                    "regret": measure("regret", j, 1),
                    "p_target": measure("target", j, 1),
                },
            }
        )
    return rows


def _optimum(worlds: Predictive, allocations: Allocations, choices: Choices, ci_prob: float) -> dict[str, Any]:
    """Where each draw's own best plan lies: on the compute alone, as the frontier has it, and among the plans left by
    limits and serving."""
    found = _values(allocations, choices.optimum, choices.best_loss, ci_prob)
    if allocations.unlimited:
        return {**found, "limited": None}
    plain = Allocations(allocations.flops, compute=allocations.compute, capped=False)
    return {**_values(plain, *optima(worlds, plain), ci_prob), "limited": found}


def _values(allocations: Allocations, params: np.ndarray, loss: np.ndarray, ci_prob: float) -> dict[str, Any]:
    known = np.isfinite(params)
    tokens = np.broadcast_to(allocations.tokens(params[:, None]), (len(params), 1))[:, 0]
    values = {"params": params, "tokens": tokens, "loss": loss}
    return {name: interval_value(v[known], ci_prob) for name, v in values.items()}


def _flat(worlds: Predictive, allocations: Allocations, choices: Choices, ci_prob: float) -> dict[str, Any]:
    """The sizes whose expected loss is within 0.5 % of the best, and what others cost: near enough on some draws."""
    rows = np.linspace(0, worlds.n_draws - 1, min(worlds.n_draws, MOST)).round().astype(int)
    few = worlds.take(rows)
    if allocations.menu is not None:
        grid = allocations.menu
    else:
        low, high = allocations.range
        centre = np.log(choices.grid[np.argmin(choices.expected_on_grid)])
        grid = np.linspace(max(low, centre - 5), min(high, centre + 5), FLAT_POINTS)
    n = np.exp(grid)
    d = allocations.tokens(n)
    few_loss = few.loss(n, d if d.ndim == 1 else d[rows])
    loss = few_loss.mean(axis=0)
    good = n[loss <= loss.min() * (1 + FLATNESS)]
    ends = {"lower": float(good.min()), "upper": float(good.max())}
    bought = np.atleast_2d(allocations.tokens(np.array([ends["upper"], ends["lower"]])))
    few_tokens, many_tokens = np.median(bought, axis=0)
    out: dict[str, Any] = {
        "params": ends,
        "tokens": {"lower": float(few_tokens), "upper": float(many_tokens)},
        "within": FLATNESS,
    }
    if allocations.menu is not None:
        out["sizes"] = [float(v) for v in good]
    # Draw by draw against the best plan, so that what moves both alike is not counted.
    best = int(np.argmin(loss))
    ratio = few_loss / few_loss[:, [best]] - 1
    low_q, high_q = np.quantile(ratio, tail_probs(ci_prob), axis=0)
    excess, typical = loss / loss[best] - 1, np.median(np.atleast_2d(d), axis=0)
    keep = np.flatnonzero(excess <= FLAT_SHOWN * FLATNESS)
    out["curve"] = [
        {
            "params": float(n[j]),
            "tokens": float(typical[j]),
            "excess": float(excess[j]),
            "lower": float(low_q[j]),
            "upper": float(high_q[j]),
        }
        for j in keep
    ]
    return out


def _binding(allocations: Allocations, row: Mapping[str, Any]) -> list[Notice]:
    """What keeps the plan from the optimum of the budget alone."""
    limits, found = allocations.limits, []
    if limits.max_tokens is not None and allocations.capped and row["tokens"] >= limits.max_tokens * (1 - 1e-9):
        spent = row["total_flops"] / allocations.typical
        left = f"; {100 * (1 - spent):.3g} % of the budget is left over" if spent < 0.999 else ""
        found.append(f"The limit of {format_count(limits.max_tokens)} tokens binds{left}.")
    for name, value in (("largest", limits.max_params), ("smallest", limits.min_params)):
        if value is not None and abs(row["params"] / value - 1) < 1e-6:
            found.append(f"The limit on the {name} model, {format_count(value)} parameters, binds.")
    return [Notice("limit_binds", text) for text in found]
