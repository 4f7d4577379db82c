"""Options that several commands share, each defined once.

Their default is None, "not given": what was given explicitly can then be refused where it has no effect.
`default` fills in.
"""

from __future__ import annotations

import argparse
from typing import Any

from bayes_scaling.cli import costs, values
from bayes_scaling.runs.loss_names import UNITS

DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "chains": 4,
    "draws": 1000,
    "ci": 0.9,
    "noise": "student_t",
    "kind": "new-run",
}


def default(arguments: argparse.Namespace, name: str) -> Any:
    """The option's value, or its default where it was not given."""
    value = getattr(arguments, name)
    return DEFAULTS[name] if value is None else value


def add_runs(
    parser: argparse.ArgumentParser, *, saved: bool = False, fallback: str | None = None, several: bool = False
) -> None:
    """The positional RUNS, one or several, and how to read it."""
    what = "data set (see 'bayes-scaling data'), or a table (CSV, JSON, Parquet, Excel, Markdown, …); - reads stdin"
    if saved:
        what += "; or a fit saved by 'bayes-scaling fit --out FIT.nc'"
    if fallback:
        what += f" (default: {fallback})"
    metavar = "RUNS|FIT.nc" if saved else "RUNS"
    if fallback:
        parser.add_argument("runs", metavar=metavar, help=what, nargs="?", default=fallback)
    elif several:
        parser.add_argument("runs", metavar=metavar, help=f"{what}; one or several", nargs="+")
    else:
        parser.add_argument("runs", metavar=metavar, help=what)
    _add_columns(parser.add_argument_group("reading the table"))
    _add_rows(parser.add_argument_group("which rows of it count"))


def _add_columns(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--map",
        action="append",
        metavar="NAME=COLUMN",
        help="which column holds what, e.g. loss=eval/c4_loss, params='Params (M)*1e6'; 'flops=' leaves a column out "
        "(repeatable)",
    )
    group.add_argument(
        "--group",
        metavar="COLUMN",
        help="column that names groups (default: group, family, corpus); nothing is pooled over it",
    )
    group.add_argument(
        "--loss-unit",
        choices=tuple(UNITS),
        help="unit of the table's losses (default: nats, per token); all but error are turned into nats per token",
    )
    group.add_argument(
        "--tokens-per-byte", type=float, metavar="R", help="tokens per byte or character, with --loss-unit bpb or bpc"
    )
    group.add_argument("--tokens-per-word", type=float, metavar="R", help="tokens per word, with --loss-unit bpw")


def _add_rows(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--where",
        action="append",
        metavar="CONDITION",
        help="keep rows that meet it: State=finished, lr<=0.003 (repeatable)",
    )
    group.add_argument("--skip-bad", action="store_true", default=None, help="leave out rows that cannot be used")
    group.add_argument(
        "--last-per", metavar="COLUMN", help="of rows that share COLUMN keep that with the most tokens (checkpoints)"
    )
    group.add_argument(
        "--per-cell", metavar="WHICH", help="of rows of equal params and tokens keep the best, the median, or e.g. q25"
    )
    group.add_argument(
        "--run", dest="run_column", metavar="COLUMN", help="column that names the run whose checkpoints rows are"
    )


def add_laws(parser: argparse.ArgumentParser, *, average: bool = False) -> None:
    """--law and --laws."""
    group = parser.add_argument_group("laws and priors")
    one = "one law by name; see 'bayes-scaling laws'"
    if average:
        one += "; 'average' averages over --laws (default on RUNS)"
    group.add_argument("--law", type=values.law_names, metavar="NAME", help=one)
    group.add_argument(
        "--laws",
        type=values.law_names,
        metavar="A,B,C",
        help="several laws (default: kaplan,kaplan_floor,chinchilla,coupled)",
    )
    _add_priors(group)


def add_law(parser: argparse.ArgumentParser) -> None:
    """--law alone, required."""
    group = parser.add_argument_group("law and priors")
    group.add_argument("--law", type=values.law_names, metavar="NAME", help="law to fit; see 'bayes-scaling laws'")
    _add_priors(group)


def _add_priors(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--noise",
        type=values.noise_name,
        metavar="NAME",
        help="scatter of log loss: student_t, normal, laplace or student_t_growing (default: student_t)",
    )
    group.add_argument(
        "--prior",
        action="append",
        metavar="NAME=PRIOR",
        help="another prior, e.g. 'alpha=lognormal(median=0.3, sigma=0.4)' (repeatable)",
    )


def add_sampling(parser: argparse.ArgumentParser, draws: int = DEFAULTS["draws"]) -> None:
    """How to sample, and what a failure means."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--seed", type=values.whole("--seed", 0), metavar="N", help="random seed (default: 0)")
    group.add_argument("--chains", type=values.whole("--chains", 1), metavar="N", help="chains (default: 4)")
    group.add_argument(
        "--draws", type=values.whole("--draws", 1), metavar="N", help=f"draws a chain (default: {draws})"
    )
    group.add_argument(
        "--platform", choices=("auto", "cpu", "gpu"), help="where to compute (default: auto, a GPU for large problems)"
    )
    group.add_argument(
        "--no-cache", action="store_true", help="sample anew, and keep nothing for later (see 'bayes-scaling cache')"
    )
    group.add_argument("--allow-bad-fit", action="store_true", help="exit 0, not 4, when diagnostics fail")


def add_ci(parser: argparse.ArgumentParser) -> None:
    """`--ci`."""
    parser.add_argument(
        "--ci",
        type=values.probability,
        metavar="PROB",
        help="probability of the equal-tailed intervals (default: 0.9)",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--quiet`, `--allow-bad-fit`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress and no warnings on standard error")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")


def add_budgets(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """`--budget`, which may be given several times."""
    parser.add_argument(
        "--budget",
        action="append",
        type=costs.amount("--budget", strict=True),
        required=required,
        metavar="AMOUNT",
        help=f"training compute (repeatable): {costs.FORMS}",
    )
