"""`suggest(...)`: which small runs to make next, because they would change the decision most for what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError, Notice, UsageError, unknown
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporting
from bayes_scaling.base.provenance import Stopwatch
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.decisions.costs import MONEY, Amount, CostModel, typical_flops
from bayes_scaling.experiments.candidates import Box
from bayes_scaling.experiments.result import TARGETS, Suggestion, Suggestions, Target
from bayes_scaling.experiments.selection import Choice, best_batch, quantity_of
from bayes_scaling.experiments.value import knowledge, worth
from bayes_scaling.experiments.worlds import WORLDS, entropy, law_shares, study
from bayes_scaling.laws.compute import SIX_ND, SIZES, ComputeModel
from bayes_scaling.prediction.best_sizes import Best, best_sizes
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble
from bayes_scaling.prediction.forecasting import leaving
from bayes_scaling.prediction.frontiers import missing_optima, no_optimum
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.runs.runs import Runs
from bayes_scaling.validation.averaging import weighed

RANKS = ("gain", "gain-per-flop")
# Without a runs budget: as much as the largest runs known, but no more than this share of the budget.
RUNS_SHARE = 0.1
# Runs that hardly differ in tokens per parameter leave candidates at least this range of it.
LEAST_RATIO_RANGE = 16.0
LITTLE = 0.05
# Draws on which runs are designed.
DRAWS = 2000


@keywords()
def suggest(
    source: Any,
    *,
    budget: float | str | Amount,
    runs_budget: float | str | Amount | None = None,
    n_runs: int = 4,
    target: str = "params",
    target_loss: float | None = None,
    rank: str = "gain",
    params: tuple[float, float] | None = None,
    tokens: tuple[float, float] | None = None,
    tokens_per_param: tuple[float, float] | None = None,
    price_per_flop: float | None = None,
    cost: CostModel | None = None,
    compute: ComputeModel = SIX_ND,
    worlds: int = WORLDS,
    ci_prob: float = 0.9,
    random_seed: int | None = None,
    progressbar: bool = False,
) -> Suggestions:
    """The next runs worth making before `budget` is spent.

    Parameters
    ----------
    source
        A `Fit`, several, an `Ensemble`, an `Evidence` (its fits averaged by forward validation), or runs in any form
        that `average` takes.
    budget
        Of the decision: FLOP, or text in any form that `decide` takes ("10x", "$2M", "30days"); what it buys is taken
        at its median.
    runs_budget
        Of all suggested runs together, likewise; where None, `n_runs` times the largest run known, and at the most a
        tenth of the budget.
    target
        "params": log N* at the budget; "loss": log of the loss there; "target-loss": whether it is at or below
        `target_loss`; "law": which law holds; "information": all parameters at once.
    rank
        "gain": the batch that teaches most within the runs budget; "gain-per-flop": each run in turn is the one with
        the most gain per FLOP.
    params, tokens, tokens_per_param
        Smallest and largest of a run; by default from the smallest run known on, and tokens per parameter as in the
        runs known.
    price_per_flop
        Money for one FLOP, for values in money.
    cost
        What compute costs, for budgets in other units than FLOP.
    worlds
        Simulated worlds for each estimate.

    Raises
    ------
    UsageError
        For an unknown target or rank, or limits that are none.
    DataError
        For a budget of nothing, a runs budget that pays for no run, or a question that no run can answer.
    """
    wanted = _checked(budget, runs_budget, n_runs, target, target_loss, rank, price_per_flop)
    watch = Stopwatch()
    with reporting(progressbar):
        with watch("posterior"):
            group = weighed(source, random_seed=random_seed or 0, progressbar=progressbar)
        whole = predictive(group, compute=compute, random_seed=random_seed, needs="runs to be suggested")
        _sized(whole)
        largest = float(whole.known_flops[1])
        flops = typical_flops(budget, cost, largest)
        runs_flops = None if runs_budget is None else typical_flops(runs_budget, cost, largest)
        if price_per_flop is None and cost is not None and cost.price is not None:
            price_per_flop = 1 / typical_flops(Amount(1.0, MONEY, cost.currency), cost, largest)
        with watch("design"):
            everywhere = best_sizes(whole, np.array([flops]))
            inside = np.flatnonzero(np.isfinite(everywhere.log_params[:, 0]))
            if not len(inside):
                raise DataError(no_optimum([m.law.name for m in whole.members], flops))
            beliefs = (whole if len(inside) == whole.n_draws else whole.take(inside)).thinned(DRAWS)
            # Which law holds is asked of the laws one by one; whatever is said of losses, of them together.
            asked = _apart(group, compute, whole.random_seed) if target == "law" else beliefs
            seed = whole.random_seed
            box = limits_of(whole.runs, params, tokens, tokens_per_param)
            spend = _runs_budget(runs_flops, flops, n_runs, box, whole.runs, whole.compute)
            quantity = quantity_of(asked, target, flops, target_loss)
            _uncertain(wanted, quantity, flops, target_loss)
            choice = best_batch(
                asked, quantity, box, n_runs, spend, target=target, rank=rank, worlds=worlds, random_seed=seed
            )
        with watch("value"):
            made = choice.study
            if asked is not beliefs:
                made = study(beliefs, np.zeros((beliefs.n_draws, 1)), choice.batch, worlds, seed)
            value = worth(beliefs, flops, choice.batch, made, price_per_flop, knowledge(whole, flops))
    before = _spread(asked, quantity, target)
    return Suggestions(
        target=wanted,
        suggestions=_rows(choice, before, target),
        budget=flops,
        runs_budget=spend,
        target_loss=target_loss,
        probability=float(quantity[:, 0].mean()) if target == "target-loss" else None,
        now=_now(everywhere, ci_prob),
        before=before,
        after=_after(before, float(choice.gains.sum()), target),
        worth=value,
        candidates=choice.options,
        gain_alone=choice.gain_alone,
        box=box,
        law_weights=group.law_weights,
        weights_from=group.basis,
        ci_prob=ci_prob,
        random_seed=whole.random_seed,
        runs_sha256=whole.runs.sha256,
        notices=(
            *group.notices,
            *missing_optima(everywhere.missing),
            *_leaving(choice, whole),
            *_notices(choice, before, target, n_runs, runs_flops, spend, flops),
        ),
        seconds=watch.seconds,
    )


def _checked(
    budget: float | str | Amount,
    runs_budget: float | str | Amount | None,
    n_runs: int,
    target: str,
    target_loss: float | None,
    rank: str,
    price: float | None,
) -> Target:
    if target not in TARGETS:
        raise unknown("target", target, TARGETS, "It says what the runs are to teach.")
    if rank not in RANKS:
        raise unknown("rank", rank, RANKS, "")
    if isinstance(budget, int | float) and not 0 < budget < np.inf:
        raise DataError(f"A budget of {budget:g} FLOP buys no run to decide about: give one above 0, such as 1e24.")
    if isinstance(runs_budget, int | float) and not 0 < runs_budget < np.inf:
        raise DataError(f"A runs budget of {runs_budget:g} FLOP pays for no run: give one above 0, such as 1e20.")
    if n_runs < 1:
        raise UsageError(f"{n_runs} runs: ask for at least one.")
    if price is not None and not (np.isfinite(price) and price > 0):
        raise DataError(f"A price of {price:g} per FLOP is none: give one above 0, such as 2e-18.")
    if (target == "target-loss") != (target_loss is not None):
        raise UsageError(
            "A target loss goes with target 'target-loss', and that needs one: nats per token, such as 2.05."
        )
    if target_loss is not None and not (np.isfinite(target_loss) and target_loss > 0):
        raise DataError(f"A target loss of {target_loss:g} is none: give nats per token, above 0.")
    return TARGETS[target]


def limits_of(
    runs: Runs,
    params: tuple[float, float] | None = None,
    tokens: tuple[float, float] | None = None,
    tokens_per_param: tuple[float, float] | None = None,
) -> Box:
    """What candidates are kept to: as asked for, else no smaller than the smallest runs known, and of their shapes."""
    ratio = runs.tokens / runs.params
    low, high = float(ratio.min()), float(ratio.max())
    if high / low < LEAST_RATIO_RANGE:
        widen = float(np.sqrt(LEAST_RATIO_RANGE / (high / low)))
        low, high = low / widen, high * widen
    box = Box(
        params=params or (float(runs.params.min()), np.inf),
        tokens=tokens or (float(runs.tokens.min()), np.inf),
        ratio=tokens_per_param or (low, high),
    )
    for name, (least, most) in (("params", box.params), ("tokens", box.tokens), ("tokens per parameter", box.ratio)):
        if not (0 < least <= most) or np.isnan(most):
            raise UsageError(
                f"Limits of {name} from {least:g} to {most:g} leave nothing: give two counts, the smaller first."
            )
    if box.params[1] * box.ratio[1] < box.tokens[0] or box.params[0] * box.ratio[0] > box.tokens[1]:
        raise DataError(
            f"No run has {_span(box.params)} params, {_span(box.tokens)} tokens and {box.ratio[0]:.3g} to "
            f"{box.ratio[1]:.3g} tokens per parameter. Widen one of the three."
        )
    return box


def _span(ends: tuple[float, float]) -> str:
    return (
        f"{format_count(ends[0])} to {format_count(ends[1])}"
        if np.isfinite(ends[1])
        else f"at least {format_count(ends[0])}"
    )


def _runs_budget(asked: float | None, budget: float, n_runs: int, box: Box, runs: Runs, compute: ComputeModel) -> float:
    n, d = box.cheapest
    least = float(compute.flops(n, d))
    if asked is None:
        return max(min(n_runs * float(runs.counted.max()), RUNS_SHARE * budget), least)
    if asked < least * (1 - 1e-9):
        raise DataError(
            f"A runs budget of {format_flop(asked)} FLOP pays for no run: the cheapest within the limits has "
            f"{format_count(n)} params and {format_count(d)} tokens and costs {format_flop(least)} FLOP. Give at least "
            "that, or allow smaller runs with lower limits on params and tokens."
        )
    return float(asked)


def _sized(worlds: Predictive) -> None:
    for m in worlds.members:
        extra = sorted(set(m.law.inputs) - set(SIZES))
        if extra:
            raise UsageError(
                f"Law '{m.law.name}' also needs {', '.join(extra)}: runs are suggested in params and tokens."
            )


def _apart(group: Ensemble, compute: ComputeModel, seed: int) -> Predictive:
    """The laws mixed, each draw one law's."""
    mixed = predictive(group, compute=compute, pooling="mixture", random_seed=seed).thinned(DRAWS)
    if np.count_nonzero(law_shares(mixed)) < 2:
        raise DataError("Only one law has any weight, so no run can tell laws apart: give several with --laws A,B.")
    return mixed


