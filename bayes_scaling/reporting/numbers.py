"""The numbers of each section: library functions called on the study, and nothing printed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.compute import SIX_ND
from bayes_scaling.prediction.forecasting import Forecast, forecast
from bayes_scaling.prediction.frontiers import Frontier, frontier
from bayes_scaling.reporting.references import EXPONENTS
from bayes_scaling.reporting.robust import expected_numbers
from bayes_scaling.reporting.study import Study, extra_inputs
from bayes_scaling.runs.datasets import load_table

INNER = 0.5
"""Probability of the inner band of figures."""
DENSITY_POINTS = 128


def runs_numbers(study: Study) -> dict[str, Any]:
    """The runs, with compute as the frontier counts it beside compute as given."""
    body = study.runs.to_dict()
    body["extra"] = {name: [_plain(v) for v in column] for name, column in body["extra"].items()}
    body["flops_counted"] = SIX_ND.flops(study.runs.params, study.runs.tokens).tolist()
    body["counted"] = SIX_ND.title
    return body


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def fit_numbers(study: Study) -> dict[str, Any]:
    """Each law's `fit` object, by name, with what figures need besides."""
    return {f.law.name: f.to_dict() | _drawn(f) for f in study.fits}


def _drawn(fit: Fit) -> dict[str, Any]:
    prior = {name: p.prior for name, p in {**fit.law.parameters, **fit.noise.parameters}.items()}
    draws = fit.draws()
    inner = {name: interval_value(values, INNER) for name, values in {**draws, **fit.derived}.items()}
    return {
        "title": fit.law.title,
        "citation": fit.law.citation,
        "noise_title": fit.noise.title,
        "inner": {name: {"lower": v["lower"], "upper": v["upper"]} for name, v in inner.items()},
        "prior_intervals": {name: list(p.interval(fit.ci_prob)) for name, p in prior.items()},
        "densities": {name: _density(fit, name, draws[name]) for name in fit.law.parameters},
        "units": {name: p.unit for name, p in fit.law.parameters.items()},
        "published": [
            {"source": p.source, "note": p.note, "corpus": p.corpus, "values": dict(p.values)}
            for p in fit.law.published
        ],
        "residuals": _residuals(fit),
    }


def _density(fit: Fit, name: str, draws: np.ndarray) -> dict[str, list[float]]:
    """Posterior and prior density on one grid that shows the posterior whole and the prior's central part."""
    from arviz_stats.base import array_stats

    prior = fit.law.parameters[name].prior
    low, high = prior.interval(0.9)
    posterior_grid, posterior, _ = array_stats.kde(draws, grid_len=DENSITY_POINTS)
    grid = np.linspace(min(low, posterior_grid[0]), max(high, posterior_grid[-1]), DENSITY_POINTS)
    return {
        "posterior_at": posterior_grid.tolist(),
        "posterior": posterior.tolist(),
        "prior_at": grid.tolist(),
        "prior": prior.dist.pdf(grid).tolist(),
    }


def _residuals(fit: Fit) -> list[dict[str, Any]]:
    """Each run beside what a new run of its size would be expected to reach."""
    runs = fit.runs
    at = {"params": runs.params, "tokens": runs.tokens, **extra_inputs(fit.law, runs)}
    seed = fit.settings.random_seed
    rows = forecast(fit, kind="new-run", ci_prob=fit.ci_prob, random_seed=seed, **at).rows()
    middle = forecast(fit, kind="curve", ci_prob=fit.ci_prob, random_seed=seed, **at).rows()
    counted = SIX_ND.flops(runs.params, runs.tokens)
    return [
        {
            "run": str(runs.run[i]),
            "flops": float(counted[i]),
            "observed": float(runs.loss[i]),
            "fitted": middle[i]["median"],
            "residual": float(runs.loss[i]) / middle[i]["median"] - 1,
            "lower": row["lower"],
            "upper": row["upper"],
            "inside": bool(row["lower"] <= runs.loss[i] <= row["upper"]),
        }
        for i, row in enumerate(rows)
    ]


def _at_optimum(study: Study, front: Frontier, kind: str = "new-run") -> Forecast:
    """One new run, or the curve, at the median allocation of each of a frontier's budgets."""
    params = np.array([row["params"]["median"] for row in front.rows()])
    tokens = SIX_ND.tokens(params, front.flops)
    return forecast(
        study.averaged(),
        params=params,
        tokens=tokens,
        kind=kind,
        ci_prob=study.ci_prob,
        random_seed=study.random_seed,
    )


def forecast_numbers(study: Study) -> dict[str, Any]:
    """One new run at the compute-optimal allocation of each budget; the same along a grid; law by law."""
    group = study.averaged()
    budgets = np.array(study.budgets)
    new = _at_optimum(study, study.asked)
    body = new.to_dict()
    for j, row in enumerate(body["forecasts"]):
        row["budget"] = float(budgets[j])
        row["inner"] = _bounds(replace(new, ci_prob=INNER).rows()[j])
        row["p_target"] = _reaches(new, j, study.target_loss)
    band = _at_optimum(study, study.curve)
    inner = replace(band, ci_prob=INNER).rows()
    body["band"] = [
        {k: row[k] for k in ("flops", "params", "tokens", "median", "lower", "upper")}
        | {"inner": _bounds(inner[j]), "beyond": row["decades_beyond"]["flops"]}
        for j, row in enumerate(band.rows())
    ]
    body["by_law"] = [_law_row(fit, group.law_weights[fit.law.name], body["forecasts"][0], study) for fit in group.fits]
    body["tenfold"] = _tenfold(study)
    body["law_weights"] = group.law_weights
    body["discrepancy_per_decade"] = group.averaging.scale_mean if group.averaging else None
    body["target_loss"] = study.target_loss
    return body


