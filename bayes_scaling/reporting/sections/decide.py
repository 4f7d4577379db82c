"""What to train with the first budget, and what it risks: the decision and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from bayes_scaling.decisions.deciding import decide
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Panel, Prose, Section, Table, flat, say
from bayes_scaling.reporting.reading import loss_short, loss_words
from bayes_scaling.reporting.study import Study

RULE_WORDS = {
    "expected": "expected loss",
    "quantile": "quantile",
    "cvar": "mean of the worst",
    "target": "chance of the target",
    "regret": "expected regret",
    "minimax": "regret, least kind law",
}

PROBABILITY = 0.9
"""Of the assured budget."""


def numbers(study: Study) -> dict[str, Any]:
    """The contract's `decide` object for the first budget; where the target cannot be assured, why not."""
    asked: dict[str, Any] = {
        "budget": study.budgets[0],
        "ci_prob": study.ci_prob,
        "random_seed": study.random_seed,
        "probability": PROBABILITY,
    }
    return decide(study.averaged(), target_loss=study.target_loss, cost=study.cost, **asked).to_dict()


def view(data: Data) -> list[Block]:
    """What to train at the budget, what it risks, and what a target would take."""
    body = data["decide"]
    return [*_prose(data), _fan_figure(data), _rules(data), _flat_figure(data), *_assurance(body), *_files(body)]


def _prose(data: Data) -> list[Prose]:
    body, ci = data["decide"], w.prob(data["ci_prob"])
    row = body["decisions"][0]
    out = [
        Prose(
            say(
                "With {budget} FLOP, the lowest expected loss comes from <b>{n} parameters on {d} tokens</b>. The run "
                "would end between {range} {unit} with a probability of {ci}{target}; the worst tenth of what "
                "may come averages {worst} before a run's own scatter.",
                unit=loss_words(data),
                budget=w.flop(body["budget"]["amount"]),
                n=w.count(row["params"]),
                d=w.count(row["tokens"]),
                range=w.loss_range(row["new_run"]).replace(" to ", " and "),
                ci=ci,
                target="" if row["p_target"] is None else _reaches(body, row),
                worst=w.fixed(row["cvar"], 3),
            ),
            "decide_rules",
        )
    ]
    sizes = [r["params"] for r in body["decisions"]]
    near, n, several = body["flat"]["params"], body["optimum"]["params"], len(body["law_weights"]) > 1
    agree = "All rules choose nearly the same size" if max(sizes) < 1.05 * min(sizes) else "The rules choose between "
    if max(sizes) >= 1.05 * min(sizes):
        agree += f"{w.count(min(sizes))} and {w.count(max(sizes))} parameters"
    out.append(
        Prose(
            say(
                "{agree}. Were the truth known{blend}, the best size would lie between {low} and {high} ({ci} "
                "interval{alone}); not knowing it costs {regret}{unit} on average. Sizes from {near_low} to "
                "{near_high} lose at most {within} against the best plan.",
                unit=loss_short(data),
                agree=agree,
                blend=", some blend of the laws" if several else "",
                alone="; the laws one by one are under The best allocation" if several else "",
                low=w.count(n["lower"]),
                high=w.count(n["upper"]),
                ci=ci,
                regret=w.short(body["worth"]["knowing"], 2),
                near_low=w.count(near["lower"]),
                near_high=w.count(near["upper"]),
                within=w.prob(body["flat"]["within"]),
            ),
            "decide_flat",
        )
    )
    if body["thrifty"]:
        cheap = body["thrifty"]
        text = say(
            "The budget need not be spent: <b>{n} parameters on {d} tokens</b> lose at most {within} more for {share} "
            "of it.",
            n=w.count(cheap["params"]),
            d=w.count(cheap["tokens"]),
            within=w.prob(cheap["within"]),
            share=w.percent(cheap["share"]),
        )
        out.append(Prose(text, "decide_rules"))
    out += [Prose(n["message"], "decide_rules", "caution") for n in body["warnings"] if n["code"] == "outside_runs"]
    if body["unattainable"]:
        out.append(Prose(body["unattainable"], "decide_fan", "caution"))
    elif body["assurance"]:
        a = body["assurance"]
        out.append(
            Prose(
                say(
                    "<b>{budget} FLOP</b>{money} are the least that reach {target} with a probability of {p} ({n} "
                    "parameters on {d} tokens). Had the truth been known, {share} of that could be saved on average.",
                    budget=w.flop(float(f"{a['flops']:.3g}")),
                    money=_money(body),
                    target=w.short(a["target_loss"], 4),
                    p=w.percent(a["probability"]),
                    n=w.count(a["params"]),
                    d=w.count(a["tokens"]),
                    share=w.percent(a["overspend_share"]),
                ),
                "decide_assurance",
            )
        )
    return out


