"""What each law expects of the loss before it has seen a run, and how far apart two laws' expectations lie.

Evidence between laws means something only where their priors carry the same knowledge. That is judged on what
they have in common, the loss: over a reference grid of model and data sizes, the 1-Wasserstein distance
between two laws' prior predictive distributions of log loss. It reads as a relative difference: 0.1 is a
shift of the loss by 10 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.intervals import DEFAULT_CI, interval_value
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.prior_draws import prior_values
from bayes_scaling.laws.registry import laws_or_standard

if TYPE_CHECKING:
    import pandas as pd

PARAMS_GRID = tuple(float(f"1e{k}") for k in range(7, 13))
TOKENS_GRID = tuple(float(f"1e{k}") for k in range(9, 14))
DRAWS = 4000
# Before anything is logged: a law's loss can fall to nothing in the corner of the grid, and no run's does.
LEAST_LOSS = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class PriorPredictive:
    """Prior predictive of the law's curve (no noise), law by law.

    Parameters
    ----------
    params, tokens
        The grid: parameters and tokens of each point, dims (point,).
    loss
        By law, nats per token, dims (draw, point); the draws of each point are sorted.
    """

    params: np.ndarray
    tokens: np.ndarray
    loss: dict[str, np.ndarray]
    ci_prob: float = DEFAULT_CI

    def distances(self) -> pd.DataFrame:
        """One row a pair of laws.

        `mean` and `maximum`: over the grid, of the Wasserstein distance of log loss; the maximum is at
        `params`, `tokens`. `spread`: the grid mean of the two laws' own standard deviation of log loss, to
        compare with.
        """
        import pandas as pd

        rows = []
        for first, second in combinations(self.loss, 2):
            a, b = np.log(self.loss[first]), np.log(self.loss[second])
            gap = np.abs(a - b).mean(axis=0)  # of sorted draws: the 1-Wasserstein distance
            worst = int(gap.argmax())
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "mean": float(gap.mean()),
                    "maximum": float(gap[worst]),
                    "params": float(self.params[worst]),
                    "tokens": float(self.tokens[worst]),
                    "spread": float((a.std(axis=0) + b.std(axis=0)).mean() / 2),
                }
            )
        return pd.DataFrame(rows)

    def to_frame(self) -> pd.DataFrame:
        """One row a law and grid point, with the interval value of the loss."""
        import pandas as pd

        return pd.DataFrame(
            {"law": law, "params": n, "tokens": d, **interval_value(loss[:, i], self.ci_prob)}
            for law, loss in self.loss.items()
            for i, (n, d) in enumerate(zip(self.params, self.tokens, strict=True))
        )

    def to_dict(self) -> dict[str, Any]:
        """`prior_predictive[]` and `distances[]`."""
        return {
            "prior_predictive": self.to_frame().to_dict("records"),
            "distances": self.distances().to_dict("records"),
        }

    def __repr__(self) -> str:
        return f"Prior predictive distances of log loss\n{self.distances().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return str(self.distances().to_html(index=False))


def prior_predictive(
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    params: Sequence[float] = PARAMS_GRID,
    tokens: Sequence[float] = TOKENS_GRID,
    draws: int = DRAWS,
    ci_prob: float = DEFAULT_CI,
    random_seed: int = 0,
) -> PriorPredictive:
    """The prior predictive of the loss over a grid of `params` by `tokens`, both counts.

    Parameters
    ----------
    laws
        Laws or their names, with the priors they carry; the standard set where None.

    Raises
    ------
    UsageError
        For an unknown law, or one that needs more than params and tokens.
    """
    chosen = laws_or_standard(laws)
    axes = np.meshgrid(np.asarray(params, float), np.asarray(tokens, float), indexing="ij")
    n, d = (v.ravel() for v in axes)
    loss = {}
    for law in chosen:
        more = ", ".join(sorted(set(law.inputs) - {"params", "tokens"}))
        if more:
            raise UsageError(f"Law '{law.name}' also needs {more}, which a grid of sizes does not give.")
        rng = np.random.default_rng([random_seed, 43])
        values = {k: v[:, None] for k, v in prior_values(law, None, draws, rng).items()}
        with np.errstate(over="ignore"):
            curve = np.asarray(law.loss(values, {"params": n[None, :], "tokens": d[None, :]}))
        loss[law.name] = np.sort(np.maximum(curve, LEAST_LOSS), axis=0)
    return PriorPredictive(n, d, loss, ci_prob)