def _leaving(choice: Choice, worlds: Predictive) -> list[Notice]:
    b = choice.batch
    told = [leaving(worlds.runs, float(n), float(d), worlds.compute) for n, d in zip(b.params, b.tokens, strict=True)]
    return list(dict.fromkeys(n for notices in told for n in notices))


def _uncertain(target: Target, quantity: np.ndarray, budget: float, target_loss: float | None) -> None:
    if target.name == "target-loss":
        p = float(quantity[:, 0].mean())
        if p in (0.0, 1.0) or not 1e-9 < p < 1 - 1e-9:
            word = "never" if p < 0.5 else "always"
            raise DataError(
                f"At {format_flop(budget)} FLOP the best plan {word} reaches {target_loss:g} nats per token under any "
                "draw of the posterior: no run would change that. Ask for another target loss or budget."
            )


def _spread(beliefs: Predictive, quantity: np.ndarray, target: str) -> float | None:
    if target == "information":
        return None
    if target == "law":
        return float(entropy(law_shares(beliefs)))
    return float(np.sqrt(quantity.var(axis=0).sum()))


def _after(before: float | None, gained: float, target: str) -> float | None:
    if before is None:
        return None
    if target == "law":
        return max(before - gained, 0.0)
    return float(np.sqrt(max(before**2 - gained, 0.0)))


