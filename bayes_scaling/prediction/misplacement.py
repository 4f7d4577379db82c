"""How far the best size lies from where the laws put it.

A law that foretells losses well may still misplace their minimum: the loss is flat there, so runs say little about it,
and a law's small error of shape moves it far. The discrepancy of forecasts (`distance`) is a line in compute, the same
for every size at one budget, and moves no minimum. Hence another, of the best size itself: in each draw an offset, and
a line in the decades of compute beyond the runs, both on log N. Its scales were chosen near the likeliest for optima
measured at held-out budgets of public isoFLOP tables (docs/forecasts.md, "Best sizes"; `benchmarks/optima.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from bayes_scaling.laws.compute import ComputeModel
from bayes_scaling.prediction.discrepancy import outside
from bayes_scaling.runs.runs import Runs

# Decades of N: wherever the budget lies, and more for each decade of compute beyond the runs.
OFFSET, SLOPE = 0.04, 0.07
# Of the Student-t that both share: tables differ in how wrong the laws are.
DEGREES = 4.0


@dataclass(frozen=True)
class Misplacement:
    """Scales of the discrepancy of best sizes.

    Parameters
    ----------
    offset, slope
        In decades of N, and in decades of N a decade of compute beyond the runs.
    degrees
        Degrees of freedom of the Student-t.
    """

    offset: float = OFFSET
    slope: float = SLOPE
    degrees: float = DEGREES

    def log10_shift(self, draws: int, beyond: np.ndarray, seed: int) -> np.ndarray:
        """Of log10 N, dims (draw, budget), at budgets `beyond` decades outside the runs, dims (budget,).

        A draw's offset and slope are its own whatever the budgets, so that answers asked together or apart agree.
        """
        rng = np.random.default_rng([seed, 223])
        z = rng.standard_normal((draws, 2)) * np.sqrt(self.degrees / rng.chisquare(self.degrees, draws))[:, None]
        return np.asarray(self.offset * z[:, :1] + self.slope * z[:, 1:] * np.asarray(beyond, float))

    def shifted(
        self, params: np.ndarray, runs: Runs, flops: np.ndarray, compute: ComputeModel, seed: int
    ) -> np.ndarray:
        """Best sizes of each draw, counts with dims (draw, budget), moved to where they may lie; `flops` has dims
        (budget,)."""
        beyond = outside(compute.flops(runs.params, runs.tokens), flops)
        return np.asarray(params * 10 ** self.log10_shift(len(params), beyond, seed))

    def to_dict(self) -> dict[str, float]:
        """Its constants, by name."""
        return asdict(self)
