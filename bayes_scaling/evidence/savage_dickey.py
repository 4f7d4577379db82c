"""Savage-Dickey: the Bayes factor of a point hypothesis from draws, with its error, or a bound where draws
run out.

For a point hypothesis nested in a model, the Bayes factor for the point is the posterior density there over
the prior density there (Dickey 1971, doi:10.1214/aoms/1177693507), the other parameters' prior given the
point being the same. Each density is the best-fitting normal times a kernel estimate of what the normal gets
wrong (Hjort and Glad 1995, doi:10.1214/aos/1176324627): plain kernels widen the density, which in a tail is
an error of nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

BOOTSTRAPS = 100
# Effective draws beyond the point, or in its neighbourhood, below which a density there is not estimated but
# bounded.
FEWEST = 10.0
# A count of nothing is compatible, at 95 %, with an expectation of three.
NOTHING_SEEN = 3.0


@dataclass(frozen=True)
class PointEvidence:
    """Log Bayes factor, nats, for a point against the rest of the model.

    `sd` is its Monte-Carlo error. Where `bound` is "upper" the posterior draws do not reach the point:
    `log_bf` is then the highest value (95 %) that they leave room for, and `sd` is infinite.
    """

    log_bf: float
    sd: float
    bound: str | None


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws on a scale where their density is nearly normal, dims (draw,), with weights summing to one.

    `effective` says how many independent draws they are worth.
    """

    u: np.ndarray
    weights: np.ndarray
    effective: float

    @classmethod
    def of(cls, u: np.ndarray, weights: np.ndarray | None = None, effective: float | None = None) -> Sample:
        """With equal weights where none are given; non-finite draws are left out."""
        u = np.asarray(u, float).ravel()
        w = np.full(u.size, 1 / u.size) if weights is None else np.asarray(weights, float).ravel()
        keep = np.isfinite(u) & (w > 0)
        w = w[keep] / w[keep].sum()
        kish = 1 / float(np.sum(w**2))
        return cls(u[keep], w, min(kish, effective) if effective else kish)


def log_density(sample: Sample, point: float, weights: np.ndarray | None = None) -> float:
    """Log density of the sample at `point`; `weights` replace its own."""
    w = sample.weights if weights is None else weights
    mean = float(w @ sample.u)
    sd = float(np.sqrt(w @ (sample.u - mean) ** 2))
    width = bandwidth(sd, sample.effective)
    # g(x) / g(u_i), with the kernel: both normal, so that the product stays finite far out.
    log_ratio = 0.5 * (((sample.u - mean) / sd) ** 2 - ((point - mean) / sd) ** 2)
    log_kernel = -0.5 * ((point - sample.u) / width) ** 2 - np.log(width) - 0.5 * np.log(2 * np.pi)
    with np.errstate(divide="ignore"):
        return float(logsumexp(log_ratio + log_kernel + np.log(w)))


def bandwidth(sd: float, effective: float) -> float:
    """Silverman's rule for `effective` draws."""
    return float(1.06 * sd * effective**-0.2)


def savage_dickey(posterior: Sample, prior: Sample | float, point: float, rng: np.random.Generator) -> PointEvidence:
    """Log Bayes factor for the point, nats, with a bootstrap error.

    Parameters
    ----------
    posterior, prior
        Draws on one scale; for `prior` also its exact log density at the point on that scale.
    point
        On the same scale: a change of scale cancels in the ratio.
    """
    mean = float(posterior.weights @ posterior.u)
    sd = float(np.sqrt(posterior.weights @ (posterior.u - mean) ** 2))
    width = bandwidth(sd, posterior.effective)
    beyond = posterior.u >= point if point > mean else posterior.u <= point
    near = np.abs(posterior.u - point) <= width
    log_prior, prior_sd = (prior, 0.0) if isinstance(prior, float) else _estimate(prior, point, rng)
    reached = posterior.effective * float(posterior.weights @ (beyond | near))
    if reached < FEWEST:
        return PointEvidence(log_upper_bound(posterior, point) - log_prior, np.inf, "upper")
    log_posterior, posterior_sd = _estimate(posterior, point, rng)
    return PointEvidence(log_posterior - log_prior, float(np.hypot(posterior_sd, prior_sd)), None)


def log_upper_bound(sample: Sample, point: float) -> float:
    """The most that the log density at a point in the far tail can be, at 95 %, if the tail falls towards it.

    Where the density falls from q to the point, the density at the point times the distance is at most the mass
    between them. Every q beyond the bulk gives a bound; the lowest is taken.
    """
    mean = float(sample.weights @ sample.u)
    side = 1.0 if point > mean else -1.0
    away, goal = side * (sample.u - mean), side * (point - mean)
    spread = float(np.sqrt(sample.weights @ (sample.u - mean) ** 2))
    bounds = []
    for q in np.linspace(min(spread, 0.5 * goal), goal, 40, endpoint=False):
        seen = sample.effective * float(sample.weights @ ((away > q) & (away <= goal)))
        most = seen + 2 * np.sqrt(seen) + NOTHING_SEEN
        bounds.append(most / sample.effective / (goal - q))
    return float(np.log(min(bounds)))


def _estimate(sample: Sample, point: float, rng: np.random.Generator) -> tuple[float, float]:
    """Log density and its bootstrap standard error; resamples have as many draws as the sample is worth."""
    size = max(2, round(sample.effective))
    tries = [log_density(sample, point, rng.multinomial(size, sample.weights) / size) for _ in range(BOOTSTRAPS)]
    return log_density(sample, point), float(np.std(tries, ddof=1))
