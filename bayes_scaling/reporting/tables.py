"""The tables of a report: whole rows for the CSV, and the columns of them that the page prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Column, Table, flat
from bayes_scaling.reporting.prose import titles

Data = Mapping[str, Any]
Row = Mapping[str, Any]


def _at(*path: str) -> Callable[[Row], Any]:
    def get(row: Row) -> Any:
        value: Any = row
        for key in path:
            value = value[key]
        return value

    return get


def _count(label: str, *path: str) -> Column:
    return Column(label, lambda r: w.count(_at(*path)(r)))


def _interval(label: str, show: Callable[[Row], str], *path: str) -> Column:
    return Column(label, lambda r: show(_at(*path)(r) if path else r))


def _law(data: Data) -> Column:
    names = titles(data)
    return Column("law", lambda r: names.get(r["law"], r["law"]), numeric=False)


def runs(data: Data) -> Table:
    body = data["runs"]
    rows = []
    for i in range(body["n"]):
        row = {k: body[k][i] for k in ("run", "group", "params", "tokens", "flops", "loss", "loss_sd") if body[k]}
        rows.append({**row, **{k: v[i] for k, v in body["extra"].items() if k not in row}})
    columns = [Column("run", lambda r: r["run"], numeric=False)]
    if body["group"]:
        columns.append(Column("group", lambda r: r["group"], numeric=False))
    columns += [
        Column(
            "parameters",
            lambda r: w.flop(r["params"]) if r["params"] >= 1e15 else w.format_count(r["params"]),
        ),
        Column("tokens", lambda r: w.flop(r["tokens"]) if r["tokens"] >= 1e15 else w.format_count(r["tokens"])),
        Column("FLOP, as given", lambda r: w.flop(r["flops"])),
        Column("loss, nats per token", lambda r: f"{r['loss']:.4g}"),
    ]
    return Table("runs", "The runs", rows, tuple(columns), folded=True)


def parameters(data: Data) -> Table:
    rows = []
    for name, fit in data["fit"].items():
        for parameter, value in fit["parameters"].items():
            prior = fit["priors"].get(parameter, "derived")
            rows.append({"law": name, "parameter": parameter, **value, "prior": prior})
        rows += [{"law": name, "parameter": k, **v, "prior": "derived"} for k, v in fit["derived"].items()]
    ci = w.prob(data["ci_prob"])
    columns = (
        _law(data),
        Column("parameter", lambda r: r["parameter"], numeric=False),
        Column("median", lambda r: w.short(r["median"])),
        Column(f"{ci} interval", lambda r: f"{w.short(r['lower'])} to {w.short(r['upper'])}"),
        Column("sd", lambda r: w.short(r["sd"], 2)),
        Column("ESS bulk", lambda r: f"{r['ess_bulk']:.0f}" if r.get("ess_bulk") is not None else w.DASH),
        Column("ESS tail", lambda r: f"{r['ess_tail']:.0f}" if r.get("ess_tail") is not None else w.DASH),
        Column("R-hat", lambda r: w.fixed(r.get("rhat"), 3)),
        Column("prior", lambda r: r["prior"], numeric=False),
    )
    return Table("parameters", "Posterior of every parameter", rows, columns, folded=True)


def residuals(data: Data) -> Table:
    rows = [{"law": name, **r} for name, fit in data["fit"].items() for r in fit["residuals"]]
    return Table("residuals", "Residuals", rows)


def forecast(data: Data) -> Table:
    body, ci = data["forecast"], w.prob(data["ci_prob"])
    columns = [
        Column("budget, FLOP", lambda r: w.flop(r["budget"])),
        _count("parameters", "params"),
        _count("tokens", "tokens"),
        Column("loss, median", w.loss),
        Column(f"{ci} interval", w.loss_range),
        Column("50 % interval", lambda r: _inner(r)),
        Column("decades beyond", lambda r: w.fixed(r["decades_beyond"]["flops"], 1)),
    ]
    if body["target_loss"] is not None:
        columns.append(Column("P(target)", lambda r: w.percent(r["p_target"])))
    rows = [{k: v for k, v in flat(r).items() if not k.startswith("law_weights")} for r in body["forecasts"]]
    shown = tuple(Column(c.label, _of(body["forecasts"], rows, c), c.numeric) for c in columns)
    return Table("forecast", "One new run at the best allocation of each budget", rows, shown)


def _of(nested: list[Any], rows: list[Any], column: Column) -> Callable[[Row], str]:
    """Lets a column read the nested row of which the table's row is the flat form."""
    index = {id(row): nested[i] for i, row in enumerate(rows)}
    return lambda row: column.show(index[id(row)])


