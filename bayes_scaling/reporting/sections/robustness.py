"""How far the evidence hangs on priors and noise: a part of the section on laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Panel, Prose, Section, Table, say
from bayes_scaling.reporting.charts import laws as law_charts
from bayes_scaling.reporting.charts import robustness as charts
from bayes_scaling.reporting.reading import INNER, colours_of, loss_words, titles
from bayes_scaling.reporting.study import Study

# Corners and middle of the reference grid: parameters, tokens.
SHOWN = ((1e7, 1e9), (1e9, 1e11), (1e12, 1e13), (1e7, 1e13), (1e9, 1e10), (1e12, 1e9))


def numbers(study: Study) -> dict[str, Any]:
    """What each law expects of the loss at a few sizes before any run: interval values with their inner half."""
    return {"prior_expected": _expected(study)}


def _expected(study: Study) -> list[dict[str, Any]]:
    match = study.evidence.prior_match if study.evidence else None
    if match is None:
        return []
    rows = []
    for law, loss in match.loss.items():
        for i, (n, d) in enumerate(zip(match.params, match.tokens, strict=True)):
            if (float(n), float(d)) in SHOWN:
                inner = interval_value(loss[:, i], INNER)
                row = {"law": law, "params": float(n), "tokens": float(d), **interval_value(loss[:, i], study.ci_prob)}
                rows.append({**row, "inner": {k: inner[k] for k in ("lower", "upper")}})
    return rows


def view(data: Data) -> list[Block]:
    """What the section on evidence adds: ranges, another tool's priors, and the match of the priors."""
    body = data["compare"]
    blocks: list[Block] = []
    if body["bayes_factors"] and body["bayes_factors"][0]["moves"]:
        blocks += [*_ranges(data), _moves_figure(data), *_peers(data), *_moves_tables(data)]
    if body["prior_expected"]:
        blocks += [*_match(data), _expected_figure(data), _distances(data), _expected_table(data)]
    return blocks


def _ranges(data: Data) -> list[Prose]:
    """What the words of the verdicts hold for."""
    body, names = data["compare"], titles(data)
    factors = body["bayes_factors"]
    if not factors or factors[0]["range"] is None:
        return []
    noises = body["noise_models"]
    lost = [b for b in factors if b["verdict"].startswith("depends")]
    text = say(
        "Each word holds for a whole range of the Bayes factor: with the laws' priors half and twice as wide, for both "
        "laws and for one of them, the noise's priors{noise}.",
        noise=", and the other noise models" if noises else "",
    )
    if lost:
        pairs = "; ".join(f"{names[b['numerator']]} against {names[b['denominator']]}" for b in lost)
        text += say(" Where it reaches to both sides there is <b>no verdict</b>: {pairs}.", pairs=pairs)
    gone = [n["title"] for n in noises if n["ruled_out"]]
    if gone:
        text += say(
            " The runs rule out {gone} noise by more than five nats under every law, so that it has no part in "
            "the ranges.",
            gone=w.listed(gone),
        )
    return [Prose(text, "bayes_factor_moves")]


def _peers(data: Data) -> list[Prose]:
    """What another tool's priors would have said."""
    names, out = titles(data), []
    for peer in data["compare"]["peer_priors"]:
        changed = [b for b in peer["bayes_factors"] if b["changed"]]
        parts = [
            f"{names[b['numerator']]} over {names[b['denominator']]} {w.fixed(b['log_bf'], 1)} nats, "
            f"{_named(b['verdict'], names)}"
            for b in changed
        ]
        text = say("Under the priors that the tool {peer} builds in", peer=peer["peer"])
        if changed:
            text += say(
                ", {n} of {m} pairs would get another word: {parts}.",
                n=len(changed),
                m=len(peer["bayes_factors"]),
                parts="; ".join(parts),
            )
        else:
            text += say(" every pair would get the same word.")
        text += say(" They were stated for the additive law alone; docs/priors.md says how they were carried over.")
        out.append(Prose(text, "peer_priors"))
    return out


