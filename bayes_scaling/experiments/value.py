"""What knowing more is worth to whoever must choose a model size at a budget: in loss, in compute, in money.

The decision is how to divide the budget between params and tokens. Whoever knows no more takes the size of least
expected loss; whoever knew the truth would take the best size under it, and the difference of the two losses, averaged
over the posterior, is the value of perfect information. A study of a few runs earns part of that: after it the size
of least expected loss is another (Raiffa and Schlaifer, 1961).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.experiments.candidates import Candidates
from bayes_scaling.experiments.worlds import Study
from bayes_scaling.prediction.beliefs import Beliefs

# Sizes compared: over the range of the draws' optima but for this share on each side, and a factor of two beyond.
SIZES, TAIL, MARGIN = 121, 0.002, np.log(2)
# The slope of the loss against compute is taken across this factor of it.
SPAN = 1.25
# Where the loss hardly falls any more no compute buys as much: a factor of e^30 stands for that.
MOST = 30.0


@dataclass(frozen=True)
class Value:
    """Expected saving of loss at the budget.

    Parameters
    ----------
    loss, loss_error
        Nats per token, and its Monte-Carlo standard error.
    share
        Of the expected loss of the best plan as things stand.
    flops, flops_error
        Compute that would buy as much: what must be added to the budget for the same fall of the loss; and its
        standard error.
    money
        The price of that compute; None without a price.
    """

    loss: float
    loss_error: float
    share: float
    flops: float
    flops_error: float
    money: float | None

    def to_dict(self) -> dict[str, float | None]:
        """The value as loss, share of it in per cent, FLOP and money, with errors."""
        return {
            "loss": self.loss,
            "loss_error": self.loss_error,
            "percent": 100 * self.share,
            "flops": self.flops,
            "flops_error": self.flops_error,
            "money": self.money,
        }


@dataclass(frozen=True)
class Worth:
    """Values of information for the choice of a size at `budget`.

    Parameters
    ----------
    params, loss
        The best size as things stand, and its expected loss, nats per token.
    perfect
        What knowing the truth would save.
    study
        What the suggested runs are expected to save.
    cost_flops, cost_money
        What those runs cost.
    method
        Of the study's value: "reweighted" draws, or "normal" where their weights do not hold.
    """

    budget: float
    params: float
    loss: float
    perfect: Value
    study: Value
    cost_flops: float
    cost_money: float | None
    method: str

    @property
    def net_flops(self) -> float:
        """What the study earns beyond its cost, in FLOP."""
        return self.study.flops - self.cost_flops

    def to_dict(self) -> dict[str, Any]:
        """`worth` of the JSON of `next`."""
        return {
            "params": self.params,
            "loss": self.loss,
            "perfect": self.perfect.to_dict(),
            "study": self.study.to_dict(),
            "cost": {"flops": self.cost_flops, "money": self.cost_money},
            "net_flops": self.net_flops,
            "method": self.method,
        }


def worth(
    beliefs: Beliefs,
    log_optimum: np.ndarray,
    budget: float,
    batch: Candidates,
    study: Study,
    price_per_flop: float | None = None,
) -> Worth:
    """What perfect knowledge and the study of `batch` are worth.

    Parameters
    ----------
    log_optimum
        Log N* of each draw at the budget, dims (draw,); draws without weight may hold anything.
    study
        As `studies.study` made it of `batch`.
    """
    low, high = np.quantile(log_optimum[beliefs.weights > 0], [TAIL, 1 - TAIL])
    sizes = np.exp(np.linspace(low - MARGIN, high + MARGIN, SIZES))
    loss = np.exp(beliefs.log_curve(sizes, beliefs.compute.tokens(sizes, budget), discrepancy=False))
    expected = beliefs.weights @ loss
    now = int(np.argmin(expected))
    slope = _slope(beliefs, sizes, budget)

    def value(saved: np.ndarray, weights: np.ndarray) -> Value:
        mean = float(weights @ saved)
        error = float(np.sqrt((weights**2) @ (saved - mean) ** 2))
        fold = min(max(mean, 0.0) / slope, MOST)
        more, more_error = budget * float(np.expm1(fold)), budget * float(np.exp(fold)) * error / slope
        money = None if price_per_flop is None else more * price_per_flop
        return Value(mean, error, mean / float(expected[now]), more, more_error, money)

    believed = bool(study.believed[-1])
    after = _reweighted(study, loss) if believed else _normal(beliefs, batch, study, loss)
    best = np.argmin(after, axis=1)
    # Judged by each world's own truth, which its weights leave out: a poor choice counts against the study.
    saved = loss[study.which, now] - loss[study.which, best]
    cost = float(batch.flops.sum())
    return Worth(
        budget=budget,
        params=float(sizes[now]),
        loss=float(expected[now]),
        perfect=value(loss[:, now] - loss.min(axis=1), beliefs.weights),
        study=value(saved, np.full(len(saved), 1 / len(saved))),
        cost_flops=cost,
        cost_money=None if price_per_flop is None else cost * price_per_flop,
        method="reweighted" if believed else "normal",
    )


def _reweighted(study: Study, loss: np.ndarray) -> np.ndarray:
    """Expected loss of each size in each world once the runs are seen, dims (world, size)."""
    return np.asarray(study.weights @ loss)


def _normal(beliefs: Beliefs, batch: Candidates, study: Study, loss: np.ndarray) -> np.ndarray:
    """The same by the best linear predictor of each size's loss from what was seen."""
    w, curves = beliefs.weights, beliefs.log_curve(batch.params, batch.tokens)
    centre = w @ curves
    spread = w[:, None] * (curves - centre)
    covariance = spread.T @ (curves - centre) + np.diag(beliefs.normal_variance(batch.flops))
    slopes = np.linalg.solve(covariance, spread.T @ (loss - w @ loss))
    return np.asarray(w @ loss + (study.seen - centre) @ slopes)


def _slope(beliefs: Beliefs, sizes: np.ndarray, budget: float) -> float:
    """Nats per token by which the least expected loss falls when the budget grows e-fold."""
    ends = []
    for c in (budget / SPAN, budget * SPAN):
        loss = np.exp(beliefs.log_curve(sizes, beliefs.compute.tokens(sizes, c), discrepancy=False))
        ends.append(float((beliefs.weights @ loss).min()))
    return float(max((ends[0] - ends[1]) / (2 * np.log(SPAN)), 1e-12))
