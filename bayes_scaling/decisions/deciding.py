"""`decide(source, ...)`: what to train with a budget, or what budget a target takes, and what is risked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, Notice
from bayes_scaling.base.intervals import interval_value, tail_probs
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.provenance import Stopwatch
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.decisions.assurance import PER_DECADE, Assurance, assure, fan, trace
from bayes_scaling.decisions.costs import DAYS, Amount, CostModel, Rates, draw_rates
from bayes_scaling.decisions.limits import SERVING_FLOP, Allocations, Limits
from bayes_scaling.decisions.plans import Plan, compare_plans
from bayes_scaling.decisions.request import Request, ask
from bayes_scaling.decisions.result import Decision
from bayes_scaling.decisions.rules import Choices, choose, cvar, cvar_mcse, expected, mcse, quantile, quantile_mcse
from bayes_scaling.decisions.serving import MOST, best_for_budget, cheapest, demand_draws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.registry import input_names
from bayes_scaling.prediction.forecasting import decades_beyond
from bayes_scaling.prediction.frontiers import FLATNESS
from bayes_scaling.prediction.outcomes import Outcomes, outcomes
from bayes_scaling.validation.averaging import weighed

FLAT_POINTS = 201
FLAT_SHOWN = 4.0
"""Sizes are listed up to that many times the loss that counts as flat."""


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
    random_seed: int = 0,
    progressbar: bool = False,
    **inputs: float,
) -> Decision:
    """What to train, what it risks, and what it would take to be safe.

    Parameters
    ----------
    source
        A `Fit`, an `Ensemble`, an `Evidence`, or runs in any form; see `averages.weighed` for what is made of each.
    budget
        FLOP as a number, or text: "1e24", "100PF-days", "50000device-hours", "$2M", "30days". It covers training, and
        serving where `inference_tokens` are given. None: what the assurance of `target_loss` takes, or what the
        cluster does by the deadline.
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
    inputs
        Further columns that a law names.

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
    random_seed: int = 0,
    progressbar: bool = False,
    **inputs: float,
) -> Decision:
    """The decision on a request; arguments and errors as `decide`."""
    watch = Stopwatch()
    limits, cost, target, ci_prob = asked.limits, asked.cost, asked.target_loss, asked.ci_prob
    with watch("posterior"):
        known = isinstance(source, Outcomes)
        group = source if known else weighed(source, random_seed=random_seed, progressbar=progressbar)
        worlds = outcomes(group, compute=compute, unique_tokens=limits.max_tokens, random_seed=random_seed, **inputs)
    rates = draw_rates(cost, worlds.n_draws, worlds.random_seed)
    served = None
    if asked.inference_tokens is not None:
        served = demand_draws(asked.inference_tokens, worlds.n_draws, worlds.random_seed)
    demand = 0.0 if served is None else float(served.mean())
    assured, comparison, found = None, None, _Found()
    if target is not None:
        with watch("assurance"):
            assured = assure(worlds, target, asked.probability, limits=limits, serving_tokens=demand)
    if asked.budget is not None or assured is not None:
        with watch("rules"):
            flops = _compute(asked, rates, assured)
            allocations = Allocations(flops, limits, demand, worlds.compute, not worlds.repeats)
            found = _found(worlds, allocations, asked, rates)
        with watch("fan"):
            found = replace(found, fan=tuple(_fan(worlds, allocations, assured, ci_prob)))
        if served is not None:
            with watch("serving"):
                found = replace(found, serving=_serving(worlds, allocations, served, target, ci_prob))
    if asked.plans:
        comparison = compare_plans(
            worlds, asked.plans, rates, level=asked.level, target_loss=target, serving_tokens=demand, ci_prob=ci_prob
        )
    return Decision(
        decisions=found.rows,
        budget=asked.budget,
        budget_flops=found.flops,
        optimum=found.optimum,
        flat=found.flat,
        assurance=assured,
        serving=found.serving,
        comparison=comparison,
        fan=found.fan,
        cost_model=cost,
        limits=limits,
        level=asked.level,
        target_loss=target,
        law_weights=worlds.law_weights,
        weights_from=worlds.weights_from,
        compute=worlds.compute.title,
        decades_beyond=found.beyond,
        ci_prob=ci_prob,
        random_seed=worlds.random_seed,
        runs_sha256=worlds.runs.sha256,
        notices=(*worlds.notices, *found.notices),
        seconds=watch.seconds,
    )


def _compute(asked: Request, rates: Rates, assured: Assurance | None) -> np.ndarray:
    """FLOP of the budget, or of the assured one, that the deadline allows."""
    amount, deadline = asked.budget, asked.cost.deadline_days
    if amount is None:
        assert assured is not None
        reaching = f"reaching {asked.target_loss:g} with probability {asked.probability:g}"
        try:
            rates.check_deadline(assured.flops, f"{reaching} ({format_flop(assured.flops)} FLOP)")
        except InfeasibleError as error:
            able = rates.by_deadline()
            if able is None:
                raise
            chance = np.interp(np.log(np.median(able)), np.log(assured.budgets), assured.probabilities)
            raise InfeasibleError(f"{error} By then the target is reached with probability {chance:.3f}.") from None
        return np.asarray(assured.flops)
    flops = rates.flops(amount)
    if amount.unit != DAYS:
        rates.check_deadline(flops, f"spending {amount}")
    elif deadline is not None and amount.value > deadline:
        raise InfeasibleError(
            f"The deadline of {deadline:g} days binds: {amount} of the cluster were asked for. Feasible: "
            f"{deadline:g} days."
        )
    return flops


