"""Leave-one-out scores by PSIS and stacking weights, from ArviZ.

Vehtari, Gelman and Gabry (2017), arXiv:1507.04544; Yao et al. (2018), arXiv:1704.02030. They judge the prediction of
one more run like those in the table, not of a larger one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bayes_scaling.engine.model import OBSERVED
from bayes_scaling.inference.idata import sampled
from bayes_scaling.inference.result import Fit


@dataclass(frozen=True, eq=False)
class Loo:
    """`elpd` in nats over all runs, its standard error, and the largest Pareto k (above 0.7: not to be trusted).

    NaN, and `raw` None, where the table is too large for its pointwise log likelihood to be kept.
    """

    elpd: float
    se: float
    pareto_k_max: float
    raw: Any


def loo(fit: Fit) -> Loo:
    """PSIS leave-one-out of a fit, from its pointwise log likelihood."""
    from arviz_stats import loo as psis_loo

    if "log_likelihood" not in sampled(fit).children:
        return Loo(float("nan"), float("nan"), float("nan"), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the k it warns of is in the result, and in the report
        raw = psis_loo(sampled(fit), var_name=OBSERVED, pointwise=True)
    return Loo(float(raw.elpd), float(raw.se), float(raw.pareto_k.max()), raw)


def stacking_weights(names: Sequence[str], results: Sequence[Loo]) -> dict[str, float]:
    """Stacking weights of the laws, by name; NaN where a law has no leave-one-out."""
    from arviz_stats import compare

    if len(names) == 1:
        return {names[0]: 1.0}
    if any(r.raw is None for r in results):
        return dict.fromkeys(names, float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        table = compare({n: r.raw for n, r in zip(names, results, strict=True)}, method="stacking", round_to="none")
    return {name: float(table.loc[name, "weight"]) for name in names}
