"""What to run next: the suggested runs, in numbers and as a reader meets them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from bayes_scaling.experiments.suggesting import suggest
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Panel, Prose, Section, Table, say
from bayes_scaling.reporting.reading import loss_words
from bayes_scaling.reporting.study import Study

# Half of a 90 % interval, in standard deviations.
HALF = 1.645


def numbers(study: Study) -> dict[str, Any]:
    """The contract's `next` object for the first budget, with all candidates."""
    found = suggest(
        study.averaged(), budget=study.budgets[0], ci_prob=study.ci_prob, random_seed=study.random_seed
    )  # fmt: skip
    body = found.to_dict()
    c = found.candidates
    body["considered"] = [
        {"params": n, "tokens": d, "flops": f, "gain": g}
        for n, d, f, g in zip(
            c.params.tolist(), c.tokens.tolist(), c.flops.tolist(), found.gain_alone.tolist(), strict=True
        )
    ]
    told = {notice.message for notice in study.averaged().notices}
    body["warnings"] = [n for n in body["warnings"] if n["message"] not in told]
    return body


def view(data: Data) -> list[Block]:
    """The runs that would teach most, and what they are worth."""
    cautions = [Prose(n["message"], "next_runs", "caution") for n in data["next"]["warnings"]]
    return [*_prose(data), *cautions, _table(data), _figure(data), _per_flop(data), _value(data)]


def factor(sd: float) -> str:
    """The 90 % interval of a count whose logarithm has that standard deviation, as a factor either way."""
    return f"{math.exp(HALF * sd):.2f}"


def _prose(data: Data) -> list[Prose]:
    body = data["next"]
    spread, value = body["spread"], body["value"]
    learned = say(
        "{n} for {cost} FLOP together would teach most about the best model size at {budget} FLOP: known now to a "
        "factor of about {before} either way (90\u00a0%), it is expected to be known <b>to a factor of {after}</b> "
        "after them.",
        n=w.plural(len(body["suggestions"]), "further run"),
        cost=w.flop(body["flops"]),
        budget=w.flop(body["budget"]),
        before=factor(spread["before"]),
        after=factor(spread["after"]),
    )
    study, perfect = value["study"], value["perfect"]
    worth = say(
        "For the choice of a size at that budget, what they show is expected to save {saved} {unit}, as much "
        "as {flops} FLOP more would; knowing the truth would save {most}, as much as {most_flops} FLOP. {verdict}",
        unit=loss_words(data),
        saved=_nats(study["loss"]),
        flops=w.flop(study["flops"]),
        most=_nats(perfect["loss"]),
        most_flops=w.flop(perfect["flops"]),
        verdict=_verdict(value),
    )
    return [Prose(learned, "next_runs"), Prose(worth, "next_value")]


def _nats(value: float) -> str:
    """A small loss without an exponent."""
    return f"{max(value, 0.0):.2g}" if value > 1e-4 else "less than 0.0001"


def _verdict(value: Mapping[str, Any]) -> str:
    if abs(value["net_flops"]) < 2 * value["study"]["flops_error"]:
        return "For this decision alone that is about what they cost."
    if value["net_flops"] > 0:
        return "They earn more than they cost."
    return "For this decision alone they cost more than they earn."


