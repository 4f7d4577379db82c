"""Finds the laws: every file in `models/`, and whatever the entry-point group `bayes_scaling.laws` adds.

Adding a law is adding one file with a `LAW` in it; there is nothing to register. Files are imported as
`bayes_scaling.models.NAME` (never as `models.NAME`), so a law pickles into a spawned process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.base.locate import folder
from bayes_scaling.laws.law import ScalingLaw

STANDARD = ("kaplan", "kaplan_floor", "chinchilla", "coupled")


@cache
def all_laws() -> dict[str, ScalingLaw]:
    """Every law this installation knows, by name.

    Raises
    ------
    UsageError
        If a file of `models/` or an entry point holds no law, or two hold the same name.
    """
    found: dict[str, ScalingLaw] = {}
    for info in pkgutil.iter_modules([str(folder("models"))]):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"bayes_scaling.models.{info.name}")
        _add(found, getattr(module, "LAW", None), f"models/{info.name}.py")
    for point in entry_points(group="bayes_scaling.laws"):
        _add(found, point.load(), f"entry point '{point.value}'")
    return dict(sorted(found.items(), key=lambda item: (*_rank(item[0]), item[0])))


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
    laws = all_laws()
    if law not in laws:
        raise unknown("law", law, laws, "See 'bayes-scaling laws'.")
    return laws[law]


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
