"""The first screen: the question, one figure, three numbers, three sentences, what would change them, and a
paragraph to copy."""

from __future__ import annotations

from typing import Any

from bayes_scaling.reporting import advice
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Column, Data, Figure, Key, Prose, Table, plain, say
from bayes_scaling.reporting.charts import forecast as charts
from bayes_scaling.reporting.reading import band_keys, largest, loss_words, run_rows, titles
from bayes_scaling.reporting.sections.compare import leader
from bayes_scaling.reporting.sections.next import factor


def question(data: Data) -> str:
    """What was asked, as a reader would ask it."""
    budget, target = w.flop(data["asked"]["budgets"][0]), data["asked"]["target_loss"]
    sure = "" if target is None else f", how likely is a loss of at most {w.short(target, 4)},"
    return f"What loss will a training run of {budget} FLOP reach{sure} and how large should its model be?"


def figure(data: Data) -> list[Figure]:
    """The fan: loss against compute, with the runs, the bands, the budgets, the target and known models."""
    if not data["forecast"] or not data["runs"]:
        return []
    body, runs = data["forecast"], run_rows(data)
    models = data["frontier"]["known_models"] if data["frontier"] else []
    keys = [
        *band_keys(data, "one new run, median"),
        Key("diamond", t.INK, "budgets asked about"),
    ]
    if body["target_loss"] is not None:
        keys.append(Key("line", t.ACCENT, f"target, {w.short(body['target_loss'], 4)}"))
    if models:
        keys.append(Key("triangle", t.MUTED, "known models' compute"))
    return [
        Figure(
            "loss_compute",
            "Loss against compute",
            "One new run at the best allocation of each budget. A run above the band spent its compute on another "
            f"allocation, or was trained less well. Compute is counted as {data['runs']['counted']}.",
            "Training runs and the forecast loss of a new run at the best allocation against training compute, with "
            "bands, the budgets asked about, the target and the compute of known models.",
            (
                charts.loss_figure(
                    runs,
                    body["band"],
                    body["forecasts"],
                    largest(data),
                    data["ci_prob"],
                    loss_words(data),
                    target=body["target_loss"],
                    models=models,
                ),
            ),
            (*keys, *charts.runs_key(charts.group_colours(runs))),
            table="forecast_band",
        )
    ]


def tiles(data: Data) -> list[dict[str, str]]:
    """The three numbers that stand large, each with its interval and how far such intervals can be trusted here."""
    ci, out = w.prob(data["ci_prob"]), []
    if data["forecast"]:
        row = data["forecast"]["forecasts"][0]
        out.append(
            {
                "label": "loss of one new run",
                "value": w.loss(row),
                "interval": f"{ci}: {w.loss_range(row)}",
                "unit": loss_words(data),
                **_held(data),
            }
        )
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        widened = data["frontier"]["misplacement"] is not None
        trust = "These runs cannot test it" + ("; widened by what public tables taught." if widened else ".")
        for key, label, unit, held in (
            ("params", "best model size", "parameters", trust),
            ("tokens", "tokens to train it on", "tokens", "What that size leaves of the budget."),
        ):
            shown = {"value": w.count(row[key]["median"]), "interval": f"{ci}: {w.count_range(row[key])}"}
            out.append({"label": label, **shown, "unit": unit, "held": held, "tone": ""})
    return out


def _held(data: Data) -> dict[str, str]:
    """How often intervals like the loss's held on the runs themselves, and the tone to say it in."""
    body = data["backtest"]
    if not body or not body["folds"]:
        return {"held": "These runs cannot test such intervals.", "tone": "caution"}
    level = f"{data['ci_prob']:g}" if f"{data['ci_prob']:g}" in body["coverage"] else "0.9"
    held, weak = body["coverage"][level], advice.weak(body)
    text = (
        f"Such {w.prob(float(level))} intervals held {w.percent(held)} of the larger runs here "
        f"({w.plural(body['n_cells'], 'cell')}{', a weak test' if weak else ''})."
    )
    return {"held": text, "tone": "caution" if weak or held < float(level) - 0.1 else ""}


