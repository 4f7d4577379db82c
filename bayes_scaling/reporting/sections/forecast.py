"""The loss of one new run against compute, with bands, law by law, and what ten times the compute buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.compute import SIX_ND, as_counted
from bayes_scaling.prediction.forecasting import Forecast, forecast
from bayes_scaling.prediction.frontiers import Frontier, frontier
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Prose, Section, Table, say
from bayes_scaling.reporting.charts import laws as law_charts
from bayes_scaling.reporting.reading import (
    AVERAGE,
    INNER,
    bounds,
    colours_of,
    law_column,
    loss_short,
    loss_words,
    titles,
)
from bayes_scaling.reporting.study import Study


def numbers(study: Study) -> dict[str, Any]:
    """One new run at the compute-optimal allocation of each budget; the same along a grid; law by law."""
    group = study.averaged()
    budgets = np.array(study.budgets)
    new = _at_optimum(study, study.asked)
    body = new.to_dict()
    for j, row in enumerate(body["forecasts"]):
        row["budget"] = float(budgets[j])
        row["inner"] = bounds(replace(new, ci_prob=INNER).rows()[j])
        row["p_target"] = _reaches(new, j, study.target_loss)
    band = _at_optimum(study, study.curve)
    inner = replace(band, ci_prob=INNER).rows()
    body["band"] = [
        {k: row[k] for k in ("flops", "params", "tokens", "median", "lower", "upper")}
        | {"inner": bounds(inner[j]), "beyond": row["decades_beyond"]["flops"]}
        for j, row in enumerate(band.rows())
    ]
    body["by_law"] = [_law_row(fit, group.law_weights[fit.law.name], body["forecasts"][0], study) for fit in group.fits]
    body["tenfold"] = _tenfold(study)
    body["law_weights"] = group.law_weights
    body["discrepancy_per_decade"] = group.averaging.scale_mean if group.averaging else None
    body["target_loss"] = study.target_loss
    return body


def _trust(body: Data, names: Mapping[str, str], data: Data) -> list[Prose]:
    """What of the weights is prior, and how much the forecast rests on it."""
    if not body["equal_priors"]:
        return []
    rows = sorted(body["weights"], key=lambda r: -r["final"])
    parts = [f"{names[r['law']]} {w.percent(r['prior'])} and {w.percent(r['data'])}" for r in rows]
    first, alike = body["forecasts"][0], body["equal_priors"]["forecasts"][0]
    text = say(
        "Of those weights a part was there beforehand, from how each law extrapolated on other public tables, and a "
        "part comes from these runs alone: {parts}. Had all laws been trusted alike beforehand, the forecast at "
        "{budget} FLOP would be {other} ({range}, {ci} interval) instead of {this}.",
        parts=w.listed(parts),
        budget=w.flop(first["budget"]),
        other=w.loss(alike),
        range=w.loss_range(alike),
        ci=w.prob(data["ci_prob"]),
        this=w.loss(first),
    )
    return [Prose(text, "backtest_weights" if data["backtest"] else "forecast_by_law")]


def _at_optimum(study: Study, front: Frontier, kind: str = "new-run") -> Forecast:
    """One new run, or the curve, at the median allocation of each of a frontier's budgets."""
    params = np.array([row["params"]["median"] for row in front.rows()])
    tokens = as_counted(SIX_ND, study.runs).tokens(params, front.flops)
    return forecast(
        study.averaged(),
        params=params,
        tokens=tokens,
        kind=kind,
        ci_prob=study.ci_prob,
        random_seed=study.random_seed,
    )


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
        "inner": bounds(replace(own, ci_prob=INNER).rows()[0]),
    }


def _tenfold(study: Study) -> list[dict[str, Any]]:
    """What each tenfold of compute takes off the loss at the best allocation, starting from the largest run's
    compute: the curves' difference draw by draw, the discrepancy's growth included."""
    steps = float(study.runs.counted.max()) * np.array([1.0, 10.0, 100.0])
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


def view(data: Data) -> list[Block]:
    """The loss at the budgets asked about, law by law; its figure stands on the first screen."""
    body = data["forecast"]
    blocks: list[Block] = [*_prose(data), _at_budgets(data)]
    if len(body["by_law"]) > 1:
        blocks += [_by_law_figure(data), _by_law(data)]
    return [*blocks, _ten_times(data), Table("forecast_band", "Loss along the frontier", body["band"])]


