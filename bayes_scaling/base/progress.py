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


class Lines(Reporter):
    """One line a stage, with the time since the start, and a heartbeat every few seconds of silence."""

    def __init__(self, heartbeat: float = 4.0) -> None:
        self._start = self._last = time.monotonic()
        self._title, self._done = "", 0
        self._total: int | None = None
        self._stop = threading.Event()
        self._heartbeat = heartbeat
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(f"[{self._last - self._start:6.1f} s] {text}", file=sys.stderr, flush=True)

    def _beat(self) -> None:
        while not self._stop.wait(0.5):
            if time.monotonic() - self._last > self._heartbeat and self._title:
                share = f" {self._done}/{self._total}" if self._total else ""
                self._say(f"... {self._title}{share}")

    def stage(self, title: str, total: int | None = None) -> None:
        self._title, self._done, self._total = title, 0, total
        self._say(title)

    def more(self, n: int) -> None:
        """The stage grew by `n` steps: a retry, for instance."""
        if self._total is not None:
            self._total += n

    def tick(self, n: int = 1) -> None:
        self._done += n

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=1)


class Bars(Reporter):
    """A live rich display: what is being done, how far, and for how long."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=False,
        )
        self._task: Any = None
        self._progress.start()

    def _finish(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[self._task]
            total = task.total or max(1, int(task.completed))
            self._progress.update(self._task, total=total, completed=total)

    def stage(self, title: str, total: int | None = None) -> None:
        self._finish()
        from rich.markup import escape

        self._task = self._progress.add_task(escape(title), total=total)

    def more(self, n: int) -> None:
        """The stage grew by `n` steps: a retry, for instance."""
        if self._task is not None:
            total = self._progress.tasks[self._task].total
            self._progress.update(self._task, total=None if total is None else total + n)

    def tick(self, n: int = 1) -> None:
        if self._task is not None:
            self._progress.advance(self._task, n)

    def close(self) -> None:
        self._finish()
        self._progress.stop()


_CURRENT: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039


def reporter() -> Reporter:
    """Whoever is listening now; silent unless `reporting` is in force."""
    return _CURRENT.get()


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
    current: Reporter = Bars() if sys.stderr.isatty() else Lines()
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)
        with contextlib.suppress(Exception):
            current.close()
