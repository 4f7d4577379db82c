"""`bayes-scaling forecast RUNS|FIT.nc --at ...`: the loss of runs that have not been made."""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.cli import options, output, sources, values
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.prediction.forecasting import Forecast

KINDS = ("new-run", "curve")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, saved=True)
    parser.add_argument(
        "--at",
        action="append",
        required=True,
        metavar="SIZES",
        help="two of params, tokens (counts; 7B, 1.4T) and flops, as params=70e9,tokens=1.4e12 (repeatable)",
    )
    parser.add_argument(
        "--kind", choices=KINDS, help="one new run with its noise, or the law's curve (default: new-run)"
    )
    options.add_ci(parser)
    options.add_laws(parser, average=True)
    options.add_sampling(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    saved = sources.is_saved(arguments)
    if not saved:
        _queries(arguments, _inputs(arguments))  # what is wrong with them is said before anything slow
    source = sources.posterior(arguments)
    from bayes_scaling.prediction.ensemble import ensemble
    from bayes_scaling.prediction.forecasting import forecast

    fits = ensemble(source.fits).fits
    inputs = sorted({k for f in fits for k in f.law.inputs})
    queries = _queries(arguments, inputs, fits[0].runs.flops_factor)
    begin = perf_counter()
    result = forecast(
        source.fits,
        kind=options.default(arguments, "kind"),
        ci_prob=options.default(arguments, "ci"),
        random_seed=options.default(arguments, "seed"),
        **queries,
    )
    result = source.mark(result, "forecast", perf_counter() - begin)
    runs = fits[0].runs
    return output.emit(arguments, {**result.to_dict(), "runs": sources.told(runs)}, _text(result, runs.unit_words))


def _inputs(arguments: argparse.Namespace) -> list[str]:
    from bayes_scaling.laws.registry import STANDARD, get_law

    return sorted({k for name in sources.law_choice(arguments) or STANDARD for k in get_law(name).inputs})


def _queries(arguments: argparse.Namespace, inputs: list[str], factor: float | None = None) -> dict[str, Any]:
    """The columns of all --at together; `factor` as in `values.query`."""
    rows = [values.query(text, inputs, factor) for text in arguments.at]
    if len({frozenset(row) for row in rows}) > 1:
        raise UsageError("Each --at must name the same quantities.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _text(result: Forecast, unit: str) -> list[str | output.Table]:
    rows = [
        [
            format_count(row["params"]),
            format_count(row["tokens"]),
            format_flop(row["flops"]),
            f"{row['median']:.4f}",
            output.interval(row, lambda v: f"{v:.4f}"),
            f"{row['decades_beyond']['flops']:.2f}",
        ]
        for row in result.rows()
    ]
    what = "one new run, noise included" if result.kind == "new-run" else "the law's curve, without noise"
    headers = [
        "params",
        "tokens",
        "FLOP",
        "loss",
        f"{output.percent(result.ci_prob)} interval",
        "decades beyond",
    ]
    return [
        f"Forecast of {what}, {unit}",
        output.Table(headers, rows, left=0),
        weights_line(result.law_weights, result.weights_from),
        *_trust(result),
    ]


def _trust(result: Forecast) -> list[str | output.Table]:
    """Where the weights come from, and what the forecast would be without the trust that laws begin with."""
    if result.alike is None:
        return []
    rows = [
        [str(r["law"]), *(f"{r[k]:.2f}" for k in ("prior", "data", "final"))]
        for r in sorted(result.weights_told, key=lambda r: -float(r["final"]))
    ]
    brief = result.alike.brief()["forecasts"]
    told = [f"{v['median']:.4f} {output.interval(v, lambda x: f'{x:.4f}')}" for v in brief]
    return [
        "Prior weights come from how each law extrapolated on other tables (docs/forecasts.md); data, from these runs' "
        "own larger ones",
        output.Table(["law", "prior", "data alone", "final"], rows),
        f"Were all laws trusted alike beforehand: {'; '.join(told)}",
    ]


def weights_line(weights: object, basis: str) -> str:
    """`Laws averaged, weights from forward validation at 4 cuts (...): coupled 0.58, kaplan_floor 0.42`."""
    items = dict(weights) if isinstance(weights, dict) else {}
    if len(items) == 1:
        return f"Law: {next(iter(items))}"
    shown = ", ".join(f"{name} {w:.2f}" for name, w in sorted(items.items(), key=lambda item: -item[1]))
    return f"Laws averaged, weights from {basis}: {shown}"


COMMAND = Command(
    name="forecast",
    order=30,
    summary="loss of runs not yet made, with intervals",
    detail="Forecast the loss, nats per token, of new runs: a blend of laws, weighed by how each fared\n"
    "on larger runs, with a discrepancy that grows with distance; or one law alone, taken for the truth,\n"
    "where one is named.\n"
    "'decades beyond' says how far in compute a forecast lies outside the runs, in powers of ten.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling forecast pile --at params=70B,tokens=1.4T",
        "bayes-scaling forecast runs.csv --at flops=1e24,tokens=4T --at flops=1e25,tokens=12T --kind curve",
        "bayes-scaling forecast chinchilla.nc --at params=70e9,tokens=1.4e12 --ci 0.5 --json",
    ),
)
