"""Candidate plans given by the user, held against one another in the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.units import format_count
from bayes_scaling.decisions.costs import Rates
from bayes_scaling.decisions.limits import SERVING_FLOP
from bayes_scaling.decisions.rules.cvar import cvar, cvar_mcse
from bayes_scaling.decisions.rules.rule import mcse
from bayes_scaling.decisions.serving import demand_for
from bayes_scaling.prediction.predictive import Predictive


@dataclass(frozen=True)
class Plan:
    """One run that might be made.

    Parameters
    ----------
    params, tokens
        Counts.
    price
        What it costs, where the user knows better than the cost model; in the same unit.
    """

    params: float
    tokens: float
    price: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        for what, value in (("params", self.params), ("tokens", self.tokens), ("price", self.price)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UsageError(f"A plan's {what} must be a positive number, not {value:g}.")

    @property
    def label(self) -> str:
        """Its name, or its size and data in words."""
        return self.name or f"{format_count(self.params)} on {format_count(self.tokens)}"


def as_plan(plan: Plan | Mapping[str, Any]) -> Plan:
    """A plan from a mapping with `params`, `tokens` and, if any, `price` and `name`."""
    if isinstance(plan, Plan):
        return plan
    strange = set(plan) - {"params", "tokens", "price", "name"}
    if strange or not {"params", "tokens"} <= set(plan):
        raise UsageError("A plan has params and tokens and, if any, price and name: {'params': 7e9, 'tokens': 1e12}.")
    price = plan.get("price")
    return Plan(
        float(plan["params"]),
        float(plan["tokens"]),
        None if price is None else float(price),
        str(plan.get("name", "")),
    )


def compare_plans(
    worlds: Predictive,
    plans: Sequence[Plan],
    rates: Rates,
    *,
    level: float = 0.9,
    target_loss: float | None = None,
    serving_tokens: float = 0.0,
    ci_prob: float = 0.9,
) -> dict[str, Any]:
    """Each plan's loss and risk, its probability of being the best, and the paired differences between plans.

    Returns
    -------
    `plans`: one row each with `loss` (interval value, curve plus discrepancy), `cvar`, `p_target`, `p_best`,
    `regret` (against the best of the candidates in each draw), `cost`, `demand` (tokens served at which it is the
    cheapest way to its loss), and Monte-Carlo errors in `mcse`. `differences`: one row a pair, `difference` being the
    first plan's loss less the second's (interval value), and `p_lower` the probability that the first is the lower.
    """
    n, d = np.array([p.params for p in plans]), np.array([p.tokens for p in plans])
    training = np.asarray(worlds.compute.flops(n, d))
    total = training + SERVING_FLOP * n * serving_tokens
    losses = worlds.at(n, d)
    loss = losses.curve
    lowest = loss.min(axis=1, keepdims=True)
    wins = (loss <= lowest).astype(float)
    best = wins / wins.sum(axis=1, keepdims=True)  # plans that are the same share the win
    hit = losses.p_reached(target_loss) if target_loss is not None else None
    worst, worst_error = cvar(loss, level), cvar_mcse(loss, level)
    regret = loss - lowest
    rows = []
    for j, plan in enumerate(plans):
        demand = interval_value(demand_for(worlds, plan.params, plan.tokens), ci_prob)
        own = plan.price is not None
        rows.append(
            {
                "name": plan.label,
                "params": plan.params,
                "tokens": plan.tokens,
                "flops": float(total[j]),
                "cost": None if own else interval_value(np.atleast_1d(rates.cost(total[j])), ci_prob),
                "price": plan.price,
                "loss": interval_value(loss[:, j], ci_prob),
                "cvar": float(worst[j]),
                "regret": float(regret[:, j].mean()),
                "p_target": None if hit is None else float(hit[:, j].mean()),
                "p_best": float(best[:, j].mean()),
                "demand": demand,
                "mcse": {
                    "loss": float(mcse(loss[:, j])),
                    "cvar": float(worst_error[j]),
                    "regret": float(mcse(regret[:, j])),
                    "p_target": None if hit is None else float(mcse(hit[:, j])),
                    "p_best": float(mcse(best[:, j])),
                },
            }
        )
    pairs = []
    for i in range(len(plans)):
        for j in range(i + 1, len(plans)):
            gap = loss[:, i] - loss[:, j]
            lower = (gap < 0) + 0.5 * (gap == 0)
            pairs.append(
                {
                    "first": plans[i].label,
                    "second": plans[j].label,
                    "difference": interval_value(gap, ci_prob),
                    "p_lower": float(lower.mean()),
                    "mcse": {"difference": float(mcse(gap)), "p_lower": float(mcse(lower))},
                }
            )
    return {"plans": rows, "differences": pairs}
