"""The frontier asked the other way: the budget for which a model size, or a number of tokens, is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, Notice, UsageError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.units import format_count
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble
from bayes_scaling.prediction.frontiers import no_optimum

# Budgets looked at: about that of this many tokens a parameter, so many decades either way, so many a decade.
RATIO, DECADES, PER_DECADE = 20.0, 5, 3


@dataclass(frozen=True, eq=False)
class Sizing:
    """Where on the frontier a given quantity lies.

    Parameters
    ----------
    given, value
        "params" or "tokens", and how many.
    values
        `params`, `tokens`, `flops`, `tokens_per_param` and `loss` (without noise) there, dims (draw,); NaN in draws
        whose frontier does not come by.
    """

    given: str
    value: float
    values: Mapping[str, np.ndarray]
    ci_prob: float

    @property
    def missing(self) -> float:
        """Share of draws whose frontier does not come by."""
        return float(np.isnan(self.values["flops"]).mean())

    def to_dict(self) -> dict[str, Any]:
        """An entry of `sizes[]` in the JSON of `frontier`: interval values, and what was given as it is."""
        known = np.isfinite(self.values["flops"])
        told = {name: interval_value(v[known], self.ci_prob) for name, v in self.values.items()}
        return {"given": self.given, "value": self.value, **told, "missing": self.missing}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """A word where some draws have no such point."""
        if self.missing == 0:
            return ()
        text = (
            f"In {max(self.missing, 0.01):.0%} of the draws no budget makes {format_count(self.value)} {self.given} "
            "the best choice; the intervals rest on the others."
        )
        return (Notice("no_optimum", text),)


@keywords()
def sizing(
    fits: Fit | Ensemble | Sequence[Fit],
    *,
    params: float | None = None,
    tokens: float | None = None,
    compute: ComputeModel = SIX_ND,
    ci_prob: float = 0.9,
    random_seed: int | None = None,
) -> Sizing:
    """The compute for which a number of params, or of tokens, is the best, and the other of the two there.

    Parameters
    ----------
    fits
        A fit, several, or an `Ensemble`.
    params, tokens
        One of the two, a count.

    Raises
    ------
    UsageError
        Unless one of the two is given, above 0.
    InfeasibleError
        Where no draw has such a point.
    """
    if (params is None) == (tokens is None):
        raise UsageError("Give params or tokens, one of the two: the frontier says the other.")
    given, value = ("params", params) if params is not None else ("tokens", tokens)
    if value is None or not (np.isfinite(value) and value > 0):
        raise UsageError(f"{given}={value} is no count: it must be above 0, such as 10e9.")
    worlds = predictive(fits, compute=compute, random_seed=random_seed, needs="a frontier")
    middle = float(worlds.compute.flops(value, RATIO * value) if given == "params" else value**2 * 6 / RATIO)
    low, high = middle / 10**DECADES, middle * 10**DECADES
    budgets = np.geomspace(low, high, int(2 * DECADES * PER_DECADE) + 1)
    log_n = best_sizes(worlds, budgets).log_params
    log_c = np.log(budgets)
    along = log_n if given == "params" else np.log(worlds.compute.tokens(np.exp(log_n), budgets))
    found = np.array([_crossing(row, log_c, float(np.log(value))) for row in along])
    if np.isnan(found).all():
        raise InfeasibleError(no_optimum([m.law.name for m in worlds.members], middle))
    flops = np.exp(found)
    n = np.full(len(flops), value) if given == "params" else _params_of(worlds.compute, value, flops)
    d = np.full(len(flops), value) if given == "tokens" else np.asarray(worlds.compute.tokens(n, flops))
    known = np.isfinite(flops)
    at = [np.where(known, v, value)[:, None] for v in (n, d)]
    loss = np.where(known, worlds.loss(*at)[:, 0], np.nan)
    values = {"params": n, "tokens": d, "flops": flops, "tokens_per_param": d / n, "loss": loss}
    return Sizing(given, float(value), values, ci_prob)


def _crossing(values: np.ndarray, log_flops: np.ndarray, wanted: float) -> float:
    """Log compute at which increasing `values`, dims (budget,), are at `wanted`; NaN where they do not come by."""
    known = np.isfinite(values)
    rising = np.maximum.accumulate(values[known])
    if not known.any() or not rising[0] <= wanted <= rising[-1]:
        return float("nan")
    return float(np.interp(wanted, rising, log_flops[known]))


def _params_of(compute: ComputeModel, tokens: float, flops: np.ndarray) -> np.ndarray:
    """Params that `flops` train on `tokens`, dims as `flops`, by bisection in log N."""
    low, high = np.zeros_like(flops), np.log(flops)
    for _ in range(80):
        middle = 0.5 * (low + high)
        dear = compute.flops(np.exp(middle), tokens) > flops
        low, high = np.where(dear, low, middle), np.where(dear, middle, high)
    return np.asarray(np.exp(0.5 * (low + high)))
