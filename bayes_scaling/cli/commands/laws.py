"""`bayes-scaling laws [NAME]`: the laws there are; of one, its formula, priors with reasons, and sources."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bayes_scaling.cli import options, output
from bayes_scaling.cli.command import Command

if TYPE_CHECKING:
    from bayes_scaling.laws.law import ScalingLaw


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show one law in full")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    from bayes_scaling.laws.registry import all_laws, broken_laws, get_law

    chosen = [get_law(arguments.name)] if arguments.name else list(all_laws().values())
    if arguments.json:
        from bayes_scaling.base.provenance import envelope

        body = envelope("laws", {"laws": [_details(law) for law in chosen]}, ci_prob=None, warnings=broken_laws())
        return output.emit(arguments, body, [])
    output.print_blocks(_one(chosen[0]) if arguments.name else _list(chosen))
    return output.verdict(arguments, [n.to_dict() for n in broken_laws()])


def _details(law: ScalingLaw) -> dict[str, Any]:
    return {
        "name": law.name,
        "title": law.title,
        "equation": law.equation,
        "citation": law.citation,
        "inputs": list(law.inputs),
        "reference_scale": {"params": law.scale.params, "tokens": law.scale.tokens},
        "parameters": {
            name: {"prior": str(p.prior), "reason": p.reason, "unit": p.unit or None}
            for name, p in law.parameters.items()
        },
        "derived": list(law.derived),
        "also_takes_a_prior": {name: f"in place of {rule.replaces}" for name, rule in law.direct.items()},
        "published": [
            {"source": p.source, "values": dict(p.values), "corpus": p.corpus or None, "note": p.note or None}
            for p in law.published
        ],
    }


def _list(laws: list[ScalingLaw]) -> list[str | output.Table]:
    rows = [[law.name, law.equation, ", ".join(law.inputs)] for law in laws]
    return [
        output.Table(["law", "loss in nats per token", "inputs"], rows, left=3),
        "One in full: bayes-scaling laws NAME. To add one, add a file to models/.",
    ]


def _one(law: ScalingLaw) -> list[str | output.Table]:
    rows = [[name, str(p.prior), p.unit, p.reason] for name, p in law.parameters.items()]
    blocks: list[str | output.Table] = [
        f"{law.title} ({law.name})",
        f"  {law.equation}",
        f"  {law.citation}",
        f"Priors; amplitudes are what a term contributes at {law.scale}",
        output.Table(["parameter", "prior", "unit", "reason"], rows, left=4),
    ]
    if law.derived:
        blocks.append(f"Derived: {', '.join(law.derived)}")
    if law.direct:
        swaps = ", ".join(f"{name} (in place of {rule.replaces})" for name, rule in law.direct.items())
        blocks.append(f"A prior may be put on these instead: {swaps}")
    if law.published:
        names = list(dict.fromkeys(k for p in law.published for k in p.values))
        rows = [
            [
                p.source,
                *(f"{p.values[k]:g}" if k in p.values else "" for k in names),
                "; ".join(filter(None, (p.corpus, p.note))),
            ]
            for p in law.published
        ]
        blocks += ["Published constants", output.Table(["source", *names, "on"], rows)]
    return blocks


COMMAND = Command(
    name="laws",
    order=90,
    summary="the scaling laws there are; of one, its priors and sources",
    configure=configure,
    run=run,
    examples=("bayes-scaling laws", "bayes-scaling laws chinchilla"),
)