def _now(best: Best, ci_prob: float) -> dict[str, dict[str, float | None]]:
    """The best size at the budget and the loss there, interval values, as the frontier has them."""
    known = np.isfinite(best.log_params[:, 0])
    values = {"params": best.log_params, "loss": best.log_loss}
    return {name: interval_value(np.exp(v[known, 0]), ci_prob) for name, v in values.items()}


def _rows(choice: Choice, before: float | None, target: str) -> tuple[Suggestion, ...]:
    gained = np.cumsum(choice.gains)
    error = [None if np.isnan(e) else float(e) for e in choice.errors]
    information_error = [None if np.isnan(e) else float(e) for e in choice.information_errors]
    good = choice.study.believed
    return tuple(
        Suggestion(
            params=float(choice.batch.params[j]),
            tokens=float(choice.batch.tokens[j]),
            flops=float(choice.batch.flops[j]),
            gain=float(choice.gains[j]),
            gain_error=error[j],
            after=_after(before, float(gained[j]), target),
            information=float(choice.information[j]),
            information_error=information_error[j],
            method="reweighted" if good[j] else "normal",
            bad_share=float(choice.study.bad[j]),
        )
        for j in range(len(choice.batch))
    )


def _notices(
    choice: Choice,
    before: float | None,
    target: str,
    n_runs: int,
    asked: float | None,
    spend: float,
    budget: float,
) -> list[Notice]:
    found = []
    made = len(choice.batch)
    idle = np.flatnonzero(choice.gains <= choice.errors)  # never where the normal approximation stands in
    if 0 < len(idle) < made:
        which = ("run " if len(idle) == 1 else "runs ") + ", ".join(str(i + 1) for i in idle)
        share = choice.batch.flops[idle].sum() / choice.batch.flops.sum()
        text = (
            f"What {which} would teach beside the others is not to be told from nothing; leaving it out saves "
            f"{share:.0%} of the compute. Ask for fewer with --runs."
        )
        found.append(Notice("idle_runs", text))
    if made < n_runs:
        text = f"The runs budget of {format_flop(spend)} FLOP pays for {made} of {n_runs} runs."
        found.append(Notice("fewer_runs", text))
    if asked is None and spend > RUNS_SHARE * budget * (1 + 1e-9):
        text = (
            f"No runs budget was given; the cheapest run within the limits costs {format_flop(spend)} FLOP, "
            f"{spend / budget:.0%} of the budget. Allow smaller runs with lower limits on params and tokens."
        )
        found.append(Notice("dear_runs", text))
    if not choice.study.believed[-1]:
        text = (
            "Later runs of the batch would move the posterior further than its draws can be reweighted (Pareto k); "
            "their gains are those of a normal approximation. Make the first, fit again and ask again."
        )
        found.append(Notice("normal_approximation", text))
    if before is not None and target != "law" and choice.gains.sum() < LITTLE * before**2:
        share = 100 * max(float(choice.gains.sum()), 0.0) / before**2
        text = f"These runs would remove {share:.2g} % of the variance: more compute or wider limits may do better."
        found.append(Notice("little_to_learn", text))
    if asked is not None and spend > budget:
        found.append(Notice("dear_runs", f"The runs may cost {format_flop(spend)} FLOP, more than the budget itself."))
    return found
