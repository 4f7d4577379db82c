"""How far the evidence hangs on priors and noise, and claims about the exponent: blocks for two sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.reporting import law_figures, robust_figures, robust_prose
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Column, Figure, Key, Panel, Prose, Table
from bayes_scaling.reporting.prose import titles
from bayes_scaling.reporting.study import Study

Data = Mapping[str, Any]
Block = Prose | Figure | Table
INNER = 0.5
# Corners and middle of the reference grid: parameters, tokens.
SHOWN = ((1e7, 1e9), (1e9, 1e11), (1e12, 1e13), (1e7, 1e13), (1e9, 1e10), (1e12, 1e9))
AVERAGE = "average by evidence"


def expected_numbers(study: Study) -> list[dict[str, Any]]:
    """What each law expects of the loss at a few sizes before any run: interval values with their inner half."""
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


def evidence_blocks(data: Data) -> list[Block]:
    """What the section on evidence adds: ranges, another tool's priors, and the match of the priors."""
    body = data["compare"]
    blocks: list[Block] = []
    if body["bayes_factors"] and body["bayes_factors"][0]["moves"]:
        blocks += [*robust_prose.ranges(data), _moves_figure(data), *robust_prose.peers(data), *_moves_tables(data)]
    if body["prior_expected"]:
        blocks += [*robust_prose.match(data), _expected_figure(data), _distances(data), _expected_table(data)]
    return blocks


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
    colours = t.law_colours(data["asked"]["laws"])
    best = [b for b in body["bayes_factors"] if b["numerator"] == body["best"]]
    panels: list[Panel] = []
    for b in best:
        rows = _rows_of_moves(b, _noise_labels(data), names)
        title = f"{names[b['numerator']]} over {names[b['denominator']]}"
        panels.append(robust_figures.moves(rows, b["range"], title, colours[b["denominator"]]))
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
            Column("evidence", lambda r: robust_prose.named(r["verdict"], names), numeric=False),
            Column("another word", lambda r: "yes" if r["changed"] else "no", numeric=False),
        )
        note = f"{peer['source']}. {peer['stated']}. Here: {peer['restated']}."
        title = f"Under the priors of {peer['peer']}"
        tables.append(Table("peer_priors", title, pairs, told, note, folded=True))
    return tables


def _expected_figure(data: Data) -> Figure:
    names, colours, ci = titles(data), t.law_colours(data["asked"]["laws"]), w.prob(data["ci_prob"])
    panels = []
    for n, d in SHOWN:
        here = [r for r in data["compare"]["prior_expected"] if (r["params"], r["tokens"]) == (n, d)]
        rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in here]
        panel = law_figures.intervals(
            rows, "loss", "loss, nats per token", data["ci_prob"], number=".2f", form="~f", above=True
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
        Column("apart, mean", lambda r: robust_prose.percents(r["mean"])),
        Column("at most", lambda r: robust_prose.percents(r["maximum"])),
        Column("at, parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("own spread", lambda r: robust_prose.percents(r["spread"])),
    )
    note = "Wasserstein distance of the logarithm of the expected loss over the reference grid, read as per cent."
    rows = data["compare"]["prior_match"]["distances"]
    return Table("prior_distances", "How far apart the laws' priors are", rows, columns, note, folded=True)


def exponent_blocks(data: Data) -> list[Block]:
    """What the section on the frontier adds: claims about the exponent."""
    found = (data["compare"] or {}).get("exponents") or []
    if not found:
        return []
    names, colours = {**titles(data), "average": AVERAGE}, t.law_colours(data["asked"]["laws"])
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
        panels.append(robust_figures.claims(here, claim))
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
        Column("probability", lambda r: robust_prose.share(r["mass"])),
        Column("beforehand", lambda r: w.percent(r["prior_mass"])),
        Column("log Bayes factor, nats", _told),
    )
    note = "The Bayes factor is for the claim itself against the rest of the law; 'at most' where no draw comes near."
    return [*robust_prose.claims(data), figure, Table("exponent_claims", "Claims", rows, columns, note, folded=True)]


def _told(row: Mapping[str, Any]) -> str:
    bound = {"upper": "at most ", "lower": "at least ", None: ""}[row["bound"]]
    error = "" if row["log_bf_sd"] is None else f" ± {w.fixed(row['log_bf_sd'])}"
    return f"{bound}{w.fixed(row['log_bf'])}{error}"
