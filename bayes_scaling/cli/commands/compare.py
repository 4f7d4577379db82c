"""`bayes-scaling compare RUNS`: the evidence between laws."""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.cli import forward, options, output, sources
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.evidence.result import Evidence
    from bayes_scaling.validation.backtesting import Backtest


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser)
    options.add_laws(parser)
    parser.add_argument(
        "--noise-models",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether verdicts also hold under the other noise models (default: yes)",
    )
    options.add_sampling(parser)
    options.add_ci(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    laws = sources.law_choice(arguments)
    if laws and len(laws) < 2:
        raise UsageError(f"compare needs two laws or more, such as --laws {laws[0]},kaplan_floor; 'fit' takes one.")
    settings = sources.sampling(arguments)
    runs = sources.read_runs(arguments)
    from bayes_scaling.evidence.comparing import compare

    result = compare(runs, laws, noise_models=arguments.noise_models, **settings)
    begin = perf_counter()
    _, tested = forward.averaged(result.fits, settings["random_seed"], settings["progressbar"])
    body = forward.scored(result.to_dict(), tested)
    spent = perf_counter() - begin
    body["seconds"] = {**body["seconds"], "total": body["seconds"]["total"] + spent, "backtest": spent}
    return output.emit(arguments, {**body, "runs": sources.told(runs)}, _text(result, body, tested))


def _text(result: Evidence, body: dict[str, Any], tested: Backtest) -> list[str | output.Table]:
    rows = [
        [row["law"], f"{row['log_evidence']:.2f} ± {row['log_evidence_sd']:.2f}", f"{row['probability']:.3f}",
         f"{row['elpd_loo']:.1f} ± {row['elpd_loo_se']:.1f}", f"{row['pareto_k_max']:.2f}",
         f"{row['stacking_weight']:.2f}", output.number(row["forward_score"], 3),
         f"{row['forward_weight']:.2f}", row["verdict"]]
        for row in body["laws"]
    ]  # fmt: skip
    headers = ["law", "log evidence", "probability", "elpd LOO", "Pareto k", "stacking", "forward score"]
    headers += ["forward weight", "fit"]
    return [
        f"Evidence on {result.runs.name}, {result.runs.n} runs, in nats; all laws equally likely beforehand",
        output.Table(headers, rows),
        *_factors(body),
        *_noises(body),
        *_peers(body),
        *_match(body),
        *_exponents(body),
        "The forward score is the mean log density, in nats, that a law fitted to smaller runs gave to larger "
        f"ones. Forecasts rest on the forward weights, from {tested.rule.basis}: {forward.weights_text(tested.rule)}",
    ]


def _pair(row: dict[str, Any]) -> str:
    return f"{row['numerator']} over {row['denominator']}"


def _factors(body: dict[str, Any]) -> list[str | output.Table]:
    rows = []
    for b in body["bayes_factors"]:
        span = f"{b['range'][0]:.2f} to {b['range'][1]:.2f}" if b["range"] else "-"
        rows.append([_pair(b), f"{b['log_bf']:.2f} ± {b['log_bf_sd']:.2f}", span, b["verdict"]])
    under = "priors half and twice as wide" + (" and the other noise models" if body["noise_models"] else "")
    told = f"Log Bayes factors, nats; the range is over {under}, and the word holds for all of it"
    return [told, output.Table(["", "log BF", "range", "the evidence is"], rows)]


def _noises(body: dict[str, Any]) -> list[str | output.Table]:
    if not body["noise_models"]:
        return []
    laws = [row["law"] for row in body["laws"]]
    own = {row["law"]: row["log_evidence"] for row in body["laws"]}
    rows = []
    for noise in body["noise_models"]:
        shift = {row["law"]: row["log_evidence"] - own[row["law"]] for row in noise["laws"]}
        rows.append([noise["noise"], *(f"{shift[law]:+.2f}" for law in laws), "yes" if noise["ruled_out"] else "no"])
    told = "Log evidence under other noise models less that above, nats (ruled out: no part in the ranges)"
    return [told, output.Table(["noise", *laws, "ruled out"], rows)]


def _peers(body: dict[str, Any]) -> list[str | output.Table]:
    blocks: list[str | output.Table] = []
    for peer in body["peer_priors"]:
        rows = [
            [_pair(b), f"{b['log_bf']:.2f} ± {b['log_bf_sd']:.2f}", b["verdict"], "yes" if b["changed"] else "no"]
            for b in peer["bayes_factors"]
        ]
        blocks.append(f"Under the priors that {peer['peer']} builds in, as docs/priors.md carries them to these laws")
        blocks.append(output.Table(["", "log BF", "the evidence is", "another word"], rows))
    return blocks


def _match(body: dict[str, Any]) -> list[str | output.Table]:
    if not body["prior_match"]:
        return []
    distances = body["prior_match"]["distances"]
    worst = max(distances, key=lambda r: r["mean"])
    spread = sum(r["spread"] for r in distances) / len(distances)
    return [
        f"Before any run the laws expect losses that differ by {100 * worst['mean']:.2g} % on average at the most "
        f"({worst['first']} and {worst['second']}), where each is unsure by {100 * spread:.2g} %: "
        "the priors carry the same knowledge."
        if worst["mean"] < 0.5 * spread
        else f"Before any run {worst['first']} and {worst['second']} expect losses that differ by "
        f"{100 * worst['mean']:.2g} % on average, beside {100 * spread:.2g} % that each is unsure by: their priors "
        "carry different knowledge, and evidence between them says so too."
    ]


def _exponents(body: dict[str, Any]) -> list[str | output.Table]:
    if not body["exponents"]:
        return []
    claims = [c["hypothesis"] for c in body["exponents"][0]["claims"]]
    rows = []
    for found in body["exponents"]:
        a = found["exponent_params"]
        cells = [_claim(c) for c in found["claims"]]
        rows.append([found["law"], f"{a['median']:.3f}", output.interval(a, lambda v: f"{v:.3f}"), *cells])
    rope = body["exponents"][0]["rope"]
    return [
        "Exponent a of the best model size, N* ~ C^a; for each claim the probability that a lies within "
        f"{rope:g} of it, and the log Bayes factor for the claim against the rest of the law, nats",
        output.Table(["law", "a", "", *claims], rows),
    ]


def _claim(claim: dict[str, Any]) -> str:
    bound = {"upper": "below ", "lower": "above ", None: ""}[claim["bound"]]
    error = "" if claim["log_bf_sd"] is None else f" ± {claim['log_bf_sd']:.2f}"
    return f"{claim['mass']:.2f}; {bound}{claim['log_bf']:.2f}{error}"


COMMAND = Command(
    name="compare",
    order=50,
    summary="evidence between laws, Bayes factors, forward score",
    detail="Which law the runs support, and by how much: log evidence (bridge sampling, checked by nested\n"
    "sampling), Bayes factors with their range under other priors and noise models and under the priors of\n"
    "another tool, leave-one-out scores, stacking weights, and the forward score: how well each law, fitted\n"
    "to smaller runs, foretold larger ones. Also what is left of claims about the frontier's exponent.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling compare pile",
        "bayes-scaling compare runs.csv --laws kaplan,chinchilla --noise laplace --json",
    ),
)
