"""The lowest expected loss."""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.rules.rule import Question, Rule, mcse
from bayes_scaling.prediction.losses import Losses


def value(losses: Losses, asked: Question) -> np.ndarray:
    """Mean over draws, nats per token, dims (plan,)."""
    return np.asarray(losses.curve.mean(axis=0))


def error(losses: Losses, asked: Question) -> np.ndarray:
    """Its Monte-Carlo error, dims (plan,)."""
    return mcse(losses.curve)


RULE = Rule("expected", "lowest expected loss", 10, value, value, error)
