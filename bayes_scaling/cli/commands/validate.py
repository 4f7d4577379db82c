"""`bayes-scaling validate RUNS`: is the table understood, and as what?"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING

from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.cli import options, output, sources
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.runs.runs import Runs


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    begin = perf_counter()
    runs = sources.read_runs(arguments)
    if not arguments.json:
        output.print_blocks(_text(runs))
        return 0
    from bayes_scaling.base.provenance import envelope

    known = runs.to_dict()
    body = {
        "runs": {
            "n": runs.n,
            "name": runs.name,
            "source": runs.source,
            "groups": list(runs.groups),
            "columns": [name for name in ("params", "tokens", "flops", "loss", "loss_sd") if known[name] is not None],
            "extra": list(known["extra"]),
            "design": known["design"],
        }
    }
    result = envelope(
        "validate",
        body,
        ci_prob=None,
        seconds={"total": perf_counter() - begin},
        runs_sha256=runs.sha256,
        warnings=runs.notices,
    )
    return output.emit(arguments, result, [])


def _text(runs: Runs) -> list[str | output.Table]:
    design = runs.design
    rows = [[k, *(format_count(v) for v in design[k]), f"{design['decades'][k]:.2f}"] for k in ("params", "tokens")]
    rows.append(["flops", *(format_flop(v) for v in design["flops"]), f"{design['decades']['flops']:.2f}"])
    rows.append(["tokens per param", *(f"{v:.3g}" for v in design["tokens_per_param"]), ""])
    rows.append(["loss, nats per token", *(f"{v:.4g}" for v in design["loss"]), ""])
    groups = f", {len(runs.groups)} groups ({', '.join(runs.groups[:8])}{', …' if len(runs.groups) > 8 else ''})"
    replicates = f", {design['replicates']} replicates" if design["replicates"] else ""
    extra = list(runs.extra.columns)
    blocks: list[str | output.Table] = [
        f"{runs.name}: {runs.n} runs{groups if runs.groups else ''}{replicates}",
        output.Table(["", "smallest", "largest", "decades"], rows),
    ]
    if runs.loss_sd is not None:
        blocks.append("Standard errors of the losses are given and will be used.")
    if extra:
        blocks.append(f"Other columns: {', '.join(map(str, extra))}")
    blocks += [f"Warning: {notice.message}" for notice in runs.notices]
    blocks.append("The table can be used." if not runs.notices else "The table can be used; see the warnings.")
    return blocks


COMMAND = Command(
    name="validate",
    order=92,
    summary="check a table of runs, and say how it was understood",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling validate runs.csv",
        "bayes-scaling validate runs.csv --map loss=eval/c4_loss --loss-unit bits",
        "cat runs.csv | bayes-scaling validate - --json",
    ),
)
