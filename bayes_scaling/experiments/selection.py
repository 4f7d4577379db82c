"""The batch of runs that teaches most about one quantity, and what it would teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.experiments.candidates import Box, Candidates, batches, candidates, per_flop
from bayes_scaling.experiments.moments import Moments, added, in_turn, moments
from bayes_scaling.experiments.worlds import WORLDS, Study, entropy, normal_law_entropy, study
from bayes_scaling.prediction.beliefs import Beliefs
from bayes_scaling.prediction.optimum import optimal_params

# Batches that the normal approximation likes best are judged again by reweighting.
FINALISTS = 3


@dataclass(frozen=True, eq=False)
class Choice:
    """A batch, what it would teach, and what it was chosen from; `gains` and `errors` have dims (run,), errors NaN
    where the normal approximation stands in."""

    batch: Candidates
    study: Study
    gains: np.ndarray
    errors: np.ndarray
    information: np.ndarray
    information_errors: np.ndarray
    options: Candidates
    gain_alone: np.ndarray


def log_optimum(beliefs: Beliefs, budget: float) -> np.ndarray:
    """Log N* of each draw, dims (draw,); NaN where the loss has no interior minimum."""
    parts = []
    for m in beliefs.members:
        values = {k: m.values[k] for k in m.law.parameters}
        parts.append(optimal_params(m.law, values, np.array([budget]), beliefs.compute)[:, 0])
    return np.log(np.concatenate(parts))


def quantity_of(
    beliefs: Beliefs, target: str, budget: float, target_loss: float | None = None, optimum: np.ndarray | None = None
) -> np.ndarray:
    """What one wants to know, draw by draw, dims (draw, part).

    Under a validated average the loss has the discrepancy at the budget, which plans of equal compute share.
    """
    if target == "law":
        return np.asarray(beliefs.law[:, None] == np.arange(len(beliefs.members))[None], float)
    best = log_optimum(beliefs, budget) if optimum is None else optimum
    if target in ("params", "information"):
        return best[:, None]
    known = beliefs.weights > 0
    size = np.exp(np.where(known, best, best[known][0]))
    loss = np.empty(beliefs.n)
    for m, part in zip(beliefs.members, beliefs.slices, strict=True):
        n = size[part]
        loss[part] = np.log(
            np.asarray(m.law.loss(m.values, {"params": n, "tokens": beliefs.compute.tokens(n, budget)}))
        )
    if beliefs.slopes is not None:
        middle = np.array([np.exp(np.median(best[known]))])
        there = beliefs.compute.tokens(middle, budget)
        loss += (beliefs.log_curve(middle, there) - beliefs.log_curve(middle, there, discrepancy=False))[:, 0]
    if target == "loss":
        return loss[:, None]
    return np.asarray(loss <= np.log(float(target_loss or 0.0)), float)[:, None]


def best_batch(
    beliefs: Beliefs,
    quantity: np.ndarray,
    box: Box,
    n: int,
    budget: float,
    *,
    target: str = "params",
    rank: str = "gain",
    worlds: int = WORLDS,
    random_seed: int = 0,
) -> Choice:
    """The batch of `n` runs within `box` that teaches most about `quantity` for `budget` FLOP in all.

    Searched for in the normal approximation; the best few are then judged by reweighting in the same simulated worlds.
    There must be a candidate that the budget pays for.
    """
    options = candidates(box, budget, beliefs.compute)
    curves = beliefs.log_curve(options.params, options.tokens)
    noise = beliefs.normal_variance(options.flops)
    m = moments(beliefs.weights, quantity, curves, noise, target == "information")
    everything = moments(beliefs.weights, quantity, curves, noise, True)
    if rank == "gain":
        finalists = batches(m, options.flops, n, budget)[:FINALISTS]
    else:
        finalists = [per_flop(m, options.flops, n, budget)]
    found = [_judged(beliefs, quantity, m, everything, options, b, target, worlds, random_seed) for b in finalists]
    # Where weights fail for one batch its gains are not comparable with those of the others.
    if all(bool(c.study.believed[-1]) for c in found):
        return max(found, key=lambda c: float(c.gains.sum()))
    return found[0]


def _judged(
    beliefs: Beliefs,
    quantity: np.ndarray,
    m: Moments,
    everything: Moments,
    options: Candidates,
    chosen: Sequence[int],
    target: str,
    worlds: int,
    seed: int,
) -> Choice:
    which = list(chosen)
    batch = Candidates(options.params[which], options.tokens[which], options.flops[which])
    made = study(beliefs, quantity, batch, worlds, seed)
    learned = _increments(np.zeros(len(made.which)), -made.information)
    normal_information = in_turn(everything, which)
    if target == "information":
        gains, normal = learned, normal_information
    elif target == "law":
        prior = entropy(np.array([beliefs.weights[s].sum() for s in beliefs.slices]))
        begin = np.full(len(made.which), prior)
        gains = _increments(begin, made.law_entropy)
        normal = _increments(begin, normal_law_entropy(beliefs, batch, made.seen)).mean(axis=0)
    else:
        gains, normal = _increments(np.full(len(made.which), m.variance), made.left), in_turn(m, which)
    root = np.sqrt(len(made.which))
    errors, learned_errors = gains.std(axis=0, ddof=1) / root, learned.std(axis=0, ddof=1) / root
    good = made.believed
    return Choice(
        batch=batch,
        study=made,
        gains=np.where(good, gains.mean(axis=0), normal),
        errors=np.where(good, np.hypot(errors, made.gap if target == "information" else 0.0), np.nan),
        information=np.where(good, learned.mean(axis=0), normal_information),
        information_errors=np.where(good, np.hypot(learned_errors, made.gap), np.nan),
        options=options,
        gain_alone=added(m, ()),
    )


def _increments(begin: np.ndarray, after: np.ndarray) -> np.ndarray:
    """By how much each run lowers what was left, dims (world, run)."""
    return -np.diff(after, axis=1, prepend=begin[:, None])
