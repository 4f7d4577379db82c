"""`Decision`: what to train, what it risks, and the table behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.provenance import envelope
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.decisions.assurance import Assurance
from bayes_scaling.decisions.costs import DAYS, FLOPS, HOURS, MONEY, Amount, CostModel
from bayes_scaling.decisions.limits import Limits
from bayes_scaling.decisions.rules import RULES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Decision:
    """The answer to a question about a budget.

    Parameters
    ----------
    decisions
        One row a rule: `rule`; `params`, `tokens`, `flops` (training); `total_flops` (with serving); `cost` (interval
        value in `cost_model.unit`); `days` on the cluster; `loss` (interval value: curve plus discrepancy), `new_run`
        (the loss that will be seen, noise included), `quantile` and `cvar` at `level`, `regret` (expected loss above
        that of each draw's own best plan), `p_target`; and the Monte-Carlo error of each in `mcse`.
    budget
        What was asked for; None where a target alone was.
    budget_flops
        What it buys, FLOP, interval value.
    optimum
        Where the best plan on this compute lies: `params`, `tokens`, `loss`, interval values over draws, as the
        frontier has them; and `limited`, the same among the plans that limits and serving leave (None without any).
    worth
        `knowing`: what knowing the truth would save, nats per token: the expected regret of the plan of least expected
        loss. `study` is None: no runs are looked at here.
    flat
        Range of sizes whose expected loss is within 0.5 % of the best: `params` and `tokens`, and `within`.
    thrifty
        The cheapest plan whose expected loss is within 0.5 % of the best on this budget; None where none is cheaper.
    assured_cost
        The assured budget as `device_hours`, `money` and `days`, interval values, None where not known.
    assurance
        The smallest budget that makes the target safe; None without a target.
    serving
        The optimum over the model's life, draw by draw; None where nothing is served.
    comparison
        Candidate plans and their differences (see `plans.compare_plans`); None without any.
    fan
        Quantiles of the loss that will be seen over budgets.
    """

    decisions: tuple[Mapping[str, Any], ...]
    budget: Amount | None
    budget_flops: Mapping[str, Any] | None
    optimum: Mapping[str, Any] | None
    worth: Mapping[str, Any] | None
    flat: Mapping[str, Any] | None
    thrifty: Mapping[str, Any] | None
    assurance: Assurance | None
    assured_cost: Mapping[str, Any] | None
    serving: Mapping[str, Any] | None
    comparison: Mapping[str, Any] | None
    fan: tuple[Mapping[str, float], ...]
    cost_model: CostModel
    limits: Limits
    level: float
    target_loss: float | None
    law_weights: Mapping[str, float]
    weights_from: str
    compute: str
    decades_beyond: float | None
    ci_prob: float
    random_seed: int
    runs_sha256: str
    notices: tuple[Notice, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def rule(self, name: str) -> Mapping[str, Any]:
        """The row of one rule."""
        return next(row for row in self.decisions if row["rule"] == name)

    @property
    def unattainable(self) -> str | None:
        """Why no budget makes the target safe; None where one does, or no target was given."""
        return None if self.assurance is None else self.assurance.message or None

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The row that the sentence speaks of: the expected loss's, else the first rule asked for."""
        if not self.decisions:
            return None
        return next((r for r in self.decisions if r["rule"] == "expected"), self.decisions[0])

    @property
    def sentence(self) -> str:
        """The answer in words."""
        parts = []
        if self.best is not None:
            parts.append(self._plan_words(self.best))
        if self.flat is not None and self.best is not None:
            parts.append(self._flat_words(self.flat))
        if self.thrifty is not None:
            parts.append(self._thrifty_words(self.thrifty))
        if self.assurance is not None:
            parts.append(self._assured_words(self.assurance))
        if self.comparison is not None and len(self.comparison["plans"]) == 1:
            only = self.comparison["plans"][0]
            span = f"{only['loss']['lower']:.3f} to {only['loss']['upper']:.3f} with probability {self.ci_prob:g}"
            parts.append(f"The plan {only['name']}: an expected loss of {only['loss']['mean']:.3f}, {span}.")
        elif self.comparison is not None:
            first = max(self.comparison["plans"], key=lambda r: r["p_best"])
            parts.append(f"Of the plans, {first['name']} is the best with probability {_chance(first['p_best'])}.")
        return " ".join(parts)

    def _thrifty_words(self, plan: Mapping[str, Any]) -> str:
        size = f"{format_count(plan['params'])} parameters on {format_count(plan['tokens'])} tokens"
        return f"{size} lose at most {100 * plan['within']:g} % more, for {plan['share']:.2g} of the budget."

    def _assured_words(self, a: Assurance) -> str:
        if a.flops is None:
            return a.message
        cost = [f"{format_flop(a.flops)} FLOP"]
        known = self.assured_cost or {}
        unit = self.cost_model.unit if self.budget is None else self.budget.unit
        if known.get("money") and unit not in (FLOPS, HOURS, DAYS):
            cost.append(cost_words(known["money"], self.cost_model.currency))
        if known.get("days") and unit == DAYS:
            cost.append(cost_words(known["days"], DAYS))
        elif known.get("device_hours") and unit == HOURS:
            cost.append(cost_words(known["device_hours"], HOURS))
        return f"{', or '.join(cost)} are the least that reach {a.target_loss:g} with probability {a.probability:g}."

    def _flat_words(self, flat: Mapping[str, Any]) -> str:
        low, high = flat["params"]["lower"], flat["params"]["upper"]
        sizes = flat.get("sizes")
        if len(self.limits.offered) == 1:
            return "No other size is on offer."
        if sizes and len(sizes) == 1:
            return f"No other size on offer comes within {100 * flat['within']:g} % of its loss on this budget."
        named = ", ".join(format_count(s) for s in sizes) if sizes else f"{format_count(low)} to {format_count(high)}"
        return f"Sizes within {100 * flat['within']:g} % of the best loss on this budget: {named}."

    def _plan_words(self, row: Mapping[str, Any]) -> str:
        if self.budget is not None:
            purse = f"With {self.budget}"
        else:
            assert self.assurance is not None
            if self.assurance.flops is None:
                purse = f"With {format_flop(self.assurance.spent)} FLOP, the surest budget"
            else:
                purse = f"To reach {self.assurance.target_loss:g} with probability {self.assurance.probability:g}"
        seen, plan = row["new_run"], f"{format_count(row['params'])} parameters on {format_count(row['tokens'])} tokens"
        target = ""
        if row["p_target"] is not None:
            target = f", at or below {self.target_loss:g} with probability {_chance(row['p_target'])}"
        told = self.cost_model.unit == FLOPS or (self.budget is not None and self.budget.unit in (MONEY, HOURS))
        cost = "" if told else f" for {cost_words(row['cost'], self.cost_model.unit)}"
        short = ""
        if row["p_short"]:
            short = f" The money runs out before all tokens are served with probability {_chance(row['p_short'])}."
        return (
            f"{purse}, train {plan}{cost} ({RULES[row['rule']].looks_for}): a loss of {seen['median']:.3f}, "
            f"{seen['lower']:.3f} to {seen['upper']:.3f} with probability {self.ci_prob:g}{target}.{short}"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a rule."""
        import pandas as pd

        keep = ("rule", "params", "tokens", "flops", "quantile", "cvar", "regret", "p_target")
        rows = []
        for row in self.decisions:
            flat = {k: row[k] for k in keep}
            for name in ("loss", "new_run", "cost"):
                flat |= {f"{name}_{k}": row[name][k] for k in ("median", "lower", "upper")}
            rows.append(flat | {"loss_mean": row["loss"]["mean"]})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `decide`."""
        body = {
            "sentence": self.sentence,
            "budget": None
            if self.budget is None
            else {"amount": self.budget.value, "unit": self.budget.unit, "currency": self.budget.currency or None},
            "budget_flops": self.budget_flops,
            "target_loss": self.target_loss,
            "level": self.level,
            "decisions": [dict(row) for row in self.decisions],
            "assurance": self._assured(),
            "unattainable": self.unattainable,
            "optimum": self.optimum,
            "worth": self.worth,
            "flat": self.flat,
            "thrifty": self.thrifty,
            "serving": self.serving,
            "plans": None if self.comparison is None else self.comparison["plans"],
            "differences": None if self.comparison is None else self.comparison["differences"],
            "fan": [dict(row) for row in self.fan],
            "cost_model": self.cost_model.to_dict(),
            "limits": self.limits.to_dict(),
            "decades_beyond": self.decades_beyond,
            "law_weights": dict(self.law_weights),
            "weights_from": self.weights_from,
            "compute": self.compute,
        }
        return envelope(
            "decide",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.random_seed,
            runs_sha256=self.runs_sha256,
            warnings=self.notices,
        )

    def _assured(self) -> dict[str, Any] | None:
        if self.assurance is None:
            return None
        return {**self.assurance.to_dict(self.ci_prob), "cost": self.assured_cost}

    def __repr__(self) -> str:
        lines = [self.sentence]
        for row in self.decisions:
            target = "" if row["p_target"] is None else f", target {row['p_target']:.3f}"
            lines.append(
                f"  {row['rule']:9s} params {row['params']:.4g}, tokens {row['tokens']:.4g}: expected "
                f"{row['loss']['mean']:.4f}, worst {1 - self.level:.0%} {row['cvar']:.4f}, regret "
                f"{row['regret']:.4f}{target}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def _chance(p: float) -> str:
    """Two digits, and never a certainty."""
    return "over 0.99" if p > 0.99 else "under 0.01" if p < 0.01 else f"{p:.2f}"


def cost_words(cost: Mapping[str, Any], unit: str) -> str:
    """`2.1M USD (1.7M to 2.9M)`."""
    form = format_flop if unit == FLOPS else format_count
    words = f"{form(cost['median'])} {unit if unit != HOURS else 'device-hours'}"
    if cost["upper"] > cost["lower"] * 1.0005:
        words += f" ({form(cost['lower'])} to {form(cost['upper'])})"
    return words
