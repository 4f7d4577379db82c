"""Errors a user can meet, each with the exit code the command line gives it.

A message says what is wrong, where, which choices there are and what to do next. The command line prints the
message and nothing else; a traceback reaches a user only for a fault of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bayes_scaling.base.text import printable


@dataclass(frozen=True)
class Notice:
    """A warning that travels with a result: `code` for scripts, `message` for people. One that nobody can act on, such
    as what is known of a bundled data set, is `aside`: `validate`, the report and the JSON have it, a terminal not."""

    code: str
    message: str
    aside: bool = False

    def to_dict(self) -> dict[str, Any]:
        """`{code, message}`, as in `warnings` of the JSON; and `aside` where it is."""
        return {"code": self.code, "message": self.message, **({"aside": True} if self.aside else {})}


class BayesScalingError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 3


class UsageError(BayesScalingError):
    """The request itself is wrong: an unknown law, a malformed prior, an impossible option."""

    exit_code = 2


class DataError(BayesScalingError):
    """The runs, or a file, cannot be used."""

    exit_code = 3


class InfeasibleError(BayesScalingError):
    """A request that cannot be met: the message names the limit that binds, and what would be feasible."""

    exit_code = 3


class FitFailedError(BayesScalingError):
    """A fit or an evidence estimate failed its diagnostics."""

    exit_code = 4


def unknown(kind: str, name: str, known: Iterable[str], hint: str) -> UsageError:
    """`Unknown law 'chinchila'. Did you mean 'chinchilla'? Known: ... See ...`"""
    names = sorted(known)
    near = nearest(name, names)
    guess = f" Did you mean '{printable(near, 60)}'?" if near else ""
    listed = ", ".join(printable(k, 60) for k in names)
    return UsageError(f"Unknown {kind} '{printable(name, 60)}'.{guess} Known: {listed}. {hint}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` may be a slip for, the case of its letters aside, or the beginning of; None where
    none is near."""
    lowered = {k.lower(): k for k in sorted(known, reverse=True)}
    short = name[:200].lower()
    close = difflib.get_close_matches(short, lowered, n=1, cutoff=0.6)
    close = close or sorted(k for k in lowered if len(short) > 1 and k.startswith(short))
    return lowered[close[0]] if close else None
