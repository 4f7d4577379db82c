"""The best allocation of each budget, how it grows with compute, and what others published of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.evidence.exponents import exponents
from bayes_scaling.laws.compute import SIX_ND, ComputeModel, as_counted
from bayes_scaling.prediction.frontiers import frontier
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Prose, Section, Table, say
from bayes_scaling.reporting.charts import forecast as charts
from bayes_scaling.reporting.charts import laws as law_charts
from bayes_scaling.reporting.charts import robustness as claim_charts
from bayes_scaling.reporting.reading import (
    AVERAGE,
    INNER,
    band_keys,
    bounds,
    colours_of,
    largest,
    law_column,
    run_rows,
    titles,
)
from bayes_scaling.reporting.references import EXPONENTS
from bayes_scaling.reporting.study import Study
from bayes_scaling.runs.datasets import load_table

IN_FORECASTS = "average in forecasts"


def numbers(study: Study) -> dict[str, Any]:
    """The frontier at the budgets and along the grid; exponents by law; what others published."""
    front, curve = study.asked, study.curve
    inner = replace(curve, ci_prob=INNER).rows()
    body = front.to_dict()
    names = ("params", "tokens", "tokens_per_param", "loss")
    body["curve"] = [
        {"flops": row["flops"]}
        | {name: row[name] | {"inner": bounds(inner[j][name])} for name in names}
        | {"beyond": row["decades_beyond"]["flops"]}
        for j, row in enumerate(curve.rows())
    ]
    at = max(study.budgets)
    widest = frontier(study.averaged(), [at], ci_prob=study.ci_prob)
    average = widest.exponents["params"] | {"inner": bounds(replace(widest, ci_prob=INNER).exponents["params"])}
    body["exponent_average"] = average | {"flops": float(at)}
    body["claims"] = exponents(study.averaged(), flops=float(at), ci_prob=study.ci_prob).to_dict()
    body["exponents_by_law"] = [
        {
            "law": f.law.name,
            **interval_value(f.derived["exponent_params"], study.ci_prob),
            "inner": bounds(interval_value(f.derived["exponent_params"], INNER)),
        }
        for f in study.fits
        if f.derived
    ]
    count = as_counted(SIX_ND, study.runs)
    body["exponents_published"] = [dict(e) for e in EXPONENTS]
    body["optima_published"] = _published(count, "chinchilla_optima", ("approach", "params", "tokens"))
    body["known_models"] = _published(count, "known_models", ("run", "params", "tokens", "tokens_are", "source"))
    return body


def _published(count: ComputeModel, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """A shipped table of published models or optima, its compute counted as the runs' is."""
    frame = load_table(name)
    rows = []
    for record in frame[list(columns)].to_dict("records"):
        row = {k: str(record[k]) for k in columns}
        row_numbers = {k: float(record[k]) for k in ("params", "tokens")}
        rows.append({**row, **row_numbers, "flops": float(count.flops(row_numbers["params"], row_numbers["tokens"]))})
    return rows


def view(data: Data) -> list[Block]:
    """The best size and data over compute, beside published optima and models."""
    body, runs = data["frontier"], run_rows(data)
    models = [{**r, "size": w.count(r["params"]), "read": w.count(r["tokens"])} for r in body["known_models"]]
    optima = [{**r, "size": w.count(r["params"]), "read": w.count(r["tokens"])} for r in body["optima_published"]]
    panels = tuple(
        charts.allocation_figure(k, body["curve"], runs, optima, models, largest(data), data["ci_prob"], title)
        for k, title in (("params", "best model size, parameters"), ("tokens", "best number of tokens"))
    )
    main = Figure(
        "frontier",
        "The compute-optimal frontier",
        "Model size and tokens that give the lowest loss at each budget. Published optima are the "
        "predictions of "
        "Hoffmann et al. (2022), approaches 1 and 2, on another corpus; known models are drawn at the size "
        "and tokens "
        "their authors print, and many were trained on more tokens than is optimal because they are cheap "
        "to serve.",
        "Optimal parameters and tokens against training compute with bands, published optima and known models.",
        panels,
        (
            *band_keys(data, "median"),
            Key("diamond", t.LAWS[0], "published optima"),
            Key("triangle", t.INK, "known models"),
            Key("point", t.MUTED, "the runs"),
        ),
        across=2,
        table="frontier_curve",
    )
    exponent = _exponent_figure(data)
    return [
        *_prose(data),
        main,
        _at_budgets(data),
        exponent,
        _exponents(data),
        *_claims(data),
        Table("frontier_curve", "The frontier", body["curve"]),
        Table("published_optima", "Published optima", body["optima_published"]),
        Table("known_models", "Known models", body["known_models"]),
    ]


