"""`bayes-scaling data [NAME]`, `data fetch NAME`: the data sets there are, their cards, downloads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from bayes_scaling.base.errors import UsageError
from bayes_scaling.cli import markdown, options, output
from bayes_scaling.cli.command import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME",
        help="show one data set's card; 'fetch NAME' downloads it and verifies it",
    )
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    words = arguments.words
    if words[:1] == ["fetch"]:
        if len(words) != 2:
            raise UsageError("Write: bayes-scaling data fetch NAME. See 'bayes-scaling data' for the names.")
        return _fetch(arguments, words[1])
    if len(words) > 1:
        raise UsageError(f"'{words[1]}' is one name too many. Write: bayes-scaling data NAME.")
    return _card(arguments, words[0]) if words else _list(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from bayes_scaling.runs.datasets import list_datasets

    sets = list_datasets()
    rows = [[s.name, str(s.rows), "runs" if s.has_losses else "figures", _where(s), s.title] for s in sets]
    table = output.Table(["data set", "rows", "holds", "where", "title"], rows, left=5)
    text = [
        table,
        "A card: bayes-scaling data NAME. Downloads: bayes-scaling data fetch NAME. See also data/README.md.",
    ]
    return _emit(arguments, {"data_sets": [s.to_dict() for s in sets]}, text)


def _where(known: Any) -> str:
    if known.shipped:
        return "bundled"
    return "downloaded" if known.available else "to fetch"


def _card(arguments: argparse.Namespace, name: str) -> int:
    from bayes_scaling.runs.datasets import card, describe

    text = card(name)
    return _emit(arguments, {"data_set": {**describe(name).to_dict(), "card": text}}, markdown.blocks(text))


def _fetch(arguments: argparse.Namespace, name: str) -> int:
    from bayes_scaling.runs.datasets import describe, fetch

    if not arguments.quiet and not describe(name).available:
        print(f"Downloading {name}", file=sys.stderr, flush=True)
    path = fetch(name)
    return _emit(arguments, {"data_set": describe(name).to_dict()}, [f"{name}: {path}"])


def _emit(arguments: argparse.Namespace, body: Mapping[str, Any], text: list[Any]) -> int:
    if not arguments.json:
        output.print_blocks(text)
        return 0
    from bayes_scaling.base.provenance import envelope

    return output.emit(arguments, envelope("data", body, ci_prob=None), [])


COMMAND = Command(
    name="data",
    order=91,
    summary="the data sets there are; of one, its card; download one",
    configure=configure,
    run=run,
    examples=("bayes-scaling data", "bayes-scaling data pile", "bayes-scaling data fetch chinchilla_epoch"),
)
