"""Errors a user can meet, each with the exit code the command line gives it.

A message says what is wrong, where, which choices there are and what to do next. The command line prints the
message and nothing else; a traceback reaches a user only for a fault of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """A warning that travels with a result: `code` for scripts, `message` for people."""

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """`{code, message}`, as in `warnings` of the JSON."""
        return {"code": self.code, "message": self.message}


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
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return UsageError(f"Unknown {kind} '{name}'.{guess} Known: {', '.join(names)}. {hint}")
