"""The back-test of fits already made: what a command adds when it averages or compares laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayes_scaling.inference.result import Fit
    from bayes_scaling.prediction.ensemble import Ensemble
    from bayes_scaling.prediction.weights import Averaging
    from bayes_scaling.validation.backtesting import Backtest


def averaged(fits: Sequence[Fit], seed: int, progressbar: bool) -> tuple[Ensemble, Backtest]:
    """The fits averaged by forward validation, and how that average fared at each cut."""
    from bayes_scaling.base.progress import reporting
    from bayes_scaling.validation.averaging import validated_average
    from bayes_scaling.validation.backtesting import judge

    with reporting(progressbar):
        group, validation = validated_average(fits, random_seed=seed)
    return group, judge(validation, [f.law for f in fits], random_seed=seed)


def scored(body: Mapping[str, Any], tested: Backtest) -> dict[str, Any]:
    """The JSON object of `compare` with each law's forward score, and the weights that follow."""
    rule = tested.rule
    laws = [
        {**row, "forward_score": rule.forward_score[row["law"]], "forward_weight": rule.weights[row["law"]]}
        for row in body["laws"]
    ]
    told = [n.to_dict() for n in tested.notices]
    return {
        **body,
        "laws": laws,
        "weights_from": rule.basis,
        "weights": told_of(rule),
        "discrepancy_per_decade": rule.scale_mean,
        "warnings": [*body["warnings"], *(n for n in told if n not in body["warnings"])],
    }


def told_of(rule: Averaging) -> list[dict[str, Any]]:
    """`law`, `prior`, `data` and `final` weight of each law."""
    known = rule.sources
    return [
        {
            "law": name,
            "prior": None if known is None else known.prior[name],
            "data": None if known is None else known.data[name],
            "final": weight,
        }
        for name, weight in rule.weights.items()
    ]


def weights_text(rule: Averaging) -> str:
    """`kaplan_floor 0.52, coupled 0.40, ...; discrepancy 1.3 % per decade`."""
    ordered = sorted(rule.weights.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {weight:.2f}" for name, weight in ordered)
    return f"{shown}; discrepancy {100 * rule.scale_mean:.2g} % of the loss per decade beyond the runs"
