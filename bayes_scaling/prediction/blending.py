"""Draws of an averaged forecast: laws blended in random proportions, a discrepancy that grows, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.prediction.discrepancy import Distance, slopes
from bayes_scaling.prediction.weights import Averaging


@dataclass(frozen=True, eq=False)
class Blend:
    """Which posterior draws, in which proportions, with which discrepancy scale, make each draw.

    Made once from a seed and independent of what is asked, so that forecasts asked together or apart agree.

    Parameters
    ----------
    picks
        Posterior draw of each law, dims (draw, law).
    shares
        Proportions, dims (draw, law).
    component
        The law whose noise the draw takes, dims (draw,).
    scale
        Discrepancy per decade, dims (draw,).
    seed
        Of the discrepancy's slopes.
    """

    picks: np.ndarray
    shares: np.ndarray
    component: np.ndarray
    scale: np.ndarray
    seed: int

    @property
    def slopes(self) -> np.ndarray:
        """Of the discrepancy's lines, dims (draw, 3)."""
        return slopes(self.scale, np.random.default_rng([self.seed, 211]))

    def log_curve(self, log_curves: Sequence[np.ndarray], where: Distance) -> np.ndarray:
        """Blended log loss plus discrepancy, dims (draw, query), from each law's with dims (its draw, query)."""
        blended = sum(self.shares[:, i, None] * curve[self.picks[:, i]] for i, curve in enumerate(log_curves))
        return np.asarray(blended + self.slopes @ where.lines)

    def noise(self, noises: Sequence[np.ndarray]) -> np.ndarray:
        """Each draw's noise, taken from its component's, dims (draw, query)."""
        out = np.empty((len(self.component), noises[0].shape[1]))
        for i, noise in enumerate(noises):
            mine = self.component == i
            out[mine] = noise[self.picks[mine, i]]
        return out


def blend(rule: Averaging, names: Sequence[str], sizes: Sequence[int], draws: int, seed: int) -> Blend:
    """A blend of `draws` draws; `sizes` is the number of posterior draws of each law."""
    rng = np.random.default_rng([seed, 199])
    weights = np.array([rule.weights[name] for name in names])
    weights = weights / weights.sum()
    picks = np.column_stack([rng.permutation(np.resize(np.arange(size), draws)) for size in sizes])
    # A gamma shape of zero has no draws: a law of no weight keeps a share too small to matter.
    shares = rng.dirichlet(np.maximum(rule.concentration * weights, 1e-6), size=draws)
    component = (shares.cumsum(axis=1) > rng.random((draws, 1)) * shares.sum(axis=1, keepdims=True)).argmax(axis=1)
    scale = rng.choice(rule.scales, p=rule.scale_weights, size=draws)
    return Blend(picks, shares, component, scale, seed)
