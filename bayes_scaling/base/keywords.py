"""Keywords that are meant: a misspelt one is a `UsageError` that names the nearest, never a value nobody reads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.base.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_SETTINGS = frozenset(f.name for f in fields(Settings))


def keywords(
    *,
    passes_to: Callable[..., Any] | None = None,
    inputs: Callable[[Any], Iterable[str]] | None = None,
    inside: Mapping[str, type] | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator of a public function: only keywords that it knows reach it.

    Where the function takes `settings`, they are given as one object or one by one, not both.

    Parameters
    ----------
    passes_to
        The function that the other keywords are handed on to, whose names are known as well.
    inputs
        `inputs(first)` gives the further names that are known, from the function's first argument.
    inside
        Dataclasses that the function takes, by the name of the argument: one of their fields given to the function
        itself is told its place.

    Raises
    ------
    UsageError
        From the decorated function, for a keyword that is not known, or settings given twice.
    """

    def around(function: Callable[P, T]) -> Callable[P, T]:
        own = _named(function)
        through = _named(passes_to) if passes_to is not None else ()
        known = frozenset((*own, *through))

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            strange = [name for name in kwargs if name not in known]
            if strange:
                first = args[0] if args else kwargs.get(own[0])
                further = set(inputs(first)) if inputs is not None else set()
                for name in strange:
                    if name not in further:
                        raise _unknown(function.__name__, name, known | further, inside or {})
            if kwargs.get("settings") is not None and "settings" in known:
                _once(function.__name__, kwargs)
            return function(*args, **kwargs)

        return checked

    return around


def _named(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's arguments, but for *args and **kwargs."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _unknown(function: str, name: str, known: Iterable[str], inside: Mapping[str, type]) -> UsageError:
    for argument, holder in inside.items():
        if name in {f.name for f in fields(holder)}:
            return UsageError(
                f"{function}() has no argument '{name}' of its own: it belongs to {argument}. "
                f"Write {function}(..., {argument}=bs.{holder.__name__}({name}=...))."
            )
    return unknown(f"argument of {function}()", name, known, f"See help(bs.{function}).")


def _once(function: str, given: Mapping[str, Any]) -> None:
    if not isinstance(given["settings"], Settings):
        kind = type(given["settings"]).__name__
        raise UsageError(f"settings of {function}() must be a bs.Settings, such as bs.Settings(draws=500), not {kind}.")
    twice = sorted(_SETTINGS & set(given))
    if twice:
        raise UsageError(
            f"{function}() was given settings and {', '.join(twice)} beside them: put {twice[0]} into the settings, "
            f"bs.Settings({twice[0]}=...), or leave the settings out."
        )
