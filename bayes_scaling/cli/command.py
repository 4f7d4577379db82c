"""What a command is, and finding them: every file of `commands/` that holds a `COMMAND`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
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


def all_commands() -> list[Command]:
    """The commands in the order of the help. Adding one is adding one file."""
    from bayes_scaling.cli import commands

    modules = (
        importlib.import_module(f"{commands.__name__}.{info.name}") for info in pkgutil.iter_modules(commands.__path__)
    )
    return sorted((module.COMMAND for module in modules), key=lambda command: command.order)
