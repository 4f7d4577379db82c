"""Forecasts of the loss of runs that have not been made: the law's curve, or one new run with its noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError
from bayes_scaling.base.intervals import interval_value, weighted_quantile
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.provenance import Stopwatch, envelope
from bayes_scaling.base.units import format_count
from bayes_scaling.inference.result import Fit, cached_laws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.registry import input_names
from bayes_scaling.prediction.discrepancy import distance, outside
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

KINDS = ("new-run", "curve")
# Decades of compute beyond the runs to which intervals were held against larger runs (docs/forecasts.md).
TESTED = 2.0
# Decades by which N or D may leave the runs further than compute does, and their ratio its range, without a word.
LEAVING = 0.3


@dataclass(frozen=True, eq=False, repr=False)
class Forecast:
    """Forecast losses.

    Parameters
    ----------
    params, tokens, flops
        Counts and FLOP of the queries, dims (query,).
    kind
        "new-run" (with noise) or "curve" (the law's expectation).
    idata
        `DataTree` with group `predictions`: `loss`, nats per token, dims (draw, query), with coordinates `law` ("blend"
        where a draw has several) and `weight`, all equal, along draw.
    decades_beyond
        log10 distance of each query beyond the runs in `flops`, `params`, `tokens`, dims (query,); zero inside.
    moments
        Whether mean and standard deviation exist.
    weights_told
        `law`, `prior`, `data` and `final` weight of each law.
    alike
        The same forecast had every law been trusted alike beforehand: how much rests on that trust. None of one law,
        and where laws are weighed otherwise.
    """

    params: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray
    kind: str
    idata: DataTree
    decades_beyond: Mapping[str, np.ndarray]
    law_weights: Mapping[str, float]
    weights_from: str
    moments: bool
    ci_prob: float
    random_seed: int
    runs_sha256: str
    notices: tuple[Notice, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    cached: tuple[str, ...] = ()
    weights_told: tuple[Mapping[str, Any], ...] = ()
    alike: Forecast | None = None

    @property
    def draws(self) -> np.ndarray:
        """Losses, dims (draw, query)."""
        return self.idata["predictions"]["loss"].to_numpy()

    @property
    def weights(self) -> np.ndarray:
        """Weight of each draw, dims (draw,)."""
        return self.idata["predictions"]["weight"].to_numpy()

    def quantile(self, probs: Any) -> np.ndarray:
        """dims (prob, query)."""
        return weighted_quantile(self.draws, probs)

    def rows(self) -> list[dict[str, Any]]:
        """`forecasts[]` of the JSON, one entry a query."""
        return [
            {
                "params": float(self.params[j]),
                "tokens": float(self.tokens[j]),
                "flops": float(self.flops[j]),
                "kind": self.kind,
                **interval_value(self.draws[:, j], self.ci_prob, moments=self.moments),
                "decades_beyond": {k: float(v[j]) for k, v in self.decades_beyond.items()},
                "law_weights": dict(self.law_weights),
            }
            for j in range(len(self.params))
        ]

    def brief(self) -> dict[str, Any]:
        """The weights, and the interval value at each query."""
        values = [interval_value(v, self.ci_prob, moments=self.moments) for v in self.draws.T]
        return {"law_weights": dict(self.law_weights), "forecasts": values}

    def to_frame(self) -> pd.DataFrame:
        """One row a query."""
        import pandas as pd

        rows = self.rows()
        for row in rows:
            beyond = row.pop("decades_beyond")
            row.pop("law_weights")
            row.update({f"decades_beyond_{k}": v for k, v in beyond.items()})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `forecast`."""
        return envelope(
            "forecast",
            {
                "forecasts": self.rows(),
                "weights_from": self.weights_from,
                "weights": [dict(row) for row in self.weights_told],
                "equal_priors": None if self.alike is None else self.alike.brief(),
            },
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.random_seed,
            runs_sha256=self.runs_sha256,
            warnings=self.notices,
            cached=self.cached,
        )

    def __repr__(self) -> str:
        what = "one new run" if self.kind == "new-run" else "the law's curve"
        laws = ", ".join(f"{k} {v:.2f}" for k, v in self.law_weights.items())
        lines = [f"Forecast of the loss of {what}, {self.ci_prob:.0%} intervals, laws: {laws}"]
        for row in self.rows():
            lines.append(
                f"  params {row['params']:.4g}, tokens {row['tokens']:.4g}: {row['median']:.4f} "
                f"[{row['lower']:.4f}, {row['upper']:.4f}] nats per token, "
                f"{row['decades_beyond']['flops']:.1f} decades of compute beyond the runs"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def decades_beyond(runs: Runs, params: Any, tokens: Any, compute: ComputeModel = SIX_ND) -> dict[str, np.ndarray]:
    """log10 distance of each query outside the runs' range, in flops, params and tokens; zero inside.

    Compute is counted by `compute` on both sides, whatever the table says it was.
    """
    n, d = np.asarray(params, float), np.asarray(tokens, float)
    return {
        "flops": outside(compute.flops(runs.params, runs.tokens), compute.flops(n, d)),
        "params": outside(runs.params, n),
        "tokens": outside(runs.tokens, d),
    }


@keywords(inputs=input_names)
def forecast(
    fits: Fit | Ensemble | Sequence[Fit],
    *,
    params: Any,
    tokens: Any,
    kind: str = "new-run",
    weights: Sequence[float] | Mapping[str, float] | None = None,
    compute: ComputeModel = SIX_ND,
    ci_prob: float = 0.9,
    random_seed: int | None = None,
    **inputs: Any,
) -> Forecast:
    """Forecast the loss at given sizes.

    Parameters
    ----------
    fits
        A fit, several (averaged with `weights`), or an `Ensemble`, whose own weights `weights` replace.
    params, tokens
        Counts, scalars or dims (query,).
    kind
        "new-run": one run, with noise; "curve": the law's expectation.
    random_seed
        Of the blend and the noise; that of the fits where None.
    inputs
        Further columns that a law names; other names are refused.

    Raises
    ------
    UsageError
        For an unknown kind or input, sizes that are not positive, or an input that a law needs and is not given.
    """
    if kind not in KINDS:
        raise UsageError(f"Unknown kind of forecast '{kind}'. Choose {' or '.join(KINDS)}.")
    group = ensemble(fits, weights)
    n, d = np.broadcast_arrays(np.atleast_1d(np.asarray(params, float)), np.atleast_1d(np.asarray(tokens, float)))
    if not (np.all(np.isfinite(n)) and np.all(np.isfinite(d)) and np.all(n > 0) and np.all(d > 0)):
        raise UsageError("params and tokens of a forecast must be positive counts, such as params=70e9,tokens=1.4e12.")
    watch = Stopwatch()
    for fit in group.fits:
        missing = [name for name in fit.law.inputs if name not in {"params", "tokens", *inputs}]
        if missing:
            raise UsageError(f"Law '{fit.law.name}' also needs {', '.join(missing)} for a forecast.")
    worlds = predictive(group, compute=compute, random_seed=random_seed, needs="a forecast", inputs=inputs)
    further = {k: np.broadcast_to(np.asarray(v, float), n.shape) for k, v in inputs.items()}
    losses = worlds.at(n, d, further=further)
    runs = group.fits[0].runs
    return Forecast(
        params=n,
        tokens=d,
        flops=np.asarray(worlds.compute.flops(n, d)),
        kind=kind,
        idata=_tree(losses.new_runs() if kind == "new-run" else losses.curve, worlds.law_of),
        decades_beyond=decades_beyond(runs, n, d, worlds.compute),
        law_weights=group.law_weights,
        weights_from=group.basis,
        moments=kind == "curve" or losses.finite_mean,
        ci_prob=ci_prob,
        random_seed=worlds.random_seed,
        runs_sha256=runs.sha256,
        notices=(*group.notices, *far(distance(runs, n, d, worlds.compute).flops)),
        seconds=watch.seconds,
        cached=cached_laws(group.fits),
        weights_told=tuple(group.weights_told),
        alike=_alike(group, n, d, kind, compute, ci_prob, random_seed, inputs),
    )


def _alike(
    group: Ensemble,
    params: np.ndarray,
    tokens: np.ndarray,
    kind: str,
    compute: ComputeModel,
    ci_prob: float,
    random_seed: int | None,
    inputs: Mapping[str, Any],
) -> Forecast | None:
    """The forecast had every law been trusted alike."""
    other = group.trusted_alike
    if other is None:
        return None
    asked: dict[str, Any] = {"kind": kind, "compute": compute, "ci_prob": ci_prob, "random_seed": random_seed}
    made: Forecast = forecast(other, params=params, tokens=tokens, **asked, **inputs)
    return made


def far(decades: np.ndarray) -> tuple[Notice, ...]:
    """What is to be said where a query lies further beyond the runs than intervals were ever tested, `decades` of
    compute, dims (query,)."""
    most = float(np.max(decades, initial=0.0))
    if most <= TESTED:
        return ()
    text = (
        f"The farthest point asked for lies {most:.1f} decades of compute beyond the runs; on public tables intervals "
        f"were tested to about {TESTED:.0f}. Further out they are a guess: add larger runs, or ask for less."
    )
    return (Notice("far", text),)


def leaving(runs: Runs, params: float, tokens: float, compute: ComputeModel = SIX_ND) -> tuple[Notice, ...]:
    """What is to be said of a plan whose size, tokens or shape the runs do not speak of."""
    where = distance(runs, np.array([params]), np.array([tokens]), compute)
    ratio, known = tokens / params, runs.tokens / runs.params
    low, high = float(known.min()), float(known.max())
    strange = []
    if where.params[0] > LEAVING:
        strange.append(f"{format_count(params)} parameters (the runs have {_span(runs.params)})")
    if where.tokens[0] > LEAVING:
        strange.append(f"{format_count(tokens)} tokens (the runs have {_span(runs.tokens)})")
    if not low / 10**LEAVING <= ratio <= high * 10**LEAVING:
        strange.append(f"{ratio:.2g} tokens a parameter (the runs have {low:.2g} to {high:.2g})")
    if not strange:
        return ()
    text = (
        f"The plan of {format_count(params)} parameters on {format_count(tokens)} tokens leaves the runs: "
        f"{'; '.join(strange)}. No run has tested the laws there."
    )
    return (Notice("outside_runs", text),)


def _span(counts: np.ndarray) -> str:
    return f"{format_count(float(counts.min()))} to {format_count(float(counts.max()))}"


def _tree(loss: np.ndarray, law: np.ndarray) -> DataTree:
    import xarray as xr

    weight = np.full(len(loss), 1 / len(loss))
    coords = {"law": ("draw", law.astype(str)), "weight": ("draw", weight)}
    return xr.DataTree.from_dict({"predictions": xr.Dataset({"loss": (("draw", "query"), loss)}, coords=coords)})
