"""The compute-optimal frontier with its uncertainty: N*, D*, D*/N* and the loss there, at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError
from bayes_scaling.base.intervals import interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.provenance import Stopwatch, envelope
from bayes_scaling.inference.result import Fit, cached_laws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.prediction.forecasting import decades_beyond, far, forecast
from bayes_scaling.prediction.misplacement import Misplacement
from bayes_scaling.prediction.optimum import optimal_params

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

# The local exponent is the slope of log N* across this factor of compute around each budget.
EXPONENT_STEP = 1.05
FLATNESS = 0.005


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """Optimal allocations.

    Parameters
    ----------
    flops
        Budgets, FLOP, dims (budget,).
    idata
        `DataTree` with group `frontier`: `params`, `tokens`, `tokens_per_param`, `loss`, `exponent_params`, dims (draw,
        budget), with coordinates `law` and `weight` along draw. The loss is the curve of the draw's law at its own
        optimum; of an average validated forward it is the curve that `forecast` gives at the median allocation, and
        not paired with the draw's law.
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
        draws, weights = self.draws(name)[:, j], self.weights
        inside = np.isfinite(draws)  # a draw without an interior optimum has no N*
        return interval_value(draws[inside], self.ci_prob, weights[inside])

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
        a = self._value("exponent_params", len(self.flops) - 1)
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

    Raises
    ------
    UsageError
        If a budget is not positive, or a law needs inputs besides params and tokens.
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
    runs, seed = group.fits[0].runs, group.fits[0].settings.random_seed
    around = np.concatenate([c, c * EXPONENT_STEP, c / EXPONENT_STEP])
    sizes = [optimal_params(f.law, f.draws(*f.law.parameters), around, compute, method) for f in group.fits]
    n = np.concatenate(sizes)
    size = None if laws_alone or group.averaging is None else Misplacement()
    if size is not None:
        n = size.shifted(n, runs, around, compute, seed)
    n, up, down = np.split(n, 3, axis=1)
    d = compute.tokens(n, c[None, :])
    middle = np.nanmedian(n, axis=0)
    joined = {
        "params": n,
        "tokens": d,
        "tokens_per_param": d / n,
        "loss": _own(group, sizes, c, compute) if size is None else _foretold(group, middle, c, compute, seed),
        "exponent_params": np.log(up / down) / (2 * np.log(EXPONENT_STEP)),
    }
    beyond = decades_beyond(runs, middle, compute.tokens(middle, c), compute)
    flat = _flat(group, c, middle, compute)
    return Frontier(
        flops=c,
        idata=_tree(joined, group),
        decades_beyond=beyond,
        flat=flat,
        law_weights=group.law_weights,
        weights_from=group.basis,
        ci_prob=ci_prob,
        runs_sha256=runs.sha256,
        random_seed=seed,
        compute=compute.title,
        notices=(*group.notices, *far(beyond["flops"])),
        seconds=watch.seconds,
        cached=cached_laws(group.fits),
        misplacement=size,
    )


def _own(group: Ensemble, sizes: Sequence[np.ndarray], flops: np.ndarray, compute: ComputeModel) -> np.ndarray:
    """The curve of each draw's law at its own optimum, dims (draw, budget); `sizes` begin with those budgets."""
    out = []
    for fit, own in zip(group.fits, sizes, strict=True):
        n = own[:, : len(flops)]
        values = {k: v[:, None] for k, v in fit.draws(*fit.law.parameters).items()}
        out.append(np.asarray(fit.law.loss(values, {"params": n, "tokens": compute.tokens(n, flops[None, :])})))
    return np.concatenate(out)


def _foretold(group: Ensemble, params: np.ndarray, flops: np.ndarray, compute: ComputeModel, seed: int) -> np.ndarray:
    """What `forecast` draws of the averaged curve at one allocation a budget, dims (draw, budget): as many draws as the
    laws have together, each law's share of them the same set. NaN where there is no allocation."""
    known = np.isfinite(params)
    loss = np.full((max(fit.n_draws for fit in group.fits), len(flops)), np.nan)
    if known.any():
        n = params[known]
        at = {"params": n, "tokens": compute.tokens(n, flops[known])}
        loss[:, known] = forecast(group, **at, kind="curve", compute=compute, random_seed=seed).draws
    return np.concatenate([np.resize(loss, (fit.n_draws, len(flops))) for fit in group.fits])


def _tree(joined: Mapping[str, np.ndarray], group: Ensemble) -> DataTree:
    import xarray as xr

    data = xr.Dataset(
        {name: (("draw", "budget"), values) for name, values in joined.items()},
        coords={"law": ("draw", group.draw_laws.astype(str)), "weight": ("draw", group.draw_weights)},
    )
    return xr.DataTree.from_dict({"frontier": data})


def expected_loss(group: Ensemble, params: np.ndarray, tokens: np.ndarray, most: int = 500) -> np.ndarray:
    """Average over laws and (thinned) draws of the curve, dims as `params`."""
    total = np.zeros(np.shape(params))
    for fit, w in zip(group.fits, group.weights, strict=True):
        if w > 0:
            step = max(1, fit.n_draws // most)
            p = {k: v[::step, None] for k, v in fit.draws(*fit.law.parameters).items()}
            x = {"params": np.ravel(params)[None, :], "tokens": np.ravel(tokens)[None, :]}
            total += w * np.asarray(fit.law.loss(p, x)).mean(axis=0).reshape(np.shape(params))
    return total


def _flat(group: Ensemble, c: np.ndarray, centre: np.ndarray, compute: ComputeModel) -> np.ndarray:
    ratio = np.exp(np.linspace(-np.log(100), np.log(100), 401))
    out = np.empty((len(c), 2))
    for j, budget in enumerate(c):
        n = centre[j] * ratio
        loss = expected_loss(group, n, compute.tokens(n, budget))
        good = n[loss <= loss.min() * (1 + FLATNESS)]
        out[j] = good.min(), good.max()
    return out
