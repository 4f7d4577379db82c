"""The cheapest plan that loses hardly anything: a budget need not be spent."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.decisions.choosing import choose
from bayes_scaling.decisions.costs import Rates
from bayes_scaling.decisions.limits import SERVING_FLOP, Allocations
from bayes_scaling.decisions.paths import trace
from bayes_scaling.decisions.request import Request
from bayes_scaling.prediction.frontiers import FLATNESS
from bayes_scaling.prediction.losses import Losses
from bayes_scaling.prediction.predictive import Predictive

# How far below the budget a cheaper plan is looked for, and how finely.
DECADES, PER_DECADE = 6, 6
DRAWS = 500
BISECTIONS = 12


def thrifty(
    worlds: Predictive, allocations: Allocations, taken: Losses, asked: Request, rates: Rates
) -> dict[str, Any] | None:
    """The plan of least compute whose expected loss is within 0.5 % of that of the plan `taken`, which spends the
    budget; None where none costs less.

    Returns
    -------
    `params`, `tokens`, `flops`, `total_flops` (with serving), `cost` and `loss` (interval values), `p_target`, `share`
    of the budget, and `within`.
    """
    most = float(taken.curve.mean()) * (1 + FLATNESS)
    budget, few = allocations.typical, worlds.thinned(DRAWS)

    def allowed(flops: float) -> Allocations:
        return Allocations(
            np.asarray(flops), allocations.limits, allocations.serving_tokens, worlds.compute, allocations.capped
        )

    def best(flops: float) -> float:
        try:
            own = allowed(flops)
            n = np.array([choose(few, own, ["expected"]).expected_params])
            return float(few.loss(n, own.tokens(n)).mean())
        except InfeasibleError:
            return float("inf")

    budgets = np.logspace(np.log10(budget) - DECADES, np.log10(budget), DECADES * PER_DECADE + 1)
    try:
        path = trace(few, budgets, allocations.limits, allocations.serving_tokens)
    except InfeasibleError:
        return None
    enough = np.flatnonzero(path.losses.curve.mean(axis=0) <= most)
    if not len(enough):
        return None
    high = float(np.log(path.budgets[enough[0]]))
    low = high - np.log(10) / PER_DECADE
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if best(float(np.exp(middle))) <= most else (middle, high)
    if high > np.log(budget) - 1e-3:
        return None
    own = allowed(float(np.exp(high)))
    n = np.array([choose(worlds, own, ["expected"]).expected_params])
    d = own.tokens(n)
    losses, training = worlds.at(n, d), float(own.training_flops(n, d)[0])
    total = training + SERVING_FLOP * float(n[0]) * allocations.serving_tokens
    hit = None if asked.target_loss is None else float(losses.p_reached(asked.target_loss).mean())
    return {
        "params": float(n[0]),
        "tokens": float(d[0]),
        "flops": training,
        "total_flops": total,
        "cost": interval_value(np.atleast_1d(rates.cost(total)), asked.ci_prob),
        "loss": interval_value(losses.curve[:, 0], asked.ci_prob),
        "p_target": hit,
        "share": total / budget,
        "within": FLATNESS,
    }
