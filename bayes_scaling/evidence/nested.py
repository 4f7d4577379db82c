"""Log evidence by nested slice sampling: the second witness, independent of posterior draws and bridge.

Live points start as exact draws from the prior; the lowest are replaced by slice sampling within the
likelihood contour that they leave (Skilling 2006, doi:10.1214/06-BA127; Yallup, Kroupa and Handley 2026,
arXiv:2601.23252, as in BlackJAX). It sees the same log prior and log likelihood as NUTS and the bridge do,
and nothing else of theirs: a mode that NUTS missed, or mass outside the bridge's proposal, shows as
disagreement.

Most of such a run is spent on compressing the prior to the posterior, and the error grows with how far that is. So it
is made twice, with fewer points: a pilot from the prior, and a run from a guide, a mixture of the prior and a
heavy-tailed density where the pilot found the mass. The likelihood is divided by what the guide gains on the prior
(posterior repartitioning: Chen, Hobson, Das and Gelderblom 2019, arXiv:1803.06387), which leaves the evidence as it
is. The second run gives the estimate, and must agree with the pilot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayes_scaling.engine.backend import fold, key_of
from bayes_scaling.engine.model import columns
from bayes_scaling.engine.program import Program, program_for
from bayes_scaling.engine.slices import DEATHS, Guide, State, log_base
from bayes_scaling.engine.tables import Table
from bayes_scaling.evidence.bridge import LogEvidence
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.prior_draws import prior_points

# Prior draws: half of them are the pilot's live points, and as many live points has the run that follows.
LIVE = 400
# The live points' share of the evidence, in nats, at which to stop: their own contribution is added, not
# dropped.
REMAINING = -5.0
PILOT_REMAINING = -3.0
# How much of the guide is the prior, and how much wider than the pilot's posterior the rest of it is.
PRIOR_SHARE = 0.2
WIDER = 1.3
# Pilot and run that differ by more than this many standard errors betray mass that one of them missed.
PILOT_LIMIT = 3.0
# More volume than any posterior here is compressed to, e-folds: beyond it the run is given up.
MOST_FOLDS = 300
# Paths of the prior volume that are simulated for the error.
PATHS = 200
# How much more runs with other seeds scatter than those paths say, since a new point stays correlated with the one it
# was copied from. Four seeds of two laws on 245 runs gave 1.5; five slice moves instead of two gave 1.0, at 2.4 times
# the cost.
CORRELATED = 1.6


def start(x: np.ndarray, log_prior: np.ndarray, log_likelihood: np.ndarray) -> State:
    """The sampler's state at prior draws `x`, dims (live, unknown); log densities have dims (live,)."""
    return {
        "x": x,
        "log_prior": log_prior,
        "log_likelihood": log_likelihood,
        "birth": np.full(len(x), np.nan),
        "log_x": np.float64(0),
        "log_z": np.float64(-np.inf),
        "log_z_live": np.float64(logsumexp(log_likelihood) - np.log(len(x))),
        "factor": np.linalg.cholesky(np.atleast_2d(np.cov(x.T, ddof=0))),
    }


def nested_evidence_of(program: Program, table: Table, x: np.ndarray, random_seed: int = 0) -> LogEvidence:
    """Log evidence of one table from prior draws.

    Parameters
    ----------
    program
        The engine's compiled model.
    x
        Independent draws from its prior in unconstrained coordinates, dims (live, unknown).

    Returns
    -------
    The estimate; not `ok` where the run had to be given up, or the log likelihood cannot be evaluated at most
    of the prior draws.
    """
    half = len(x) // 2
    _, likelihood = program.log_densities(x[:half], table)
    if np.isfinite(likelihood).sum() < half // 2:
        return LogEvidence(np.nan, np.inf, "nested", False, "The likelihood is nil at most draws from the prior.")
    found = _pair(program, table, x, random_seed)
    if found.ok or not np.isfinite(found.value):
        return found
    # A pilot that lost its way says nothing of the run it guided: both are made once more, from each other's draws.
    return _pair(program, table, np.roll(x, half, axis=0), random_seed + 2_000_003)


def _pair(program: Program, table: Table, x: np.ndarray, random_seed: int) -> LogEvidence:
    """A pilot from the first half of the prior draws `x`, and the run that it guides, from the second."""
    half = len(x) // 2
    rng = np.random.default_rng([random_seed, 31])
    pilot = _run(program, table, x[:half], Guide.none(x.shape[1]), PILOT_REMAINING, random_seed, rng)
    if pilot is None:
        return _given_up()
    guide = _guide(pilot)
    begin = guide.draw(x[half:], half, rng)
    found = _run(program, table, begin, guide, REMAINING, random_seed + 1_000_003, rng)
    if found is None:
        return _given_up()
    apart = abs(found.value - pilot.value)
    agreed = apart <= PILOT_LIMIT * float(np.hypot(found.sd, pilot.sd))
    text = "" if agreed else f"Two nested runs, from the prior and from a guide, differ by {apart:.2f} nats."
    ok = bool(np.isfinite(found.value) and np.isfinite(found.sd) and agreed)
    return LogEvidence(found.value, found.sd, "nested", ok, text)


