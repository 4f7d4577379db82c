"""`bayes-scaling decide RUNS|FIT.nc ...`: what to train with a budget, and what it risks."""

from __future__ import annotations

import argparse
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.cli import costs, options, output, sources, values
from bayes_scaling.cli.command import Command
from bayes_scaling.cli.commands.forecast import weights_line

if TYPE_CHECKING:
    from bayes_scaling.decisions.limits import Limits
    from bayes_scaling.decisions.request import Request
    from bayes_scaling.decisions.result import Decision

UNATTAINABLE = 3
_PLAN = "Write for example --plan params=7B,tokens=1T or --plan params=7B,tokens=1T,price=2e6,name=small."


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser, saved=True)
    group = parser.add_argument_group("the question")
    group.add_argument(
        "--budget",
        metavar="AMOUNT",
        help=costs.FORMS,
    )
    group.add_argument(
        "--target-loss", type=values.loss, metavar="LOSS", help="loss to end at or below, nats per token"
    )
    group.add_argument(
        "--probability",
        type=values.number("--probability"),
        default=0.9,
        help="of the target, for the assured budget (default: 0.9)",
    )
    group.add_argument(
        "--inference-tokens",
        metavar="TOKENS",
        help="tokens served over the model's life: 2T, or 'lognormal(median=2e12, sigma=0.5)'",
    )
    group.add_argument(
        "--plan",
        action="append",
        metavar="PLAN",
        help="a candidate, params=7B,tokens=1T (and, if any, price=, name=), held against the others (repeatable)",
    )
    group.add_argument(
        "--rule",
        action="append",
        metavar="NAME",
        help="expected, quantile, cvar, target, regret or minimax (repeatable; default: all)",
    )
    group.add_argument(
        "--level",
        type=values.number("--level"),
        default=0.9,
        help="of the quantile and CVaR (default: 0.9, the worst tenth)",
    )
    costs.add_costs(parser, deadline=True)
    _configure_limits(parser)
    options.add_ci(parser)
    options.add_laws(parser, average=True)
    options.add_sampling(parser)
    options.add_output(parser)


def _configure_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument("--max-params", type=values.count("--max-params"), metavar="N", help="largest model")
    group.add_argument("--min-params", type=values.count("--min-params"), metavar="N", help="smallest model")
    group.add_argument("--max-tokens", type=values.count("--max-tokens"), metavar="D", help="distinct tokens there are")
    group.add_argument("--sizes", metavar="A,B,C", help="model sizes on offer, such as 7B,13B,70B")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    asked = _request(arguments)
    source = sources.posterior(arguments)
    from bayes_scaling.decisions.deciding import answer

    begin = perf_counter()
    result = answer(source.fits, asked, random_seed=options.default(arguments, "seed"))
    parts = {k: v for k, v in result.seconds.items() if k not in ("total", "posterior")}
    spent = perf_counter() - begin
    result = source.mark(result, "decision", spent)
    body = result.to_dict()
    body["seconds"] |= parts
    code = output.emit(arguments, body, _text(result))
    if result.unattainable is None:
        return code
    print(f"Error: {result.unattainable}", file=sys.stderr)
    return code or UNATTAINABLE


def _request(arguments: argparse.Namespace) -> Request:
    from bayes_scaling.decisions.request import ask

    return ask(
        budget=arguments.budget,
        target_loss=arguments.target_loss,
        probability=arguments.probability,
        inference_tokens=arguments.inference_tokens,
        rules=arguments.rule,
        level=arguments.level,
        limits=_limits(arguments),
        cost=costs.cost_of(arguments, arguments.budget),
        plans=[_plan(text) for text in arguments.plan or ()],
        ci_prob=options.default(arguments, "ci"),
    )


