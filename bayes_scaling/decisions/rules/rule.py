"""`Rule`: a measure of risk over draws of losses, and how a plan is chosen by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.prediction.losses import Losses

if TYPE_CHECKING:
    from bayes_scaling.decisions.limits import Allocations
    from bayes_scaling.prediction.predictive import Predictive

BATCHES = 40


@dataclass(frozen=True, eq=False)
class Question:
    """What a measure is told besides the losses.

    Parameters
    ----------
    level
        Of quantiles and of the mean of the worst.
    target_loss
        Nats per token; None without a target.
    best
        Loss of each draw's own best plan, dims (draw,): what regret is counted from; None where it is not known.
    """

    level: float = 0.9
    target_loss: float | None = None
    best: np.ndarray | None = None


Measure = Callable[[Losses, Question], np.ndarray]
"""From losses of plans to a number for each, dims (plan,)."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    name, looks_for
        As it is asked for, and in words.
    order
        Among the rules, where they are shown.
    objective
        What is least at the plan it takes.
    value, error
        The measure that is shown, and its Monte-Carlo error; None where there is none to show.
    needs_target
        Whether it makes sense with a target loss only.
    as_rule
        Another rule that always takes the same plan.
    search
        Its own search, where the objective is no mean over draws: log N of the plan it takes.
    """

    name: str
    looks_for: str
    order: int
    objective: Measure
    value: Measure | None = None
    error: Measure | None = None
    needs_target: bool = False
    as_rule: str | None = None
    search: Callable[[Predictive, Allocations, np.ndarray], float | None] | None = None


def mcse(influence: np.ndarray) -> np.ndarray:
    """Standard error of a mean over draws with dims (draw, ...), by batch means: neighbours in a chain are alike."""
    n = len(influence)
    if n < 2 * BATCHES:
        return influence.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(influence.shape[1:], np.nan)
    size = n // BATCHES
    means = influence[: size * BATCHES].reshape(BATCHES, size, *influence.shape[1:]).mean(axis=1)
    return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(BATCHES))