def _named(verdict: str, names: Mapping[str, str]) -> str:
    """A word for a law, under its title."""
    head, separator, law = verdict.partition(" for ")
    return f"{head} for {names[law]}" if separator and law in names else verdict


def _match(data: Data) -> list[Prose]:
    """Whether the competing priors carry the same knowledge."""
    body, names = data["compare"]["prior_match"], titles(data)
    if not body:
        return []
    worst = max(body["distances"], key=lambda r: r["mean"])
    spread = sum(r["spread"] for r in body["distances"]) / len(body["distances"])
    fair = worst["mean"] < 0.5 * spread
    text = say(
        "Before seeing a run, the laws that agree least on the loss are {a} and {b}: {mean} apart on average over "
        "models of 10M to 1T parameters on 1B to 10T tokens, where a law is itself unsure by {spread}. {verdict}",
        a=names[worst["first"]],
        b=names[worst["second"]],
        mean=_percents(worst["mean"]),
        spread=_percents(spread),
        verdict="Their priors carry much the same knowledge, so that evidence compares the laws and not the priors."
        if fair
        else "Their priors carry different knowledge, and the evidence between them is partly a comparison of priors.",
    )
    return [Prose(text, "prior_distances", "" if fair else "caution")]


def _percents(share: float) -> str:
    return f"{w.short(100 * share, 2)}\u00a0%"


