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
from bayes_scaling.inference.result import Fit, cached_laws
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.registry import input_names
from bayes_scaling.prediction.blending import blend
from bayes_scaling.prediction.discrepancy import Distance, distance, outside
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

KINDS = ("new-run", "curve")
# Decades of compute beyond the runs to which intervals were held against larger runs (docs/forecasts.md).
TESTED = 2.0


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
        `DataTree` with group `predictions`: `loss`, nats per token, dims (draw, query), with coordinates `law` and
        `weight` along draw.
    decades_beyond
        log10 distance of each query beyond the runs in `flops`, `params`, `tokens`, dims (query,); zero inside.
    moments
        Whether mean and standard deviation exist.
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
        return weighted_quantile(self.draws, probs, self.weights)

    def rows(self) -> list[dict[str, Any]]:
        """`forecasts[]` of the JSON, one entry a query."""
        return [
            {
                "params": float(self.params[j]),
                "tokens": float(self.tokens[j]),
                "flops": float(self.flops[j]),
                "kind": self.kind,
                **interval_value(self.draws[:, j], self.ci_prob, self.weights, self.moments),
                "decades_beyond": {k: float(v[j]) for k, v in self.decades_beyond.items()},
                "law_weights": dict(self.law_weights),
            }
            for j in range(len(self.params))
        ]

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
            {"forecasts": self.rows(), "weights_from": self.weights_from},
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


def curve(fit: Fit, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The law's expected loss, dims (draw, query), from inputs with dims (query,)."""
    p = {name: v[:, None] for name, v in fit.draws(*fit.law.parameters).items()}
    x = {name: np.asarray(v, float)[None, :] for name, v in inputs.items()}
    return np.asarray(fit.law.loss(p, x))


def query_seeds(seed: Sequence[int], inputs: Mapping[str, np.ndarray]) -> list[list[int]]:
    """One seed a query, from `seed` and the query's own inputs: a forecast does not depend on what else is asked."""
    table = np.column_stack([np.asarray(inputs[name], "<f8") for name in sorted(inputs)])
    return [[*seed, *row.view("<u4").tolist()] for row in np.ascontiguousarray(table)]


def with_noise(fit: Fit, loss: np.ndarray, flops: np.ndarray, seeds: Sequence[Sequence[int]]) -> np.ndarray:
    """One new run for each curve value: `loss` times exp(noise), dims (draw, query); `seeds` as in `query_seeds`."""
    p = {name: v[:, None] for name, v in fit.draws(*fit.noise.parameters).items()}
    decades = np.log10(flops)[None, :] - np.log10(fit.runs.flops).mean()
    column = (len(loss), 1)
    standard = np.concatenate([fit.noise.draw(np.random.default_rng(s), p, column) for s in seeds], axis=1)
    # A heavy tail may throw e^700: capped where it cannot change a quantile anybody reads.
    return np.asarray(loss * np.exp(np.clip(fit.noise.scale(p, decades) * standard, -50, 50)))


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
    random_seed: int = 0,
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
    flops = np.asarray(compute.flops(n, d))
    columns = {
        "params": n,
        "tokens": d,
        **{k: np.broadcast_to(np.asarray(v, float), n.shape) for k, v in inputs.items()},
    }
    runs = group.fits[0].runs
    curves, news = [], []
    for i, fit in enumerate(group.fits):
        missing = [name for name in fit.law.inputs if name not in columns]
        if missing:
            raise UsageError(f"Law '{fit.law.name}' also needs {', '.join(missing)} for a forecast.")
        loss = curve(fit, {name: columns[name] for name in fit.law.inputs})
        curves.append(loss)
        if kind == "new-run":
            news.append(with_noise(fit, loss, flops, query_seeds([random_seed, 101, i], columns)))
    return Forecast(
        params=n,
        tokens=d,
        flops=flops,
        kind=kind,
        idata=_joined(group, curves, news, distance(runs, n, d, compute), random_seed),
        decades_beyond=decades_beyond(runs, n, d, compute),
        law_weights=group.law_weights,
        weights_from=group.basis,
        moments=kind == "curve" or all(f.noise.finite_mean for f in group.fits),
        ci_prob=ci_prob,
        random_seed=random_seed,
        runs_sha256=runs.sha256,
        notices=(*group.notices, *far(distance(runs, n, d, compute).flops)),
        seconds=watch.seconds,
        cached=cached_laws(group.fits),
    )


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


def _joined(
    group: Ensemble, curves: Sequence[np.ndarray], news: Sequence[np.ndarray], where: Distance, seed: int
) -> DataTree:
    """One set of draws from those of each law, each with dims (its draw, query): blended under a validated rule, else
    a mixture with each draw's law and weight beside it. `news` is empty where the curve is asked for."""
    import xarray as xr

    if group.averaging is None:
        loss, law, weight = np.concatenate(news or curves), group.draw_laws.astype(str), group.draw_weights
    else:
        names = [f.law.name for f in group.fits]
        sizes = [f.n_draws for f in group.fits]
        mixed = blend(group.averaging, names, sizes, max(sizes), seed)
        log_loss = mixed.log_curve([np.log(c) for c in curves], where)
        if news:
            log_loss = log_loss + mixed.noise([np.log(new / c) for new, c in zip(news, curves, strict=True)])
        loss = np.exp(log_loss)
        law, weight = np.full(len(loss), "blend"), np.full(len(loss), 1 / len(loss))
    data = xr.Dataset({"loss": (("draw", "query"), loss)}, coords={"law": ("draw", law), "weight": ("draw", weight)})
    return xr.DataTree.from_dict({"predictions": data})
