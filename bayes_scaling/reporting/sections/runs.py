"""What was asked, of which runs."""

from __future__ import annotations

from typing import Any

from bayes_scaling.laws.compute import SIX_ND, as_counted
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Prose, Section, Table, say
from bayes_scaling.reporting.reading import loss_words, titles
from bayes_scaling.reporting.study import Study


def numbers(study: Study) -> dict[str, Any]:
    """The runs, with compute as the frontier counts it beside compute as given."""
    body = study.runs.to_dict()
    body["extra"] = {name: [_plain(v) for v in column] for name, column in body["extra"].items()}
    body["flops_counted"] = study.runs.counted.tolist()
    body["counted"] = as_counted(SIX_ND, study.runs).title
    return body


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def view(data: Data) -> list[Block]:
    """The runs: what they are, how they lie, and what is odd about them."""
    blocks: list[Block] = [*_asked(data)]
    blocks += [Prose(n["message"], "runs", "caution") for n in data["runs"]["notices"]]
    return [*blocks, _table(data)]


def _asked(data: Data) -> list[Prose]:
    """What was asked, of which runs."""
    names, runs, a = titles(data), data["runs"], data["asked"]
    budgets = w.listed([w.flop(b) for b in sorted(a["budgets"])])
    how = "named" if a["budgets_given"] else "chosen at about ten and a hundred times the largest run's compute"
    text = say(
        "What loss will one new training run reach, how large should its model be and how many tokens "
        "should it see, "
        "for budgets of <b>{budgets} FLOP</b> ({how})? And which law do the runs support?",
        budgets=budgets,
        how=how,
    )
    out = [Prose(text)]
    if a["target_loss"] is not None:
        asked = say(
            "How probable is a loss of at most {t} {unit}?", t=w.short(a["target_loss"], 4), unit=loss_words(data)
        )
        out.append(Prose(asked))
    design = runs["design"] if runs else None
    if design:
        text = say(
            "The answers come from <b>{n} runs</b> ({name}) of {p0} to {p1} parameters on {d0} to {d1} "
            "tokens, {c} "
            "decades of compute, by {laws}, with {noise} noise on the logarithm of the loss.",
            n=runs["n"],
            name=w.name(runs["name"]),
            p0=w.count(design["params"][0]),
            p1=w.count(design["params"][1]),
            d0=w.count(design["tokens"][0]),
            d1=w.count(design["tokens"][1]),
            c=w.fixed(design["decades"]["flops"], 1),
            laws="one law" if len(names) == 1 else f"{len(names)} laws: {w.listed(list(names.values()))}",
            noise=a["noise_title"],
        )
        out.append(Prose(text, "runs"))
    if a["priors"]:
        given = "; ".join(f"{k} = {v}" for k, v in a["priors"].items())
        out.append(Prose(say("Priors stated by the user: {given}.", given=given), "parameters"))
    return out


def _table(data: Data) -> Table:
    body = data["runs"]
    rows = []
    for i in range(body["n"]):
        row = {k: body[k][i] for k in ("run", "group", "params", "tokens", "flops", "loss", "loss_sd") if body[k]}
        rows.append({**row, **{k: v[i] for k, v in body["extra"].items() if k not in row}})
    columns = [Column("run", lambda r: w.name(r["run"]), numeric=False)]
    if body["group"]:
        columns.append(Column("group", lambda r: w.name(r["group"]), numeric=False))
    columns += [
        Column(
            "parameters",
            lambda r: w.flop(r["params"]) if r["params"] >= 1e15 else w.format_count(r["params"]),
        ),
        Column("tokens", lambda r: w.flop(r["tokens"]) if r["tokens"] >= 1e15 else w.format_count(r["tokens"])),
        Column("FLOP, as given", lambda r: w.flop(r["flops"])),
        Column(f"loss, {loss_words(data)}", lambda r: f"{r['loss']:.4g}"),
    ]
    return Table("runs", "The runs", rows, tuple(columns), folded=True)


SECTION = Section("runs", "What was asked, of which runs", numbers, view)
