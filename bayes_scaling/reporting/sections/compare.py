"""Which law the runs support: evidence, Bayes factors, leave-one-out and stacking."""

from __future__ import annotations

from typing import Any

from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Prose, Section, Table, say
from bayes_scaling.reporting.charts import laws as charts
from bayes_scaling.reporting.reading import colours_of, law_column, titles
from bayes_scaling.reporting.study import Study


def numbers(study: Study) -> dict[str, Any]:
    """The comparison of laws."""
    if study.evidence is None:
        raise RuntimeError("; ".join(n.message for n in study.notices if n.code == "section_failed"))
    weights = study.group.law_weights if study.group else {}
    body = study.evidence.to_dict() | {"ok": study.evidence.ok, "best": study.evidence.best}
    body["weights_in_forecasts"] = weights
    body["weights"] = study.group.weights_told if study.group else []
    scores = study.backtest.rule.forward_score if study.backtest else {}
    for row in body["laws"]:
        row["forward_score"] = scores.get(row["law"])
    return body


def view(data: Data) -> list[Block]:
    """The evidence for each law, and how far it hangs on priors."""
    names, colours = titles(data), colours_of(data)
    rows = sorted(data["compare"]["laws"], key=lambda r: -r["log_evidence"])
    top = rows[0]["log_evidence"]
    drawn = [
        {
            "title": names[r["law"]],
            "colour": colours[r["law"]],
            "delta": r["log_evidence"] - top,
            "sd": r["log_evidence_sd"],
            "label": w.fixed(r["log_evidence"] - top, 1),
            "probability": r["probability"],
            "stacking_weight": r["stacking_weight"],
            "share_label": w.percent(r["probability"]),
            "stacking_label": w.percent(r["stacking_weight"]),
        }
        for r in rows
    ]
    figure = Figure(
        "evidence",
        "Which law the runs support",
        "Left: log evidence against the best law, with two standard errors of its estimate. Right: the "
        "probability of "
        "each law, and below it its stacking weight.",
        "Log evidence and probability of each law.",
        (charts.evidence(drawn), charts.shares(drawn)),
        (
            Key("dash", t.MUTED, "two standard errors"),
            Key("band", t.MUTED, "probability"),
            Key("dash", t.FAINT, "stacking weight"),
        ),
        across=2,
        table="evidence",
    )
    blocks: list[Block] = [*_prose(data)]
    return [
        *blocks,
        *([figure] if len(rows) > 1 else []),
        _table(data),
        *([_factors(data)] if len(rows) > 1 else []),
    ]


def leader(data: Data) -> Any:
    """The most probable law, its lead over the next, and what that lead is called."""
    names, body = titles(data), data["compare"]
    rows = sorted(body["laws"], key=lambda r: -r["probability"])
    if len(rows) == 1:
        return say(
            "Only one law was asked for, {law}, so nothing here speaks for it against another.",
            law=names[rows[0]["law"]],
        )
    averaged = len(data["forecast"]["law_weights"]) > 1 if data["forecast"] else False
    tail = ", and the answers average over all of them" if averaged else ""
    first = body["bayes_factors"][0]
    return say(
        "Of {n} laws, <b>{law}</b> is the most probable ({share}); its lead over {second}, "
        "{bf}\u00a0±\u00a0{sd}\u00a0nats, "
        "<b>{verdict}</b>{tail}.",
        n=len(rows),
        law=names[rows[0]["law"]],
        share=w.percent(rows[0]["probability"]),
        second=names[first["denominator"]],
        bf=w.fixed(first["log_bf"], 2),
        sd=w.fixed(first["log_bf_sd"], 2),
        verdict=_judged(first["verdict"]),
        tail=tail,
    )


def _judged(verdict: str) -> str:
    """A verdict as what a lead is or does."""
    if verdict in ("positive", "strong", "very strong"):
        return f"is {verdict} evidence"
    return {
        "depends on the priors or noise: no verdict": "is no verdict, as it depends on the priors or noise",
    }.get(verdict, f"is {verdict}")


def _prose(data: Data) -> list[Prose]:
    names, body = titles(data), data["compare"]
    out = [Prose(leader(data), "evidence")]
    if not body["ok"]:
        text = "A fit or an evidence estimate failed its checks: these verdicts cannot be relied on."
        out.append(Prose(text, "diagnostics", "failed"))
    rows = body["laws"]
    if len(rows) > 1:
        stacked = max(rows, key=lambda r: r["stacking_weight"])
        loo = max(rows, key=lambda r: r["elpd_loo"])
        same = stacked["law"] == body["best"] == loo["law"]
        text = say(
            "Evidence asks which law, priors and all, made these runs probable; leave-one-out asks which "
            "predicts a "
            "run among them best; stacking asks for the best mixture. {verdict} None of them weighs the "
            "forecasts: the forward score does, which asks what a law fitted to smaller runs said of larger ones.",
            verdict=f"All three point to {names[body['best']]}."
            if same
            else f"They differ here: {names[body['best']]} by evidence, {names[loo['law']]} by "
            f"leave-one-out, "
            f"{names[stacked['law']]} by stacking.",
        )
        out.append(Prose(text, "evidence"))
    if all(b["range"] is None for b in body["bayes_factors"]) and body["bayes_factors"]:
        out.append(
            Prose(
                "These verdicts hold for the priors and the noise model stated; how far they move under "
                "others was not computed.",
                "bayes_factors",
            )
        )
    return out


def _table(data: Data) -> Table:
    body = data["compare"]
    rows = sorted(body["laws"], key=lambda r: -r["log_evidence"])
    columns = (
        law_column(data),
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
    return Table("evidence", "Evidence for each law", rows, columns)


def _factors(data: Data) -> Table:
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


SECTION = Section("compare", "Which law?", numbers, view)
