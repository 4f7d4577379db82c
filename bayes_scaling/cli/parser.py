"""The argument parser: argparse, whose errors become one `UsageError` that says what to do next."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from bayes_scaling._version import __version__
from bayes_scaling.base.errors import UsageError, nearest, unknown
from bayes_scaling.base.text import printable
from bayes_scaling.cli import commands
from bayes_scaling.cli.command import Command

PROG = "bayes-scaling"

QUICK_START = """\
Neural scaling laws with honest intervals. Start here:

  bayes-scaling report             the whole analysis of the bundled runs
  bayes-scaling forecast pile --at params=70B,tokens=1.4T
                                   the loss of a run that nobody has made
  bayes-scaling validate runs.csv  is my table understood?
  bayes-scaling report runs.csv --budget 1e24
  bayes-scaling --help             all commands
  bayes-scaling COMMAND --help     options, units, defaults and examples
"""
_EPILOG = """\
start here:
  bayes-scaling report                      the whole analysis of the bundled Pile runs
  bayes-scaling validate runs.csv           is my table understood?
  bayes-scaling report runs.csv --budget 1e24
  bayes-scaling COMMAND --help              options, units, defaults and examples

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

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices:
            return
        name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
        raise unknown(f"value of {name}", str(value), map(str, choices), f"See '{self.prog} --help'.")

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2 and one line that says what to do."""
        text = message[:1].upper() + message[1:].rstrip(".")
        text = "\n".join(printable(line, 400) for line in text.split("\n"))
        raise UsageError(f"{text}. See '{self.prog} --help'.")


class _Format(argparse.RawDescriptionHelpFormatter):
    """Help to the width of the terminal, at the most 100 columns: longer lines are hard to read."""

    def __init__(self, prog: str, **kwargs: Any) -> None:
        room = min(max(shutil.get_terminal_size((100, 24)).columns - 1, 40), 100)
        super().__init__(prog, **{"max_help_position": min(30, room // 3), "width": room, **kwargs})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Lines that begin with a space are examples and stand as they are; the rest are paragraphs."""
        room = max(width - len(indent), 20)
        lines: list[str] = []
        for part in re.findall(r"(?:^ .*\n?|^\n)+|(?:^[^ \n].*\n?)+", text, re.MULTILINE):
            if part[0] in " \n":
                for line in part.removesuffix("\n").split("\n"):
                    lines += _example(line, room)
            else:
                lines += textwrap.wrap(" ".join(part.split()), room, break_on_hyphens=False)
        return "\n".join(indent + line for line in lines)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def _example(line: str, room: int) -> list[str]:
    """A command line that goes on after a backslash, as a shell takes it, where it is too long for the screen."""
    if len(line) <= room:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    broken = textwrap.wrap(
        line, room - 2, subsequent_indent=f"{indent}    ", break_on_hyphens=False, break_long_words=False
    )
    shell = line.lstrip().startswith(PROG)
    return [f"{one} \\" if shell and k < len(broken) - 1 else one for k, one in enumerate(broken)]


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
        print(QUICK_START, end="")
        raise SystemExit(0)
    if not words[0].startswith("-") and words[0] not in commands:
        raise unknown("command", words[0], commands, f"See '{PROG} --help'.")
    arguments, left = root.parse_known_args(words)
    if left:
        raise _not_understood(left, parsers.get(words[0], root))
    if arguments.command is None:
        raise UsageError(f"No command given. Known: {', '.join(commands)}. See '{PROG} --help'.")
    arguments.parser = root
    return arguments, commands[arguments.command]


def _build(commands: Sequence[Command]) -> tuple[Parser, dict[str, Parser]]:
    root = Parser(
        prog=PROG,
        description="Neural scaling laws as probabilistic models: forecasts, compute-optimal frontiers\n"
        "and evidence between laws, with intervals.",
        epilog=_EPILOG,
    )
    root.add_argument("-V", "--version", action="version", version=f"{PROG} {__version__}")
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
    shown = printable(word, 60)
    if not word.startswith("-"):
        return UsageError(f"Not understood: '{printable(left[0], 60)}'. See '{parser.prog} --help'.")
    near = nearest(word, known)
    guess = f" Did you mean {near}?" if near else ""
    return UsageError(f"Unknown option '{shown}'.{guess} Known: {', '.join(known)}. See '{parser.prog} --help'.")
