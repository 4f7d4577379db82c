"""`bayes-scaling fleet RUNS…`: a posterior for every data set and law."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.cli import options, output, sources, values
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.fleets.result import Fleet

DRAWS = 500
_SETTINGS = ("noise", "priors", "draws", "chains", "random_seed", "ci_prob", "progressbar")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, several=True)
    parser.add_argument("--by", metavar="COLUMN", help="cut one table into a data set for each value of this column")
    parser.add_argument(
        "--out",
        metavar="FLEET.nc",
        help="save the fleet as netCDF; one that was interrupted goes on from there when called again",
    )
    options.add_laws(parser)
    options.add_sampling(parser, draws=DRAWS)
    group = parser.add_argument_group("where to compute (default: this process, a thread a core)")
    group.add_argument(
        "--workers",
        type=values.whole("--workers", 1),
        metavar="N",
        help="N processes of this machine, one thread each; needs pip install 'bayes-scaling[dask]'",
    )
    group.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="a Dask cluster that is running")
    parser.add_argument("--evidence", action="store_true", help="estimate each member's log evidence, too")
    options.add_ci(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    if arguments.workers and arguments.scheduler:
        raise UsageError("Give --workers N or --scheduler ADDRESS, not both.")
    if arguments.by and len(arguments.runs) > 1:
        raise UsageError("--by cuts one table into data sets; several RUNS are apart already. Give one of the two.")
    if arguments.draws is None:
        arguments.draws = DRAWS
    laws, settings = sources.law_choice(arguments), sources.sampling(arguments)
    del settings["cache"]  # a fleet keeps its own parts, beside its output
    out = None
    if arguments.out is not None:
        from bayes_scaling.fleets.storage import holds_fleet

        out = sources.output(arguments.out, arguments.runs, "fleet", holds_fleet)
    from bayes_scaling.fleets.fitting import fleet
    from bayes_scaling.laws.registry import STANDARD

    how = {
        **{k: settings[k] for k in _SETTINGS},
        "by": arguments.by,
        "evidence": arguments.evidence,
        "keep_draws": out is not None,
        "checkpoint": out and out.with_name(f".{out.name}.parts"),
        **sources.reading(arguments),
    }
    datasets = arguments.runs[0] if arguments.by else arguments.runs
    if arguments.workers or arguments.scheduler:
        from bayes_scaling.fleets.clusters import cluster

        with cluster(arguments.scheduler, arguments.workers) as executor:
            result = fleet(datasets, laws or STANDARD, executor=executor, **how)
    else:
        result = fleet(datasets, laws or STANDARD, **how)
    if out:
        from bayes_scaling.fleets.storage import save_fleet

        save_fleet(result, out)
    body = {**result.to_dict(), "saved": arguments.out}
    return output.emit(arguments, body, _text(result, body))


def _text(result: Fleet, body: dict[str, Any]) -> list[str | output.Table]:
    blocks: list[str | output.Table] = [
        f"{body['n_members']} posteriors, {body['n_redone']} of them redone, {body['n_failed']} failed; "
        f"medians and {output.percent(result.ci_prob)} intervals",
    ]
    for law in result.laws:
        members = [row for row in body["members"] if row["law"] == law.name]
        known = [row for row in members if row["parameters"]]
        blocks.append(f"{law.title}: {law.equation}")
        if not known:
            blocks.append("  no data set could be used")
            continue
        names = list(known[0]["parameters"])
        evidence = ["log evidence", ""] if any(row["log_evidence"] is not None for row in known) else []
        rows = [[row["dataset"], str(row["runs"]["n"]), *_cells(row, names, bool(evidence))] for row in known]
        headers = [part for name in names for part in (name, "")]
        blocks.append(output.Table(["data set", "runs", *headers, *evidence, "R-hat", "verdict"], rows))
    if result.unusable:
        told = {name: " ".join(text.split()) for (name, _), text in result.unusable.items()}
        blocks.append("Not used")
        blocks.append(output.Table(["data set", "why"], [list(item) for item in told.items()], left=2))
    if body["saved"]:
        blocks.append(f"Saved as {body['saved']}")
    return blocks


def _cells(row: dict[str, Any], names: list[str], evidence: bool) -> list[str]:
    cells = []
    for name in names:
        value = row["parameters"][name]
        median, lower, upper = (output.number(value[k], 3) for k in ("median", "lower", "upper"))
        cells += [median, f"[{lower}, {upper}]"]
    if evidence:
        known = row["log_evidence"] is not None
        cells.append(f"{row['log_evidence']:.2f}" if known else "-")
        cells.append(f"± {row['log_evidence_sd']:.2f}{'' if row['log_evidence_ok'] else ' (failed)'}" if known else "")
    verdict = row["diagnostics"]
    return [*cells, f"{verdict['rhat_max']:.3f}", verdict["verdict"]]


COMMAND = Command(
    name="fleet",
    order=25,
    summary="posteriors of many data sets at once, here or on a cluster",
    detail="Sample the posterior of every law on every data set. Numbers do not depend on the order of the data\n"
    "sets, nor on where or on how many workers they are computed. What is wrong with one data set stops no other.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling fleet a.csv b.csv c.csv --law chinchilla",
        "bayes-scaling fleet runs.csv --by corpus --laws kaplan,chinchilla --out fleet.nc",
        "bayes-scaling fleet tables/*.csv --law chinchilla --workers 8 --json > fleet.json",
        "bayes-scaling fleet tables/*.csv --scheduler tcp://10.0.0.5:8786 --out fleet.nc",
    ),
)
