"""`bayes-scaling cache`: what is kept between commands, and clearing it."""

from __future__ import annotations

import argparse

from bayes_scaling.cli import options, output
from bayes_scaling.cli.command import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--clear", action="store_true", help="delete it all; it is made again when needed")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code."""
    from bayes_scaling.inference.cache_contents import cache_contents

    found = cache_contents(clear=arguments.clear)
    rows = [[p.holds, str(p.files), f"{p.bytes / 1e6:.1f}"] for p in found.parts]
    said = "deleted from" if arguments.clear else "in"
    blocks: list[str | output.Table] = [
        f"{found.bytes / 1e6:.1f} MB {said} {found.path}",
        output.Table(["kept", "files", "MB"], rows),
        f"Posteriors may take {found.limit / 1e6:.0f} MB: BAYES_SCALING_CACHE_LIMIT, in megabytes, says how much.",
    ]
    return output.emit(arguments, found.to_dict(), blocks)


COMMAND = Command(
    name="cache",
    order=95,
    summary="what is kept between commands, and clearing it",
    detail="Posteriors that were sampled before are not sampled again, and programs are not compiled again. They lie\n"
    "in the user's cache directory, or where BAYES_SCALING_CACHE says. Downloaded data sets are not counted.",
    configure=configure,
    run=run,
    examples=("bayes-scaling cache", "bayes-scaling cache --clear", "bayes-scaling cache --json"),
)
