"""Whether the fits can be relied on."""

from __future__ import annotations

from typing import Any

from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Prose, Section, Table, say
from bayes_scaling.reporting.reading import law_column, titles
from bayes_scaling.reporting.study import Study


def numbers(study: Study) -> dict[str, Any]:
    """The verdict on each fit, and whether the evidence estimates hold."""
    rows = [
        {
            "law": f.law.name,
            "runs": f.runs.n,
            "seconds": dict(f.seconds).get("total"),
            **f.diagnostics.to_dict(),
        }
        for f in study.fits
    ]
    return {"fits": rows, "ok": all(f.ok for f in study.fits), "draws": study.fits[0].n_draws}


def view(data: Data) -> list[Block]:
    """The verdict on each fit, with its worst numbers."""
    names = titles(data)
    messages: list[Block] = [
        Prose(f"{names[r['law']]}: {m}", "diagnostics", "failed" if r["verdict"] == "failed" else "caution")
        for r in data["diagnostics"]["fits"]
        for m in r["messages"]
    ]
    return [*_prose(data), _table(data), *messages]


def _prose(data: Data) -> list[Prose]:
    names, rows = titles(data), data["diagnostics"]["fits"]
    failed = [names[r["law"]] for r in rows if r["verdict"] == "failed"]
    warned = [names[r["law"]] for r in rows if r["verdict"] == "warning"]
    out = []
    if failed:
        text = say(
            "The fit of {laws} <b>failed</b> its checks. Its numbers, and every average it enters, are not "
            "to "
            "be relied on.",
            laws=w.listed(failed),
        )
        out.append(Prose(text, "diagnostics", "failed"))
    if warned:
        out.append(
            Prose(
                say("The fit of {laws} passed with a warning.", laws=w.listed(warned)),
                "diagnostics",
                "caution",
            )
        )
    if not failed and not warned:
        out.append(Prose("All fits passed all checks.", "diagnostics"))
    return out


def _table(data: Data) -> Table:
    rows = [{**r, "messages": " ".join(r["messages"])} for r in data["diagnostics"]["fits"]]
    columns = (
        law_column(data),
        Column("verdict", lambda r: r["verdict"], numeric=False),
        Column("R-hat, worst", lambda r: w.fixed(r["rhat_max"], 3)),
        Column("ESS bulk, least", lambda r: w.fixed(r["ess_bulk_min"], 0)),
        Column("ESS tail, least", lambda r: w.fixed(r["ess_tail_min"], 0)),
        Column("divergences", lambda r: str(r["divergences"])),
        Column("E-BFMI", lambda r: w.fixed(r["ebfmi_min"])),
    )
    draws = data["diagnostics"]["draws"]
    good = f"R-hat at most 1.01, ESS at least {min(400, draws // 10)}, no divergences, E-BFMI at least 0.3"
    note = f"{draws:,} draws a law. Good: {good}."
    return Table("diagnostics", "Checks of each fit", rows, columns, note)


SECTION = Section("diagnostics", "Can the fits be relied on?", numbers, view)
