"""`bayes-scaling fit RUNS --law NAME`: the posterior of one law."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.cli import options, output, sources, values
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.inference.result import Fit


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    options.add_runs(parser)
    parser.add_argument("--out", metavar="FIT.nc", help="save the fit as netCDF, to be used instead of RUNS later")
    options.add_law(parser)
    options.add_sampling(parser)
    options.add_ci(parser)
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    law = _one_law(arguments)
    settings = sources.sampling(arguments)
    if arguments.out is not None:
        from bayes_scaling.inference.storage import holds_fit

        sources.output(arguments.out, [arguments.runs], "fit", holds_fit)
    from bayes_scaling.engine.model import specify

    specify(law, settings["noise"], settings["priors"])
    runs = sources.read_runs(arguments)
    from bayes_scaling.inference.fitting import fit

    result = fit(runs, law, **settings)
    if arguments.out:
        from bayes_scaling.inference.storage import save_fit

        save_fit(result, arguments.out)
    body = {**result.to_dict(), "saved": arguments.out}
    return output.emit(arguments, body, _text(result, arguments.out))


def _one_law(arguments: argparse.Namespace) -> str:
    if not arguments.law:
        from bayes_scaling.laws.registry import all_laws

        raise UsageError(f"fit needs --law NAME, one of {', '.join(all_laws())}. 'compare' and 'report' take several.")
    if len(arguments.law) > 1 or arguments.law == (values.AVERAGE,):
        raise UsageError("fit takes one law: --law NAME. 'forecast', 'frontier', 'compare' and 'report' take several.")
    return str(arguments.law[0])


def _text(result: Fit, out: str | None) -> list[str | output.Table]:
    rows = [
        [name, *_numbers(v), f"{v['ess_bulk']:.0f}", f"{v['ess_tail']:.0f}", f"{v['rhat']:.3f}"]
        for name, v in result.summary().items()
    ]
    rows += [[name, *_numbers(v), "", "", ""] for name, v in result.to_dict()["derived"].items()]
    headers = ["parameter", "median", f"{output.percent(result.ci_prob)} interval", "mean", "sd"]
    blocks: list[str | output.Table] = [
        f"{result.law.title} on {result.runs.name}, {result.runs.n} runs, {result.noise.title} noise",
        f"  {result.law.equation}",
        output.Table([*headers, "ESS bulk", "ESS tail", "R-hat"], rows),
        f"Diagnostics {str(result.diagnostics).splitlines()[0]}",
    ]
    if out:
        blocks.append(f"Saved as {out}; for instance: bayes-scaling forecast {out} --at params=70e9,tokens=1.4e12")
    return blocks


def _numbers(value: dict[str, Any]) -> list[str]:
    median, mean, sd = (output.number(value[k]) for k in ("median", "mean", "sd"))
    return [median, output.interval(value), mean, sd]


COMMAND = Command(
    name="fit",
    order=20,
    summary="posterior of one law",
    detail="Sample the posterior of one law on a table of runs. Losses are in nats per token.",
    configure=configure,
    run=run,
    examples=(
        "bayes-scaling fit pile --law chinchilla --out chinchilla.nc",
        "bayes-scaling fit runs.csv --law coupled --map loss=eval/c4_loss --json > coupled.json",
        "bayes-scaling fit runs.csv --law chinchilla --prior 'alpha=lognormal(median=0.3, sigma=0.4)'",
    ),
)
