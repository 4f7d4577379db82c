"""`bayes-scaling compare RUNS`: the evidence between laws."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bayes_scaling.cli import options, output, sources
from bayes_scaling.cli.command import Command
from bayes_scaling.errors import UsageError

if TYPE_CHECKING:
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
        raise UsageError(
            f"compare needs two laws or more, such as --laws {laws[0]},kaplan_floor; 'fit' takes one."
        )
    settings = sources.sampling(arguments)
    runs = sources.read_runs(arguments)
    from bayes_scaling.comparing import compare

    result = compare(runs, laws, **settings)
    return output.emit(arguments, result.to_dict(), _text(result))


def _text(result: Evidence) -> list[str | output.Table]:
    rows = [
        [row["law"], f"{row['log_evidence']:.2f} ± {row['log_evidence_sd']:.2f}", f"{row['probability']:.3f}",
         f"{row['elpd_loo']:.1f} ± {row['elpd_loo_se']:.1f}", f"{row['pareto_k_max']:.2f}",
         f"{row['stacking_weight']:.2f}", row["verdict"]]
        for row in result.rows()
    ]  # fmt: skip
    headers = ["law", "log evidence", "probability", "elpd LOO", "Pareto k", "stacking", "fit"]
    factors = [
        [f"{b.numerator} over {b.denominator}", f"{b.log_bf:.2f} ± {b.log_bf_sd:.2f}", b.verdict]
        for b in result.bayes_factors
    ]
    return [
        f"Evidence on {result.runs.name}, {result.runs.n} runs, in nats; all laws equally likely beforehand",
        output.Table(headers, rows),
        "Log Bayes factors, nats",
        output.Table(["", "log BF", "the evidence is"], factors),
    ]


COMMAND = Command(
    name="compare",
    order=50,
    summary="evidence between laws, Bayes factors, leave-one-out",
    detail="Which law the runs support, and by how much: log evidence (bridge sampling), Bayes factors,\n"
    "leave-one-out scores and stacking weights.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling compare pile",
        "bayes-scaling compare runs.csv --laws kaplan,chinchilla --noise laplace --json",
    ),
)
