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

from bayes_scaling.decisions.choosing import choose
from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.decisions.rules.rule import mcse
from bayes_scaling.experiments.candidates import Candidates
from bayes_scaling.experiments.worlds import Study
from bayes_scaling.prediction.best_sizes import best_sizes
from bayes_scaling.prediction.predictive import Predictive

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


@dataclass(frozen=True)
class Knowing:
    """What knowing the truth would save whoever takes the size of least expected loss.

    Parameters
    ----------
    params, loss
        That size, and its expected loss, nats per token.
    saved, error
        Its expected regret, nats per token, and the Monte-Carlo error.
    """

    params: float
    loss: float
    saved: float
    error: float


def knowledge(beliefs: Predictive, budget: float) -> Knowing:
    """The value of perfect knowledge at a budget, as `decide` has it: the expected regret of the plan it would take."""
    allocations = Allocations(np.asarray(budget), compute=beliefs.compute, capped=False)
    choices = choose(beliefs, allocations, ["expected"])
    n = np.array([choices.expected_params])
    loss = beliefs.loss(n, allocations.tokens(n))[:, 0]
    regret = loss - choices.best_loss
    return Knowing(float(n[0]), float(loss.mean()), float(regret.mean()), float(mcse(regret)))


def worth(
    beliefs: Predictive,
    budget: float,
    batch: Candidates,
    study: Study,
    price_per_flop: float | None = None,
    knowing: Knowing | None = None,
) -> Worth:
    """What perfect knowledge and the study of `batch` are worth.

    Parameters
    ----------
    study
        As `worlds.study` made it of `batch`, with the draws of `beliefs`.
    knowing
        Of perfect knowledge, where more draws than those of `beliefs` have it.
    """
    known = knowing or knowledge(beliefs, budget)
    low, high = np.nanquantile(best_sizes(beliefs, np.array([budget])).log_params[:, 0], [TAIL, 1 - TAIL])
    middle = np.log(known.params)
    sizes = np.exp(np.linspace(min(low, middle) - MARGIN, max(high, middle) + MARGIN, SIZES))
    loss = beliefs.loss(sizes, beliefs.compute.tokens(sizes, budget))
    now = int(np.argmin(loss.mean(axis=0)))
    slope = _slope(beliefs, sizes, budget)

    def value(mean: float, error: float) -> Value:
        fold = min(max(mean, 0.0) / slope, MOST)
        more, more_error = budget * float(np.expm1(fold)), budget * float(np.exp(fold)) * error / slope
        money = None if price_per_flop is None else more * price_per_flop
        return Value(mean, error, mean / known.loss, more, more_error, money)

    believed = bool(study.believed[-1])
    after = _reweighted(study, loss) if believed else _normal(beliefs, batch, study, loss)
    chosen = np.argmin(after, axis=1)
    # Judged by each world's own truth, which its weights leave out: a poor choice counts against the study. As a share
    # of what knowing that truth would have saved in the same worlds, so that what the worlds have in common cancels.
    own = loss[study.which]
    saved, most = own[:, now] - own[np.arange(len(own)), chosen], own[:, now] - own.min(axis=1)
    total = max(float(most.mean()), 1e-300)
    share = min(max(float(saved.mean()) / total, 0.0), 1.0)
    share_error = float(np.std(saved - share * most, ddof=1)) / np.sqrt(len(own)) / total
    cost = float(batch.flops.sum())
    return Worth(
        budget=budget,
        params=known.params,
        loss=known.loss,
        perfect=value(known.saved, known.error),
        study=value(share * known.saved, float(np.hypot(share_error * known.saved, share * known.error))),
        cost_flops=cost,
        cost_money=None if price_per_flop is None else cost * price_per_flop,
        method="reweighted" if believed else "normal",
    )


def _reweighted(study: Study, loss: np.ndarray) -> np.ndarray:
    """Expected loss of each size in each world once the runs are seen, dims (world, size)."""
    return np.asarray(study.weights @ loss)


def _normal(beliefs: Predictive, batch: Candidates, study: Study, loss: np.ndarray) -> np.ndarray:
    """The same by the best linear predictor of each size's loss from what was seen."""
    losses = beliefs.at(batch.params, batch.tokens)
    curves, n = losses.log_curve, beliefs.n_draws
    centre = curves.mean(axis=0)
    spread = (curves - centre) / n
    covariance = spread.T @ (curves - centre) + np.diag(losses.normal_variance())
    slopes = np.linalg.solve(covariance, spread.T @ (loss - loss.mean(axis=0)))
    return np.asarray(loss.mean(axis=0) + (study.seen - centre) @ slopes)


def _slope(beliefs: Predictive, sizes: np.ndarray, budget: float) -> float:
    """Nats per token by which the least expected loss falls when the budget grows e-fold."""
    ends = []
    for c in (budget / SPAN, budget * SPAN):
        ends.append(float(beliefs.loss(sizes, beliefs.compute.tokens(sizes, c)).mean(axis=0).min()))
    return float(max((ends[0] - ends[1]) / (2 * np.log(SPAN)), 1e-12))
