"""`bayes-scaling backtest RUNS`: how intervals would have fared on the larger runs of the table itself."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.units import format_flop
from bayes_scaling.cli import forward, options, output, sources
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.validation.backtesting import Backtest

_IDLE = "{names}: no effect on a back-test, whose fits below each cut are of a fixed length, 4 chains of 250 draws."


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser)
    options.add_laws(parser)
    options.add_sampling(parser)
    options.add_ci(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    laws, settings = sources.law_choice(arguments), sources.sampling(arguments)
    runs = sources.read_runs(arguments)
    from bayes_scaling.validation.backtesting import backtest

    kept = ("noise", "priors", "random_seed", "ci_prob", "progressbar")
    result = backtest(runs, laws, **{k: settings[k] for k in kept})
    body = result.to_dict()
    idle = [f"--{name}" for name in ("draws", "chains", "ci") if getattr(arguments, name) is not None]
    if idle:
        body["warnings"].append({"code": "no_effect", "message": _message(idle)})
    return output.emit(arguments, {**body, "runs": sources.told(runs)}, _text(result))


def _message(idle: list[str]) -> str:
    sampler, parts = [name for name in idle if name != "--ci"], []
    if sampler:
        parts.append(_IDLE.format(names=", ".join(sampler)))
    if "--ci" in idle:
        parts.append("--ci: no effect on a back-test, which looks at 50, 80, 90 and 95 % intervals.")
    return " ".join(parts)


def _text(result: Backtest) -> list[str | output.Table]:
    folds = result.folds()
    if not folds:
        return [
            f"Back-test of {result.runs.name}: no cut is possible",
            f"Forecasts weigh the laws by {result.rule.basis}: {forward.weights_text(result.rule)}",
        ]
    every = result.overall()
    blocks: list[str | output.Table] = [
        f"Back-test of {result.runs.name}: {every['n_forecasts']} forecasts of larger runs from smaller ones, "
        f"at {len(folds)} cuts, in {every['n_cells']} cells of cut and distance that count once each",
        "Share of the larger runs inside intervals of 50, 80, 90 and 95 %; pinball, half-width and bias in % "
        "of the loss",
        output.Table(
            ["", "50 %", "80 %", "90 %", "95 %", "pinball", "half-width", "bias", "forward score", "weight"],
            [[name, *_scores(result.overall(name)), *_earned(result, name)] for name in result.names],
        ),
        "The average, by decades beyond the cut",
        output.Table(
            ["decades", "50 %", "80 %", "90 %", "95 %", "pinball", "half-width", "bias", "cells"],
            [
                [f"{r['decades_from']:.1f} to {r['decades_to']:.1f}", *_scores(r), str(r["n_cells"])]
                for r in result.by_decade()
            ],
        ),
        "The average, cut by cut",
        output.Table(
            ["cut, FLOP", "runs below", "forecast", "decades", "in 90 %", "bias", "discrepancy", "weights"],
            [[*_cut(fold), _leading(fold["law_weights"])] for fold in folds],
        ),
        f"Weights for forecasts, from {result.rule.basis}: {forward.weights_text(result.rule)}",
    ]
    if result.misfit:
        blocks.append(f"Misfit: {result.misfit}")
    return blocks


def _scores(row: Mapping[str, Any]) -> list[str]:
    cover = [f"{100 * row['coverage'][level]:.0f}" for level in ("0.5", "0.8", "0.9", "0.95")]
    return [*cover, f"{row['pinball']:.2f}", f"{row['half_width']:.2f}", f"{row['bias']:+.2f}"]


def _earned(result: Backtest, name: str) -> list[str]:
    """Forward score and weight of a law; the average has none of its own."""
    score = result.rule.forward_score.get(name)
    weight = result.rule.weights.get(name)
    return ["" if score is None else f"{score:.2f}", "" if weight is None else f"{weight:.2f}"]


def _cut(fold: Mapping[str, Any]) -> list[str]:
    low, high = fold["decades"]
    return [
        format_flop(fold["cut"]),
        str(fold["n_train"]),
        str(fold["n_test"]),
        f"{low:.1f} to {high:.1f}",
        f"{100 * fold['coverage']['0.9']:.0f} %",
        f"{fold['bias']:+.2f}",
        f"{100 * fold['discrepancy_per_decade']:.2g} %",
    ]


def _leading(weights: Mapping[str, float]) -> str:
    """The two heaviest laws."""
    ordered = sorted(weights.items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{name} {weight:.2f}" for name, weight in ordered)


COMMAND = Command(
    name="backtest",
    order=55,
    summary="how intervals from smaller runs fared on the larger ones",
    detail="Cut the runs along compute, fit every law below each cut, forecast the larger runs, and count.\n"
    "Weights and discrepancy at a cut are learned from the runs below it alone. The fits are of a fixed\n"
    "length, and the intervals looked at are of 50, 80, 90 and 95 %: --draws, --chains and --ci change\n"
    "nothing.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling backtest pile",
        "bayes-scaling backtest runs.csv --laws kaplan_floor,chinchilla,coupled --json",
    ),
)
