"""The compute-optimal frontier with its uncertainty: N*, D*, D*/N* and the loss there, at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, Notice, UsageError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.provenance import Stopwatch, envelope
from bayes_scaling.base.units import format_flop
from bayes_scaling.inference.result import Fit, cached_laws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.prediction.best_sizes import best_sizes, exponents_at
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.prediction.forecasting import decades_beyond, far
from bayes_scaling.prediction.misplacement import USUAL, Misplacement
from bayes_scaling.prediction.predictive import Predictive

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

FLATNESS = 0.005
# Draws on which the range of sizes near the best is looked for.
FLAT_DRAWS = 500


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """Optimal allocations.

    Parameters
    ----------
    flops
        Budgets, FLOP, dims (budget,).
    idata
        `DataTree` with group `frontier`: `params`, `tokens`, `tokens_per_param`, `loss`, `exponent_params`, dims (draw,
        budget), with coordinates `law` ("blend" where a draw has several) and `weight`, all equal, along draw. The loss
        is that of the draw at its own best size, without noise: a forecast at one size lies above it by what not
        knowing the best size costs.
    decades_beyond
        How far each budget, and the median optimum's N and D, lie outside the runs, dims (budget,).
    flat
        Range of N whose loss, averaged over draws, is within 0.5 % of the best at that budget, dims (budget, 2).
    random_seed
        Of the fits.
    misplacement
        How far best sizes may lie from where the laws put them; None where the laws are believed as they stand.
    """

    flops: np.ndarray
    idata: DataTree
    decades_beyond: Mapping[str, np.ndarray]
    flat: np.ndarray
    law_weights: Mapping[str, float]
    weights_from: str
    ci_prob: float
    runs_sha256: str
    random_seed: int
    compute: str = SIX_ND.title
    notices: tuple[Notice, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    cached: tuple[str, ...] = ()
    misplacement: Misplacement | None = None

    def draws(self, name: str) -> np.ndarray:
        """dims (draw, budget)."""
        return self.idata["frontier"][name].to_numpy()

    @property
    def weights(self) -> np.ndarray:
        """Weight of each draw, dims (draw,), summing to one."""
        return self.idata["frontier"]["weight"].to_numpy()

    def _value(self, name: str, j: int) -> dict[str, Any]:
        draws = self.draws(name)[:, j]
        return interval_value(draws[np.isfinite(draws)], self.ci_prob)  # a draw without an optimum has no N*

    def rows(self) -> list[dict[str, Any]]:
        """`frontier[]` of the JSON, one entry a budget."""
        names = ("params", "tokens", "tokens_per_param", "loss")
        return [
            {
                "flops": float(c),
                **{name: self._value(name, j) for name in names},
                "decades_beyond": {k: float(v[j]) for k, v in self.decades_beyond.items()},
                "flat_params": {"lower": float(self.flat[j, 0]), "upper": float(self.flat[j, 1]), "within": FLATNESS},
            }
            for j, c in enumerate(self.flops)
        ]

    @property
    def exponents(self) -> dict[str, dict[str, Any]]:
        """a = d log N*/d log C and b = 1 - a at the largest budget."""
        a = self._value("exponent_params", int(np.argmax(self.flops)))
        flipped = {"lower": 1 - a["upper"], "upper": 1 - a["lower"], "sd": a["sd"]}
        return {"params": a, "tokens": {"mean": 1 - a["mean"], "median": 1 - a["median"], **flipped}}

    def to_frame(self) -> pd.DataFrame:
        """One row a budget and quantity."""
        import pandas as pd

        rows = []
        for row in self.rows():
            for name in ("params", "tokens", "tokens_per_param", "loss"):
                rows.append({"flops": row["flops"], "quantity": name, **row[name]})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `frontier`."""
        body = {
            "frontier": self.rows(),
            "exponents": self.exponents,
            "decades_beyond": [float(v) for v in self.decades_beyond["flops"]],
            "law_weights": dict(self.law_weights),
            "weights_from": self.weights_from,
            "compute": self.compute,
            "misplacement": None if self.misplacement is None else self.misplacement.to_dict(),
        }
        return envelope(
            "frontier",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.random_seed,
            runs_sha256=self.runs_sha256,
            warnings=self.notices,
            cached=self.cached,
        )

    def __repr__(self) -> str:
        lines = [f"Compute-optimal frontier, {self.ci_prob:.0%} intervals, {self.compute}"]
        for row in self.rows():
            n, d, loss = row["params"], row["tokens"], row["loss"]
            lines.append(
                f"  {row['flops']:.3g} FLOP: params {n['median']:.3g} [{n['lower']:.3g}, {n['upper']:.3g}], "
                f"tokens {d['median']:.3g} [{d['lower']:.3g}, {d['upper']:.3g}], "
                f"loss {loss['median']:.4f} [{loss['lower']:.4f}, {loss['upper']:.4f}]"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


@keywords()
def frontier(
    fits: Fit | Ensemble | Sequence[Fit],
    budgets: Any,
    *,
    weights: Sequence[float] | Mapping[str, float] | None = None,
    compute: ComputeModel = SIX_ND,
    ci_prob: float = 0.9,
    method: str = "auto",
    laws_alone: bool = False,
    random_seed: int | None = None,
) -> Frontier:
    """The compute-optimal allocation at each budget.

    Of an average that was validated forward, best sizes carry a discrepancy of their own (see `misplacement`), as its
    forecasts do: laws that foretell losses still misplace their minimum. A fit, and laws weighed otherwise, are
    believed as they stand.

    Parameters
    ----------
    fits
        A fit, several (averaged with `weights`), or an `Ensemble`. Laws without an optimum in N and D alone are
        refused.
    budgets
        FLOP, scalar or dims (budget,).
    method
        See `optimum.optimal_params`.
    laws_alone
        Leave that discrepancy out.
    random_seed
        Of the blend; that of the fits where None.

    Raises
    ------
    UsageError
        If a budget is not positive, or a law needs inputs besides params and tokens.
    InfeasibleError
        Where no draw has a best size.
    """
    group = ensemble(fits, weights)
    c = np.atleast_1d(np.asarray(budgets, float))
    if not np.all(np.isfinite(c)) or np.any(c <= 0):
        raise UsageError("Budgets must be positive FLOP, such as --budget 1e24.")
    for fit in group.fits:
        extra = set(fit.law.inputs) - {"params", "tokens"}
        if extra:
            raise UsageError(f"Law '{fit.law.name}' has no frontier in params and tokens alone: it needs {extra}.")
    watch = Stopwatch()
    size = None if laws_alone else USUAL
    worlds = predictive(group, compute=compute, random_seed=random_seed, misplacement=size, needs="a frontier")
    best = best_sizes(worlds, c, method)
    if np.any(best.missing == 1):
        raise InfeasibleError(no_optimum([f.law.name for f in group.fits], float(c[np.argmax(best.missing)])))
    n = best.params
    compute = worlds.compute
    d = compute.tokens(n, c[None, :])
    middle = np.nanmedian(n, axis=0)
    joined = {
        "params": n,
        "tokens": d,
        "tokens_per_param": d / n,
        "loss": np.exp(best.log_loss),
        "exponent_params": exponents_at(worlds, c, best, method),
    }
    beyond = decades_beyond(worlds.runs, middle, compute.tokens(middle, c), compute)
    return Frontier(
        flops=c,
        idata=_tree(joined, worlds),
        decades_beyond=beyond,
        flat=_flat(worlds, c, middle),
        law_weights=group.law_weights,
        weights_from=group.basis,
        ci_prob=ci_prob,
        runs_sha256=worlds.runs.sha256,
        random_seed=worlds.random_seed,
        compute=compute.title,
        notices=(*group.notices, *far(beyond["flops"]), *missing_optima(best.missing)),
        seconds=watch.seconds,
        cached=cached_laws(group.fits),
        misplacement=worlds.misplacement,
    )


def no_optimum(names: Sequence[str], flops: float) -> str:
    """What to say where no draw has a best size under the laws named."""
    laws = " and ".join(f"'{name}'" for name in names)
    return (
        f"There is no best size at {format_flop(flops)} FLOP under {laws}: along the curve of equal compute the loss "
        "is the same everywhere, or falls to its end. Ask for the loss of given sizes (forecast), or take a law in "
        "which both parameters and tokens have a price."
    )


def missing_optima(missing: np.ndarray) -> tuple[Notice, ...]:
    """A word where some draws have no best size; `missing` is their share, dims (budget,)."""
    most = float(np.max(missing, initial=0.0))
    if most == 0:
        return ()
    share = f"{most:.0%}" if most >= 0.01 else "Under 1 %"
    text = f"{share} of the draws have no best size: intervals of the best size rest on the others."
    return (Notice("no_optimum", text),)


def _tree(joined: Mapping[str, np.ndarray], worlds: Predictive) -> DataTree:
    import xarray as xr

    data = xr.Dataset(
        {name: (("draw", "budget"), values) for name, values in joined.items()},
        coords={
            "law": ("draw", worlds.law_of.astype(str)),
            "weight": ("draw", np.full(worlds.n_draws, 1 / worlds.n_draws)),
        },
    )
    return xr.DataTree.from_dict({"frontier": data})


def _flat(worlds: Predictive, c: np.ndarray, centre: np.ndarray) -> np.ndarray:
    few = worlds.thinned(FLAT_DRAWS)
    ratio = np.exp(np.linspace(-np.log(100), np.log(100), 401))
    out = np.empty((len(c), 2))
    for j, budget in enumerate(c):
        n = centre[j] * ratio
        loss = few.loss(n, worlds.compute.tokens(n, budget)).mean(axis=0)
        good = n[loss <= loss.min() * (1 + FLATNESS)]
        out[j] = good.min(), good.max()
    return out
