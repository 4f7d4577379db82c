"""`bayes-scaling next RUNS|FIT.nc --budget ...`: the small runs worth making before the large one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.base.units import format_count, format_flop, parse_count
from bayes_scaling.cli import costs, options, output, sources, values
from bayes_scaling.cli.command import Command
from bayes_scaling.cli.commands.forecast import weights_line

if TYPE_CHECKING:
    from bayes_scaling.experiments.result import Suggestions

TARGETS = ("params", "loss", "target-loss", "law", "information")
RANKS = ("gain", "gain-per-flop")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, saved=True)
    group = parser.add_argument_group("the decision")
    group.add_argument(
        "--budget", type=costs.amount("--budget"), required=True, metavar="AMOUNT",
        help=f"for the large run: {costs.FORMS}",
    )  # fmt: skip
    group.add_argument(
        "--target", choices=TARGETS,
        help="what the runs are to teach: the best params at the budget, the loss there, whether it reaches "
        "--target-loss, which law holds, or everything (default: params)",
    )  # fmt: skip
    group.add_argument("--target-loss", type=_loss, metavar="X", help="loss asked for, nats per token")
    group.add_argument(
        "--price-per-flop", type=_price, metavar="MONEY", help="price of one FLOP, e.g. 2e-18, for values in money"
    )
    group = parser.add_argument_group("the runs")
    group.add_argument(
        "--runs-budget", type=costs.amount("--runs-budget"), metavar="AMOUNT",
        help="compute of all suggested runs together (default: as much as the largest runs known, at the most a "
        "tenth of --budget, or the cheapest run)",
    )  # fmt: skip
    group.add_argument(
        "--runs", dest="n_runs", type=values.whole("--runs", 1), metavar="N", help="how many (default: 4)"
    )
    group.add_argument(
        "--rank", choices=RANKS,
        help="the batch that teaches most within the runs budget, or the run with the most gain per FLOP, again and "
        "again (default: gain)",
    )  # fmt: skip
    for name, what in (("params", "parameters"), ("tokens", "tokens")):
        group.add_argument(
            f"--{name}", type=_range(f"--{name}"), metavar="MIN:MAX",
            help=f"{what} of a run, e.g. 100M:2B; either end may be left out (default: from the smallest run known)",
        )  # fmt: skip
    group.add_argument(
        "--tokens-per-param", type=_range("--tokens-per-param"), metavar="MIN:MAX",
        help="tokens per parameter of a run, e.g. 5:500 (default: as in the runs known)",
    )  # fmt: skip
    costs.add_costs(parser)
    options.add_ci(parser)
    options.add_laws(parser, average=True)
    options.add_sampling(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    source = sources.posterior(arguments)
    from bayes_scaling.experiments.suggesting import suggest

    target = arguments.target or ("params" if arguments.target_loss is None else "target-loss")
    begin = perf_counter()
    result = suggest(
        source.fits,
        budget=arguments.budget,
        runs_budget=arguments.runs_budget,
        n_runs=arguments.n_runs or 4,
        target=target,
        target_loss=arguments.target_loss,
        rank=arguments.rank or "gain",
        params=arguments.params,
        tokens=arguments.tokens,
        tokens_per_param=arguments.tokens_per_param,
        price_per_flop=arguments.price_per_flop,
        cost=costs.cost_of(arguments, costs.in_money([arguments.budget])),
        ci_prob=options.default(arguments, "ci"),
        random_seed=options.default(arguments, "seed"),
    )
    result = source.mark(result, "design", perf_counter() - begin)
    return output.emit(arguments, result.to_dict(), _text(result))


def _loss(text: str) -> float:
    return values.loss(text)


def _price(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--price-per-flop takes a number; '{text}' is none. Write 2e-18.") from None
    if not 0 < value < float("inf"):
        raise DataError(f"--price-per-flop {text} is no price: give one above 0, such as 2e-18.")
    return value


def _range(option: str) -> Callable[[str], tuple[float, float]]:
    """Reads `MIN:MAX`, either of which may be left out."""

    def read(text: str) -> tuple[float, float]:
        first, colon, last = (part.strip() for part in text.partition(":"))
        try:
            if not colon or not (first or last):
                raise ValueError("two counts with a colon between are needed")
            # An end left out is as far as any run could go.
            ends = parse_count(first) if first else 1e-3, parse_count(last) if last else float("inf")
        except ValueError as error:
            raise UsageError(f"{option} '{text}' cannot be used: {error}. Write {option} 100M:2B.") from None
        if ends[0] > ends[1]:
            raise UsageError(f"{option} {text}: the smaller comes first.")
        return ends

    return read


def _text(result: Suggestions) -> list[str | output.Table]:
    rows = []
    for s in result.suggestions:
        error = "" if s.gain_error is None else f"± {s.gain_error:.1g}"
        after = "-" if s.after is None else f"{s.after:.3g}"
        sizes = [format_count(s.params), format_count(s.tokens), f"{s.tokens / s.params:.3g}", format_flop(s.flops)]
        rows.append([*sizes, f"{s.gain:.3g}", error, f"{s.gain_per_flop:.2e}", after, f"{s.information:.2f}"])
    headers = [
        "params", "tokens", "tokens/param", "FLOP", "gain", "", "gain/FLOP", "spread after", "information, nats",
    ]  # fmt: skip
    lines: list[str | output.Table] = [
        f"Runs to make next, to learn {result.target.title}, {format_flop(result.budget)} FLOP",
        output.Table(headers, rows, left=0),
        f"Gain: {result.target.unit}; each run's is given those above it",
    ]
    if result.before is not None and result.after is not None:
        spread = f"{result.target.spread}: {result.before:.3g} now, {result.after:.3g} expected after these runs"
        lines.append(f"{spread}, which cost {format_flop(result.flops)} FLOP")
    if result.probability is not None:
        lines.append(f"Probability of {result.target_loss:.4g} nats per token now: {result.probability:.3f}")
    return [*lines, *_worth(result), weights_line(dict(result.law_weights), result.weights_from)]


def _worth(result: Suggestions) -> list[str]:
    value = result.worth
    lines = []
    for what, v in (("what these runs show", value.study), ("the truth", value.perfect)):
        money = "" if v.money is None else f", {v.money:.3g} in money"
        lines.append(
            f"Knowing {what} saves {v.loss:.2g} ± {v.loss_error:.1g} nats per token ({100 * v.share:.2g} %) on "
            f"average, as much as {format_flop(v.flops)} FLOP more would{money}"
        )
    return lines


COMMAND = Command(
    name="next",
    order=75,
    summary="the small runs that would change a decision most",
    detail="Suggest which small runs to make before a budget is spent: the batch that teaches most, for what it\n"
    "costs, about the best size at the budget, the loss there, a target loss or the law; and what knowing\n"
    "more is worth for the choice of a size. Costs are 6·params·tokens.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling next pile --budget 1e23 --runs-budget 1e21",
        "bayes-scaling next runs.csv --budget 1e24 --runs 6 --tokens-per-param 2:200 --target law",
        "bayes-scaling next chinchilla.nc --budget 1e24 --target-loss 2.05 --price-per-flop 2e-18 --json",
    ),
)