def _bounds(row: dict[str, Any]) -> dict[str, Any]:
    return {"lower": row["lower"], "upper": row["upper"], "prob": INNER}


def _reaches(new: Forecast, j: int, target: float | None) -> float | None:
    if target is None:
        return None
    return float(np.average(new.draws[:, j] <= target, weights=new.weights))


def _law_row(fit: Fit, weight: float, at: dict[str, Any], study: Study) -> dict[str, Any]:
    own = forecast(fit, params=at["params"], tokens=at["tokens"], ci_prob=study.ci_prob, random_seed=study.random_seed)
    row = own.rows()[0]
    return {
        "law": fit.law.name,
        "weight": weight,
        **{k: row[k] for k in ("median", "lower", "upper")},
        "inner": _bounds(replace(own, ci_prob=INNER).rows()[0]),
    }


def _tenfold(study: Study) -> list[dict[str, Any]]:
    """What each tenfold of compute takes off the loss at the best allocation, starting from the largest run's
    compute: the curves' difference draw by draw, the discrepancy's growth included."""
    steps = float(study.runs.flops.max()) * np.array([1.0, 10.0, 100.0])
    front = frontier(study.averaged(), steps, ci_prob=study.ci_prob)
    curve = _at_optimum(study, front, "curve")
    params, weights = front.draws("params"), front.weights
    rows = []
    for j in range(len(steps) - 1):
        keep = np.isfinite(params[:, j]) & np.isfinite(params[:, j + 1])
        gain = curve.draws[:, j] - curve.draws[:, j + 1]
        times = params[keep, j + 1] / params[keep, j]
        rows.append(
            {
                "from_flops": float(steps[j]),
                "to_flops": float(steps[j + 1]),
                "gain": interval_value(gain, study.ci_prob, curve.weights),
                "params_times": interval_value(times, study.ci_prob, weights[keep]),
            }
        )
    return rows


def frontier_numbers(study: Study) -> dict[str, Any]:
    """The frontier at the budgets and along the grid; exponents by law; what others published."""
    front, curve = study.asked, study.curve
    inner = replace(curve, ci_prob=INNER).rows()
    body = front.to_dict()
    names = ("params", "tokens", "tokens_per_param", "loss")
    body["curve"] = [
        {"flops": row["flops"]}
        | {name: row[name] | {"inner": _bounds(inner[j][name])} for name in names}
        | {"beyond": row["decades_beyond"]["flops"]}
        for j, row in enumerate(curve.rows())
    ]
    at = max(study.budgets)
    widest = frontier(study.averaged(), [at], ci_prob=study.ci_prob)
    average = widest.exponents["params"] | {"inner": _bounds(replace(widest, ci_prob=INNER).exponents["params"])}
    body["exponent_average"] = average | {"flops": float(at)}
    body["exponents_by_law"] = [
        {
            "law": f.law.name,
            **interval_value(f.derived["exponent_params"], study.ci_prob),
            "inner": _bounds(interval_value(f.derived["exponent_params"], INNER)),
        }
        for f in study.fits
        if f.derived
    ]
    body["exponents_published"] = [dict(e) for e in EXPONENTS]
    body["optima_published"] = _table("chinchilla_optima", ("approach", "params", "tokens"))
    body["known_models"] = _table("known_models", ("run", "params", "tokens", "tokens_are", "source"))
    return body


def _table(name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    frame = load_table(name)
    rows = []
    for record in frame[list(columns)].to_dict("records"):
        row = {k: str(record[k]) for k in columns}
        row_numbers = {k: float(record[k]) for k in ("params", "tokens")}
        rows.append({**row, **row_numbers, "flops": float(SIX_ND.flops(row_numbers["params"], row_numbers["tokens"]))})
    return rows


def compare_numbers(study: Study) -> dict[str, Any]:
    """The comparison of laws."""
    if study.evidence is None:
        raise RuntimeError("; ".join(n.message for n in study.notices if n.code == "section_failed"))
    weights = study.group.law_weights if study.group else {}
    body = study.evidence.to_dict() | {"ok": study.evidence.ok, "best": study.evidence.best}
    body["weights_in_forecasts"] = weights
    body["prior_expected"] = expected_numbers(study)
    scores = study.backtest.rule.forward_score if study.backtest else {}
    for row in body["laws"]:
        row["forward_score"] = scores.get(row["law"])
    return body


def diagnostics_numbers(study: Study) -> dict[str, Any]:
    """The verdict on each fit, and whether the evidence estimates hold."""
    rows = [
        {
            "law": f.law.name,
            "runs": f.runs.n,
            "seconds": dict(f.seconds).get("total"),
            **f.diagnostics.to_dict(),
        }
        for f in study.fits
    ]
    return {"fits": rows, "ok": all(f.ok for f in study.fits), "draws": study.fits[0].n_draws}
