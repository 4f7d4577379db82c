"""The lowest loss at a quantile: value at risk."""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.rules.rule import Question, Rule, mcse
from bayes_scaling.prediction.losses import Losses


def quantile(loss: np.ndarray, level: float) -> np.ndarray:
    """The loss that is not exceeded with probability `level`, dims (plan,), of losses with dims (draw, plan)."""
    return np.asarray(np.quantile(loss, level, axis=0))


def quantile_mcse(loss: np.ndarray, level: float) -> np.ndarray:
    """Monte-Carlo error of `quantile`: half the gap between the quantiles a standard error of the level each way."""
    error = mcse((loss <= quantile(loss, level)).astype(float))
    out = np.empty(loss.shape[1])
    for j, e in enumerate(np.nan_to_num(error)):
        low, high = np.quantile(loss[:, j], [max(0.0, level - e), min(1.0, level + e)])
        out[j] = (high - low) / 2
    return out


def value(losses: Losses, asked: Question) -> np.ndarray:
    """The loss that is not exceeded with the probability of the level, nats per token, dims (plan,)."""
    return quantile(losses.curve, asked.level)


def error(losses: Losses, asked: Question) -> np.ndarray:
    """Its Monte-Carlo error, dims (plan,)."""
    return quantile_mcse(losses.curve, asked.level)


RULE = Rule("quantile", "lowest loss at the level's quantile", 20, value, value, error)
