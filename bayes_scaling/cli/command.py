"""What a command is: every file of `commands/` holds one as `COMMAND`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command.

    Parameters
    ----------
    name
        What the user types.
    order
        Its place in the help, ascending.
    summary
        One line for the list of commands.
    configure
        Adds the command's options to its parser.
    run
        Does it; gives the exit code. What it needs beyond the standard library is imported inside.
    detail
        More on what it does, above its options.
    examples
        Command lines, below its options.
    """

    name: str
    order: int
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    detail: str = ""
    examples: tuple[str, ...] = ()
