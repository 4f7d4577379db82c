"""The smallest regret under the least favourable law, whatever the laws' weights."""

from __future__ import annotations

import numpy as np

from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.decisions.rules.expected import value
from bayes_scaling.decisions.rules.rule import Rule
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.prediction.search import minimise

# Laws of less weight have no say: the rule asks of no law how likely it is.
LEAST_WEIGHT = 0.01


def search(worlds: Predictive, allocations: Allocations, grid: np.ndarray) -> float | None:
    """Log size whose expected loss, under whichever law is least kind to it, is closest to the best under that law;
    None where one law alone has a say."""
    laws = [i for i, m in enumerate(worlds.members) if m.shares.sum() >= LEAST_WEIGHT * worlds.n_draws]
    if len(laws) < 2:
        return None
    alone = [worlds.of_law(i) for i in laws]
    rows = [worlds.members[i].rows for i in laws]

    def losses(u: np.ndarray) -> np.ndarray:
        """Expected loss under each law, dims (law, point), of sizes with dims (law, point) or (1, point)."""
        n = np.exp(u)
        d = [allocations.tokens(n[min(i, len(n) - 1)]) for i in range(len(alone))]
        picked = [t if t.ndim == 1 else t[r] for t, r in zip(d, rows, strict=True)]
        sizes = [n[min(i, len(n) - 1)] for i in range(len(alone))]
        return np.stack([a.loss(s, t).mean(axis=0) for a, s, t in zip(alone, sizes, picked, strict=True)])

    on_grid = losses(grid[None])
    if allocations.menu is not None:
        return float(grid[np.argmin((on_grid - on_grid.min(axis=1, keepdims=True)).max(axis=0))])
    best = minimise(losses, grid, on_grid)[1][:, None]

    def worst(u: np.ndarray) -> np.ndarray:
        return np.asarray((losses(u) - best).max(axis=0, keepdims=True))

    # Where two laws are equally unkind there is a corner.
    return float(minimise(worst, grid, (on_grid - best).max(axis=0, keepdims=True), close=1e-5)[0][0])


RULE = Rule("minimax", "lowest regret under the least favourable law", 60, value, search=search)
