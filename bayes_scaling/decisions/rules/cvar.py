"""The lowest mean of the worst losses: conditional value at risk."""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.rules.quantile import quantile
from bayes_scaling.decisions.rules.rule import Question, Rule, mcse
from bayes_scaling.prediction.losses import Losses


def cvar(loss: np.ndarray, level: float) -> np.ndarray:
    """Mean of the worst, that is the highest, 1 - level of the losses, dims (plan,), of losses with dims (draw, plan).

    The draw that straddles the level counts by the part of it beyond (Rockafellar and Uryasev, 2002, prop. 8).
    """
    tail = (1 - level) * len(loss)
    whole = int(np.floor(tail + 1e-9))
    worst = -np.partition(-loss, min(whole, len(loss) - 1), axis=0)[: whole + 1]
    part = tail - whole
    total = worst[:whole].sum(axis=0)
    if part > 1e-9:
        total = total + part * worst[whole]
    return np.asarray(total / tail)


def cvar_mcse(loss: np.ndarray, level: float) -> np.ndarray:
    """Monte-Carlo error of `cvar`: that of the mean of q + (loss - q)+ / (1 - level)."""
    q = quantile(loss, level)
    return mcse(q + np.maximum(loss - q, 0.0) / (1 - level))


def value(losses: Losses, asked: Question) -> np.ndarray:
    """Mean of the losses beyond the level, nats per token, dims (plan,)."""
    return cvar(losses.curve, asked.level)


def error(losses: Losses, asked: Question) -> np.ndarray:
    """Its Monte-Carlo error, dims (plan,)."""
    return cvar_mcse(losses.curve, asked.level)


RULE = Rule("cvar", "lowest mean of the worst losses", 30, value, value, error)
