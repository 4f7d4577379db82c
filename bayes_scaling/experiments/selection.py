"""The batch of runs that teaches most about one quantity, and what it would teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.experiments.candidates import Box, Candidates, batches, candidates, per_flop
from bayes_scaling.experiments.moments import Moments, added, in_turn, moments
from bayes_scaling.experiments.worlds import WORLDS, Study, entropy, law_shares, normal_law_entropy, study
from bayes_scaling.prediction.best_sizes import Best, best_sizes
from bayes_scaling.prediction.predictive import Predictive

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


def quantity_of(
    beliefs: Predictive, target: str, budget: float, target_loss: float | None = None, best: Best | None = None
) -> np.ndarray:
    """What one wants to know, draw by draw, dims (draw, part)."""
    if target == "law":
        return np.asarray(beliefs.component[:, None] == np.arange(len(beliefs.members))[None], float)
    found = best_sizes(beliefs, np.array([budget])) if best is None else best
    if target in ("params", "information"):
        return found.log_params
    if target == "loss":
        return found.log_loss
    return np.asarray(found.log_loss <= np.log(float(target_loss or 0.0)), float)


def best_batch(
    beliefs: Predictive,
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
    losses = beliefs.at(options.params, options.tokens)
    curves, noise = losses.log_curve, losses.normal_variance()
    m = moments(quantity, curves, noise, target == "information")
    everything = moments(quantity, curves, noise, True)
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
    beliefs: Predictive,
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
        begin = np.full(len(made.which), entropy(law_shares(beliefs)))
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