def _table(data: Data) -> Table:
    body = data["next"]
    before = body["spread"]["before"]
    rows = [{"order": i, **row} for i, row in enumerate(body["suggestions"], 1)]

    def removed(row: Mapping[str, Any]) -> str:
        share = 100 * row["gain"] / before**2
        if row["gain_error"] is None:
            return f"{w.fixed(share, 0)}\u00a0%"
        return f"{w.fixed(share, 0)}\u00a0±\u00a0{w.fixed(100 * row['gain_error'] / before**2, 0)}\u00a0%"

    columns = (
        Column("", lambda r: str(r["order"])),
        Column("parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("tokens a parameter", lambda r: w.short(r["tokens_per_param"], 2)),
        Column("FLOP", lambda r: w.flop(r["flops"])),
        Column("variance removed", removed),
        Column("best size then known to a factor of", lambda r: factor(r["after"])),
        Column("information, nats", lambda r: w.fixed(r["information"], 2)),
    )
    note = "In the order of what each adds to those above it. Variance is that of the logarithm of the best model size."
    return Table("next_runs", "Runs worth making next", rows, columns, note)


def _per_flop(data: Data) -> Table:
    columns = (
        Column("parameters", lambda r: w.count(r["params"])),
        Column("tokens", lambda r: w.count(r["tokens"])),
        Column("FLOP", lambda r: w.flop(r["flops"])),
        Column("gain", lambda r: w.short(r["gain"], 2)),
        Column("gain a FLOP", lambda r: f"{r['gain_per_flop']:.2g}"),
    )
    note = "Each on its own, in the normal approximation. Gain is variance of the log of the best model size."
    return Table(
        "next_per_flop", "Single runs with the most gain per FLOP", data["next"]["per_flop"], columns, note, folded=True
    )


def _value(data: Data) -> Table:
    value = data["next"]["value"]
    return Table("next_value", "Value of information", [{"of": k, **value[k]} for k in ("study", "perfect")])


def _figure(data: Data) -> Figure:
    body, runs = data["next"], data["runs"]
    considered = body["considered"]
    known = [
        {"params": runs["params"][i], "tokens": runs["tokens"][i], "run": w.name(runs["run"][i])}
        for i in range(runs["n"])
    ]
    chosen = [{**row, "order": str(i)} for i, row in enumerate(body["suggestions"], 1)]
    every = [*considered, *known]
    x = t.log_axis("params", "parameters", t.padded_log([r["params"] for r in every]), t.COUNT)
    y = t.log_axis("tokens", "tokens", t.padded_log([r["tokens"] for r in every]), t.COUNT, alt.Y)
    most = max(r["gain"] for r in considered)
    shades = [{**r, "share": r["gain"] / most if most > 0 else 0.0} for r in considered]
    colour = alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#e6edf3", t.BAND]), legend=None)
    sizes = [
        alt.Tooltip("params:Q", title="parameters", format=".3s"),
        alt.Tooltip("tokens:Q", format=".3s"),
        alt.Tooltip("flops:Q", title="FLOP", format=".2e"),
        alt.Tooltip("gain:Q", format=".2g"),
    ]
    picked = alt.Chart(t.data(chosen))
    layers = [
        alt.Chart(t.data(shades)).mark_circle(size=60, opacity=1).encode(x=x, y=y, color=colour, tooltip=sizes),
        alt.Chart(t.data(known))
        .mark_circle(size=36, color=t.INK, opacity=1, stroke="white", strokeWidth=0.6)
        .encode(x=x, y=y, tooltip=["run:N"]),
        picked.mark_point(
            shape="diamond", size=110, filled=True, fill="white", stroke=t.ACCENT, strokeWidth=2, opacity=1
        ).encode(x=x, y=y, tooltip=sizes),
        picked.mark_text(dx=10, dy=-8, color=t.ACCENT, fontWeight=600).encode(x=x, y=y, text="order:N"),
    ]
    return Figure(
        "next_runs",
        "Where another run would teach most",
        "Each dot is a run that could be made within the limits and the runs budget; the darker, the more it would "
        "teach on its own about the best model size. Diamonds are the suggested runs, in the order of the table.",
        "Candidate runs in the plane of parameters and tokens, shaded by gain, with the runs made and the suggested.",
        (Panel(alt.layer(*layers), 340, right=24),),
        (
            Key("point", t.BAND, "teaches most"),
            Key("point", "#cfdbe5", "teaches little"),
            Key("diamond", t.ACCENT, "suggested"),
            Key("point", t.INK, "the runs"),
        ),
        table="next_runs",
    )


SECTION = Section("next", "What to run next", numbers, view)
