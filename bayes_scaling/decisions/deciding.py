"""`decide(source, ...)`: what to train with a budget, or what budget a target takes, and what is risked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, Notice
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.provenance import Stopwatch
from bayes_scaling.base.units import format_flop
from bayes_scaling.decisions.assurance import Assurance, attainable
from bayes_scaling.decisions.budgeted import Found, found
from bayes_scaling.decisions.costs import DAYS, Amount, CostModel, Rates, absolute, draw_rates
from bayes_scaling.decisions.limits import SERVING_FLOP, Allocations, Limits
from bayes_scaling.decisions.paths import PER_DECADE, fan, trace
from bayes_scaling.decisions.plans import Plan, compare_plans
from bayes_scaling.decisions.request import Request, ask
from bayes_scaling.decisions.result import Decision
from bayes_scaling.decisions.serving import MOST, best_for_budget, cheapest, demand_draws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.registry import input_names
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.validation.averaging import weighed


@keywords(inputs=input_names, inside={"limits": Limits, "cost": CostModel})
def decide(
    source: Any,
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
    compute: ComputeModel = SIX_ND,
    ci_prob: float = 0.9,
    random_seed: int | None = None,
    progressbar: bool = False,
    **inputs: float,
) -> Decision:
    """What to train, what it risks, and what it would take to be safe.

    Parameters
    ----------
    source
        A `Fit`, an `Ensemble`, an `Evidence`, or runs in any form; see `averages.weighed` for what is made of each.
    budget
        FLOP as a number, or text: "1e24", "100PF-days", "10x" (of the largest run), "50000device-hours", "$2M",
        "30days". It covers training, and serving where `inference_tokens` are given. None: what the
        assurance of `target_loss` takes, or what the cluster does by the deadline.
    target_loss, probability
        Nats per token that the run should end at or below, and how sure of it the assured budget is.
    inference_tokens
        Tokens served over the model's life, a count or a prior. Plans pay for the mean of it.
    rules
        Names of `rules.RULES`; all that apply where None.
    level
        Of the quantile and of CVaR: 0.9 looks at the worst tenth.
    limits, cost
        What may be trained, and what compute costs.
    plans
        Candidates to hold against one another.
    random_seed
        Of the blend and the noise; that of the fits where None.
    inputs
        Further columns that a law names.

    Returns
    -------
    The decision. Where no budget makes the target safe it says so (`Decision.unattainable`), with the surest plan.

    Raises
    ------
    UsageError
        For a request that makes no sense.
    InfeasibleError
        For one that cannot be met: the message says which limit binds, and what would be feasible.
    """
    asked = ask(
        budget=budget,
        target_loss=target_loss,
        probability=probability,
        inference_tokens=inference_tokens,
        rules=rules,
        level=level,
        limits=limits,
        cost=cost,
        plans=plans,
        ci_prob=ci_prob,
    )
    return answer(source, asked, compute=compute, random_seed=random_seed, progressbar=progressbar, **inputs)


def answer(
    source: Any,
    asked: Request,
    *,
    compute: ComputeModel = SIX_ND,
    random_seed: int | None = None,
    progressbar: bool = False,
    **inputs: float,
) -> Decision:
    """The decision on a request; arguments and errors as `decide`."""
    watch = Stopwatch()
    limits, cost, target, ci_prob = asked.limits, asked.cost, asked.target_loss, asked.ci_prob
    with watch("posterior"):
        known = isinstance(source, Predictive)
        group = source if known else weighed(source, random_seed=random_seed or 0, progressbar=progressbar)
        worlds = predictive(
            group, compute=compute, unique_tokens=limits.max_tokens, random_seed=random_seed, inputs=inputs
        )
    if asked.budget is not None:
        asked = replace(asked, budget=absolute(asked.budget, float(worlds.known_flops[1])))
    rates = draw_rates(cost, worlds.n_draws, worlds.random_seed)
    served = None
    if asked.inference_tokens is not None:
        served = demand_draws(asked.inference_tokens, worlds.n_draws, worlds.random_seed)
    demand = 0.0 if served is None else float(served.mean())
    assured, comparison, serving, outlook = None, None, None, Found()
    shown: list[dict[str, float]] = []
    if target is not None:
        with watch("assurance"):
            assured = attainable(worlds, target, asked.probability, limits=limits, serving_tokens=demand)
    if asked.budget is not None or assured is not None:
        with watch("rules"):
            flops = _compute(asked, rates, assured)
            allocations = Allocations(flops, limits, demand, worlds.compute, not worlds.repeats)
            outlook = found(worlds, allocations, asked, rates, served)
        with watch("fan"):
            shown = _fan(worlds, allocations, assured, ci_prob)
        if served is not None:
            with watch("serving"):
                serving = _serving(worlds, allocations, served, target, ci_prob)
    if asked.plans:
        comparison = compare_plans(
            worlds, asked.plans, rates, level=asked.level, target_loss=target, serving_tokens=demand, ci_prob=ci_prob
        )
    return Decision(
        decisions=outlook.rows,
        budget=asked.budget,
        budget_flops=outlook.flops,
        optimum=outlook.optimum,
        worth=outlook.worth,
        flat=outlook.flat,
        thrifty=outlook.thrifty,
        assurance=assured,
        assured_cost=_assured_cost(assured, rates, ci_prob),
        serving=serving,
        comparison=comparison,
        fan=tuple(shown),
        cost_model=cost,
        limits=limits,
        level=asked.level,
        target_loss=target,
        law_weights=worlds.law_weights,
        weights_from=worlds.weights_from,
        compute=worlds.compute.title,
        decades_beyond=outlook.beyond,
        ci_prob=ci_prob,
        random_seed=worlds.random_seed,
        runs_sha256=worlds.runs.sha256,
        notices=(*worlds.notices, *outlook.notices, *_unsafe(assured)),
        seconds=watch.seconds,
    )


def _compute(asked: Request, rates: Rates, assured: Assurance | None) -> np.ndarray:
    """FLOP of the budget, or of the assured one, that the deadline allows."""
    amount, deadline = asked.budget, asked.cost.deadline_days
    if amount is None:
        assert assured is not None
        reaching = f"reaching {asked.target_loss:g} with probability {asked.probability:g}"
        try:
            rates.check_deadline(assured.spent, f"{reaching} ({format_flop(assured.spent)} FLOP)")
        except InfeasibleError as error:
            able = rates.by_deadline()
            if able is None:
                raise
            chance = np.interp(np.log(np.median(able)), np.log(assured.budgets), assured.probabilities)
            raise InfeasibleError(f"{error} By then the target is reached with probability {chance:.3f}.") from None
        return np.asarray(assured.spent)
    flops = rates.flops(amount)
    if amount.unit != DAYS:
        rates.check_deadline(flops, f"spending {amount}")
    elif deadline is not None and amount.value > deadline:
        raise InfeasibleError(
            f"The deadline of {deadline:g} days binds: {amount} of the cluster were asked for. Feasible: "
            f"{deadline:g} days."
        )
    return flops


def _assured_cost(assured: Assurance | None, rates: Rates, ci_prob: float) -> dict[str, Any] | None:
    """The assured budget in every unit there is, interval values: FLOP, device-hours, money, days on the cluster."""
    if assured is None or assured.flops is None:
        return None
    known: dict[str, Any] = {"device_hours": None, "money": None, "days": None}
    if rates.per_hour is not None:
        hours = rates.hours(assured.flops)
        known["device_hours"] = interval_value(hours, ci_prob)
        if rates.model.price is not None:
            known["money"] = interval_value(hours * rates.model.price, ci_prob)
        days = rates.days(assured.flops)
        known["days"] = None if days is None else interval_value(days, ci_prob)
    return known


def _unsafe(assured: Assurance | None) -> list[Notice]:
    return [] if assured is None or not assured.message else [Notice("unattainable", assured.message)]


def _serving(
    worlds: Predictive, allocations: Allocations, served: np.ndarray, target: float | None, ci_prob: float
) -> dict[str, Any]:
    """Sardana's problem draw by draw, beside what training alone would choose."""
    rows = np.linspace(0, worlds.n_draws - 1, min(worlds.n_draws, MOST)).round().astype(int)
    few, demand = worlds.take(rows), served[rows]
    flops = allocations.flops if np.ndim(allocations.flops) == 0 else allocations.flops[rows]
    at_budget = best_for_budget(few, flops, demand, allocations.limits)
    training = best_for_budget(few, flops, np.zeros_like(demand), allocations.limits)
    # The same quality for less: the loss that training alone would reach, or the target.
    wanted = training.loss if target is None else np.full(len(rows), target)
    plain = training if target is None else cheapest(few, wanted, np.zeros_like(demand), allocations.limits)
    thrifty = cheapest(few, wanted, demand, allocations.limits)
    full = plain.flops + SERVING_FLOP * plain.params * demand
    known = np.isfinite(thrifty.params) & np.isfinite(plain.params)

    def value(draws: np.ndarray) -> dict[str, Any] | None:
        return interval_value(draws[known], ci_prob) if known.any() else None

    return {
        "tokens": interval_value(served, ci_prob),
        "at_budget": at_budget.to_dict(ci_prob),
        "training_only": training.to_dict(ci_prob),
        "at_loss": {
            "target_loss": target,
            **thrifty.to_dict(ci_prob),
            "params_ratio": value(thrifty.params / plain.params),
            "tokens_ratio": value(thrifty.tokens / plain.tokens),
            "saving": value(1 - thrifty.flops / full),
            "out_of_reach": float(1 - known.mean()),
        },
    }


def _fan(
    worlds: Predictive, allocations: Allocations, assured: Assurance | None, ci_prob: float
) -> list[dict[str, float]]:
    """From the largest of the runs to a decade beyond whatever was asked."""
    safe = assured.flops if assured else None
    top = max(allocations.typical, safe or 0.0, float(worlds.runs.counted.max()))
    low, high = np.log10(min(float(worlds.runs.counted.max()), allocations.typical) / 10), np.log10(top * 10)
    budgets = np.logspace(low, high, max(2, int((high - low) * PER_DECADE / 2) + 1))
    try:
        path = trace(worlds, budgets, allocations.limits, allocations.serving_tokens)
    except InfeasibleError:
        return []
    return fan(worlds, path, ci_prob)
