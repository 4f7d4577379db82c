"""`bayes-scaling report [RUNS]`: the whole analysis, as a folder with a page, numbers, tables and figures."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from bayes_scaling.base.errors import DataError
from bayes_scaling.cli import costs, options, output, sources, values
from bayes_scaling.cli.command import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, fallback="pile")
    parser.add_argument("--out", metavar="DIR", help="folder of the report (default: reports/NAME, NAME the runs')")
    options.add_budgets(parser, required=False)
    parser.add_argument(
        "--target-loss",
        type=values.loss,
        metavar="X",
        help="loss to be reached, nats per token: what compute does it take",
    )
    costs.add_costs(parser)
    options.add_ci(parser)
    options.add_laws(parser)
    options.add_sampling(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    laws, settings = sources.law_choice(arguments), sources.sampling(arguments)
    if arguments.out:
        _check_out(Path(arguments.out))
    runs = sources.read_runs(arguments)
    out = Path(arguments.out) if arguments.out else Path("reports") / _folder_name(runs.name)
    _check_out(out)
    from bayes_scaling.reporting import report

    cost = costs.cost_of(arguments, costs.in_money(arguments.budget))
    result = report(
        runs, laws=laws, out=out, budgets=arguments.budget, target_loss=arguments.target_loss, cost=cost, **settings
    )
    return output.emit(arguments, result.to_dict(), [repr(result)])


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file. Name a folder for the report.")
    sources.writable(out / "index.html")
    if out.is_dir() and any(out.iterdir()):
        from bayes_scaling.reporting.ownership import check_ours

        check_ours(out)


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "runs"


COMMAND = Command(
    name="report",
    order=10,
    summary="the whole analysis as a page, with its numbers, tables and figures",
    detail="Fit the laws, weigh them, forecast, and write it all as one folder: index.html (works offline),\n"
    "report.json, tables and figures.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling report",
        "bayes-scaling report runs.csv --budget 1e24 --budget 1e25 --target-loss 2.0 --out reports/mine",
    ),
)
