"""Units that a header names ("Params (M)", `model_mparams`, `tokens_B`, "FLOPs (1E21)"), and factors in `--map`.

Knows names only; nothing is evaluated. A header's unit holds for plain numbers: a cell that names its own (`7B`) keeps
it, and a factor given with `--map` takes the header's place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.units import FLOP_PER_PF_DAY

_WORDS = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3,
    "m": 1e6, "mm": 1e6, "mil": 1e6, "mio": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "bil": 1e9, "billion": 1e9, "billions": 1e9, "g": 1e9,
    "t": 1e12, "tn": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
_FLOP_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_FLOP = re.compile(r"([kmgtpezy]?)flops?", re.IGNORECASE)
_PF_DAY = re.compile(r"(?:pf|pflops?|petaflops?)(?:/s)?[-_ ]*days?", re.IGNORECASE)
_POWER = re.compile(r"[x×*]?\s*(?:1(?:\.0*)?e\+?(\d+)|10\s*(?:\^|\*\*)\s*\{?(\d+)\}?)", re.IGNORECASE)
_ENCLOSED = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_SUFFIX = re.compile(r"(?:^|.*[^A-Za-z])(params?|parameters|tokens|toks|size)[ _-]+(?:in[ _-]+)?([A-Za-z]+)$", re.I)
_SUFFIX_POWER = re.compile(r".*flops?[ _-]*(1?e\d+)$", re.IGNORECASE)
_CAMEL = re.compile(r"(?:.*[^A-Za-z])?(params?|parameters|tokens)(K|M|B|T)$")
_PREFIX = re.compile(r"(?:^|.*[^A-Za-z])([kmbgt])(params?|parameters|tokens)$", re.IGNORECASE)
_RATE = re.compile(r"per[ _-]*(?:s|sec|second|gpu|device|token|step)\b|/\s*s(?:ec)?\b|throughput|_per_", re.IGNORECASE)


@dataclass(frozen=True)
class Unit:
    """A factor to a count or to FLOP, and the words that named it."""

    factor: float
    words: str


def header_unit(name: str, role: str) -> Unit | None:
    """The unit that a column's name gives its plain numbers, if it gives one.

    Parameters
    ----------
    name
        The column's name, as the table has it.
    role
        `params`, `tokens`, `flops`, `pf_days`, or a law's count.
    """
    text = name.strip()
    if role == "flops":
        return _flop_unit(text)
    if role == "pf_days":
        return None
    for inner in _ENCLOSED.findall(text):
        if unit := _counted(inner):
            return unit
    for pattern, position in ((_SUFFIX, 2), (_CAMEL, 2), (_PREFIX, 1)):
        if (match := pattern.fullmatch(text)) and (factor := _WORDS.get(match[position].lower())):
            return Unit(factor, match[position])
    return None


def bare(name: str) -> str:
    """A column's name without the unit in it: "Params (M)" is "Params", `tokens_B` is `tokens`, `mparams` `params`."""
    text = _ENCLOSED.sub(" ", name).strip() or name
    if match := _SUFFIX.fullmatch(text):
        if match[2].lower() in _WORDS:
            text = text[: match.start(2)].rstrip(" _-")
            text = re.sub(r"[ _-]+in$", "", text, flags=re.IGNORECASE)
    elif match := _CAMEL.fullmatch(text):
        text = text[: match.start(2)]
    elif match := _PREFIX.fullmatch(text):
        text = text[: match.start(1)] + text[match.start(2) :]
    if match := _SUFFIX_POWER.fullmatch(text):
        text = text[: match.start(1)].rstrip(" _-")
    return re.sub(r"(?<![A-Za-z])[gez](?=flops?$)", "", text, flags=re.IGNORECASE)


def is_pf_days(name: str) -> bool:
    """Whether a name speaks of PF-days."""
    return _PF_DAY.search(name) is not None


def is_rate(name: str) -> bool:
    """Whether a name speaks of something per second, device, token or step, and so of no total."""
    return _RATE.search(name) is not None


def split_factor(text: str, names: Sequence[str]) -> tuple[str, float | None]:
    """The column and the factor of what stands right of `--map ROLE=`: `Params (M)*1e6`, `1e6*Params`, `col/1000`.

    A text that is a column's whole name is that column, with no factor.

    Raises
    ------
    UsageError
        If the factor is zero or not finite.
    """
    if text in names:
        return text, None
    number = r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)"
    for pattern, column, factor in (
        (rf"(.+?)\s*([*/×])\s*{number}", 1, 3),
        (rf"{number}\s*([*×])\s*(.+)", 3, 1),
    ):
        match = re.fullmatch(pattern, text.strip(), re.IGNORECASE)
        if match and match[column].strip() in names:
            value = float(match[factor])
            if not 0 < value < float("inf"):
                raise UsageError(f"--map: the factor in '{text}' must be above 0 and finite.")
            return match[column].strip(), 1 / value if match[2] == "/" else value
    return text, None


def _counted(text: str) -> Unit | None:
    text = text.strip()
    words = [w for w in re.split(r"[\s_-]+", text.lower()) if w not in ("in", "of", "params", "parameters", "tokens")]
    if len(words) == 1 and (factor := _WORDS.get(words[0])):
        return Unit(factor, text)
    if match := _POWER.fullmatch(text):
        return Unit(10.0 ** int(match[1] or match[2]), text)
    return None


def _flop_unit(text: str) -> Unit | None:
    if _PF_DAY.search(text):
        return Unit(FLOP_PER_PF_DAY, "PF-days")
    for inner in _ENCLOSED.findall(text):
        plain = re.sub(r"\s*flops?$", "", inner.strip(), flags=re.IGNORECASE) if _POWER.match(inner.strip()) else ""
        if plain and (match := _POWER.fullmatch(plain)):
            return Unit(10.0 ** int(match[1] or match[2]), inner)
        if match := _FLOP.fullmatch(inner.strip()):
            return Unit(_FLOP_PREFIXES[match[1].lower()], inner)
    if match := _SUFFIX_POWER.fullmatch(text):
        return Unit(float(match[1] if match[1].startswith("1") else "1" + match[1]), match[1])
    found = re.findall(r"(?<![A-Za-z])([kmgtpezy])flops?(?![A-Za-z])", text, re.IGNORECASE)
    if found and not is_rate(text):
        return Unit(_FLOP_PREFIXES[found[0].lower()], f"{found[0]}FLOP")
    return None
