"""`bayes-scaling completion SHELL`: a script that completes commands and options."""

from __future__ import annotations

import argparse

from bayes_scaling.cli import options
from bayes_scaling.cli.command import Command

SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or tcsh")
    options.add_traceback(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    import shtab

    print(shtab.complete(arguments.parser, shell=arguments.shell))
    return 0


COMMAND = Command(
    name="completion",
    order=96,
    summary="a script that completes commands and options",
    detail="Print a script for a shell; where it is read, the tab key completes commands, options and files.",
    configure=configure,
    run=run,
    examples=(
        'bash: eval "$(bayes-scaling completion bash)"     in ~/.bashrc',
        "zsh:  bayes-scaling completion zsh > ~/.zfunc/_bayes-scaling",
    ),
)
