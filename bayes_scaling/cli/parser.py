"""The argument parser: argparse, whose errors become one `UsageError` that says what to do next."""

from __future__ import annotations

import argparse
import difflib
import importlib
import pkgutil
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from bayes_scaling._version import __version__
from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.cli import commands
from bayes_scaling.cli.command import Command

PROG = "bayes-scaling"

_EPILOG = """\
start here:
  bayes-scaling report                      the whole analysis of the bundled Pile runs
  bayes-scaling validate runs.csv           is my table understood?
  bayes-scaling report runs.csv --budget 1e24
  bayes-scaling COMMAND --help              options, units, defaults and examples of a command

exit codes: 0 done · 2 wrong usage · 3 bad data or files, or a request that cannot be met ·
4 a fit or an evidence estimate failed its diagnostics (results are still written) · 130 interrupted
"""


def all_commands() -> list[Command]:
    """The commands in the order of the help. Adding one is adding one file."""
    modules = (
        importlib.import_module(f"{commands.__name__}.{info.name}") for info in pkgutil.iter_modules(commands.__path__)
    )
    return sorted((module.COMMAND for module in modules), key=lambda command: command.order)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` without abbreviations, whose errors are raised, not printed."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _Format)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2 and one line that says what to do."""
        text = message[:1].upper() + message[1:].rstrip(".")
        raise UsageError(f"{text}. See '{self.prog} --help'.")


class _Format(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Command]:
    """The arguments, and the command they are for.

    Raises
    ------
    UsageError
        For anything not understood; the message names the choices.
    SystemExit
        After `--help` and `--version` have printed.
    """
    commands = {command.name: command for command in all_commands()}
    root, parsers = _build(list(commands.values()))
    words = [word for word in argv if word != "--traceback"]
    if not words:
        raise UsageError(f"No command given. Known: {', '.join(commands)}. See '{PROG} --help'.")
    if not words[0].startswith("-") and words[0] not in commands:
        raise unknown("command", words[0], commands, f"See '{PROG} --help'.")
    arguments, left = root.parse_known_args(words)
    if left:
        raise _not_understood(left, parsers.get(words[0], root))
    if arguments.command is None:
        raise UsageError(f"No command given. Known: {', '.join(commands)}. See '{PROG} --help'.")
    return arguments, commands[arguments.command]


def _build(commands: Sequence[Command]) -> tuple[Parser, dict[str, Parser]]:
    root = Parser(
        prog=PROG,
        description="Neural scaling laws as probabilistic models: forecasts, compute-optimal frontiers\n"
        "and evidence between laws, with intervals.",
        epilog=_EPILOG,
    )
    root.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    group = root.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    parsers = {}
    for command in commands:
        examples = "".join(f"\n  {line}" for line in command.examples)
        parser = group.add_parser(
            command.name,
            help=command.summary,
            description=command.detail or command.summary,
            epilog=f"examples:{examples}" if examples else None,
        )
        command.configure(parser)
        parsers[command.name] = parser
    return root, parsers


def _not_understood(left: Sequence[str], parser: Parser) -> UsageError:
    known = sorted(option for option in parser._option_string_actions if option.startswith("--"))
    word = re.split("=", left[0], maxsplit=1)[0]
    if not word.startswith("-"):
        return UsageError(f"Not understood: '{left[0]}'. See '{parser.prog} --help'.")
    close = difflib.get_close_matches(word, known, n=1)
    guess = f" Did you mean {close[0]}?" if close else ""
    return UsageError(f"Unknown option '{word}'.{guess} Known: {', '.join(known)}. See '{parser.prog} --help'.")