def _prose(data: Data) -> list[Prose]:
    body, ci = data["frontier"], w.prob(data["ci_prob"])
    a = body["exponent_average"]
    text = say(
        "At {c} FLOP the best model size grows as compute to the power <b>{a}</b> ({ci} interval {low} to "
        "{high}), "
        "and the tokens as compute to the power {b}.",
        c=w.flop(a["flops"]),
        a=w.fixed(a["median"]),
        ci=ci,
        low=w.fixed(a["lower"]),
        high=w.fixed(a["upper"]),
        b=w.fixed(1 - a["median"]),
    )
    inside = [e["name"] for e in body["exponents_published"] if a["lower"] <= e["value"] <= a["upper"]]
    outside = [e["name"] for e in body["exponents_published"] if not a["lower"] <= e["value"] <= a["upper"]]
    parts = [
        f"{w.listed(v)} {'lies' if len(v) == 1 else 'lie'} {where}"
        for v, where in ((inside, "inside that interval"), (outside, "outside it"))
        if v
    ]
    text += say(" Of the published exponents, {parts}.", parts="; ".join(parts))
    out = [Prose(text, "exponents")]
    size = body["misplacement"]
    if size is not None:
        text = say(
            "Laws that foretell losses well still misplace their minimum, since the loss is flat there. On public "
            "tables the best size measured at larger budgets lay further from the laws' than their intervals say, so "
            "these are widened: by about {offset} of the size at any budget, and {slope} more for each tenfold of "
            "compute beyond the runs.",
            offset=w.prob(round(10 ** size["offset"] - 1, 2)),
            slope=w.prob(round(10 ** size["slope"] - 1, 2)),
        )
        out.append(Prose(text, "frontier"))
    return out


