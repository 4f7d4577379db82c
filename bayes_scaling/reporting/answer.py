"""The first screen: the numbers that stand large, the sentences that answer, and what to mind before using them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.reporting import advice
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Data, Prose, say
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


def status(data: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the report can be relied on: "failed", "warning" or "ok", in a line, with what was noticed."""
    names = titles(data)
    rows = data["diagnostics"]["fits"] if data["diagnostics"] else []
    failed = [names[r["law"]] for r in rows if r["verdict"] == "failed"]
    notices = [n["message"] for n in data["warnings"]]
    if data["ok"]:
        warned = [names[r["law"]] for r in rows if r["verdict"] == "warning"]
        but = f", the fit of {w.listed(warned)} with a warning" if warned else ""
        line = f"All fits and evidence estimates passed their checks{but}."
        return {"level": "warning" if notices else "ok", "line": line, "notices": notices}
    parts = []
    if failed:
        parts.append(f"the fit of {w.listed(failed)} failed its checks")
    if data["compare"] and any(n["code"] == "evidence_failed" for n in data["warnings"]):
        parts.append("an evidence estimate failed its checks")
    if data["failures"]:
        parts.append(f"{w.plural(len(data['failures']), 'section')} could not be made")
    line = f"Not to be relied on: {'; '.join(parts) or 'a part of it failed'}."
    return {"level": "failed", "line": line, "notices": notices}