def _given_up() -> LogEvidence:
    text = f"Nested sampling had not ended after {MOST_FOLDS} e-folds of the prior volume."
    return LogEvidence(np.nan, np.inf, "nested", False, text)


@dataclass(frozen=True, eq=False)
class _Run:
    """Log evidence, its error, and a weighted sample: `where` has dims (point, unknown), `weight` (point,)."""

    value: float
    sd: float
    where: np.ndarray
    weight: np.ndarray


def _run(
    program: Program,
    table: Table,
    x: np.ndarray,
    guide: Guide,
    remaining: float,
    seed: int,
    rng: np.random.Generator,
) -> _Run | None:
    """One run from live points `x`, drawn from the guide; None where it had to be given up."""
    prior, likelihood = program.log_densities(x, table)
    base = np.array([log_base(p, row, guide.arrays) for p, row in zip(prior, x, strict=True)])
    with np.errstate(invalid="ignore"):
        ratio = likelihood + prior - base
    state = start(x, base, np.where(np.isnan(ratio), -np.inf, ratio))
    deaths, births, places = [], [], []
    for block in range(MOST_FOLDS * len(x) // DEATHS):
        state, (death, birth, where) = program.nested(fold(key_of(seed), block), state, table, guide)
        deaths.append(np.asarray(death))
        births.append(np.asarray(birth))
        places.append(np.asarray(where))
        if float(state["log_z_live"]) - float(state["log_z"]) < remaining:
            break
    else:
        return None
    death = np.concatenate([*deaths, np.asarray(state["log_likelihood"])])
    birth = np.concatenate([*births, np.asarray(state["birth"])])
    value, sd, weight = integrate_weighted(death, birth, rng)
    return _Run(value, CORRELATED * sd, np.concatenate([*places, np.asarray(state["x"])]), weight)


def _guide(pilot: _Run) -> Guide:
    """The prior and a t about the pilot's posterior."""
    centre = pilot.weight @ pilot.where
    gap = pilot.where - centre
    cov = (pilot.weight[:, None] * gap).T @ gap
    root = WIDER * np.linalg.cholesky(cov + 1e-10 * np.trace(cov) / len(cov) * np.eye(len(cov)))
    return Guide(centre, np.linalg.inv(root), PRIOR_SHARE)


def integrate(death: np.ndarray, birth: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Log evidence and its standard error from log likelihoods at death and at birth, dims (point,).

    Prior volumes are simulated (each death shrinks the volume by a beta variate of the number then alive) and
    summed by the trapezium rule. The error is the larger of the spread over simulations and sqrt(H / n), H
    the information gained in nats and n the live points at the start: the first is the better estimate, the
    second is not fooled by what it conditions on.

    Parameters
    ----------
    birth
        NaN for the first live points.
    """
    value, sd, _ = integrate_weighted(death, birth, rng)
    return value, sd


def integrate_weighted(
    death: np.ndarray, birth: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, np.ndarray]:
    """As `integrate`, and each point's share of the evidence, dims (point,), in the order given."""
    order = np.argsort(death, kind="stable")
    death = death[order]
    alive = _alive(death, birth[order])
    fall = np.log(rng.uniform(size=(len(death), PATHS))) / alive[:, None]
    log_x = np.vstack([np.zeros((1, PATHS)), np.cumsum(fall, axis=0), np.full((1, PATHS), -np.inf)])
    # A death stands for half of the shells on either side of it.
    with np.errstate(divide="ignore"):
        shell = log_x[:-2] + np.log(-np.expm1(log_x[2:] - log_x[:-2])) - np.log(2)
    # The trapezium leaves out half of the outermost shell: likelihood there is the lowest of all, and is
    # taken as is.
    weights = shell + death[:, None]
    log_z = logsumexp(weights, axis=0)
    share = np.exp(weights - log_z)
    seen = np.isfinite(death)
    information = float(np.mean(death[seen] @ share[seen] - log_z))
    first = max(int(np.isnan(birth).sum()), 1)
    sd = max(float(log_z.std(ddof=1)), float(np.sqrt(max(information, 0.0) / first)))
    weight = np.empty(len(death))
    weight[order] = share.mean(axis=1)
    return float(log_z.mean()), sd, weight / weight.sum()


def _alive(death: np.ndarray, birth: np.ndarray) -> np.ndarray:
    """How many points are alive at each death, that one included; `death` ascends.

    Of points dying at the same value (a plateau) each next one leaves one fewer; those born there come after.
    """
    born = np.sort(np.where(np.isnan(birth), -np.inf, birth))
    first = int(np.isnan(birth).sum())
    later = born[first:] if first else born
    return first + np.searchsorted(later, death, side="left") - np.arange(len(death))


def nested_log_evidence(fit: Fit, random_seed: int = 0, live: int = LIVE) -> LogEvidence:
    """Log evidence of a fit's law on its runs, nats, by nested sampling; the fit's draws are not used.

    Parameters
    ----------
    live
        Draws from the prior, half of them the live points of each run; the standard error falls with their square root,
        the time grows with their number.
    """
    frame = columns(fit.law, fit.noise, fit.runs)
    program = program_for(fit.law, fit.noise, frame)
    x = prior_points(fit.law, fit.noise, live, np.random.default_rng([random_seed, 37]))
    return nested_evidence_of(program, Table.padded(frame), x, random_seed)
