"""A fast approximate posterior that knows whether it may be used.

Independent draws from a proposal about the mode, weighted by how the posterior differs from it, the weights' tail
smoothed by a Pareto distribution: Vehtari et al. (2024), arXiv:1507.02646. The shape k of that tail says whether the
weights can be trusted. The first proposal is Laplace's, with Student-t tails; where the posterior is bent it is
adapted to its own weighted draws, in sheared coordinates. No gradients but those of the mode search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

from bayes_scaling.base.errors import FitFailedError
from bayes_scaling.engine.backend import parallel
from bayes_scaling.engine.coordinates import Coordinates, learned, whitened
from bayes_scaling.engine.modes import Modes
from bayes_scaling.engine.program import LARGE_TABLE, Program
from bayes_scaling.engine.tables import Table
from bayes_scaling.inference.diagnostics import ESS_FAILED, ESS_OK, Diagnostics, ess_and_rhat
from bayes_scaling.inference.psis import k_limit

# Degrees of freedom of the proposals: heavy enough for weights to stay bounded, light enough not to waste draws.
TAIL = 6.0
# How often the proposal is adapted, with how many draws each; densities are evaluated so many at a time, so that one
# compiled shape serves all; of a large table so many on each core.
ROUNDS, ROUND, PART = 6, 1000, 125
# A proposal whose weights are worth this share of its draws is not adapted further.
GOOD_SHARE = 0.6
# Weights are tempered until they are worth this share, before a proposal is learned from them.
LEARNING_SHARE = 0.1
# The share of the first, broad proposal in later ones: it bounds the weights.
DEFENSIVE = 0.1
# Proposals for each draw that is kept.
OVERSAMPLED = 2


@dataclass(frozen=True, eq=False)
class Proposal:
    """A mixture of multivariate Student-t distributions, each standard in its own coordinates."""

    parts: tuple[Coordinates, ...]
    shares: np.ndarray

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """dims (draw, unknown), independent and in no order."""
        which = rng.choice(len(self.parts), size=n, p=self.shares)
        z = rng.standard_normal((n, len(self.parts[0].centre))) / np.sqrt(rng.chisquare(TAIL, (n, 1)) / TAIL)
        x = np.empty_like(z)
        for k, part in enumerate(self.parts):
            x[which == k] = part.from_z(z[which == k])
        return x

    def log_pdf(self, x: np.ndarray) -> np.ndarray:
        """Normalised log density at `x`, dims (draw, unknown) to (draw,)."""
        d = x.shape[1]
        constant = gammaln((TAIL + d) / 2) - gammaln(TAIL / 2) - 0.5 * d * np.log(TAIL * np.pi)
        terms = [
            constant - 0.5 * (TAIL + d) * np.log1p((part.to_z(x) ** 2).sum(axis=1) / TAIL) - part.log_det
            for part in self.parts
        ]
        return np.asarray(logsumexp(np.stack(terms), axis=0, b=self.shares[:, None]))


@dataclass(frozen=True, eq=False)
class Approximation:
    """Weighted draws of one posterior.

    Parameters
    ----------
    x
        Unconstrained, dims (draw, unknown); independent draws from the proposal.
    log_weights
        Normalised and Pareto-smoothed, dims (draw,).
    log_p
        Log prior plus log likelihood, dims (draw,).
    pareto_k, ess
        Shape of the weights' tail, and how many independent draws they are worth (Kish).
    log_evidence, log_evidence_sd
        Nats, and its standard error, from the same weights.
    modes
        What it was built about.
    """

    x: np.ndarray
    log_weights: np.ndarray
    log_p: np.ndarray
    pareto_k: float
    ess: float
    log_evidence: float
    log_evidence_sd: float
    modes: Modes

    @property
    def ok(self) -> bool:
        """Whether the weights can be trusted."""
        return self.pareto_k <= k_limit(len(self.x)) and self.ess >= ESS_FAILED

    def resampled(self, draws: int, chains: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Unweighted draws, dims (chain, draw, unknown), and their `log_p`, dims (chain, draw).

        Each chain is resampled systematically from a part of the proposals of its own, so that chains that disagree
        mean what they mean for MCMC.
        """
        rng = np.random.default_rng([seed, 43])
        chosen = []
        for part in np.array_split(np.arange(len(self.x)), chains):
            share = np.cumsum(np.exp(self.log_weights[part] - logsumexp(self.log_weights[part])))
            at = (rng.random() + np.arange(draws)) / draws
            chosen.append(part[np.minimum(np.searchsorted(share, at), len(part) - 1)])
        where = np.stack(chosen)
        return self.x[where], self.log_p[where]


