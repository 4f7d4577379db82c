"""The first screen: the numbers that stand large, the sentences that answer, and what to mind before using them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.reporting import advice
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Column, Data, Prose, Table, say
from bayes_scaling.reporting.reading import loss_short, loss_words, titles
from bayes_scaling.reporting.sections.compare import leader


def headline(data: Data) -> list[Prose]:
    """The answer, in as few sentences as hold it."""
    out = []
    ci = w.prob(data["ci_prob"])
    if data["forecast"]:
        row = data["forecast"]["forecasts"][0]
        text = say(
            "With {budget} FLOP spent at the best allocation, one new run is expected to end at <b>{loss} "
            "{unit}</b> ({ci} interval {range}). That is {beyond}.",
            unit=loss_words(data),
            budget=w.flop(row["budget"]),
            loss=w.loss(row),
            ci=ci,
            range=w.loss_range(row),
            beyond=w.beyond(row["decades_beyond"]["flops"]),
        )
        out.append(Prose(text, "forecast"))
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        text = say(
            "The best model for that budget has <b>{n} parameters</b> ({ci} interval {n_range}), trained "
            "on <b>{d} "
            "tokens</b> ({d_range}): about {ratio} tokens a parameter.",
            n=w.count(row["params"]["median"]),
            ci=ci,
            n_range=w.count_range(row["params"]),
            d=w.count(row["tokens"]["median"]),
            d_range=w.count_range(row["tokens"]),
            ratio=w.short(row["tokens_per_param"]["median"], 2),
        )
        out.append(Prose(text, "frontier"))
    if data["forecast"]:
        row = data["forecast"]["tenfold"][0]
        text = say(
            "Ten times the compute of the largest run takes <b>{gain}{unit}</b> off the loss at the best "
            "allocation ({ci} interval {range}).",
            unit=loss_short(data),
            gain=w.loss(row["gain"]),
            ci=ci,
            range=w.loss_range(row["gain"]),
        )
        out.append(Prose(text, "ten_times"))
        out += _target(data)
    if data["compare"]:
        out.append(Prose(leader(data), "evidence"))
    return out


def _target(data: Data) -> list[Prose]:
    target = data["forecast"]["target_loss"]
    if target is None:
        return []
    chances = [f"{w.percent(r['p_target'])} with {w.flop(r['budget'])} FLOP" for r in data["forecast"]["forecasts"]]
    text = say(
        "One new run at the best allocation reaches the target loss of {target} with a probability of "
        "<b>{chances}</b>.",
        target=w.short(target, 4),
        chances=w.listed(chances),
    )
    return [Prose(text, "forecast")]


def cautions(data: Data) -> list[Prose]:
    """What a careful colleague would add before the answer is used."""
    out = _of_the_backtest(data)
    names = titles(data)
    if data["forecast"]:
        rows = data["forecast"]["forecasts"]
        far = max(rows, key=lambda r: r["decades_beyond"]["flops"])
        decades = far["decades_beyond"]["flops"]
        if decades >= 0.5:
            text = say(
                "The budget of {budget} FLOP lies {beyond}. No run checks a law there{width}.",
                budget=w.flop(far["budget"]),
                beyond=w.beyond(decades),
                width=_allowance(data, decades),
            )
            out.append(Prose(text, "forecast", "caution"))
        out += _disagree(data, names)
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        outside = [
            f"{w.beyond(row['decades_beyond'][k], what)}"
            for k, what in (("params", "parameters"), ("tokens", "tokens"))
            if row["decades_beyond"][k] >= 0.05
        ]
        if outside:
            text = say(
                "The best allocation at {c} FLOP lies outside the runs: {where}.",
                c=w.flop(row["flops"]),
                where="; ".join(outside),
            )
            out.append(Prose(text, "frontier", "caution"))
        flat = row["flat_params"]
        text = say(
            "The optimum is flat: at {c} FLOP any model between {low} and {high} parameters is within "
            "{within} of the "
            "best loss, so the exact size matters little inside that range.",
            c=w.flop(row["flops"]),
            low=w.count(flat["lower"]),
            high=w.count(flat["upper"]),
            within=w.prob(flat["within"]),
        )
        out.append(Prose(text, "frontier", "caution"))
    return out


def _of_the_backtest(data: Data) -> list[Prose]:
    if not data["backtest"]:
        return []
    said = advice.verdict(data)
    return [*advice.misfit(data), Prose(said.text, said.table, "caution")]


def _allowance(data: Data, decades: float) -> str:
    """What the interval allows there for all laws being wrong together."""
    share = data["forecast"]["discrepancy_per_decade"]
    if not share:
        return ": the interval holds as far as one of these laws does"
    return (
        f"; for all laws being wrong together the interval allows {w.short(100 * share * decades, 2)}\u00a0% of "
        "the loss (one standard deviation)"
    )


def _disagree(data: Data, names: Mapping[str, str]) -> list[Prose]:
    rows = [r for r in data["forecast"]["by_law"] if r["weight"] >= 0.01]
    if len(rows) < 2:
        return []
    low, high = min(rows, key=lambda r: r["median"]), max(rows, key=lambda r: r["median"])
    average = data["forecast"]["forecasts"][0]
    if high["median"] - low["median"] < 0.5 * (average["upper"] - average["lower"]):
        return []
    digits = w.decimals(average["lower"], average["upper"])
    text = say(
        "The laws disagree here: {low} (weight {u}) expects {a}, {high} (weight {v}) expects {b} {unit}. "
        "The forecast lies between them, and is only as good as these weights.",
        unit=loss_words(data),
        low=names[low["law"]],
        u=w.percent(low["weight"]),
        a=w.fixed(low["median"], digits),
        high=names[high["law"]],
        v=w.percent(high["weight"]),
        b=w.fixed(high["median"], digits),
    )
    return [Prose(text, "forecast_by_law", "caution")]


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


def tiles(data: Mapping[str, Any]) -> list[dict[str, str]]:
    """The three or four numbers that stand large at the top."""
    ci, out = w.prob(data["ci_prob"]), []
    if data["forecast"]:
        row = data["forecast"]["forecasts"][0]
        out.append(_tile("loss of one new run", w.loss(row), f"{ci}: {w.loss_range(row)}", loss_words(data)))
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        out.append(
            _tile(
                "best model size",
                w.count(row["params"]["median"]),
                f"{ci}: {w.count_range(row['params'])}",
                "parameters",
            )
        )
        out.append(
            _tile(
                "tokens to train it on",
                w.count(row["tokens"]["median"]),
                f"{ci}: {w.count_range(row['tokens'])}",
                "tokens",
            )
        )
    if data["forecast"]:
        gain = data["forecast"]["tenfold"][0]["gain"]
        lost = {k: -gain[k] for k in ("median",)} | {"lower": -gain["upper"], "upper": -gain["lower"]}
        out.append(
            _tile(
                "what ten times the compute buys",
                w.loss(lost),
                f"{ci}: {w.loss_range(lost)}",
                loss_words(data),
            )
        )
    return out


def _tile(label: str, value: str, interval: str, unit: str) -> dict[str, str]:
    return {"label": label, "value": value, "interval": interval, "unit": unit}
