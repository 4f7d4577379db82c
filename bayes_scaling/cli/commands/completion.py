"""`bayes-scaling completion SHELL`: a script that completes commands and options."""

from __future__ import annotations

import argparse

from bayes_scaling.cli import options, output
from bayes_scaling.cli.command import Command

SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or tcsh")
    options.add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    import shtab

    script = shtab.complete(arguments.parser, shell=arguments.shell)
    if not arguments.json:
        print(script)
        return 0
    from bayes_scaling.base.provenance import envelope

    return output.emit(
        arguments, envelope("completion", {"shell": arguments.shell, "script": script}, ci_prob=None), []
    )
    return 0


COMMAND = Command(
    name="completion",
    order=96,
    summary="a script that completes commands and options",
    detail="Print a script for a shell; where it is read, the tab key completes commands, options and files.",
    configure=configure,
    run=run,
    examples=(
        'eval "$(bayes-scaling completion bash)"',
        "bayes-scaling completion zsh > ~/.zfunc/_bayes-scaling",
    ),
)