def approximate(program: Program, table: Table, found: Modes | None, seed: int, draws: int) -> Approximation | None:
    """The approximation of one posterior, from at least `draws` proposals; None where no mode is known."""
    if found is None:
        return None
    rng = np.random.default_rng([seed, 41])
    best = _adapted(program, table, _at_modes(found), rng)
    # Fresh draws: those that a proposal was chosen by would flatter it.
    x = best.draw(rng, -(-draws // ROUND) * ROUND)
    log_p = _densities(program, table, x)
    log_w = log_p - best.log_pdf(x)
    if not np.any(np.isfinite(log_w)):
        return None
    return _weighed(x, log_p, log_w, found)


def _adapted(program: Program, table: Table, first: Proposal, rng: np.random.Generator) -> Proposal:
    """The best of some proposals, each learned from the draws of all before it: adaptive multiple importance sampling,
    Cornuet et al. (2012), arXiv:0907.1254, in sheared coordinates."""
    tried = [first]
    x, log_p = np.empty((0, len(first.parts[0].centre))), np.empty(0)
    best, most = first, 0.0
    for _ in range(ROUNDS):
        new = tried[-1].draw(rng, ROUND)
        log_p_new = _densities(program, table, new)
        worth = _kish(log_p_new - tried[-1].log_pdf(new)) / ROUND
        if worth > most:
            best, most = tried[-1], worth
        x, log_p = np.concatenate([x, new]), np.concatenate([log_p, log_p_new])
        if worth >= GOOD_SHARE or not np.any(np.isfinite(log_p)):
            break
        # All draws together are draws from the mixture of the proposals that made them.
        mixture = logsumexp([q.log_pdf(x) for q in tried], axis=0) - np.log(len(tried))
        log_w = _tempered(log_p - mixture)
        bent = learned(x, np.exp(log_w - logsumexp(log_w)))
        tried.append(Proposal((bent, *first.parts), np.array([1 - DEFENSIVE, *(DEFENSIVE * first.shares)])))
    return best


def laplace_tables(
    program: Program,
    tables: Sequence[Table],
    seeds: Sequence[int],
    draws: int = 2000,
    located: Sequence[Modes | None] | None = None,
) -> list[Approximation | None]:
    """Approximate posteriors of many tables under one model: mode, Hessian, weighted draws and whether to trust them.

    Parameters
    ----------
    draws
        Proposals, rounded up to a thousand.
    located
        Modes, where they are known already.

    Returns
    -------
    One a table, None where no mode was found; those that are not `ok` are for NUTS.
    """

    def one(table: Table, seed: int, known: Sequence[Modes | None], i: int) -> Approximation | None:
        return approximate(program, table, known[i] if known else program.locate(seed, table), seed, draws)

    work = [partial(one, t, s, located or (), i) for i, (t, s) in enumerate(zip(tables, seeds, strict=True))]
    done: dict[int, Approximation | None] = dict(parallel(work))
    return [done[i] for i in range(len(tables))]


def judged(made: Approximation, quantities: Mapping[str, np.ndarray], *, n: int, unknowns: int) -> Diagnostics:
    """The verdict on resampled draws of each quantity, dims (chain, draw).

    ESS is never said to be more than what the weights are worth; divergences and energy there are none.
    """
    table = [ess_and_rhat(value) for value in quantities.values()]
    bulk, tail = (min(made.ess, *(t[i] for t in table)) for i in (0, 1))
    rhat = max(t[2] for t in table)
    failed: list[str] = []
    warned: list[str] = []
    limit = k_limit(len(made.x))
    if made.pareto_k > limit:
        failed.append(
            f"The Laplace approximation does not fit this posterior (Pareto k {made.pareto_k:.2f}, should be at most "
            f"{limit:.2f}). Sample it: method='nuts', or 'auto', which does so by itself."
        )
    need, fail = (min(level, 0.1 * next(iter(quantities.values())).size) for level in (ESS_OK, ESS_FAILED))
    if min(bulk, tail) < need:
        (failed if min(bulk, tail) < fail else warned).append(
            f"Few effective draws (bulk {bulk:.0f}, tail {tail:.0f}, should be at least {need:.0f}): interval ends are "
            "uncertain. Draw more, or sample with method='nuts'."
        )
    if n < unknowns:
        warned.append(f"{n} runs for {unknowns} unknowns: the priors decide what the runs cannot. Add runs.")
    return Diagnostics(
        verdict="failed" if failed else "warning" if warned else "ok",
        rhat_max=rhat,
        ess_bulk_min=bulk,
        ess_tail_min=tail,
        divergences=0,
        ebfmi_min=float("nan"),
        messages=tuple(failed + warned),
        method="laplace",
        pareto_k=made.pareto_k,
        importance_ess=made.ess,
    )


def without_mode(title: str = "the posterior") -> FitFailedError:
    """The error of an approximation that has no mode to stand on."""
    return FitFailedError(
        f"No mode search converged, so {title} has no Laplace approximation. Take method='nuts' or 'auto'."
    )


def _at_modes(found: Modes) -> Proposal:
    shares = found.rivals
    parts = [
        whitened(Modes(found.points[[k]], found.log_mass[[k]], found.hessians[[k]], found.found[[k]], found.searches))
        for k in range(len(shares))
    ]
    return Proposal(tuple(parts), shares)


def _densities(program: Any, table: Table, x: np.ndarray) -> np.ndarray:
    """Log prior plus log likelihood at each row of `x`; what is not a number has no density."""
    # A large table is worth all cores; small ones share them with the other members of their fleet.
    large = table.n > LARGE_TABLE
    some = PART if large else ROUND
    tasks = [partial(program.log_densities, x[i : i + some], table) for i in range(0, len(x), some)]
    done = dict(parallel(tasks)) if large else {i: task() for i, task in enumerate(tasks)}
    log_p = np.concatenate([np.sum(done[i], axis=0) for i in range(len(tasks))])
    return np.where(np.isnan(log_p), -np.inf, log_p)


def _kish(log_w: np.ndarray) -> float:
    if not np.any(np.isfinite(log_w)):
        return 0.0
    return float(np.exp(2 * logsumexp(log_w) - logsumexp(2 * log_w)))


def _tempered(log_w: np.ndarray) -> np.ndarray:
    """The weights to the highest power, at most one, at which they are worth enough to learn from."""
    enough = LEARNING_SHARE * len(log_w)
    if _kish(log_w) >= enough:
        return log_w
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _kish(middle * log_w) >= enough else (low, middle)
    return np.asarray(np.where(np.isfinite(log_w), low * log_w, -np.inf))


def _weighed(x: np.ndarray, log_p: np.ndarray, log_w: np.ndarray, found: Modes) -> Approximation:
    from arviz_stats.base import array_stats

    top = log_w.max()
    # A weight of zero has no logarithm to rank; far below all others it counts as little.
    ratios = np.maximum(log_w - top, -700.0)
    smoothed, k = array_stats.psislw(-ratios)
    smoothed = smoothed - logsumexp(smoothed)
    w = np.exp(log_w - top)
    relative = w.std(ddof=1) / w.mean() / np.sqrt(len(w))
    return Approximation(
        x=x,
        log_weights=smoothed,
        log_p=log_p,
        pareto_k=float(k) if np.isfinite(k) else float("inf"),
        ess=_kish(smoothed),
        log_evidence=float(top + np.log(w.mean())),
        log_evidence_sd=float(relative),
        modes=found,
    )