def _inner(row: Row) -> str:
    digits = w.decimals(row["lower"], row["upper"])
    return f"{w.fixed(row['inner']['lower'], digits)} to {w.fixed(row['inner']['upper'], digits)}"


def forecast_band(data: Data) -> Table:
    return Table("forecast_band", "Loss along the frontier", [flat(r) for r in data["forecast"]["band"]])


def forecast_by_law(data: Data) -> Table:
    body = data["forecast"]
    columns = (
        _law(data),
        Column("weight", lambda r: w.percent(r["weight"])),
        Column("loss, median", w.loss),
        Column(f"{w.prob(data['ci_prob'])} interval", w.loss_range),
    )
    budget = w.flop(body["forecasts"][0]["budget"])
    rows = [flat(r) for r in body["by_law"]]
    return Table("forecast_by_law", f"The same run at {budget} FLOP, law by law", rows, columns, folded=True)


def ten_times(data: Data) -> Table:
    rows, ci = data["forecast"]["tenfold"], w.prob(data["ci_prob"])
    columns = (
        Column("from, FLOP", lambda r: w.flop(r["from_flops"])),
        Column("to, FLOP", lambda r: w.flop(r["to_flops"])),
        Column("loss falls by, nats", lambda r: w.loss(r["gain"])),
        Column(f"{ci} interval", lambda r: w.loss_range(r["gain"])),
        Column("best size grows by a factor of", lambda r: w.short(r["params_times"]["median"], 2)),
    )
    flats = [flat(r) for r in rows]
    shown = tuple(Column(c.label, _of(rows, flats, c), c.numeric) for c in columns)
    return Table("ten_times", "What ten times the compute buys", flats, shown)


def frontier(data: Data) -> Table:
    rows = data["frontier"]["frontier"]
    columns = (
        Column("budget, FLOP", lambda r: w.flop(r["flops"])),
        _count("parameters", "params", "median"),
        _interval("interval", w.count_range, "params"),
        _count("tokens", "tokens", "median"),
        _interval("interval", w.count_range, "tokens"),
        Column("tokens a parameter", lambda r: w.short(r["tokens_per_param"]["median"], 2)),
        Column("loss, curve", lambda r: w.loss(r["loss"])),
        _interval("interval", w.loss_range, "loss"),
        Column("within 0.5 % of the best", lambda r: w.count_range(r["flat_params"])),
    )
    flats = [flat(r) for r in rows]
    shown = tuple(Column(c.label, _of(rows, flats, c), c.numeric) for c in columns)
    note = f"Intervals are {w.prob(data['ci_prob'])}. The loss is the averaged curve at that "
    note += "allocation, with the discrepancy of forecasts and without a run's scatter."
    return Table("frontier", "The best allocation of each budget", flats, shown, note)


def frontier_curve(data: Data) -> Table:
    return Table("frontier_curve", "The frontier", [flat(r) for r in data["frontier"]["curve"]])


