"""Ctrl-C, and the signal that ends a process: one line, exit code 130 or 143, soon, whatever the program is doing.

Python delivers an interrupt only between two of its own instructions, so that a compilation or a worker
thread can hold it up for many seconds, and some libraries swallow it. A small thread that the signal wakes
directly gives the program a moment to unwind, and ends the process where it does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from bayes_scaling.base import files

EXIT_CODES = {int(signal.SIGINT): 130, int(signal.SIGTERM): 143}
GRACE = 3.0
"""Seconds to unwind in; a second Ctrl-C ends them."""

_leaving = threading.Lock()
_struck: list[int] = []


def watch() -> None:
    """Begin to watch; does nothing where interrupts are ignored or handled by somebody else."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    sys.unraisablehook = _hook(sys.unraisablehook)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _unwind)
    threading.Thread(target=_wait, args=(reader,), name="interrupt", daemon=True).start()


def _unwind(number: int, frame: Any) -> NoReturn:
    """As an interrupt: what is half done is undone on the way out."""
    _struck.append(number)
    raise KeyboardInterrupt


def _hook(usual: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Where an interrupt strikes inside a garbage collector's callback, Python cannot raise it and would print a
    traceback instead; the watching thread ends the process all the same."""

    def silent_on_interrupt(unraisable: Any) -> Any:
        return None if issubclass(unraisable.exc_type, KeyboardInterrupt) else usual(unraisable)

    return silent_on_interrupt


def _wait(reader: int) -> None:
    number = 0
    while number not in EXIT_CODES:
        number = os.read(reader, 1)[0]
    _struck.append(number)
    select.select([reader], [], [], GRACE)
    leave()


def leave() -> NoReturn:
    """Say so in one line, and end the process at once: no worker thread is waited for."""
    _leaving.acquire()  # never released: whoever comes second must not speak
    number = _struck[0] if _struck else int(signal.SIGINT)
    files.sweep()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K\x1b[?25h")  # a progress display may have hidden the cursor
        word = "Interrupted" if number == signal.SIGINT else "Stopped"
        sys.stderr.write(f"{word}. Every file is whole or absent; reports and fleets go on where they stopped.\n")
        sys.stderr.flush()
    os._exit(EXIT_CODES[number])


def end(code: int) -> NoReturn:
    """End the process now that all is done: a signal has no moment left to strike in while Python takes itself down,
    where it would be answered with a traceback or by the signal's own death."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