def headline(data: Data) -> list[Prose]:
    """The answer in three sentences: the loss, the size, the law."""
    out = []
    ci = w.prob(data["ci_prob"])
    if data["forecast"]:
        row = data["forecast"]["forecasts"][0]
        text = say(
            "With {budget} FLOP spent at the best allocation, one new run is expected to end at <b>{loss} {unit}</b> "
            "({ci} interval {range}){target}. That is {beyond}.",
            unit=loss_words(data),
            budget=w.flop(row["budget"]),
            loss=w.loss(row),
            ci=ci,
            range=w.loss_range(row),
            beyond=w.beyond(row["decades_beyond"]["flops"]),
            target=_target(data),
        )
        out.append(Prose(text, "forecast"))
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        flat = row["flat_params"]
        text = say(
            "The best model for that budget has <b>{n} parameters</b> ({n_range}), trained on <b>{d} tokens</b> "
            "({d_range}); any size from {low} to {high} is within {within} of its loss.",
            n=w.count(row["params"]["median"]),
            n_range=w.count_range(row["params"]),
            d=w.count(row["tokens"]["median"]),
            d_range=w.count_range(row["tokens"]),
            low=w.count(flat["lower"]),
            high=w.count(flat["upper"]),
            within=w.prob(flat["within"]),
        )
        out.append(Prose(text, "frontier"))
    if data["compare"]:
        out.append(Prose(leader(data), "evidence"))
    return out


def _target(data: Data) -> Any:
    row, target = data["forecast"]["forecasts"][0], data["forecast"]["target_loss"]
    if target is None:
        return ""
    return say(
        ", and to reach {target} with a probability of <b>{chance}</b>",
        target=w.short(target, 4),
        chance=w.percent(row["p_target"]),
    )


def budgets(data: Data) -> list[Table]:
    """Every budget asked about with its numbers, the smallest first; nothing where there is one."""
    if not data["forecast"] or len(data["forecast"]["forecasts"]) < 2:
        return []
    best = data["frontier"]["frontier"] if data["frontier"] else [{}] * len(data["forecast"]["forecasts"])
    rows: list[dict[str, Any]] = [
        {
            "budget": row["budget"],
            "loss": {k: row[k] for k in ("median", "lower", "upper")},
            **{k: {e: at[k][e] for e in ("median", "lower", "upper")} for k in ("params", "tokens") if k in at},
            "p_target": row["p_target"],
            "decades_beyond": row["decades_beyond"]["flops"],
        }
        for row, at in zip(data["forecast"]["forecasts"], best, strict=True)
    ]
    columns = [
        Column("budget, FLOP", lambda r: w.flop(r["budget"])),
        Column("loss of one new run", lambda r: w.loss(r["loss"])),
        Column("interval", lambda r: w.loss_range(r["loss"])),
    ]
    for key, label in (("params", "parameters"), ("tokens", "tokens")):
        if key in rows[0]:
            columns.append(Column(label, lambda r, key=key: w.count(r[key]["median"])))  # type: ignore[misc]
            columns.append(Column("interval", lambda r, key=key: w.count_range(r[key])))  # type: ignore[misc]
    if data["forecast"]["target_loss"] is not None:
        columns.append(Column("P(target)", lambda r: w.percent(r["p_target"])))
    columns.append(Column("decades beyond the runs", lambda r: w.fixed(r["decades_beyond"], 1)))
    note = f"Intervals are {w.prob(data['ci_prob'])}; sizes are those of the best allocation."
    rows.sort(key=lambda r: r["budget"])
    return [Table("budgets", "Every budget asked about", rows, tuple(columns), note)]


def trust(data: Data) -> list[Prose]:
    """What the runs themselves say of such forecasts."""
    if not data["backtest"]:
        return []
    return [*advice.misfit(data), advice.verdict(data)]


