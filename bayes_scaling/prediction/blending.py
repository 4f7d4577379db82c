"""How several laws become joint draws: blended in random proportions, or mixed, each draw one law's.

Blending is what forecasts rest on (`weights.POOLING`): the truth tends to lie between the laws rather than at one. A
mixture is for laws that are believed as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.prediction.weights import Averaging


@dataclass(frozen=True, eq=False)
class Share:
    """One law's part in the joint draws.

    Parameters
    ----------
    rows
        The draws it takes part in, dims (row,).
    picks
        Which of its own posterior draws each of them takes, dims (row,).
    shares
        Its proportion of the log loss, dims (row,).
    """

    rows: np.ndarray
    picks: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Pool:
    """Joint draws over laws, all equally likely.

    Parameters
    ----------
    parts
        One a law, in order; without rows where the law has no part.
    component
        The law whose noise a draw takes, dims (draw,).
    """

    parts: tuple[Share, ...]
    component: np.ndarray


def blend(rule: Averaging, names: Sequence[str], sizes: Sequence[int], draws: int, seed: int) -> Pool:
    """Every draw mixes all laws' log losses, in proportions from a Dirichlet distribution about the weights.

    Made from the seed alone, whatever is asked, so that answers asked together or apart agree.

    Parameters
    ----------
    sizes
        Number of posterior draws of each law.
    """
    rng = np.random.default_rng([seed, 199])
    weights = np.array([rule.weights[name] for name in names])
    weights = weights / weights.sum()
    picks = np.column_stack([rng.permutation(np.resize(np.arange(size), draws)) for size in sizes])
    # A gamma shape of zero has no draws: a law of no weight keeps a share too small to matter.
    shares = rng.dirichlet(np.maximum(rule.concentration * weights, 1e-6), size=draws)
    component = (shares.cumsum(axis=1) > rng.random((draws, 1)) * shares.sum(axis=1, keepdims=True)).argmax(axis=1)
    rows = np.arange(draws)
    return Pool(tuple(Share(rows, picks[:, i], shares[:, i]) for i in range(len(names))), component)


def mixture(weights: np.ndarray, sizes: Sequence[int], draws: int) -> Pool:
    """Each draw of one law alone, as many of each as its weight asks for; weights have dims (law,) and sum to one."""
    ends = np.round(np.cumsum(weights) * draws).astype(int)
    parts, component, begin = [], np.empty(draws, int), 0
    for i, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        end = max(begin, int(end))
        picks = np.linspace(0, size - 1, end - begin).round().astype(int)
        parts.append(Share(np.arange(begin, end), picks, np.ones(end - begin)))
        component[begin:end] = i
        begin = end
    return Pool(tuple(parts), component)
