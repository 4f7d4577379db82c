"""What a column of losses is in: units and their conversion, and names or numbers that speak of no loss at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError
from bayes_scaling.runs.columns import printable, shell_word
from bayes_scaling.runs.loss_names import UNITS, kind_of, options_for

UNIFORM = 12.6
"""Nats per token of a uniform guess among 300,000 words: a language model's loss starts below it."""
MAX_LOSS = 30.0
_RISING = 0.3


@dataclass(frozen=True)
class Ratios:
    """How many tokens the text has, for losses that are not counted per token: per byte (or character), per word."""

    tokens_per_byte: float | None = None
    tokens_per_word: float | None = None


def check_unit(unit: str | None, ratios: Ratios) -> str | None:
    """`unit`, where it is one and the ratio that it needs is given.

    Raises
    ------
    UsageError
        If it is none, its ratio is missing or no positive number, or a ratio is given that it has no use for.
    """
    if unit is not None and unit not in UNITS:
        raise UsageError(
            f"Unknown loss unit '{unit}'. Choose nats or bits (per token), or {', '.join(list(UNITS)[2:])}."
        )
    for option, value, units in (
        ("--tokens-per-byte", ratios.tokens_per_byte, ("bpb", "bpc")),
        ("--tokens-per-word", ratios.tokens_per_word, ("bpw",)),
    ):
        if unit in units and value is None:
            raise UsageError(
                f"--loss-unit {unit} needs {option} R, the tokens that your tokenizer makes of one "
                f"{'word' if unit == 'bpw' else 'byte' if unit == 'bpb' else 'character'} of the text: nats per token "
                f"are {UNITS[str(unit)]} times 0.693, divided by R."
            )
        if value is not None and unit not in units:
            raise UsageError(f"{option} goes with --loss-unit {' or '.join(units)}.")
        if value is not None and not (0 < value < math.inf):
            raise UsageError(f"{option} {value:g} must be above 0 and finite.")
    return unit


def result_unit(unit: str | None) -> str:
    """The unit of the losses after conversion: nats, or "error", which stays as it is."""
    return "error" if unit == "error" else "nats"


def converted(
    loss: np.ndarray, sd: np.ndarray | None, unit: str | None, ratios: Ratios
) -> tuple[np.ndarray, np.ndarray | None]:
    """Losses and their standard errors in nats per token; "error" is left on its own scale.

    A perplexity's logarithm is its loss, and its standard error becomes that of the logarithm.
    """
    if unit == "ppl":
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(loss), None if sd is None else sd / loss
    factor = {
        "bits": 1.0,
        "bpb": 1 / (ratios.tokens_per_byte or 1),
        "bpc": 1 / (ratios.tokens_per_byte or 1),
        "bpw": 1 / (ratios.tokens_per_word or 1),
    }.get(unit or "")
    scale = 1.0 if factor is None else factor * math.log(2.0)
    return loss * scale, None if sd is None else sd * scale


def undeclared(column: str, source: str) -> str | None:
    """The refusal of a loss column whose name speaks of another unit than nats per token, when no unit is declared."""
    kind = kind_of(column)
    if kind not in ("ppl", "bpb", "bpc", "bpw", "bits"):
        return None
    return (
        f"{source}: column '{printable(column)}' is by its name in {UNITS[kind]}, not nats per token. Declare it: "
        f"{options_for(shell_word(column), kind)}; or --loss-unit nats, where it is in nats per token all the same."
    )


def notices(
    column: str, loss: np.ndarray, params: np.ndarray, tokens: np.ndarray, declared: str | None, source: str
) -> list[Notice]:
    """Notices, code `not_a_loss`, where the name or the numbers speak of no loss in nats; arrays have dims (run,)."""
    name, found = f"{source}: column '{printable(column)}'", []
    kind = kind_of(column)
    rises = rank_correlation(loss, params * tokens)
    rising = rises > _RISING and rises * math.sqrt(max(loss.size - 1, 1)) > 2.3
    wrong = "Laws of loss fall with scale, so a fit of it means nothing."
    if kind == "score":
        found.append(
            f"{name} is by its name a score, which is better when higher. {wrong} Give its loss, or one minus it as an "
            "error with --loss-unit error."
        )
    elif rising:
        found.append(
            f"{name} rises with compute (rank correlation {rises:.2f} over {loss.size} runs), as accuracies and other "
            f"scores do. {wrong} Map the loss: --map loss=COLUMN; or one minus the score, with --loss-unit error."
        )
    if kind == "error" and declared is None:
        found.append(
            f"{name} is by its name an error rate; it is fitted as it is, but called nats per token. Declare it: "
            f"{options_for(shell_word(column), 'error')}."
        )
    if declared is None and float(loss.max()) > UNIFORM:
        found.append(
            f"{name} reaches {loss.max():.4g}, more nats per token than a uniform guess among 300,000 words "
            f"({UNIFORM:g}). If these are perplexities, declare them: --loss-unit ppl; other units: "
            f"{', '.join(list(UNITS)[1:])}."
        )
    return [Notice("not_a_loss", message) for message in found]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one is constant."""
    ranks = [_ranks(a), _ranks(b)]
    centred = [rank - rank.mean() for rank in ranks]
    norm = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2.0)[inverse.reshape(-1)] if distinct.size else np.zeros(0)
