"""What a batch of runs would teach, by nested Monte Carlo over the posterior.

In each of many worlds, drawn from the predictive's own, the batch is made, run by run, and every draw is weighed by how
well it foretold what was seen: Ryan (2003), J. Comput. Graph. Stat. 12(3); Rainforth et al. (2018), arXiv:1709.06181;
Foster et al. (2019), arXiv:1903.05480. Weights are Pareto-smoothed, and their k says whether to believe them; where it
says no, the normal approximation stands in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, xlogy

from bayes_scaling.experiments.candidates import Candidates
from bayes_scaling.inference.psis import k_limit, smoothed
from bayes_scaling.prediction.predictive import Predictive

WORLDS = 256
# The share of worlds whose weights may be bad before none is believed.
BAD_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Study:
    """What the runs of a batch would teach, one after another.

    Parameters
    ----------
    left
        Variance of the quantity once each run was seen, dims (world, run).
    information
        Information on everything so far, nats, dims (world, run): between a lower bound (the world's own draw counts
        among those averaged over) and an upper one (it does not), Foster et al. (2019), eq. 10 and 14.
    gap
        Half the distance of the two bounds, nats, dims (run,).
    law_entropy
        Of the laws' probabilities, nats, dims (world, run).
    bad
        Share of worlds in which Pareto k is too high, dims (run,).
    weights
        Of the draws once all was seen, dims (world, draw).
    which
        The draw that is each world's truth, dims (world,).
    seen
        Log losses, dims (world, run).
    """

    left: np.ndarray
    information: np.ndarray
    gap: np.ndarray
    law_entropy: np.ndarray
    bad: np.ndarray
    weights: np.ndarray
    which: np.ndarray
    seen: np.ndarray

    @property
    def believed(self) -> np.ndarray:
        """Whether the weights hold up to each run, dims (run,)."""
        return np.asarray(np.cumsum(self.bad > BAD_SHARE) == 0)


def study(
    beliefs: Predictive, quantity: np.ndarray, batch: Candidates, worlds: int = WORLDS, random_seed: int = 0
) -> Study:
    """Make the runs of `batch` in simulated worlds.

    Parameters
    ----------
    quantity
        What one wants to know, dims (draw, part).
    """
    rng = np.random.default_rng([random_seed, 401])
    losses, n = beliefs.at(batch.params, batch.tokens), beliefs.n_draws
    which = _spread(n, worlds, rng)
    own = np.arange(worlds), which
    likelihood = np.zeros((worlds, n))
    limit = k_limit(n)
    names = ("left", "information", "gap", "law_entropy", "bad", "seen")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    weights = np.zeros((worlds, n))
    for j in range(len(batch)):
        seen = losses.log_curve[which, j] + losses.scale[which, j] * losses.luck(which, rng)
        likelihood += losses.log_density(seen, j)
        terms = likelihood - np.log(n)
        truth = likelihood[own]
        low = truth - logsumexp(terms, axis=1)
        terms[own] = -np.inf
        high = truth - logsumexp(terms, axis=1) + np.log1p(-1 / n)
        weights, k = smoothed(terms)
        columns["seen"].append(seen)
        columns["information"].append(0.5 * (low + high))
        columns["gap"].append(np.asarray(0.5 * (high - low).mean()))
        columns["left"].append(_variance(weights, quantity))
        columns["law_entropy"].append(_entropy(beliefs, weights))
        columns["bad"].append(np.asarray((k > limit).mean()))
    stacked = {name: np.stack(values, axis=-1) for name, values in columns.items()}
    return Study(**stacked, weights=weights, which=which)


def _spread(draws: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draws spread evenly over all, so that of a mixture every law is met as often as it weighs."""
    found = ((np.arange(n) + rng.random(n)) / n * draws).astype(int)
    return rng.permutation(np.minimum(found, draws - 1))


def _variance(weights: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    """Weighted variance summed over parts, dims (world,); as few draws as carry weight do not make it small."""
    first, second = weights @ quantity, weights @ quantity**2
    short = 1 - (weights**2).sum(axis=1)
    return np.asarray((second - first**2).sum(axis=1) / np.maximum(short, 1e-3))


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Nats, over the last axis."""
    return np.asarray(-xlogy(probabilities, probabilities).sum(axis=-1))


def law_shares(beliefs: Predictive) -> np.ndarray:
    """Probability of each law, dims (law,)."""
    return np.bincount(beliefs.component, minlength=len(beliefs.members)) / beliefs.n_draws


def _entropy(beliefs: Predictive, weights: np.ndarray) -> np.ndarray:
    laws = range(len(beliefs.members))
    return entropy(np.stack([weights[:, beliefs.component == i].sum(axis=1) for i in laws], axis=1))


def normal_law_entropy(beliefs: Predictive, batch: Candidates, seen: np.ndarray) -> np.ndarray:
    """As `Study.law_entropy`, each law's prediction of `seen` taken for normal: dims (world, run)."""
    losses, shares = beliefs.at(batch.params, batch.tokens), law_shares(beliefs)
    mean, noise = losses.log_curve, losses.normal_variance()
    out = np.empty(seen.shape)
    for j in range(seen.shape[1]):
        logs = []
        for i, share in enumerate(shares):
            part = beliefs.component == i
            if share <= 0:
                logs.append(np.full(len(seen), -np.inf))
                continue
            centre = mean[part, : j + 1].mean(axis=0)
            spread = mean[part, : j + 1] - centre
            covariance = spread.T @ spread / part.sum() + np.diag(noise[: j + 1])
            residual = seen[:, : j + 1] - centre
            square = (residual * np.linalg.solve(covariance, residual.T).T).sum(axis=1)
            logs.append(np.log(share) - 0.5 * square - 0.5 * np.linalg.slogdet(covariance)[1])
        log_p = np.stack(logs, axis=1)
        out[:, j] = entropy(np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True)))
    return out