def changes(data: Data) -> list[Prose]:
    """What the answer hangs on: which law holds, how far the laws carry, and runs that have not been made."""
    out: list[Prose] = []
    if data["forecast"]:
        out += [*_by_law(data), *_distance(data)]
    if data["next"]:
        body = data["next"]
        text = say(
            "<b>Further runs.</b> {n} for {cost} FLOP together are expected to narrow the best size from a factor of "
            "{before} either way to one of {after}.",
            n=w.plural(len(body["suggestions"]), "further run"),
            cost=w.flop(body["flops"]),
            before=factor(body["spread"]["before"]),
            after=factor(body["spread"]["after"]),
        )
        out.append(Prose(text, "next_runs"))
    return out


def _by_law(data: Data) -> list[Prose]:
    rows = [r for r in data["forecast"]["by_law"] if r["weight"] >= 0.01]
    if len(rows) < 2:
        return []
    names, average = titles(data), data["forecast"]["forecasts"][0]
    low, high = min(rows, key=lambda r: r["median"]), max(rows, key=lambda r: r["median"])
    digits = w.decimals(average["lower"], average["upper"])
    wide = high["median"] - low["median"] >= 0.5 * (average["upper"] - average["lower"])
    text = say(
        "<b>Which law holds.</b> Believed alone, {low} (weight {u}) expects {a} and {high} (weight {v}) expects {b} "
        "{unit}{tail}.",
        unit=loss_words(data),
        low=names[low["law"]],
        u=w.percent(low["weight"]),
        a=w.fixed(low["median"], digits),
        high=names[high["law"]],
        v=w.percent(high["weight"]),
        b=w.fixed(high["median"], digits),
        tail="; the forecast is only as good as these weights" if wide else "",
    )
    return [Prose(text, "forecast_by_law")]


def _distance(data: Data) -> list[Prose]:
    row = data["forecast"]["forecasts"][0]
    away = row["decades_beyond"]["flops"]
    at = data["frontier"]["frontier"][0] if data["frontier"] else row
    outside = [
        w.beyond(at["decades_beyond"][k], what)
        for k, what in (("params", "parameters"), ("tokens", "tokens"))
        if at["decades_beyond"][k] >= 0.05
    ]
    if away < 0.05 and not outside:
        return []
    text = say("<b>How far the laws carry.</b> ")
    if away >= 0.05:
        text += say("No run checks a law at that budget{width}.", width=_allowance(data, away))
    if outside:
        text += say(" The best allocation lies {where}.", where=w.listed(outside))
    return [Prose(text, "forecast")]


def _allowance(data: Data, decades: float) -> str:
    """What the interval allows there for all laws being wrong together."""
    share = data["forecast"]["discrepancy_per_decade"]
    if not share:
        return ": the interval holds as far as one of these laws does"
    return (
        f"; for all laws being wrong together the interval allows {w.short(100 * share * decades, 2)}\u00a0% of "
        "the loss (one standard deviation)"
    )


def paragraph(data: Data) -> str:
    """The answer as one paragraph of plain text, complete enough to be pasted elsewhere."""
    if not data["forecast"] or not data["runs"]:
        return ""
    runs, names = data["runs"], list(titles(data).values())
    laws = f"the scaling law {names[0]}" if len(names) == 1 else f"an average of {len(names)} scaling laws"
    parts = [
        f"From {w.plural(runs['n'], 'training run')} ({w.name(runs['name'])}), {laws} forecasts as follows.",
        *(plain(s.text) for s in headline(data)[:2]),
    ]
    body = data["backtest"]
    if body and body["folds"]:
        parts.append(
            f"In a back-test on the same runs, 90\u00a0% intervals held {w.percent(body['coverage']['0.9'])} of the "
            f"larger runs ({w.plural(body['n_cells'], 'cell')})."
        )
    if not data["ok"]:
        parts.append("Part of the analysis failed its checks.")
    version = data["provenance"]["versions"].get("bayes_scaling", "")
    parts.append(f"(bayes_scaling {version}, seed {data['asked']['random_seed']})")
    return " ".join(parts)
