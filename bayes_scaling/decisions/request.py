"""What a decision is asked: checked as far as it can be before there is a posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import UsageError
from bayes_scaling.decisions.costs import DAYS, Amount, CostModel, absolute, draw_rates, parse_amount
from bayes_scaling.decisions.limits import NO_LIMITS, Limits
from bayes_scaling.decisions.plans import Plan, as_plan
from bayes_scaling.decisions.rules import check_rules
from bayes_scaling.decisions.serving import demand_draws


@dataclass(frozen=True)
class Request:
    """What `decide` is asked, checked as far as it can be before there is a posterior. Fields as in `decide`."""

    budget: Amount | None
    target_loss: float | None
    probability: float
    inference_tokens: Any
    rules: tuple[str, ...]
    level: float
    limits: Limits
    cost: CostModel
    plans: tuple[Plan, ...]
    ci_prob: float


def ask(
    *,
    budget: float | str | Amount | None = None,
    target_loss: float | None = None,
    probability: float = 0.9,
    inference_tokens: Any = None,
    rules: Sequence[str] | None = None,
    level: float = 0.9,
    limits: Limits | None = None,
    cost: CostModel | None = None,
    plans: Sequence[Plan | Mapping[str, Any]] = (),
    ci_prob: float = 0.9,
) -> Request:
    """A checked request; arguments and errors as `decide`."""
    cost = cost or CostModel()
    wanted = check_rules(rules, target_loss)
    for name, value in (("level", level), ("probability", probability)):
        if not 0 < value < 1:
            raise UsageError(f"The {name} {value:g} must lie between 0 and 1, such as 0.9.")
    if target_loss is not None and not (np.isfinite(target_loss) and target_loss > 0):
        raise UsageError(f"The target loss {target_loss:g} must be a positive number of nats per token.")
    amount = None if budget is None else parse_amount(budget)
    candidates = tuple(as_plan(p) for p in plans)
    if amount is None and target_loss is None and cost.deadline_days and cost.devices:
        amount = Amount(cost.deadline_days, DAYS)
    if amount is None and target_loss is None and not candidates:
        raise UsageError(
            "Nothing to decide: give a budget (--budget 1e24), a target (--target-loss 2.05), a cluster with a "
            "deadline, or plans (--plan params=7B,tokens=1T)."
        )
    if amount is not None:
        draw_rates(cost, 1).flops(absolute(amount, 1.0))
    if inference_tokens is not None:
        demand_draws(inference_tokens, 2)
    return Request(
        amount,
        target_loss,
        probability,
        inference_tokens,
        wanted,
        level,
        limits or NO_LIMITS,
        cost,
        candidates,
        ci_prob,
    )