@dataclass(frozen=True, eq=False)
class _Found:
    """What comes of a budget: the parts of a `Decision`."""

    rows: tuple[dict[str, Any], ...] = ()
    flops: dict[str, Any] | None = None
    optimum: dict[str, Any] | None = None
    flat: dict[str, Any] | None = None
    beyond: float | None = None
    notices: tuple[Notice, ...] = ()
    fan: tuple[dict[str, float], ...] = ()
    serving: dict[str, Any] | None = None


def _found(worlds: Outcomes, allocations: Allocations, asked: Request, rates: Rates) -> _Found:
    choices = choose(worlds, allocations, asked.rules, level=asked.level, target_loss=asked.target_loss)
    rows = _rows(worlds, allocations, choices, asked, rates)
    beyond = decades_beyond(worlds.runs, [rows[0]["params"]], [rows[0]["tokens"]], worlds.compute)["flops"]
    return _Found(
        rows=tuple(rows),
        flops=interval_value(np.atleast_1d(allocations.flops), asked.ci_prob),
        optimum=_optimum(worlds, allocations, choices, asked.ci_prob),
        flat=_flat(worlds, allocations, choices, asked.ci_prob),
        beyond=float(beyond[0]),
        notices=tuple(_binding(allocations, rows[0])),
    )


def _rows(
    worlds: Outcomes, allocations: Allocations, choices: Choices, asked: Request, rates: Rates
) -> list[dict[str, Any]]:
    level, target, ci_prob = asked.level, asked.target_loss, asked.ci_prob
    n = choices.params
    d = allocations.tokens(n)
    training = allocations.training_flops(n, d)
    curve = worlds.log_curve(n, d)
    loss = np.exp(curve)
    seen = worlds.new_run(curve, training)
    regret = loss - choices.best_loss[:, None]
    hit = None if target is None else worlds.p_reached(target, curve, training)
    finite_mean = all(m.noise.finite_mean for m in worlds.members)
    q, q_error = quantile(loss, level), quantile_mcse(loss, level)
    worst, worst_error = cvar(loss, level), cvar_mcse(loss, level)
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
                "new_run": interval_value(seen[:, j], ci_prob, moments=finite_mean),
                "quantile": float(q[j]),
                "cvar": float(worst[j]),
                "regret": float(regret[:, j].mean()),
                "p_target": None if hit is None else float(hit[:, j].mean()),
                "mcse": {
                    "loss": float(mcse(loss[:, j])),
                    "quantile": float(q_error[j]),
                    "cvar": float(worst_error[j]),
                    "regret": float(mcse(regret[:, j])),
                    "p_target": None if hit is None else float(mcse(hit[:, j])),
                },
            }
        )
    return rows


def _optimum(worlds: Outcomes, allocations: Allocations, choices: Choices, ci_prob: float) -> dict[str, Any]:
    n = choices.optimum[:, None]
    if worlds.misplacement is not None and allocations.menu is None:
        budget = np.array([allocations.typical])
        n = worlds.misplacement.shifted(n, worlds.runs, budget, allocations.compute, worlds.random_seed)
        n = np.clip(n, *np.exp(allocations.range))
    tokens = np.broadcast_to(allocations.tokens(n), n.shape)[:, 0]
    values = {"params": n[:, 0], "tokens": tokens, "loss": choices.best_loss}
    return {name: interval_value(v, ci_prob) for name, v in values.items()}


def _flat(worlds: Outcomes, allocations: Allocations, choices: Choices, ci_prob: float) -> dict[str, Any]:
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
    loss = expected(few_loss)
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


def _serving(
    worlds: Outcomes, allocations: Allocations, served: np.ndarray, target: float | None, ci_prob: float
) -> dict[str, Any]:
    """Sardana's problem draw by draw, beside what training alone would choose."""
    rows = np.linspace(0, worlds.n_draws - 1, min(worlds.n_draws, MOST)).round().astype(int)
    few, demand = worlds.take(rows), served[rows]
    flops = allocations.flops if np.ndim(allocations.flops) == 0 else allocations.flops[rows]
    at_budget = best_for_budget(few, flops, demand)
    training = best_for_budget(few, flops, np.zeros_like(demand))
    # The same quality for less: the loss that training alone would reach, or the target.
    wanted = training.loss if target is None else np.full(len(rows), target)
    plain = training if target is None else cheapest(few, wanted, np.zeros_like(demand))
    thrifty = cheapest(few, wanted, demand)
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
    worlds: Outcomes, allocations: Allocations, assured: Assurance | None, ci_prob: float
) -> list[dict[str, float]]:
    """From the largest of the runs to a decade beyond whatever was asked."""
    top = max(allocations.typical, assured.flops if assured else 0.0, float(worlds.runs.flops.max()))
    low, high = np.log10(min(float(worlds.runs.flops.max()), allocations.typical) / 10), np.log10(top * 10)
    budgets = np.logspace(low, high, max(2, int((high - low) * PER_DECADE / 2) + 1))
    try:
        path = trace(worlds, budgets, allocations.limits, allocations.serving_tokens)
    except InfeasibleError:
        return []
    return fan(worlds, path, ci_prob)
