"""Counts and compute as people write them: "7B", "1.4T", "1,300,000", "1e24FLOP", "100PF-days".

Every count is a float: 6·params·tokens overflows a 64-bit integer from about 1e18 FLOP on. Standard library
only, so that the commands which must start at once can use it.
"""

from __future__ import annotations

import math
import re

from bayes_scaling.base.errors import UsageError

FLOP_PER_PF_DAY = 8.64e19
"""1 PF-day: 1e15 FLOP a second for 86,400 seconds."""

COUNT_FORMS = "write a plain number, or 7B, 410M, 1.3e9"
BUDGET_FORMS = "write 1e24, 1e24FLOP or 100PF-days"

_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "t": 1e12, "tn": 1e12}
_SCALES |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}

_PLAIN = r"[+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)"
_GROUPED = r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"
_NUMBER = rf"(?P<number>{_GROUPED}|{_PLAIN})(?P<exponent>e[+-]?[0-9]+)?"
_COUNT = re.compile(rf"{_NUMBER}\s*(?P<unit>[a-z]*)", re.IGNORECASE)
_FLOP = re.compile(rf"{_NUMBER}\s*(?P<prefix>[kmgtpezy]?)(?:flops?)?", re.IGNORECASE)
_PF_DAYS = re.compile(rf"{_NUMBER}\s*(?:pf|pflops?(?:/s)?|petaflops?(?:/s)?)[-\s]?days?", re.IGNORECASE)


def parse_count(text: str | float) -> float:
    """A count of parameters or tokens.

    Understands plain and scientific numbers, the suffixes K, M, B (or bn) and T in either case, underscores
    between digits, and commas between groups of three digits.

    Parameters
    ----------
    text
        For instance "7B", "410M", "1.3e9", "1_000" or "1,300,000"; a number is taken as it is.

    Raises
    ------
    ValueError
        If the text is no count, or the count is not finite and above 0. The message says which, and what to
        write.
    """
    if not isinstance(text, str):
        return _positive(_float(text))
    match = _COUNT.fullmatch(_short(text))
    unit = match["unit"].lower() if match else ""
    if match is None or unit not in _SCALES:
        raise ValueError(f"not a count; {COUNT_FORMS}")
    if unit and match["exponent"]:
        raise ValueError(f"a power of ten and a suffix together; {COUNT_FORMS}")
    return _positive(_value(match) * _SCALES[unit])


def parse_flop(text: str | float) -> float:
    """Compute in FLOP, as `parse_budget` reads it.

    Raises
    ------
    ValueError
        If the text is no amount of compute, or is not finite and above 0.
    """
    if not isinstance(text, str):
        return _positive(_float(text))
    stripped = _short(text)
    if match := _PF_DAYS.fullmatch(stripped):
        return _positive(_value(match) * FLOP_PER_PF_DAY)
    match = _FLOP.fullmatch(stripped)
    if match is None or (match["prefix"] and not re.search("flop", stripped, re.IGNORECASE)):
        raise ValueError(f"not an amount of compute; {BUDGET_FORMS}")
    return _positive(_value(match) * _PREFIXES[match["prefix"].lower()])


def parse_budget(text: str | float) -> float:
    """A compute budget in FLOP.

    Parameters
    ----------
    text
        "1e24", "1e24FLOP", "2.5 ZFLOP", "100PF-days" (1 PF-day = 8.64e19 FLOP), or a number of FLOP.

    Raises
    ------
    UsageError
        If it is no amount of compute, or is not finite and above 0.
    """
    try:
        return parse_flop(text)
    except (ValueError, TypeError) as error:
        raise UsageError(f"Budget '{text}' cannot be used: {error}.") from error


def format_count(value: float) -> str:
    """A count in three significant digits: "70B", "1.4T", "410M", "950"; from 1e15 on, as "5.88e23"."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.3g}")  # rounded first, so that 999.9e6 becomes 1B and not 1000M
    size = abs(rounded)
    if size >= 1e15 or 0 < size < 1e-2:
        return _scientific(rounded)
    for suffix, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if size >= scale:
            return f"{rounded / scale:.3g}{suffix}"
    return f"{rounded:.3g}"


def format_flop(value: float) -> str:
    """Compute in FLOP in three significant digits: "5.88e23", "1e24"."""
    value = float(value)
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    return _scientific(value)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _short(text: str) -> str:
    # No written number is this long; a cell of a million digits would only make the patterns work for
    # nothing.
    text = text.strip()
    return text if len(text) <= 80 else "too long"


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except TypeError:
        raise ValueError("not a number; give a value above 0") from None


def _value(match: re.Match[str]) -> float:
    digits = match["number"].replace(",", "").replace("_", "")
    return float(digits + (match["exponent"] or ""))


def _positive(value: float) -> float:
    if math.isnan(value):
        raise ValueError("not a number; give a value above 0")
    if math.isinf(value):
        raise ValueError("not finite; give a finite value above 0")
    if value <= 0:
        raise ValueError("zero; it must be above 0" if value == 0 else "negative; it must be above 0")
    return value
