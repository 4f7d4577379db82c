"""The highest probability that the run which will be seen, its noise included, ends at or below a target."""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.rules.rule import Question, Rule, mcse
from bayes_scaling.prediction.losses import Losses


def log_odds_of_missing(losses: Losses, asked: Question) -> np.ndarray:
    """Log odds of missing the target, dims (plan,): told apart also where the target is nearly certain, or nearly out
    of reach."""
    assert asked.target_loss is not None
    hit, miss = losses.p_below(asked.target_loss)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(miss.mean(axis=0)) - np.log(hit.mean(axis=0)))


def value(losses: Losses, asked: Question) -> np.ndarray:
    """Probability of the target, dims (plan,)."""
    assert asked.target_loss is not None
    return np.asarray(losses.p_reached(asked.target_loss).mean(axis=0))


def error(losses: Losses, asked: Question) -> np.ndarray:
    """Its Monte-Carlo error, dims (plan,)."""
    assert asked.target_loss is not None
    return mcse(losses.p_reached(asked.target_loss))


RULE = Rule(
    "target", "highest probability of the target", 40, log_odds_of_missing, value, error, needs_target=True
)  # fmt: skip
