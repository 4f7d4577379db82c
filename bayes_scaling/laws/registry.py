"""Finds the laws: every file in `models/`, and whatever the entry-point group `bayes_scaling.laws` adds.

Adding a law is adding one file with a `LAW` in it; there is nothing to register. Files are imported as
`bayes_scaling.models.NAME` (never as `models.NAME`), so a law pickles into a spawned process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import entry_points
from typing import Any

from bayes_scaling.base.errors import Notice, UsageError, unknown
from bayes_scaling.base.locate import folder
from bayes_scaling.base.text import printable
from bayes_scaling.laws.law import ScalingLaw

STANDARD = ("kaplan", "kaplan_floor", "chinchilla", "coupled")


@cache
def _scanned() -> tuple[dict[str, ScalingLaw], dict[str, str]]:
    """The laws by name; and what is wrong with files and entry points that give none, by the name they would have."""
    found: dict[str, ScalingLaw] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules([str(folder("models"))]):
        if not info.name.startswith("_"):
            load = partial(_of_module, f"bayes_scaling.models.{info.name}")
            _take(found, broken, info.name, load, f"models/{info.name}.py")
    for point in entry_points(group="bayes_scaling.laws"):
        _take(found, broken, point.name, point.load, f"entry point '{point.value}'")
    return dict(sorted(found.items(), key=lambda item: (*_rank(item[0]), item[0]))), broken


def all_laws() -> dict[str, ScalingLaw]:
    """Every law this installation knows, by name; a file that holds none is passed over, and `broken_laws` names it.

    Raises
    ------
    FileNotFoundError
        If the folder `models` is missing: the installation is broken.
    """
    return _scanned()[0]


def broken_laws() -> tuple[Notice, ...]:
    """What is wrong with each file of `models/`, or entry point, that gives no law."""
    return tuple(Notice("law_broken", text) for text in _scanned()[1].values())


def _of_module(name: str) -> object:
    return getattr(importlib.import_module(name), "LAW", None)


def _take(
    found: dict[str, ScalingLaw], broken: dict[str, str], name: str, load: Callable[[], object], where: str
) -> None:
    try:
        _add(found, load(), where)
    except UsageError as error:
        broken[name] = str(error)
    except (Exception, SystemExit) as error:  # the file is anyone's code: what it raises must not stop the other laws
        reason = printable(f"{type(error).__name__}: {error}", 200)
        broken[name] = f"{where} cannot be used ({reason}). The other laws are there."


def _rank(name: str) -> tuple[int]:
    return (STANDARD.index(name) if name in STANDARD else len(STANDARD),)


def _add(found: dict[str, ScalingLaw], law: object, where: str) -> None:
    if not isinstance(law, ScalingLaw):
        raise UsageError(f"{where} defines no ScalingLaw called LAW; see models/chinchilla.py for an example.")
    if law.name in found:
        raise UsageError(f"{where} defines a law called '{law.name}', which exists already; rename one of them.")
    found[law.name] = law


def get_law(law: str | ScalingLaw) -> ScalingLaw:
    """The law of that name; where `law` is a `ScalingLaw`, it is returned as it is.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if isinstance(law, ScalingLaw):
        return law
    laws, broken = _scanned()
    if law in broken and law not in laws:
        raise UsageError(f"Law '{law}' cannot be used: {broken[law]}")
    if law not in laws:
        raise unknown("law", law, laws, "See 'bayes-scaling laws'.")
    return laws[law]


def input_names(source: Any) -> set[str]:
    """Columns that some law lists as an input: the laws installed, and those of `source`, a fit, or what holds fits."""
    found = {name for law in all_laws().values() for name in law.inputs}
    pending = [source]
    while pending:
        item = pending.pop()
        pending += item if isinstance(item, list | tuple) else getattr(item, "fits", ())
        law = getattr(item, "law", None)
        if isinstance(law, ScalingLaw):
            found.update(law.inputs)
    return found


def laws_or_standard(laws: Sequence[str | ScalingLaw] | None) -> list[ScalingLaw]:
    """The laws asked for, each once, or the standard set.

    Raises
    ------
    UsageError
        If a law is unknown or named twice.
    """
    chosen = [get_law(law) for law in (laws or STANDARD)]
    names = [law.name for law in chosen]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"Law '{twice[0]}' is named twice; name each law once.")
    return chosen
