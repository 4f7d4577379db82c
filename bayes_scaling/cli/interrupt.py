"""Ctrl-C: one line, exit code 130, soon, whatever the program is doing.

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

EXIT_CODE = 130
GRACE = 3.0
"""Seconds to unwind in; a second Ctrl-C ends them."""

_leaving = threading.Lock()


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
    threading.Thread(target=_wait, args=(reader,), name="interrupt", daemon=True).start()


def _hook(usual: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Where an interrupt strikes inside a garbage collector's callback, Python cannot raise it and would print a
    traceback instead; the watching thread ends the process all the same."""

    def silent_on_interrupt(unraisable: Any) -> Any:
        return None if issubclass(unraisable.exc_type, KeyboardInterrupt) else usual(unraisable)

    return silent_on_interrupt


def _wait(reader: int) -> None:
    while os.read(reader, 1) != bytes([signal.SIGINT]):
        continue
    select.select([reader], [], [], GRACE)
    leave()


def leave() -> NoReturn:
    """Say so in one line, and end the process at once: no worker thread is waited for."""
    _leaving.acquire()  # never released: whoever comes second must not speak
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K\x1b[?25h")  # a progress display may have hidden the cursor
        sys.stderr.write("Interrupted. Every file is whole or absent; reports and fleets go on where they stopped.\n")
        sys.stderr.flush()
    os._exit(EXIT_CODE)
