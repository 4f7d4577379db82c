"""What every result carries: schema, versions, device, seed, hash of the runs, seconds, warnings."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from bayes_scaling._version import __version__
from bayes_scaling.base.errors import Notice
from bayes_scaling.base.intervals import CI_KIND
from bayes_scaling.base.platforms import used

SCHEMA_VERSION = 1
_PACKAGES = ("pymc", "pytensor", "arviz", "jax", "jaxlib", "numpyro", "blackjax", "numpy", "scipy", "pandas", "xarray")


@cache
def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the packages that numbers depend on, by name."""
    found = {"bayes_scaling": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device() -> str:
    """Where JAX computes; "none" as long as nothing has needed it."""
    return used() if "jax" in sys.modules else "none"


def _command_line() -> list[str]:
    """What was typed, without the folder the program lies in: results are handed on, and that is nobody's business."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    return ["bayes-scaling" if program in ("__main__.py", "bayes-scaling") else program, *sys.argv[1:]]


def provenance(seed: int | None = None, runs_sha256: str | None = None, cached: Iterable[str] = ()) -> dict[str, Any]:
    """What the JSON of every result says of its making: versions, platform, device, seed, hash of the runs, command
    line, and which posteriors were read from the cache."""
    return {
        "versions": dict(versions()),
        "platform": platform.platform(),
        "device": device(),
        "seed": seed,
        "runs_sha256": runs_sha256,
        "cached_posteriors": list(cached),
        "command_line": _command_line(),
    }


def envelope(
    command: str,
    body: Mapping[str, Any],
    *,
    ci_prob: float | None,
    seconds: Mapping[str, float] | None = None,
    seed: int | None = None,
    runs_sha256: str | None = None,
    warnings: Iterable[Notice] = (),
    cached: Iterable[str] = (),
) -> dict[str, Any]:
    """`body` with the keys that every JSON object has (contract, `schema_version` 1).

    `cached` names the laws whose posterior an earlier command had sampled.
    """
    unique = {(w.code, w.message): w.to_dict() for w in warnings}
    parts = dict(seconds or {})
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "ci_prob": ci_prob,
        "ci_kind": CI_KIND,
        **body,
        "seconds": {"total": parts.pop("total", sum(parts.values())), **parts},
        "provenance": provenance(seed, runs_sha256, cached),
        "warnings": list(unique.values()),
    }


class Stopwatch:
    """Adds up seconds by part: `with watch("sampling"): ...`."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self.parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        begin = perf_counter()
        try:
            yield
        finally:
            self.parts[part] = self.parts.get(part, 0.0) + perf_counter() - begin

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time since the start as `total`, and of each part."""
        return {"total": perf_counter() - self._start, **self.parts}
