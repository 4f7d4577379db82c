"""How far the best size lies from where the laws put it.

A law that foretells losses well may still misplace their minimum: the loss is flat there, so runs say little about it,
and a law's small error of shape moves it far. The discrepancy of forecasts (`discrepancy`) is a line in compute, the
same for every size at one budget, and moves no minimum. Hence another, of the best size itself: in each draw an offset,
and a line in the decades of compute beyond the runs, both on log N. A draw's surface is shifted by it along each curve
of equal compute (`predictive`): its minimum moves, and the loss there stays. The scales were chosen near the likeliest
for optima measured at held-out budgets of public isoFLOP tables (docs/forecasts.md, "Best sizes";
`benchmarks/optima.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

# Decades of N: wherever the budget lies, and more for each decade of compute beyond the runs.
OFFSET, SLOPE = 0.04, 0.065
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

    def draws(self, n: int, seed: int) -> np.ndarray:
        """Of log10 N: an offset, and a slope a decade beyond the runs, dims (draw, 2).

        They are a draw's own whatever is asked, so that answers asked together or apart agree.
        """
        rng = np.random.default_rng([seed, 223])
        tail = np.sqrt(self.degrees / rng.chisquare(self.degrees, n))[:, None]
        return np.array([self.offset, self.slope]) * rng.standard_normal((n, 2)) * tail

    def to_dict(self) -> dict[str, float]:
        """Its constants, by name."""
        return asdict(self)


USUAL = Misplacement()
"""What averages validated forward carry."""
