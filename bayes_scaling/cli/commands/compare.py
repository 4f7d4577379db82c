"""`bayes-scaling compare RUNS`: the evidence between laws."""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bayes_scaling.cli import forward, options, output, sources
from bayes_scaling.cli.command import Command
from bayes_scaling.errors import UsageError

if TYPE_CHECKING:
    from bayes_scaling.backtesting import Backtest
    from bayes_scaling.comparing import Evidence


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_runs(parser)
    options.add_laws(parser)
    options.add_sampling(parser)
    options.add_ci(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    laws = sources.law_choice(arguments)
    if laws and len(laws) < 2:
        raise UsageError(f"compare needs two laws or more, such as --laws {laws[0]},kaplan_floor; 'fit' takes one.")
    settings = sources.sampling(arguments)
    runs = sources.read_runs(arguments)
    from bayes_scaling.comparing import compare

    result = compare(runs, laws, **settings)
    begin = perf_counter()
    _, tested = forward.averaged(result.fits, settings["random_seed"], settings["progressbar"])
    body = forward.scored(result.to_dict(), tested)
    spent = perf_counter() - begin
    body["seconds"] = {**body["seconds"], "total": body["seconds"]["total"] + spent, "backtest": spent}
    return output.emit(arguments, body, _text(result, body, tested))


def _text(result: Evidence, body: dict[str, Any], tested: Backtest) -> list[str | output.Table]:
    rows = [
        [row["law"], f"{row['log_evidence']:.2f} ± {row['log_evidence_sd']:.2f}", f"{row['probability']:.3f}",
         f"{row['elpd_loo']:.1f} ± {row['elpd_loo_se']:.1f}", f"{row['pareto_k_max']:.2f}",
         f"{row['stacking_weight']:.2f}", output.number(row["forward_score"], 3),
         f"{row['forward_weight']:.2f}", row["verdict"]]
        for row in body["laws"]
    ]  # fmt: skip
    headers = ["law", "log evidence", "probability", "elpd LOO", "Pareto k", "stacking", "forward score"]
    headers += ["forward weight", "fit"]
    factors = [
        [f"{b.numerator} over {b.denominator}", f"{b.log_bf:.2f} ± {b.log_bf_sd:.2f}", b.verdict]
        for b in result.bayes_factors
    ]
    return [
        f"Evidence on {result.runs.name}, {result.runs.n} runs, in nats; all laws equally likely beforehand",
        output.Table(headers, rows),
        "Log Bayes factors, nats",
        output.Table(["", "log BF", "the evidence is"], factors),
        "The forward score is the mean log density, in nats, that a law fitted to smaller runs gave to larger\n"
        f"ones. Forecasts rest on the forward weights, from {tested.rule.basis}: {forward.weights_text(tested.rule)}",
    ]


COMMAND = Command(
    name="compare",
    order=50,
    summary="evidence between laws, Bayes factors, forward score",
    detail="Which law the runs support, and by how much: log evidence (bridge sampling), Bayes factors,\n"
    "leave-one-out scores, stacking weights, and the forward score: how well each law, fitted to smaller\n"
    "runs, foretold larger ones.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling compare pile",
        "bayes-scaling compare runs.csv --laws kaplan,chinchilla --noise laplace --json",
    ),
)