def _rows_of_moves(
    factor: Mapping[str, Any], noises: Mapping[str, str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for m in factor["moves"]:
        width = {0.5: "half as wide", 2.0: "twice as wide"}.get(m["factor"], "")
        whose = "" if m["of"] == "both" else f", {names.get(m['of'], m['of'])} alone"
        change, kind = {
            "default": ("as asked", "default"),
            "priors": (f"priors {width}", "part" if whose else "main"),
            "noise_prior": (f"noise priors {width}", "main"),
            "noise": (noises.get(m["of"], m["of"]), "main" if m["counted"] else "aside"),
            "peer": (f"priors of {m['of']}", "aside"),
        }[m["change"]]
        rows.append({"change": change, "value": m["log_bf"], "kind": kind, "label": f"{change}{whose}"})
    order = list(dict.fromkeys(r["change"] for r in rows))
    return sorted(rows, key=lambda r: order.index(r["change"]))


def _noise_labels(data: Data) -> dict[str, str]:
    short = {"student_t_growing": "changing"}
    return {n["noise"]: f"{short.get(n['noise'], n['title'])} noise" for n in data["compare"]["noise_models"]}


def _moves_figure(data: Data) -> Figure:
    names, body = titles(data), data["compare"]
    colours = colours_of(data)
    best = [b for b in body["bayes_factors"] if b["numerator"] == body["best"]]
    panels: list[Panel] = []
    for b in best:
        rows = _rows_of_moves(b, _noise_labels(data), names)
        title = f"{names[b['numerator']]} over {names[b['denominator']]}"
        panels.append(charts.moves(rows, b["range"], title, colours[b["denominator"]]))
    return Figure(
        "bayes_factor_moves",
        f"How the lead of {names[body['best']]} moves with priors and noise",
        "Right of the black line the runs speak for the leader, left of it for the other law; dashed lines stand "
        "at 1, 3 and 5 nats, where the words change. A band that crosses the line is no verdict. Hollow marks "
        "have no part in the band.",
        "Log Bayes factor of the best law over each other under changed priors, noise models and a tool's priors.",
        tuple(panels),
        (
            Key("diamond", t.INK, "as asked"),
            Key("point", t.MUTED, "both laws changed"),
            Key("tick", t.MUTED, "one law's priors changed"),
            Key("ring", t.MUTED, "told, not counted"),
            Key("band", "#e3e3e3", "range that the word holds for"),
        ),
        across=min(2, len(panels)),
        table="bayes_factor_moves",
    )


def _moves_tables(data: Data) -> list[Table]:
    names, body = titles(data), data["compare"]
    rows = [
        {"numerator": b["numerator"], "denominator": b["denominator"], **m}
        for b in body["bayes_factors"]
        for m in b["moves"]
    ]
    tables = [Table("bayes_factor_moves", "Bayes factors under each change", rows)]
    noises = [{**r, "noise": n["noise"], "ruled_out": n["ruled_out"]} for n in body["noise_models"] for r in n["laws"]]
    own = {r["law"]: r["log_evidence"] for r in body["laws"]}
    shown = {n["noise"]: n["title"] for n in body["noise_models"]}
    columns = (
        Column("noise", lambda r: shown[r["noise"]], numeric=False),
        Column("law", lambda r: names[r["law"]], numeric=False),
        Column("log evidence, nats", lambda r: f"{w.fixed(r['log_evidence'])} ± {w.fixed(r['log_evidence_sd'])}"),
        Column("more than as asked", lambda r: w.fixed(r["log_evidence"] - own[r["law"]])),
        Column("probability", lambda r: w.percent(r["probability"])),
        Column("ruled out", lambda r: "yes" if r["ruled_out"] else "no", numeric=False),
    )
    if noises:
        tables.append(Table("noise_models", "Evidence under other noise models", noises, columns, folded=True))
    for peer in body["peer_priors"]:
        pairs = [{k: v for k, v in b.items() if k != "range"} for b in peer["bayes_factors"]]
        told = (
            Column("for", lambda r: names[r["numerator"]], numeric=False),
            Column("against", lambda r: names[r["denominator"]], numeric=False),
            Column("log Bayes factor, nats", lambda r: f"{w.fixed(r['log_bf'])} ± {w.fixed(r['log_bf_sd'])}"),
            Column("evidence", lambda r: _named(r["verdict"], names), numeric=False),
            Column("another word", lambda r: "yes" if r["changed"] else "no", numeric=False),
        )
        note = f"{peer['source']}. {peer['stated']}. Here: {peer['restated']}."
        title = f"Under the priors of {peer['peer']}"
        tables.append(Table("peer_priors", title, pairs, told, note, folded=True))
    return tables


def _expected_figure(data: Data) -> Figure:
    names, colours, ci = titles(data), colours_of(data), w.prob(data["ci_prob"])
    panels = []
    for n, d in SHOWN:
        here = [r for r in data["compare"]["prior_expected"] if (r["params"], r["tokens"]) == (n, d)]
        rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in here]
        panel = law_charts.intervals(
            rows, "loss", f"loss, {loss_words(data)}", data["ci_prob"], number=".2f", form="~f", above=True
        )
        title = f"{w.count(n)} parameters, {w.count(d)} tokens"
        panels.append(Panel(panel.chart.properties(title=title), panel.height))
    return Figure(
        "prior_predictive",
        "What the laws expect before seeing a run",
        "Laws may be weighed against each other where their priors say much the same of the loss: look whether the "
        "intervals of each panel overlap. They are wide on purpose, and wider the further from common sizes.",
        "Prior predictive intervals of the loss by each law at six combinations of parameters and tokens.",
        tuple(panels),
        (
            Key("point", t.MUTED, "median"),
            Key("dash", t.MUTED, "50 % interval"),
            Key("line", t.MUTED, f"{ci} interval"),
        ),
        across=3,
        table="prior_predictive",
    )


def _expected_table(data: Data) -> Table:
    return Table("prior_predictive", "Expected loss before any run", data["compare"]["prior_match"]["prior_predictive"])


def _distances(data: Data) -> Table:
    names = titles(data)
    columns = (
        Column("law", lambda r: names[r["first"]], numeric=False),
        Column("and", lambda r: names[r["second"]], numeric=False),
        Column("apart, mean", lambda r: _percents(r["mean"])),
        Column("at most", lambda r: _percents(r["maximum"])),
        Column("at, parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("own spread", lambda r: _percents(r["spread"])),
    )
    note = "Wasserstein distance of the logarithm of the expected loss over the reference grid, read as per cent."
    rows = data["compare"]["prior_match"]["distances"]
    return Table("prior_distances", "How far apart the laws' priors are", rows, columns, note, folded=True)


SECTION = Section("robustness", "How far that hangs on priors and noise", numbers, view, within="compare")
