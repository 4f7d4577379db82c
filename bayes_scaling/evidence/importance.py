"""Log evidence by adaptive importance sampling, where a neighbouring posterior's draws show where to look.

Population Monte Carlo (Cappe et al. 2004, doi:10.1198/106186004X12803): a heavy-tailed proposal in coordinates learned
from weighted draws, improved a few times; the last, fresh round gives the estimate. Pareto k of its weights says
whether to believe it (Vehtari et al. 2024, arXiv:1507.02646).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln, logsumexp

from bayes_scaling.engine.coordinates import Coordinates, learned
from bayes_scaling.evidence.bridge import LogEvidence
from bayes_scaling.inference.psis import K_LIMIT

POINTS = 2000
ROUNDS = 8
# An error and a Pareto k this small end the rounds; up to the limits below an estimate is believed after the last.
GOOD_SD, GOOD_K = 0.04, 0.5
DEGREES = 5.0
WIDER = 1.15
MOST_SD = 0.1


def importance_evidence(
    log_density: Callable[[np.ndarray], np.ndarray], start: np.ndarray, rng: np.random.Generator
) -> tuple[LogEvidence, float]:
    """Log normalising constant, and the Pareto k of the weights that gave it.

    Parameters
    ----------
    log_density
        Unnormalised, of rows, dims (row, unknown) to (row,).
    start
        Draws from a posterior nearby, dims (draw, unknown).

    Returns
    -------
    The estimate, nats: `ok` where k and the error are small, and two halves of the points agree.
    """
    points = start
    for _ in range(ROUNDS):
        x, log_w = _round(log_density, learned(points), rng)
        found, k = _estimate(log_w)
        if (found.ok and found.sd <= GOOD_SD and k <= GOOD_K) or not np.isfinite(found.value):
            break
        points = x[rng.choice(len(x), len(x), p=_flattened(log_w))]
    return found, k


def _round(
    log_density: Callable[[np.ndarray], np.ndarray], where: Coordinates, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    size = len(where.centre)
    normal = rng.standard_normal((POINTS, size))
    z = WIDER * normal * np.sqrt(DEGREES / rng.chisquare(DEGREES, POINTS))[:, None]
    log_t = (
        gammaln((DEGREES + size) / 2)
        - gammaln(DEGREES / 2)
        - 0.5 * size * np.log(DEGREES * np.pi)
        - size * np.log(WIDER)
        - 0.5 * (DEGREES + size) * np.log1p(((z / WIDER) ** 2).sum(1) / DEGREES)
    )
    x = where.from_z(z)
    with np.errstate(over="ignore"):
        log_p = log_density(x)
    log_w = np.where(np.isfinite(log_p), log_p, -np.inf) - log_t + where.log_det
    return x, log_w


def _flattened(log_w: np.ndarray) -> np.ndarray:
    """Shares in which to draw the points that teach the next proposal: tempered until a few hundred count."""
    temper = 1.0
    while True:
        share = np.exp(temper * (log_w - log_w.max()))
        share = share / share.sum()
        if 1 / np.sum(share**2) > 300 or temper < 0.05:
            return np.asarray(share)
        temper *= 0.7


def _estimate(log_w: np.ndarray) -> tuple[LogEvidence, float]:
    """Estimate, and Pareto k."""
    from arviz_stats.base import array_stats

    n = len(log_w)
    value = float(logsumexp(log_w) - np.log(n))
    if not np.isfinite(value):
        return LogEvidence(np.nan, np.inf, "importance", False, "No point has any probability."), np.inf
    w = np.exp(log_w - value)
    _, k = array_stats.psislw(-np.where(np.isfinite(log_w), log_w, log_w[np.isfinite(log_w)].min() - 100.0))
    sd = float(w.std(ddof=1) / np.sqrt(n))
    first, second = (float(np.log(part.mean())) for part in (w[: n // 2], w[n // 2 :]))
    ok = bool(float(k) <= K_LIMIT and sd <= MOST_SD and abs(first - second) <= 4 * np.sqrt(2) * sd + 0.01)
    text = "" if ok else f"Importance weights are too uneven to be believed (Pareto k {float(k):.2f})."
    return LogEvidence(value, sd, "importance", ok, text), float(k)