def _money(body: Data) -> str:
    """The assured budget in money, where there is a price."""
    cost = (body["assurance"]["cost"] or {}).get("money")
    if cost is None:
        return ""
    return f" ({w.count(cost['median'])} {body['cost_model']['unit']}, {w.count_range(cost)})"


def _reaches(body: Data, row: Data) -> str:
    return f", and at or below {w.short(body['target_loss'], 4)} with one of {w.percent(row['p_target'])}"


def _rules(data: Data) -> Table:
    body = data["decide"]
    columns = [
        Column("rule", lambda r: RULE_WORDS[r["rule"]], numeric=False),
        Column("parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("expected loss", lambda r: _with_error(r["loss_mean"], r["mcse_loss"])),
        Column(f"one run, {w.prob(data['ci_prob'])}", lambda r: _range(r, "new_run")),
        Column("worst tenth" if body["level"] == 0.9 else "worst", lambda r: _with_error(r["cvar"], r["mcse_cvar"])),
        Column("regret", lambda r: w.fixed(r["regret"], 4)),
    ]
    if body["decisions"][0]["p_target"] is not None:
        columns.append(Column("P(target)", lambda r: w.percent(r["p_target"])))
    rows = [{k: v for k, v in flat(r).items() if v is not None} for r in body["decisions"]]
    note = (
        "Nats per token, of the laws' curve plus the discrepancy; ± is the Monte-Carlo error. One run and P(target) "
        "take in a run's own scatter."
    )
    return Table("decide_rules", "What each rule would train", rows, tuple(columns), note)


def _with_error(value: float, error: float) -> str:
    return f"{w.fixed(value, 4)} ± {w.fixed(error, 4)}"


def _range(row: Mapping[str, Any], name: str) -> str:
    return w.loss_range({k: row[f"{name}_{k}"] for k in ("median", "lower", "upper")})


def _fan_figure(data: Data) -> Figure:
    body, ci = data["decide"], w.prob(data["ci_prob"])
    rows = [{**r, "low50": r["q25"], "high50": r["q75"]} for r in body["fan"]]
    keys = [
        Key("line", t.BAND, "median of one run at the best plan"),
        Key("band", "#9dbdd4", "50 % interval"),
        Key("band", "#d6e3ed", f"{ci} interval"),
    ]
    if data["asked"]["target_loss"] is not None:
        keys.append(Key("line", t.ACCENT, "target"))
    return Figure(
        "decide_fan",
        "Loss against budget, with the target",
        "What one run may end at when the whole budget goes into the plan of least expected loss. The vertical lines "
        "mark the budget asked about and, where there is one, the budget that makes the target safe.",
        "Fan of the loss of one run against the budget, with the target loss and the assured budget.",
        (_fan_panel(rows, data),),
        tuple(keys),
        table="decide_fan",
    )


def _fan_panel(rows: list[dict[str, Any]], data: Data) -> Panel:
    body, target = data["decide"], data["asked"]["target_loss"]
    domain = t.padded_log([r["flops"] for r in rows], 0.01)
    losses = [v for r in rows for v in (r["lower"], r["upper"])] + ([target] if target is not None else [])
    x = t.log_axis("flops", "budget, FLOP", domain, t.FLOP, grid=False)
    scale = alt.Scale(domain=t.padded(losses, 0.05), nice=False, zero=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=f"loss, {loss_words(data)}", scale=scale, axis=alt.Axis(tickCount=6))

    base = alt.Chart(t.data(rows)).encode(x=x)
    tips = [
        alt.Tooltip("median:Q", title="loss, median", format=".4f"),
        alt.Tooltip("lower:Q", title="from", format=".4f"),
        alt.Tooltip("upper:Q", title="to", format=".4f"),
    ]
    marked = [{"flops": body["budget"]["amount"], "label": "budget"}]
    if body["assurance"] and body["assurance"]["flops"] and domain[0] <= body["assurance"]["flops"] <= domain[1]:
        safe = {"flops": body["assurance"]["flops"], "label": f"{w.percent(body['assurance']['probability'])} safe"}
        marked.append(safe)
    left = sorted(marked, key=lambda r: r["flops"])
    layers = [
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_area(color=t.BAND, opacity=0.3).encode(y=y("low50"), y2="high50:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("median"), tooltip=tips),
        alt.Chart(t.data(marked)).mark_rule(color=t.INK, strokeDash=[4, 3]).encode(x=x),
    ]
    for i, row in enumerate(left):
        right = i == len(left) - 1
        text = alt.Chart(t.data([row])).mark_text(
            align="left" if right else "right", dx=5 if right else -5, dy=6, baseline="top", color=t.INK, fontSize=11
        )
        layers.append(text.encode(x=x, y=alt.value(0), text="label:N"))
    if target is not None:
        line = alt.Chart(t.data([{"target": target, "flops": domain[0]}]))
        layers.append(line.mark_rule(color=t.ACCENT, strokeWidth=1.5).encode(y=y("target")))
    return Panel(alt.layer(*layers), 360)


def _flat_figure(data: Data) -> Figure:
    body, ci = data["decide"], w.prob(data["ci_prob"])
    return Figure(
        "decide_flat",
        "How much the size matters",
        "The loss of every size on the same budget, in per cent above that of the best plan, draw by draw: the band "
        "says how much a size may lose, or gain, against it. Inside the shaded sizes the expected loss is within "
        f"{w.prob(body['flat']['within'])} of the best.",
        "Expected loss above the best plan's against model size, with the rules' choices.",
        (_flat_panel(body),),
        (
            Key("line", t.BAND, "expected loss above the best"),
            Key("band", "#d6e3ed", f"{ci} interval"),
            Key("band", t.OUTSIDE, f"within {w.prob(body['flat']['within'])}"),
            Key("diamond", t.INK, "the rules' choices"),
        ),
        table="decide_flat",
    )


def _flat_panel(body: Data) -> Panel:
    rows = [{**r, **{k: 100 * r[k] for k in ("excess", "lower", "upper")}} for r in body["flat"]["curve"]]
    domain = t.padded_log([r["params"] for r in rows], 0.01)
    x = t.log_axis("params", "model size on this budget, parameters", domain, t.COUNT, grid=False)
    scale = alt.Scale(domain=t.padded([v for r in rows for v in (r["lower"], r["upper"])], 0.05), nice=False)

    def y(field: str) -> alt.Y:
        title = "loss above the best plan's, %"
        return alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5, format="~g"))

    inside = [{"params": body["flat"]["params"]["lower"], "to": body["flat"]["params"]["upper"]}]
    shade = alt.Chart(t.data(inside)).mark_rect(color=t.OUTSIDE, opacity=0.6)
    base = alt.Chart(t.data(rows)).encode(x=x)
    chosen = [
        {"params": r["params"], "excess": 0.0, "rule": RULE_WORDS[r["rule"]], "size": w.count(r["params"])}
        for r in body["decisions"]
        if domain[0] <= r["params"] <= domain[1]
    ]
    told = [alt.Tooltip("rule:N", title="rule"), alt.Tooltip("size:N", title="parameters")]
    marks = alt.Chart(t.data(chosen)).mark_point(
        shape="diamond", size=70, filled=True, fill="white", stroke=t.INK, strokeWidth=1.4, opacity=1
    )
    tip = [
        alt.Tooltip("excess:Q", title="above the best, %", format=".2f"),
        alt.Tooltip("lower:Q", title="from", format=".2f"),
        alt.Tooltip("upper:Q", title="to", format=".2f"),
    ]
    layers = [
        shade.encode(x=x, x2="to:Q", y=alt.value(0), y2=alt.value("height")),
        base.mark_area(color=t.BAND, opacity=0.16).encode(y=y("lower"), y2="upper:Q"),
        base.mark_line(color=t.BAND, strokeWidth=2).encode(y=y("excess"), tooltip=tip),
        marks.encode(x=x, y=y("excess"), tooltip=told),
    ]
    return Panel(alt.layer(*layers), 280)


def _assurance(body: Data) -> list[Table]:
    if not body["assurance"]:
        return []
    columns = (
        Column("budget, FLOP", lambda r: w.flop(r["flops"])),
        Column("P(target)", lambda r: w.percent(r["probability"])),
    )
    rows = body["assurance"]["curve"]
    return [Table("decide_assurance", "Probability of the target over budgets", rows, columns, folded=True)]


def _files(body: Data) -> list[Table]:
    return [
        Table("decide_fan", "Loss over budgets", body["fan"]),
        Table("decide_flat", "Loss over sizes on the budget", body["flat"]["curve"]),
    ]


SECTION = Section("decide", "What to train, and what it risks", numbers, view)
