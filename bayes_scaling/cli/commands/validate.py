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
    from bayes_scaling.runs.understanding import ColumnReading

_SHOWN = 24
_DIFFER = ("groups_differ", "sweep", "checkpoints", "not_a_loss", "absurd_scatter", "unfinished_runs")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    from bayes_scaling.runs.loading import checked_options, understand
    from bayes_scaling.runs.understanding import readings, to_copy

    begin = perf_counter()
    chosen = checked_options(**sources.reading(arguments))
    found = understand(arguments.runs, chosen)
    runs, columns, copied = found.runs, readings(found, chosen), to_copy(found, chosen)
    if not arguments.json:
        output.print_blocks(_text(runs, columns, copied))
        return 0
    from bayes_scaling.base.provenance import envelope

    known = runs.to_dict()
    body = {
        "runs": {
            "n": runs.n,
            "name": runs.name,
            "source": runs.source,
            "loss_unit": runs.loss_unit,
            "flops_factor": runs.flops_factor,
            "groups": list(runs.groups),
            "columns": [name for name in ("params", "tokens", "flops", "loss", "loss_sd") if known[name] is not None],
            "extra": list(known["extra"]),
            "design": known["design"],
        },
        "understanding": [column.to_dict() for column in columns],
        "options": copied,
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


def _text(runs: Runs, columns: list[ColumnReading], copied: str) -> list[str | output.Table]:
    design = runs.design
    rows = [[k, *(format_count(v) for v in design[k]), f"{design['decades'][k]:.2f}"] for k in ("params", "tokens")]
    rows.append(["flops", *(format_flop(v) for v in design["flops"]), f"{design['decades']['flops']:.2f}"])
    rows.append(["tokens per param", *(f"{v:.3g}" for v in design["tokens_per_param"]), ""])
    rows.append([f"loss, {runs.unit_words}", *(f"{v:.4g}" for v in design["loss"]), ""])
    groups = f", {len(runs.groups)} groups named ({', '.join(runs.groups[:8])}{', …' if len(runs.groups) > 8 else ''})"
    replicates = f", {design['replicates']} replicates" if design["replicates"] else ""
    blocks: list[str | output.Table] = [
        f"{runs.name}: {runs.n} runs{groups if runs.groups else ''}{replicates}",
        output.Table(["", "smallest", "largest", "decades"], rows),
        output.Table(["column", "read as", "unit", "why"], [_row(c) for c in _first(columns)], left=4),
    ]
    if len(columns) > _SHOWN:
        blocks.append(f"and {len(columns) - _SHOWN} more columns, which no fit uses; --json lists them all.")
    if runs.loss_sd is not None:
        blocks.append("Standard errors of the losses are given and will be used.")
    if runs.flops_factor != 1:
        blocks.append(f"Compute is counted as {runs.flops_factor:.4g}·6·params·tokens, the median of the flops given.")
    if runs.groups and not any(notice.code == "groups_differ" for notice in runs.notices):
        blocks.append("The groups do not differ beyond noise at equal params and tokens; all rows are fitted together.")
    if copied:
        blocks.append(f"To say so yourself: {copied}")
    blocks += [f"Warning: {notice.message}" for notice in runs.notices]
    doubtful = [notice.code for notice in runs.notices if notice.code in _DIFFER]
    if doubtful:
        blocks.append(
            f"The table can be read, but it is no plain table of runs ({', '.join(doubtful)}): see the warnings."
        )
    else:
        blocks.append("The table can be used." if not runs.notices else "The table can be used; see the warnings.")
    return blocks


def _first(columns: list[ColumnReading]) -> list[ColumnReading]:
    """Columns with a role first, then others in their order, as many as are shown."""
    return sorted(columns, key=lambda c: not c.role)[:_SHOWN]


def _row(column: ColumnReading) -> list[str]:
    from bayes_scaling.runs.columns import printable

    sure = f" ({column.sure})" if column.sure else ""
    return [printable(column.column), column.role or "-", column.unit, column.why + sure]


COMMAND = Command(
    name="validate",
    order=92,
    summary="check a table of runs, and say how it was understood",
    detail="Says what each column is read as, why and how surely, what the rows are, and which options say the same.\n"
    "Whatever is missing is listed at once, with the options to copy.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling validate runs.csv",
        "bayes-scaling validate runs.csv --map loss=eval/c4_loss --loss-unit bits",
        "bayes-scaling validate sweep.csv --where State=finished --per-cell best",
        "cat runs.csv | bayes-scaling validate - --json",
    ),
)