def exponents(data: Data) -> Table:
    body = data["frontier"]
    rows = [flat(r) for r in body["exponents_by_law"]]
    average = {"law": "average", **{k: v for k, v in body["exponent_average"].items() if k != "flops"}}
    rows = [*rows, flat(average)]
    columns = (
        _law(data),
        Column("a, median", lambda r: w.fixed(r["median"], 3)),
        Column(
            f"{w.prob(data['ci_prob'])} interval",
            lambda r: f"{w.fixed(r['lower'], 3)} to {w.fixed(r['upper'], 3)}",
        ),
    )
    return Table("exponents", "Exponent a of the best model size", rows, columns, folded=True)


def published(data: Data) -> list[Table]:
    body = data["frontier"]
    optima = Table("published_optima", "Published optima", body["optima_published"])
    return [optima, Table("known_models", "Known models", body["known_models"])]


def evidence(data: Data) -> Table:
    body = data["compare"]
    rows = sorted(body["laws"], key=lambda r: -r["log_evidence"])
    columns = (
        _law(data),
        Column("log evidence, nats", lambda r: f"{w.fixed(r['log_evidence'])} ± {w.fixed(r['log_evidence_sd'])}"),
        Column("probability", lambda r: w.percent(r["probability"])),
        Column("elpd, nats", lambda r: f"{w.fixed(r['elpd_loo'], 1)}"),
        Column("SE", lambda r: w.fixed(r["elpd_loo_se"], 1)),
        Column("Pareto k", lambda r: w.fixed(r["pareto_k_max"])),
        Column(
            "stacking weight",
            lambda r: w.percent(r["stacking_weight"]) if r["stacking_weight"] else "0\u00a0%",
        ),
        Column("forward score", lambda r: w.fixed(r["forward_score"])),
        Column("weight in forecasts", lambda r: w.percent(body["weights_in_forecasts"].get(r["law"], 0.0))),
        Column("fit", lambda r: r["verdict"], numeric=False),
    )
    flats = [flat(r) for r in rows]
    return Table("evidence", "Evidence for each law", flats, columns)


def bayes_factors(data: Data) -> Table:
    names = titles(data)
    rows = [
        {k: v for k, v in r.items() if k != "range"}
        | dict(zip(("range_low", "range_high"), r["range"] or (None, None), strict=True))
        for r in data["compare"]["bayes_factors"]
    ]
    ranged = any(r["range_low"] is not None for r in rows)
    columns = [
        Column("for", lambda r: names[r["numerator"]], numeric=False),
        Column("against", lambda r: names[r["denominator"]], numeric=False),
        Column("log Bayes factor, nats", lambda r: f"{w.fixed(r['log_bf'])} ± {w.fixed(r['log_bf_sd'])}"),
    ]
    if ranged:
        columns.append(Column("range", lambda r: f"{w.fixed(r['range_low'])} to {w.fixed(r['range_high'])}"))
    columns.append(Column("evidence", lambda r: r["verdict"], numeric=False))
    return Table("bayes_factors", "Each law against each other", rows, tuple(columns))


def diagnostics(data: Data) -> Table:
    rows = [{**r, "messages": " ".join(r["messages"])} for r in data["diagnostics"]["fits"]]
    columns = (
        _law(data),
        Column("verdict", lambda r: r["verdict"], numeric=False),
        Column("R-hat, worst", lambda r: w.fixed(r["rhat_max"], 3)),
        Column("ESS bulk, least", lambda r: w.fixed(r["ess_bulk_min"], 0)),
        Column("ESS tail, least", lambda r: w.fixed(r["ess_tail_min"], 0)),
        Column("divergences", lambda r: str(r["divergences"])),
        Column("E-BFMI", lambda r: w.fixed(r["ebfmi_min"])),
    )
    draws = data["diagnostics"]["draws"]
    good = f"R-hat at most 1.01, ESS at least {min(400, draws // 10)}, no divergences, E-BFMI at least 0.3"
    note = f"{draws:,} draws a law. Good: {good}."
    return Table("diagnostics", "Checks of each fit", rows, columns, note)