def _limits(arguments: argparse.Namespace) -> Limits:
    from bayes_scaling.decisions.limits import Limits

    sizes = [s for s in (arguments.sizes or "").split(",") if s.strip()]
    return Limits(
        arguments.min_params,
        arguments.max_params,
        arguments.max_tokens,
        tuple(values.count("--sizes")(s) for s in sizes),
    )


def _plan(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        name = {"N": "params", "D": "tokens"}.get(name, name)
        if not equals or name not in ("params", "tokens", "price", "name"):
            raise UsageError(f"Cannot read '{item}' in --plan '{text}'. {_PLAN}")
        if name in found:
            raise UsageError(f"--plan '{text}' gives {name} twice. {_PLAN}")
        found[name] = value if name == "name" else values.count(f"--plan '{text}': {name}")(value)
    if not {"params", "tokens"} <= set(found):
        raise UsageError(f"--plan '{text}' needs params and tokens. {_PLAN}")
    return found


def _text(result: Decision) -> list[str | output.Table]:
    blocks: list[str | output.Table] = [result.sentence]
    if result.decisions:
        blocks += _rules(result)
    if result.assurance is not None:
        blocks += _assurance(result)
    if result.serving is not None:
        blocks += _serving(result)
    if result.comparison is not None:
        blocks += _plans(result)
    blocks.append(weights_line(dict(result.law_weights), result.weights_from))
    return blocks


def _rules(result: Decision) -> list[str | output.Table]:
    from bayes_scaling.decisions.costs import FLOPS
    from bayes_scaling.decisions.result import cost_words

    percent = output.percent(result.ci_prob)
    plain = result.cost_model.unit == FLOPS
    rows = [
        [
            row["rule"],
            format_count(row["params"]),
            format_count(row["tokens"]),
            format_flop(row["flops"]),
            *([] if plain else [cost_words(row["cost"], result.cost_model.unit)]),
            f"{row['loss']['mean']:.4f} ± {_error(row['mcse']['loss'])}",
            output.interval(row["new_run"], _loss),
            f"{row['cvar']:.4f} ± {_error(row['mcse']['cvar'])}",
            f"{row['regret']:.5f}",
            "-" if row["p_target"] is None else f"{row['p_target']:.3f}",
        ]
        for row in result.decisions
    ]
    worst = f"worst {output.percent(1 - result.level)}"
    headers = [
        "rule",
        "params",
        "tokens",
        "FLOP",
        *([] if plain else ["cost"]),
        "expected loss",
        f"{percent} of runs",
        worst,
        "regret",
    ]
    blocks: list[str | output.Table] = [
        "By rule; losses in nats per token, ± the Monte-Carlo error",
        output.Table([*headers, "p target"], rows),
    ]
    if result.optimum is not None:
        n, d = result.optimum["params"], result.optimum["tokens"]
        beyond = f"The plan lies {result.decades_beyond:.2f} decades of compute beyond the runs."
        blocks.append(
            f"Were the truth known, the best size would lie in {output.interval(n, format_count)} ({percent}), on "
            f"{output.interval(d, format_count)} tokens. {beyond}"
        )
    return blocks


def _assurance(result: Decision) -> list[str | output.Table]:
    a = result.assurance
    assert a is not None
    body = a.to_dict(result.ci_prob)
    plan = f"{format_count(a.params)} parameters, {format_count(a.tokens)} tokens"
    points = body["curve"]
    shown = points[:: max(1, len(points) // 8)]
    rows = [[format_flop(p["flops"]), f"{p['probability']:.3f}"] for p in shown]
    table = output.Table(["FLOP", "p target"], rows, left=0)
    if a.flops is None:
        text = (
            f"Assurance: none. The surest budget, {format_flop(a.spent)} FLOP ({plan}), reaches {a.target_loss:g} with "
            f"probability {a.attained:.3f} ± {_error(a.attained_mcse)}."
        )
        return [text, table]
    text = (
        f"Assurance: {format_flop(a.flops)} FLOP ({plan}) "
        f"reach {a.target_loss:g} with probability {a.attained:.3f} ± {_error(a.attained_mcse)}; expected overspend "
        f"{100 * body['overspend_share']:.0f} % against knowing the truth."
    )
    return [text, table]


def _serving(result: Decision) -> list[str | output.Table]:
    s = result.serving
    assert s is not None
    rows = []
    for label, part in (("training only", s["training_only"]), ("with serving", s["at_budget"])):
        rows.append([label, *_middle(part)])
    rows.append(["same loss, least cost", *_middle(s["at_loss"])])
    text = f"Serving {format_count(s['tokens']['median'])} tokens over the model's life, were the truth known"
    if s["at_loss"]["saving"] is not None:
        text += f"; at equal loss it saves {100 * s['at_loss']['saving']['median']:.1f} % of the total"
    return [text, output.Table(["", "params", "", "tokens", "", "total FLOP", "loss"], rows)]


def _middle(part: Any) -> list[str]:
    if part["params"] is None:
        return ["-"] * 6
    cells = []
    for name in ("params", "tokens"):
        cells += [format_count(part[name]["median"]), output.interval(part[name], format_count)]
    return [*cells, format_flop(part["flops"]["median"]), _loss(part["loss"]["median"])]


def _plans(result: Decision) -> list[str | output.Table]:
    from bayes_scaling.decisions.result import cost_words

    comparison = result.comparison
    assert comparison is not None
    rows = []
    for row in comparison["plans"]:
        cost = row["price"] if row["cost"] is None else None
        demand = row["demand"]["median"]
        rows.append(
            [
                row["name"],
                format_count(cost) if cost is not None else cost_words(row["cost"], result.cost_model.unit),
                f"{row['loss']['mean']:.4f} ± {_error(row['mcse']['loss'])}",
                f"{row['cvar']:.4f}",
                f"{row['regret']:.4f}",
                "-" if row["p_target"] is None else f"{row['p_target']:.3f}",
                f"{row['p_best']:.3f}",
                format_count(demand) if demand > 0 else "none",
            ]
        )
    headers = ["plan", "cost", "expected loss", f"worst {output.percent(1 - result.level)}", "regret", "p target"]
    blocks: list[str | output.Table] = [
        "Plans; 'right at' is the number of tokens served at which a plan is the cheapest way to its loss",
        output.Table([*headers, "p best", "right at"], rows),
    ]
    if comparison["differences"]:
        pairs = [
            [
                f"{r['first']} less {r['second']}",
                f"{r['difference']['mean']:+.4f} ± {_error(r['mcse']['difference'])}",
                output.interval(r["difference"], lambda v: f"{v:+.4f}"),
                f"{r['p_lower']:.3f}",
            ]
            for r in comparison["differences"]
        ]
        blocks.append(output.Table(["difference of loss", "mean", output.percent(result.ci_prob), "p lower"], pairs))
    return blocks


def _loss(value: float) -> str:
    return f"{value:.4f}"


def _error(value: float) -> str:
    return f"{value:.1g}"


COMMAND = Command(
    name="decide",
    order=70,
    summary="what to train with a budget, and what it risks",
    detail="The model size and tokens that each rule of decision would take, the risk of each, the budget that\n"
    "makes a target safe, and how candidate plans compare: over all that the runs leave uncertain. A request\n"
    "that cannot be met says which limit binds and what would be feasible (exit 3).",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling decide pile --budget 1e24 --target-loss 1.8",
        "bayes-scaling decide chinchilla.nc --budget '$2M' --device H100 --price 2.5 --devices-count 1024",
        "bayes-scaling decide runs.csv --target-loss 2.05 --probability 0.95 --max-tokens 5T --sizes 7B,13B,70B",
        "bayes-scaling decide runs.csv --plan params=7B,tokens=2T --plan params=13B,tokens=1T --inference-tokens 10T",
    ),
)
