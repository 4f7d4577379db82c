"""Runs that could be made, and the batch of them that teaches most for its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.experiments.moments import Moments, added, in_turn
from bayes_scaling.laws.compute import SIX_ND, ComputeModel

# Costs are the budget halved again and again by this factor, so that batches can spend it whole.
STEP = 2**0.5
LEVELS, RATIOS = 24, 17
# Prices per FLOP, in units of the best gain per runs budget, at which batches are put together.
PRICES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
# A second run in one place must be worth this much more than one elsewhere.
FRESH = 1.02
SWAPS = 20


@dataclass(frozen=True, eq=False)
class Candidates:
    """Runs that could be made: counts and FLOP, dims (candidate,)."""

    params: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray

    def __len__(self) -> int:
        return len(self.params)


@dataclass(frozen=True)
class Box:
    """Smallest and largest params, tokens and tokens per parameter of a run."""

    params: tuple[float, float]
    tokens: tuple[float, float]
    ratio: tuple[float, float]

    @property
    def cheapest(self) -> tuple[float, float]:
        """Params and tokens of the smallest run within the limits."""
        n = max(self.params[0], self.tokens[0] / self.ratio[1])
        return n, max(self.tokens[0], n * self.ratio[0])


def candidates(limits: Box, most: float, compute: ComputeModel = SIX_ND) -> Candidates:
    """A grid of costs up to `most` FLOP and of tokens per parameter, within the limits; empty where nothing fits."""
    n, d = limits.cheapest
    least = float(compute.flops(n, d))
    if least > most * (1 + 1e-9):
        empty = np.zeros(0)
        return Candidates(empty, empty, empty)
    count = int(np.log(most / least) / np.log(STEP)) + 1
    step = STEP ** int(np.ceil(count / LEVELS))
    costs = most / step ** np.arange(int(np.log(most / least) / np.log(step) + 1e-9) + 1)
    ratios = np.geomspace(*limits.ratio, RATIOS) if limits.ratio[1] > limits.ratio[0] * 1.001 else limits.ratio[:1]
    c, r = (v.ravel() for v in np.meshgrid(costs, np.asarray(ratios)))
    params = _params_at(c, r, compute)
    tokens = np.asarray(compute.tokens(params, c))
    inside = _within(params, limits.params) & _within(tokens, limits.tokens)
    if not inside.any():
        one = np.array([limits.cheapest])
        return Candidates(one[:, 0], one[:, 1], np.array([least]))
    return Candidates(params[inside], tokens[inside], c[inside])


def _params_at(flops: np.ndarray, ratio: np.ndarray, compute: ComputeModel) -> np.ndarray:
    """Params of runs of that cost and that many tokens per parameter, by bisection in log N."""
    low, high = np.zeros_like(flops), np.log(flops)
    for _ in range(60):
        middle = 0.5 * (low + high)
        n = np.exp(middle)
        large = compute.flops(n, n * ratio) > flops
        low, high = np.where(large, low, middle), np.where(large, middle, high)
    return np.asarray(np.exp(0.5 * (low + high)))


def _within(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return np.asarray((values >= ends[0] * (1 - 1e-9)) & (values <= ends[1] * (1 + 1e-9)))


def batches(m: Moments, flops: np.ndarray, n: int, budget: float) -> list[tuple[int, ...]]:
    """Batches of `n` runs within the budget, best first; several, for a finer estimate to choose among.

    Built greedily at several prices per FLOP, since the single best run would spend the whole budget, then improved by
    exchange: each run in turn gives way to whichever affordable one serves best beside the others (Fedorov, 1972).
    """
    n = min(n, int(budget * (1 + 1e-9) / flops.min()))
    found: dict[tuple[int, ...], float] = {}
    unit = float(added(m, ()).max()) / budget
    for price in PRICES:
        batch = _exchanged(m, flops, _greedy(m, flops, n, budget, price * unit), budget)
        ordered = in_order(m, batch)
        found[ordered] = float(in_turn(m, ordered).sum())
    return sorted(found, key=lambda batch: -found[batch])


def per_flop(m: Moments, flops: np.ndarray, n: int, budget: float) -> tuple[int, ...]:
    """The batch of `n` runs in which each in turn has the most gain per FLOP."""
    batch: list[int] = []
    for _ in range(min(n, int(budget * (1 + 1e-9) / flops.min()))):
        worth = _fresh(added(m, batch), batch) / flops
        batch.append(int(np.argmax(np.where(_affordable(flops, batch, n, budget), worth, -np.inf))))
    return tuple(batch)


def in_order(m: Moments, batch: Sequence[int]) -> tuple[int, ...]:
    """The same runs, the one that gains most first."""
    left, ordered = list(batch), list[int]()
    while left:
        gain = added(m, ordered)
        best = max(left, key=lambda j: gain[j])
        left.remove(best)
        ordered.append(best)
    return tuple(ordered)


def _greedy(m: Moments, flops: np.ndarray, n: int, budget: float, price: float) -> list[int]:
    batch: list[int] = []
    for _ in range(n):
        worth = _fresh(added(m, batch), batch) - price * flops
        batch.append(int(np.argmax(np.where(_affordable(flops, batch, n, budget), worth, -np.inf))))
    return batch


def _exchanged(m: Moments, flops: np.ndarray, batch: list[int], budget: float) -> list[int]:
    for _ in range(SWAPS):
        before = list(batch)
        for i in range(len(batch)):
            others = batch[:i] + batch[i + 1 :]
            gain = _fresh(added(m, others), others)
            gain = np.where(flops <= (budget - flops[others].sum()) * (1 + 1e-9), gain, -np.inf)
            best = int(np.argmax(gain))
            if gain[best] > gain[batch[i]] * (1 + 1e-4):
                batch = [*batch[:i], best, *batch[i + 1 :]]
        if batch == before:
            break
    return batch


def _affordable(flops: np.ndarray, batch: Sequence[int], n: int, budget: float) -> np.ndarray:
    """Which candidates leave enough for the rest of the batch to be the cheapest there is."""
    kept = (n - len(batch) - 1) * flops.min()
    return np.asarray(flops <= (budget - flops[list(batch)].sum() - kept) * (1 + 1e-9))


def _fresh(gain: np.ndarray, batch: Sequence[int]) -> np.ndarray:
    out = np.array(gain)
    out[list(batch)] /= FRESH
    return out