def _prose(data: Data) -> list[Prose]:
    body = data["forecast"]
    names = titles(data)
    weights = [f"{names[k]} {w.percent(v)}" for k, v in sorted(body["law_weights"].items(), key=lambda i: -i[1])]
    out = []
    if len(weights) > 1:
        text = say(
            "The forecast blends the laws: each of its draws mixes their curves in random proportions about "
            "these weights, {weights}, which come from {basis}.",
            basis=body["weights_from"],
            weights=w.listed(weights),
        )
    else:
        text = say("The forecast rests on one law, {law}.", law=names[next(iter(body["law_weights"]))])
    if body["discrepancy_per_decade"]:
        text += say(
            " To that comes a <b>discrepancy</b>, for all laws may be wrong together: {share} of the loss per "
            "decade beyond the runs (one standard deviation), nothing among them.",
            share=f"{w.short(100 * body['discrepancy_per_decade'], 2)}\u00a0%",
        )
    out.append(Prose(text, "backtest_weights" if data["backtest"] else "forecast_by_law"))
    out += _trust(body, names, data)
    if len(body["forecasts"]) > 1:
        ci = w.prob(data["ci_prob"])
        parts = [f"{w.flop(r['budget'])} FLOP: {w.loss(r)} ({w.loss_range(r)})" for r in body["forecasts"]]
        text = say("Loss of one new run at each budget, with {ci} intervals: {parts}.", ci=ci, parts="; ".join(parts))
        out.append(Prose(text, "forecast"))
    first, second = body["tenfold"][:2]
    text = say(
        "The first tenfold of compute beyond the largest run takes {a}{unit} off the loss at the best "
        "allocation ({ar}), the second {b} ({br}).",
        unit=loss_short(data),
        a=w.loss(first["gain"]),
        ar=w.loss_range(first["gain"]),
        b=w.loss(second["gain"]),
        br=w.loss_range(second["gain"]),
    )
    out.append(Prose(text, "ten_times"))
    return out


def _by_law_figure(data: Data) -> Figure:
    body, names, colours = data["forecast"], titles(data), colours_of(data)
    first = body["forecasts"][0]
    rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in body["by_law"]]
    rows.append({**first, "title": AVERAGE, "colour": t.BAND})
    ci = w.prob(data["ci_prob"])
    return Figure(
        "forecast_by_law",
        f"The same run at {w.flop(first['budget'])} FLOP, law by law",
        "The further the laws lie apart, the more the forecast depends on which of them holds. A law's interval "
        "takes that law for the truth; the average's also holds the discrepancy.",
        "Forecast of one new run by each law and by their average.",
        (law_charts.intervals(rows, "loss", f"loss, {loss_words(data)}", data["ci_prob"]),),
        (
            Key("point", t.MUTED, "median"),
            Key("dash", t.MUTED, "50 % interval"),
            Key("line", t.MUTED, f"{ci} interval"),
        ),
        table="forecast_by_law",
    )


def _at_budgets(data: Data) -> Table:
    body, ci = data["forecast"], w.prob(data["ci_prob"])
    columns = [
        Column("budget, FLOP", lambda r: w.flop(r["budget"])),
        Column("parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("loss, median", w.loss),
        Column(f"{ci} interval", w.loss_range),
        Column("50 % interval", lambda r: _inner(r)),
        Column("decades beyond", lambda r: w.fixed(r["decades_beyond"]["flops"], 1)),
    ]
    if body["target_loss"] is not None:
        columns.append(Column("P(target)", lambda r: w.percent(r["p_target"])))
    rows = [{k: v for k, v in r.items() if k != "law_weights"} for r in body["forecasts"]]
    return Table("forecast", "One new run at the best allocation of each budget", rows, tuple(columns))


def _inner(row: Mapping[str, Any]) -> str:
    digits = w.decimals(row["lower"], row["upper"])
    return f"{w.fixed(row['inner']['lower'], digits)} to {w.fixed(row['inner']['upper'], digits)}"


def _by_law(data: Data) -> Table:
    body = data["forecast"]
    columns = (
        law_column(data),
        Column("weight", lambda r: w.percent(r["weight"])),
        Column("loss, median", w.loss),
        Column(f"{w.prob(data['ci_prob'])} interval", w.loss_range),
    )
    budget = w.flop(body["forecasts"][0]["budget"])
    return Table("forecast_by_law", f"The same run at {budget} FLOP, law by law", body["by_law"], columns, folded=True)


def _ten_times(data: Data) -> Table:
    rows, ci = data["forecast"]["tenfold"], w.prob(data["ci_prob"])
    columns = (
        Column("from, FLOP", lambda r: w.flop(r["from_flops"])),
        Column("to, FLOP", lambda r: w.flop(r["to_flops"])),
        Column(f"loss falls by{',' if loss_short(data) else ''}{loss_short(data)}", lambda r: w.loss(r["gain"])),
        Column(f"{ci} interval", lambda r: w.loss_range(r["gain"])),
        Column("best size grows by a factor of", lambda r: w.short(r["params_times"]["median"], 2)),
    )
    return Table("ten_times", "What ten times the compute buys", rows, columns)


SECTION = Section("forecast", "Loss against compute", numbers, view)
