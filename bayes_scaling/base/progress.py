"""Progress on standard error: a spinner with a bar in a terminal, step lines elsewhere, nothing when quiet.

It changes no result. A heartbeat line is printed while a step is silent, so that a compilation does not look like a
hang in a log file.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from bayes_scaling.base.text import printable


class Reporter(Protocol):
    """What long work tells of itself; where it goes is the caller's choice."""

    def stage(self, title: str, total: int | None = None) -> None:
        """A new stage begins, of `total` steps where that is known."""

    def more(self, n: int) -> None:
        """The stage has `n` steps more than was said."""

    def tick(self, n: int = 1) -> None:
        """`n` steps are done."""

    def close(self) -> None:
        """Nothing more will be told."""


class Silent(Reporter):
    """Reports nothing."""

    def stage(self, title: str, total: int | None = None) -> None: ...
    def more(self, n: int) -> None: ...
    def tick(self, n: int = 1) -> None: ...
    def close(self) -> None: ...


class Within(Reporter):
    """Steps of a job that runs beside others: they count towards the stage that all of them make up."""

    def __init__(self, whole: Reporter) -> None:
        self._whole = whole

    def stage(self, title: str, total: int | None = None) -> None:
        self._whole.more(total or 0)

    def more(self, n: int) -> None:
        self._whole.more(n)

    def tick(self, n: int = 1) -> None:
        self._whole.tick(n)

    def close(self) -> None: ...


class Count:
    """Steps done, of steps known: never more than all, since a retry may take steps that nobody announced."""

    def __init__(self, total: int | None) -> None:
        self.total, self.done = total, 0
        self._begin = time.monotonic()

    def more(self, n: int) -> None:
        """There are `n` steps more than was thought."""
        if self.total is not None:
            self.total += n

    def tick(self, n: int) -> None:
        """`n` more are done."""
        self.done += n
        if self.total is not None:
            self.total = max(self.total, self.done)

    def share(self) -> str:
        """`40 %, about 12 s left`; empty while nothing is known."""
        if not self.total or not self.done:
            return ""
        left = (time.monotonic() - self._begin) / self.done * (self.total - self.done)
        return f"{100 * self.done // self.total} %" + (f", about {duration(left)} left" if left >= 1 else "")


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Lines(Reporter):
    """One line a stage, with the time since the start, and a heartbeat every few seconds of silence."""

    def __init__(self, heartbeat: float = 4.0) -> None:
        self._start = self._last = time.monotonic()
        self._title, self._count = "", Count(None)
        self._shown = False
        self._stop = threading.Event()
        self._heartbeat = heartbeat
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody may be listening any more
            print(f"[{self._last - self._start:6.1f} s] {printable(text, 200)}", file=sys.stderr, flush=True)

    def _beat(self) -> None:
        while not self._stop.wait(0.5):
            if time.monotonic() - self._last > self._heartbeat and self._title:
                share = self._count.share()
                self._shown = self._shown or bool(share)
                self._say(f"... {self._title}{': ' if share else ''}{share}")

    def _finish(self) -> None:
        """A share that was told ends at 100 %."""
        if self._shown:
            self._say(f"... {self._title}: 100 %")
        self._shown = False

    def stage(self, title: str, total: int | None = None) -> None:
        self._finish()
        self._title, self._count = title, Count(total)
        self._say(title)

    def more(self, n: int) -> None:
        """The stage grew by `n` steps: a retry, for instance."""
        self._count.more(n)

    def tick(self, n: int = 1) -> None:
        self._count.tick(n)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=1)
        self._finish()


class Bars(Reporter):
    """A live rich display: what is being done, what share of it, and how long it will take."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[share]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=False,
        )
        self._count = Count(None)
        self._task: Any = None
        self._progress.start()

    def _show(self) -> None:
        if self._task is not None:
            done, total = self._count.done, self._count.total
            self._progress.update(self._task, total=total or None, completed=done, share=self._count.share())

    def _finish(self) -> None:
        if self._task is not None:
            counted = bool(self._count.total and self._count.done)
            total = self._count.total or 1
            self._progress.update(self._task, total=total, completed=total, share="100 %" if counted else "")

    def stage(self, title: str, total: int | None = None) -> None:
        self._finish()
        from rich.markup import escape

        self._count = Count(total)
        self._task = self._progress.add_task(escape(printable(title, 200)), total=total or None, share="")

    def more(self, n: int) -> None:
        """The stage grew by `n` steps: a retry, for instance."""
        self._count.more(n)
        self._show()

    def tick(self, n: int = 1) -> None:
        self._count.tick(n)
        self._show()

    def close(self) -> None:
        self._finish()
        self._progress.stop()


_CURRENT: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039


def reporter() -> Reporter:
    """Whoever is listening now; silent unless `reporting` is in force."""
    return _CURRENT.get()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def beside_others() -> Iterator[None]:
    """What is reported inside counts towards the stage in force, and starts none of its own."""
    token = _CURRENT.set(Within(_CURRENT.get()))
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def reporting(enabled: bool = True) -> Iterator[Reporter]:
    """Report the stages of everything inside the block; an outer block keeps the word."""
    if not enabled or not isinstance(_CURRENT.get(), Silent):
        yield _CURRENT.get()
        return
    current: Reporter = Bars() if _is_terminal() else Lines()
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)
        with contextlib.suppress(Exception):
            current.close()