def _at_budgets(data: Data) -> Table:
    rows = data["frontier"]["frontier"]
    columns = (
        Column("budget, FLOP", lambda r: w.flop(r["flops"])),
        Column("parameters", lambda r: w.count(r["params"]["median"])),
        Column("interval", lambda r: w.count_range(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"]["median"])),
        Column("interval", lambda r: w.count_range(r["tokens"])),
        Column("tokens a parameter", lambda r: w.short(r["tokens_per_param"]["median"], 2)),
        Column("loss, curve", lambda r: w.loss(r["loss"])),
        Column("interval", lambda r: w.loss_range(r["loss"])),
        Column("within 0.5 % of the best", lambda r: w.count_range(r["flat_params"])),
    )
    note = f"Intervals are {w.prob(data['ci_prob'])}. The loss is the averaged curve at that "
    note += "allocation, with the discrepancy of forecasts and without a run's scatter."
    return Table("frontier", "The best allocation of each budget", rows, columns, note)


def _exponent_figure(data: Data) -> Figure:
    body, names, colours, ci = data["frontier"], titles(data), colours_of(data), w.prob(data["ci_prob"])
    rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in body["exponents_by_law"]]
    rows.append({**body["exponent_average"], "title": AVERAGE, "colour": t.BAND})
    axis = "exponent a: best N grows as C to the power a"
    return Figure(
        "exponents",
        "How the best model grows with compute",
        "Dashed lines are published exponents. Kaplan's 0.73 comes from another compute count and "
        "learning-rate "
        "schedule than Hoffmann's.",
        "Exponent of the optimal model size by law, with published values as lines.",
        (law_charts.intervals(rows, "a", axis, data["ci_prob"], lines=body["exponents_published"]),),
        (
            Key("point", t.MUTED, "median"),
            Key("dash", t.MUTED, "50 % interval"),
            Key("line", t.MUTED, f"{ci} interval"),
        ),
        table="exponents",
    )


def _exponents(data: Data) -> Table:
    body = data["frontier"]
    rows = body["exponents_by_law"]
    average = {"law": "average", **{k: v for k, v in body["exponent_average"].items() if k != "flops"}}
    rows = [*rows, average]
    columns = (
        law_column(data),
        Column("a, median", lambda r: w.fixed(r["median"], 3)),
        Column(
            f"{w.prob(data['ci_prob'])} interval",
            lambda r: f"{w.fixed(r['lower'], 3)} to {w.fixed(r['upper'], 3)}",
        ),
    )
    return Table("exponents", "Exponent a of the best model size", rows, columns, folded=True)


def _claims(data: Data) -> list[Block]:
    """What is left of claims about the exponent, law by law and by the average."""
    own = data["frontier"]["claims"]
    found = [e for e in (data["compare"] or {}).get("exponents") or [] if e["law"] not in ("average", own["law"])]
    found.append(own)
    names, colours = {**titles(data), "average": IN_FORECASTS}, colours_of(data)
    rows = [{"law": e["law"], **c} for e in found for c in e["claims"]]
    panels = []
    for claim in [c["hypothesis"] for c in found[0]["claims"]]:
        here = [
            {
                "title": names[r["law"]],
                "colour": colours.get(r["law"], t.BAND),
                "mass": r["mass"],
                "prior_mass": r["prior_mass"],
                "told": _told(r),
            }
            for r in rows
            if r["hypothesis"] == claim
        ]
        panels.append(claim_charts.claims(here, claim))
    figure = Figure(
        "exponent_claims",
        "Claims about the exponent",
        "A bar longer than its tick says that the runs made the claim more probable than it was beforehand. Laws that "
        "disagree here allocate compute differently.",
        "Probability that the exponent lies within reach of each claim, law by law, with the prior probability.",
        tuple(panels),
        (Key("band", t.BAND, "probability after the runs"), Key("tick", t.INK, "before the runs")),
        across=3,
        table="exponent_claims",
    )
    columns = (
        Column("claim", lambda r: r["hypothesis"], numeric=False),
        Column("law", lambda r: names[r["law"]], numeric=False),
        Column("within reach", lambda r: f"{w.fixed(r['region_lower'])} to {w.fixed(r['region_upper'])}"),
        Column("probability", lambda r: _share(r["mass"])),
        Column("beforehand", lambda r: w.percent(r["prior_mass"])),
        Column("log Bayes factor, nats", _told),
    )
    note = "The Bayes factor is for the claim itself against the rest of the law; 'at most' where no draw comes near."
    return [*_told_of_claims(data), figure, Table("exponent_claims", "Claims", rows, columns, note, folded=True)]


def _told_of_claims(data: Data) -> list[Prose]:
    """What is left of published claims about the exponent, by the average over laws."""
    body = data["frontier"]["claims"]
    parts = []
    for c in body["claims"]:
        bound = {"upper": "at most ", "lower": "at least ", None: ""}[c["bound"]]
        error = "" if c["log_bf_sd"] is None else f" ± {w.fixed(c['log_bf_sd'])}"
        parts.append(
            f"{c['hypothesis']}: {_share(c['mass'])} (beforehand {w.percent(c['prior_mass'])}), log Bayes "
            f"factor {bound}{w.fixed(c['log_bf'])}{error}"
        )
    who = "the average that forecasts rest on" if body["law"] == "average" else titles(data)[body["law"]]
    text = say(
        "How probable is it that a lies within {rope} of a published claim? By {who}: {parts}.",
        rope=w.short(body["rope"], 2),
        who=who,
        parts="; ".join(parts),
    )
    return [Prose(text, "exponent_claims")]


def _told(row: Mapping[str, Any]) -> str:
    bound = {"upper": "at most ", "lower": "at least ", None: ""}[row["bound"]]
    error = "" if row["log_bf_sd"] is None else f" ± {w.fixed(row['log_bf_sd'])}"
    return f"{bound}{w.fixed(row['log_bf'])}{error}"


def _share(mass: float) -> str:
    """A probability counted in draws: none of them is less than one in a hundred, not nothing."""
    return w.percent(min(max(mass, 1e-9), 1 - 1e-9))


SECTION = Section("frontier", "The best allocation", numbers, view)
