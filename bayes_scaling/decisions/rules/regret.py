"""The lowest expected regret: loss above that of each draw's own best plan.

Its plan is always that of the expected loss, since what knowing the truth would give is the same for every plan. The
regret of that plan is the value of perfect knowledge (Raiffa and Schlaifer, 1961).
"""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.rules.rule import Question, Rule, mcse
from bayes_scaling.prediction.losses import Losses


def regrets(losses: Losses, asked: Question) -> np.ndarray:
    """Loss above that of each draw's own best plan, dims (draw, plan)."""
    assert asked.best is not None
    return np.asarray(losses.curve - asked.best[:, None])


def objective(losses: Losses, asked: Question) -> np.ndarray:
    """Expected loss: least where the expected regret is, dims (plan,)."""
    return np.asarray(losses.curve.mean(axis=0))


def value(losses: Losses, asked: Question) -> np.ndarray:
    """Expected regret, nats per token, dims (plan,)."""
    return np.asarray(regrets(losses, asked).mean(axis=0))


def error(losses: Losses, asked: Question) -> np.ndarray:
    """Its Monte-Carlo error, dims (plan,)."""
    return mcse(regrets(losses, asked))


RULE = Rule("regret", "lowest expected regret", 50, objective, value, error, as_rule="expected")
