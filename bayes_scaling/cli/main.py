"""The console script: runs a command and turns whatever goes wrong into one message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

_MEMORY = (
    "Not enough memory for this. Take fewer runs or draws (--draws 500), lift the limit (ulimit -v), or use a machine "
    "with more memory."
)
# How libraries that are not Python's own say that memory ran out, when they are loaded and when they run.
_NO_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "Cannot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
    "Out of memory",
    "can't start new thread",
)


def entry() -> NoReturn:
    """What `bayes-scaling` and `python -m bayes_scaling` run."""
    try:
        from bayes_scaling.cli import interrupt

        interrupt.watch()
        _hush()
        code = main()
        _keep()
        interrupt.end(code)
    except KeyboardInterrupt:
        from bayes_scaling.cli import interrupt

        interrupt.leave()


def _keep() -> None:
    """Wait until what is kept for later commands is written."""
    if "bayes_scaling.inference.cache" in sys.modules:
        from bayes_scaling.inference.cache import flush

        flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. Interrupts are the caller's."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 0
    except SystemExit as done:  # argparse, after --help and --version
        return done.code if isinstance(done.code, int) else 0
    except Exception as error:
        if _wants_traceback(words):
            import traceback

            traceback.print_exc()
        code = _explain(error)
        _settle_output()
        return code


def _run(words: list[str]) -> int:
    from bayes_scaling.cli.parser import parse

    arguments, command = parse(words)
    if getattr(arguments, "platform", None):
        os.environ["BAYES_SCALING_PLATFORM"] = arguments.platform
    return command.run(arguments)


def _explain(error: Exception) -> int:
    from bayes_scaling.base.errors import BayesScalingError

    if isinstance(error, BayesScalingError):
        _say(f"Error: {str(error).strip()}")
        return error.exit_code
    if _is_memory(error):
        _say(f"Error: {_MEMORY}")
        return 3
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("bayes_scaling"):
        _say(f"Error: The package '{error.name}' is missing from {sys.executable}. Install again.")
        return 1
    if isinstance(error, OSError):
        where = f" {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        _say(f"Error: A file operation failed{where}: {error.strerror or error}.")
        return 3
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else text[:300] + "…"
    _say(
        f"Internal error, {type(error).__name__}: {text} This is a fault of bayes-scaling, not yours. "
        f"Run it again with --traceback to see where, and report that."
    )
    return 1


def _say(text: str) -> None:
    from bayes_scaling.cli.output import complain

    complain(text)


def _is_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, here or where this error began; an import that could not be mapped counts."""
    while error is not None:
        if isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _wants_traceback(words: Sequence[str]) -> bool:
    return "--traceback" in words or os.environ.get("BAYES_SCALING_TRACEBACK", "") not in ("", "0")


def _hush() -> None:
    """Keep other libraries' warnings off standard error; `python -W` and --traceback bring them back."""
    if sys.warnoptions or _wants_traceback(sys.argv):
        return
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's own log


def _settle_output() -> None:
    """After an error: flush what can be, so that the interpreter finds nothing to complain of at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        _drop_output()


def _drop_output() -> None:
    """Nobody takes our output any more; what is left in the buffer goes nowhere, quietly."""
    import contextlib

    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
