"""The sections of a report, in order. A section is numbers, and a view of them: prose, figures, tables.

To add one: a function of the `Study` that returns a JSON-like dict, a function of the report's data that
returns
blocks, and a line in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_scaling.reporting import figures, law_figures, numbers, prose, tables
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Figure, Key, Panel, Prose, Table
from bayes_scaling.reporting.decisions import decide_numbers, decide_view
from bayes_scaling.reporting.next_runs import next_numbers, next_view
from bayes_scaling.reporting.robust import evidence_blocks, exponent_blocks
from bayes_scaling.reporting.study import Study
from bayes_scaling.reporting.trust import backtest_numbers, trust_view

Data = Mapping[str, Any]
Block = Prose | Figure | Table
AVERAGE = "average of laws"


@dataclass(frozen=True)
class Section:
    """One section.

    Parameters
    ----------
    key
        Its key in report.json and its anchor on the page.
    title
        Its heading.
    numbers
        Computes what stands under `key`.
    view
        Turns the whole report's data into blocks.
    """

    key: str
    title: str
    numbers: Callable[[Study], dict[str, Any]]
    view: Callable[[Data], list[Block]]


def _colours(data: Data) -> dict[str, str]:
    return t.law_colours(data["asked"]["laws"])


def _run_rows(data: Data) -> list[dict[str, Any]]:
    body = data["runs"]
    groups = body["group"] or ["runs"] * body["n"]
    return [
        {
            "run": str(body["run"][i]),
            "group": str(groups[i]),
            "params": body["params"][i],
            "tokens": body["tokens"][i],
            "flops": body["flops_counted"][i],
            "loss": body["loss"][i],
            "size": w.format_count(body["params"][i]),
            "read": w.format_count(body["tokens"][i]),
        }
        for i in range(body["n"])
    ]


def _edge(data: Data) -> float:
    return float(max(data["runs"]["flops_counted"]))


def _bands(data: Data, line: str) -> tuple[Key, ...]:
    ci = w.prob(data["ci_prob"])
    return (
        Key("line", t.BAND, line),
        Key("band", "#9dbdd4", "50 % interval"),
        Key("band", "#d6e3ed", f"{ci} interval"),
    )


def runs_view(data: Data) -> list[Block]:
    blocks: list[Block] = [*prose.asked(data)]
    blocks += [Prose(n["message"], "runs", "caution") for n in data["runs"]["notices"]]
    return [*blocks, tables.runs(data)]


def posterior_view(data: Data) -> list[Block]:
    fits, colours, ci = data["fit"], _colours(data), w.prob(data["ci_prob"])
    keys = (
        Key("point", t.MUTED, "median"),
        Key("dash", t.MUTED, "50 % interval, thick"),
        Key("line", t.MUTED, f"{ci} interval, thin"),
        Key("band", t.GRID, f"prior, {ci} interval"),
        Key("diamond", t.INK, "published, on other corpora"),
    )
    panels = tuple(_parameter_panel(data, name) for name in _main_parameters(data))
    compared = Figure(
        "posterior",
        "The main constants, law by law",
        "Each row is a law. A prior wider than the panel runs off its edge. alpha and beta mean the same "
        "within a law, "
        "not always between laws.",
        "Intervals of the main parameters of each law, with priors and published values.",
        panels,
        keys,
        across=min(3, len(panels)),
        table="parameters",
    )
    best = data["compare"]["best"] if data["compare"] else next(iter(fits))
    densities = tuple(
        law_figures.density(name, rows, colours[best], fits[best]["units"].get(name, ""))
        for name, rows in fits[best]["densities"].items()
    )
    learned = Figure(
        "prior_posterior",
        f"What the runs taught about {fits[best]['title']}",
        f"{fits[best]['equation']}. A posterior as wide as its prior means that the runs say nothing on "
        f"that constant. "
        "Constants named gap are what a term contributes at 1B parameters and 20B tokens, in nats, unless "
        "the law "
        "says otherwise.",
        "Prior and posterior densities of the free parameters of the most probable law.",
        densities,
        (Key("band", "#c9d0d8", "prior"), Key("band", colours[best], "posterior")),
        across=3,
        table="parameters",
    )
    return [
        *prose.posterior(data),
        compared,
        _residual_figure(data),
        learned,
        tables.parameters(data),
        tables.residuals(data),
    ]


def _main_parameters(data: Data) -> list[str]:
    known = [set(f["parameters"]) for f in data["fit"].values()]
    wanted = [p for p in ("E", "alpha", "beta") if any(p in k for k in known)]
    return wanted or list(next(iter(data["fit"].values()))["densities"])[:3]


def _parameter_panel(data: Data, parameter: str) -> Panel:
    colours, rows, marks = _colours(data), [], []
    for name, fit in data["fit"].items():
        if parameter not in fit["parameters"]:
            rows.append({"title": fit["title"]})
            continue
        rows.append(
            {
                **fit["parameters"][parameter],
                "title": fit["title"],
                "colour": colours[name],
                "inner": fit["inner"][parameter],
                "prior": fit["prior_intervals"].get(parameter),
            }
        )
        marks += [
            {"title": fit["title"], "value": p["values"][parameter], "source": p["source"]}
            for p in fit["published"]
            if parameter in p["values"]
        ]
    panel = law_figures.intervals(rows, parameter, "", data["ci_prob"], published=marks, above=True)
    return Panel(panel.chart.properties(title="E, nats per token" if parameter == "E" else parameter), panel.height)


def _residual_figure(data: Data) -> Figure:
    fits, colours = data["fit"], _colours(data)
    every = [100 * abs(r["residual"]) for f in fits.values() for r in f["residuals"]]
    domain = t.padded_log([r["flops"] for f in fits.values() for r in f["residuals"]])
    panels = tuple(
        law_figures.residuals(f["residuals"], f["title"], colours[name], 1.1 * max(every), domain, data["ci_prob"])
        for name, f in fits.items()
    )
    return Figure(
        "residuals",
        "How each law misses the runs",
        "Points scattered evenly about zero are noise; a bend, or a slope at the right end, suggests "
        "a law that goes wrong, and tends to go further wrong beyond the runs.",
        "Observed over fitted loss of every run against compute, one panel a law.",
        panels,
        (
            Key("point", t.MUTED, "a run"),
            Key("ring", t.MUTED, f"outside its own {w.prob(data['ci_prob'])} interval"),
        ),
        across=min(2, len(panels)),
        table="residuals",
    )


def forecast_view(data: Data) -> list[Block]:
    body, runs = data["forecast"], _run_rows(data)
    keys = (
        *_bands(data, "one new run at the best allocation, median"),
        Key("diamond", t.INK, "budgets asked about"),
    )
    main = Figure(
        "loss_compute",
        "One new run at the best allocation of each budget",
        f"Compute is counted as {data['runs']['counted']}. A run above the band spent its "
        "compute on another allocation, or was trained less well. Beyond the runs nothing but the laws "
        "and the discrepancy carries the forecast.",
        "Training runs and the forecast loss of a new run at the best allocation against training compute, with bands.",
        (figures.loss_figure(runs, body["band"], body["forecasts"], _edge(data), data["ci_prob"]),),
        (*keys, *figures.runs_key(figures.group_colours(runs))),
        table="forecast_band",
    )
    blocks: list[Block] = [*prose.forecasts(data), main, tables.forecast(data)]
    if len(body["by_law"]) > 1:
        blocks += [_by_law_figure(data), tables.forecast_by_law(data)]
    return [*blocks, tables.ten_times(data), tables.forecast_band(data)]


def _by_law_figure(data: Data) -> Figure:
    body, names, colours = data["forecast"], prose.titles(data), _colours(data)
    first = body["forecasts"][0]
    rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in body["by_law"]]
    rows.append({**first, "title": AVERAGE, "colour": t.BAND})
    ci = w.prob(data["ci_prob"])
    return Figure(
        "forecast_by_law",
        f"The same run at {w.flop(first['budget'])} FLOP, law by law",
        "The further the laws lie apart, the more the forecast depends on which of them holds. A law's interval "
        "takes that law for the truth; the average's also holds the discrepancy.",
        "Forecast of one new run by each law and by their average.",
        (law_figures.intervals(rows, "loss", "loss, nats per token", data["ci_prob"]),),
        (
            Key("point", t.MUTED, "median"),
            Key("dash", t.MUTED, "50 % interval"),
            Key("line", t.MUTED, f"{ci} interval"),
        ),
        table="forecast_by_law",
    )


def frontier_view(data: Data) -> list[Block]:
    body, runs = data["frontier"], _run_rows(data)
    models = [{**r, "size": w.count(r["params"]), "read": w.count(r["tokens"])} for r in body["known_models"]]
    optima = [{**r, "size": w.count(r["params"]), "read": w.count(r["tokens"])} for r in body["optima_published"]]
    panels = tuple(
        figures.allocation_figure(k, body["curve"], runs, optima, models, _edge(data), data["ci_prob"], title)
        for k, title in (("params", "best model size, parameters"), ("tokens", "best number of tokens"))
    )
    main = Figure(
        "frontier",
        "The compute-optimal frontier",
        "Model size and tokens that give the lowest loss at each budget. Published optima are the "
        "predictions of "
        "Hoffmann et al. (2022), approaches 1 and 2, on another corpus; known models are drawn at the size "
        "and tokens "
        "their authors print, and many were trained on more tokens than is optimal because they are cheap "
        "to serve.",
        "Optimal parameters and tokens against training compute with bands, published optima and known models.",
        panels,
        (
            *_bands(data, "median"),
            Key("diamond", t.LAWS[0], "published optima"),
            Key("triangle", t.INK, "known models"),
            Key("point", t.MUTED, "the runs"),
        ),
        across=2,
        table="frontier_curve",
    )
    exponent = _exponent_figure(data)
    return [
        *prose.frontiers(data),
        main,
        tables.frontier(data),
        exponent,
        tables.exponents(data),
        *exponent_blocks(data),
        tables.frontier_curve(data),
        *tables.published(data),
    ]


def _exponent_figure(data: Data) -> Figure:
    body, names, colours, ci = data["frontier"], prose.titles(data), _colours(data), w.prob(data["ci_prob"])
    rows = [{**r, "title": names[r["law"]], "colour": colours[r["law"]]} for r in body["exponents_by_law"]]
    rows.append({**body["exponent_average"], "title": AVERAGE, "colour": t.BAND})
    axis = "exponent a: best N grows as C to the power a"
    return Figure(
        "exponents",
        "How the best model grows with compute",
        "Dashed lines are published exponents. Kaplan's 0.73 comes from another compute count and "
        "learning-rate "
        "schedule than Hoffmann's.",
        "Exponent of the optimal model size by law, with published values as lines.",
        (law_figures.intervals(rows, "a", axis, data["ci_prob"], lines=body["exponents_published"]),),
        (
            Key("point", t.MUTED, "median"),
            Key("dash", t.MUTED, "50 % interval"),
            Key("line", t.MUTED, f"{ci} interval"),
        ),
        table="exponents",
    )


def evidence_view(data: Data) -> list[Block]:
    names, colours = prose.titles(data), _colours(data)
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
        (law_figures.evidence(drawn), law_figures.shares(drawn)),
        (
            Key("dash", t.MUTED, "two standard errors"),
            Key("band", t.MUTED, "probability"),
            Key("dash", t.FAINT, "stacking weight"),
        ),
        across=2,
        table="evidence",
    )
    blocks: list[Block] = [*prose.evidence(data)]
    return [
        *blocks,
        *([figure] if len(rows) > 1 else []),
        tables.evidence(data),
        *([tables.bayes_factors(data)] if len(rows) > 1 else []),
        *evidence_blocks(data),
    ]


def diagnostics_view(data: Data) -> list[Block]:
    names = prose.titles(data)
    messages: list[Block] = [
        Prose(f"{names[r['law']]}: {m}", "diagnostics", "failed" if r["verdict"] == "failed" else "caution")
        for r in data["diagnostics"]["fits"]
        for m in r["messages"]
    ]
    return [*prose.diagnostics(data), tables.diagnostics(data), *messages]


SECTIONS: tuple[Section, ...] = (
    Section("runs", "What was asked, of which runs", numbers.runs_numbers, runs_view),
    Section("fit", "What the runs say about each law", numbers.fit_numbers, posterior_view),
    Section("forecast", "Loss against compute", numbers.forecast_numbers, forecast_view),
    Section("backtest", "How far to trust this", backtest_numbers, trust_view),
    Section("frontier", "The best allocation", numbers.frontier_numbers, frontier_view),
    Section("decide", "What to train, and what it risks", decide_numbers, decide_view),
    Section("next", "What to run next", next_numbers, next_view),
    Section("compare", "Which law?", numbers.compare_numbers, evidence_view),
    Section("diagnostics", "Can the fits be relied on?", numbers.diagnostics_numbers, diagnostics_view),
)
