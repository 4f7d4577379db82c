"""Bayes factors in words: how strong they are, over their whole range, and when to say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from bayes_scaling.evidence.bridge import LogEvidence
from bayes_scaling.evidence.sensitivity import Sensitivity

# Kass and Raftery (1995), table of section 3.2, in nats: 1, 3 and 5 are odds of 2.7, 20 and 150 to one.
WORDS = ((5.0, "very strong"), (3.0, "strong"), (1.0, "positive"))
MENTION = "not worth more than a bare mention"
DEPENDS = "depends on the priors or noise: no verdict"
# The two estimators agree when they differ by no more than this many combined standard errors.
AGREE = 3.0


@dataclass(frozen=True)
class BayesFactor:
    """Log Bayes factor of one law over another, nats, and what it says in a word.

    `range` spans what it would be under other priors and noise models, where that was computed, and the
    verdict then holds for all of it.
    """

    numerator: str
    denominator: str
    log_bf: float
    log_bf_sd: float
    range: tuple[float, float] | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """One entry of `bayes_factors[]` in the JSON."""
        return {
            "numerator": self.numerator,
            "denominator": self.denominator,
            "log_bf": self.log_bf,
            "log_bf_sd": self.log_bf_sd,
            "range": list(self.range) if self.range else None,
            "verdict": self.verdict,
        }


def word(log_bf: float) -> str:
    """How strong a log Bayes factor in favour of the numerator is, in a word."""
    for limit, text in WORDS:
        if log_bf >= limit:
            return text
    return MENTION


def word_of_range(low: float, high: float) -> str:
    """The word that all of a range of log Bayes factors bears out.

    A range within one nat of zero is a bare mention wherever it lies; one that crosses zero and reaches
    further allows no verdict.
    """
    limit = WORDS[-1][0]
    if max(-low, high) < limit:
        return MENTION
    return word(low) if low >= 0 else DEPENDS


def one_word(log_bf: float, numerator: str, denominator: str) -> str:
    """What a single log Bayes factor says, and of which law it says it."""
    if abs(log_bf) < WORDS[-1][0]:
        return MENTION
    return f"{word(abs(log_bf))} for {numerator if log_bf > 0 else denominator}"


def restated(factors: Sequence[BayesFactor], found: Mapping[str, LogEvidence]) -> list[tuple[BayesFactor, bool]]:
    """The same pairs under another set of priors or another noise model, and whether that changes the word.

    The word compared with is that of the single value, not of its range.
    """
    out = []
    for b in factors:
        top, bottom = found[b.numerator], found[b.denominator]
        value, sd = top.value - bottom.value, float(np.hypot(top.sd, bottom.sd))
        said = one_word(value, b.numerator, b.denominator)
        if not (top.ok and bottom.ok):
            said = "withheld: an estimate failed its checks"
        changed = said != one_word(b.log_bf, b.numerator, b.denominator)
        out.append((BayesFactor(b.numerator, b.denominator, value, sd, None, said), changed))
    return out


def withheld(factor: BayesFactor) -> bool:
    """Whether the verdict was withheld because an estimate cannot be relied on."""
    return factor.verdict.startswith("withheld")


def agreeing(a: LogEvidence, b: LogEvidence) -> bool:
    """Whether two estimates of one log evidence lie within three combined standard errors."""
    return a.ok and b.ok and abs(a.value - b.value) <= AGREE * float(np.hypot(a.sd, b.sd))


def bayes_factors(
    names: Sequence[str],
    bridge: Mapping[str, LogEvidence],
    nested: Mapping[str, LogEvidence],
    moved: Sensitivity | None,
) -> list[BayesFactor]:
    """Every pair of laws, the better one as numerator.

    Parameters
    ----------
    bridge, nested
        Log evidence of each law by each estimator; `nested` may be empty.
    moved
        Evidence under other priors and noise models, where it was worked out.
    """
    ordered = sorted(names, key=lambda n: -bridge[n].value)
    out = []
    for top, bottom in combinations(ordered, 2):
        a, b = bridge[top], bridge[bottom]
        value = a.value - b.value
        span = moved.range(top, bottom) if moved else None
        verdict = _verdict(value, span, (top, bottom), bridge, nested)
        out.append(BayesFactor(top, bottom, value, float(np.hypot(a.sd, b.sd)), span, verdict))
    return out


def _verdict(
    value: float,
    span: tuple[float, float] | None,
    pair: tuple[str, str],
    bridge: Mapping[str, LogEvidence],
    nested: Mapping[str, LogEvidence],
) -> str:
    """The word for a pair, better law first; withheld where estimators disagree and the word hangs on it."""
    top, bottom = pair
    if not (bridge[top].ok and bridge[bottom].ok):
        return "withheld: an estimate failed its checks"
    low, high = span or (value, value)
    said = word_of_range(low, high)
    doubtful = [n for n in pair if n in nested and not agreeing(bridge[n], nested[n])]
    # What the whole range would be if the other estimator were right about one law or both.
    errors = {n: nested[n].value - bridge[n].value for n in doubtful}
    for shifts in product(*((0.0, errors[n] if n == top else -errors[n]) for n in doubtful)):
        moved = sum(shifts)
        if not np.isfinite(moved) or word_of_range(low + moved, high + moved) != said:
            return "withheld: bridge and nested sampling disagree"
    return said
