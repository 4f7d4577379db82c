"""`bayes-scaling frontier RUNS|FIT.nc --budget ...`: the compute-optimal size, tokens and loss."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.cli import costs, options, output, sources, values
from bayes_scaling.cli.command import Command
from bayes_scaling.cli.commands.forecast import weights_line

if TYPE_CHECKING:
    from bayes_scaling.prediction.frontiers import Frontier
    from bayes_scaling.prediction.sizing import Sizing


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, saved=True)
    options.add_budgets(parser, required=False)
    for name, what in (("params", "model size"), ("tokens", "number of training tokens")):
        parser.add_argument(
            f"--{name}",
            action="append",
            type=values.count(f"--{name}"),
            metavar="COUNT",
            help=f"a {what} instead: for which budget it is the best, and the other quantity there (repeatable)",
        )
    costs.add_costs(parser)
    options.add_ci(parser)
    options.add_laws(parser, average=True)
    options.add_sampling(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    if not (arguments.budget or arguments.params or arguments.tokens):
        raise UsageError("Nothing to ask of the frontier: give --budget 1e24, --params 10B or --tokens 1T.")
    source = sources.posterior(arguments)
    from bayes_scaling.decisions.costs import typical_flops
    from bayes_scaling.prediction.drawing import predictive
    from bayes_scaling.prediction.ensemble import ensemble
    from bayes_scaling.prediction.frontiers import frontier
    from bayes_scaling.prediction.sizing import sizing

    begin = perf_counter()
    known = predictive(source.fits, needs="a frontier").known_flops[1]
    cost = costs.cost_of(arguments, costs.in_money(arguments.budget))
    ci = options.default(arguments, "ci")
    asked = [{name: value} for name in ("params", "tokens") for value in getattr(arguments, name) or ()]
    sizes = [sizing(source.fits, ci_prob=ci, **one) for one in asked]
    budgets = [typical_flops(b, cost, float(known)) for b in arguments.budget or ()]
    # A size or a number of tokens alone is answered at the budget for which it is the best.
    budgets = budgets or [float(s.to_dict()["flops"]["median"]) for s in sizes]
    result = frontier(source.fits, budgets, ci_prob=ci)
    result = source.mark(result, "frontier", perf_counter() - begin)
    runs = ensemble(source.fits).fits[0].runs
    told = {"sizes": [s.to_dict() for s in sizes], "runs": sources.told(runs)}
    result = replace(result, notices=(*result.notices, *(n for s in sizes for n in s.notices)))
    return output.emit(arguments, {**result.to_dict(), **told}, [*_sizes(sizes), *_text(result)])


def _sizes(sizes: Sequence[Sizing]) -> list[str | output.Table]:
    """What a size, or a number of tokens, is the best for."""
    lines: list[str | output.Table] = []
    for s in sizes:
        body, other = s.to_dict(), "tokens" if s.given == "params" else "params"
        lines.append(
            f"{format_count(s.value)} {s.given} are the best at {format_flop(body['flops']['median'])} FLOP "
            f"{output.interval(body['flops'], format_flop)}, with {format_count(body[other]['median'])} {other} "
            f"{output.interval(body[other], format_count)}: a loss of {body['loss']['median']:.4f} "
            f"{output.interval(body['loss'], lambda v: f'{v:.4f}')}"
        )
    return lines


def _text(result: Frontier) -> list[str | output.Table]:
    names = ("params", "tokens", "tokens_per_param", "loss")
    blocks: list[str | output.Table] = [
        f"Compute-optimal frontier, {result.compute}; medians and {output.percent(result.ci_prob)} intervals"
    ]
    rows = []
    for row in result.rows():
        cells = [format_flop(row["flops"])]
        for name in names:
            form = (lambda v: f"{v:.4f}") if name == "loss" else format_count
            cells += [form(row[name]["median"]), output.interval(row[name], form)]
        rows.append([*cells, f"{row['decades_beyond']['flops']:.2f}"])
    headers = ["FLOP", "params", "", "tokens", "", "tokens/param", "", "loss", "", "decades beyond"]
    blocks.append(output.Table(headers, rows, left=0))
    a, b = result.exponents["params"], result.exponents["tokens"]
    grow = [f"compute^{v['median']:.3f} {output.interval(v, lambda x: f'{x:.3f}')}" for v in (a, b)]
    blocks.append(f"At the largest budget params grow as {grow[0]}, tokens as {grow[1]}")
    blocks.append(weights_line(dict(result.law_weights), result.weights_from))
    return blocks


COMMAND = Command(
    name="frontier",
    order=40,
    summary="compute-optimal params, tokens and loss of a budget",
    detail="The model size and tokens that give the lowest loss for a training budget, with intervals; or, of a model\n"
    "size or a number of tokens, the budget for which it is the best and the other quantity there.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling frontier pile --budget 1e24",
        "bayes-scaling frontier runs.csv --budget 1e22 --budget 100PF-days --law chinchilla",
        "bayes-scaling frontier chinchilla.nc --budget 1e24 --json",
        "bayes-scaling frontier pile --params 10B --tokens 1T",
    ),
)
