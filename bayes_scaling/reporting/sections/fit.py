"""What the runs say about each law: its posterior, its residuals, what was learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.base.intervals import interval_value
from bayes_scaling.inference.result import Fit
from bayes_scaling.prediction.forecasting import forecast
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Panel, Prose, Section, Table, say
from bayes_scaling.reporting.charts import laws as charts
from bayes_scaling.reporting.reading import INNER, colours_of, law_column, loss_words
from bayes_scaling.reporting.study import Study, extra_inputs
from bayes_scaling.runs.loss_names import UNITS

DENSITY_POINTS = 128


def numbers(study: Study) -> dict[str, Any]:
    """Each law's `fit` object, by name, with what figures need besides."""
    return {f.law.name: f.to_dict() | _drawn(f) for f in study.fits}


def _drawn(fit: Fit) -> dict[str, Any]:
    prior = {name: p.prior for name, p in {**fit.law.parameters, **fit.noise.parameters}.items()}
    draws = fit.draws()
    inner = {name: interval_value(values, INNER) for name, values in {**draws, **fit.derived}.items()}
    return {
        "title": fit.law.title,
        "citation": fit.law.citation,
        "noise_title": fit.noise.title,
        "inner": {name: {"lower": v["lower"], "upper": v["upper"]} for name, v in inner.items()},
        "prior_intervals": {name: list(p.interval(fit.ci_prob)) for name, p in prior.items()},
        "densities": {name: _density(fit, name, draws[name]) for name in fit.law.parameters},
        "units": {name: p.unit for name, p in fit.law.parameters.items()},
        "published": [
            {"source": p.source, "note": p.note, "corpus": p.corpus, "values": dict(p.values)}
            for p in fit.law.published
        ],
        "residuals": _residuals(fit),
    }


def _density(fit: Fit, name: str, draws: np.ndarray) -> dict[str, list[float]]:
    """Posterior and prior density on one grid that shows the posterior whole and the prior's central part."""
    from arviz_stats.base import array_stats

    prior = fit.law.parameters[name].prior
    low, high = prior.interval(0.9)
    posterior_grid, posterior, _ = array_stats.kde(draws, grid_len=DENSITY_POINTS)
    grid = np.linspace(min(low, posterior_grid[0]), max(high, posterior_grid[-1]), DENSITY_POINTS)
    return {
        "posterior_at": posterior_grid.tolist(),
        "posterior": posterior.tolist(),
        "prior_at": grid.tolist(),
        "prior": prior.dist.pdf(grid).tolist(),
    }


def _residuals(fit: Fit) -> list[dict[str, Any]]:
    """Each run beside what a new run of its size would be expected to reach."""
    runs = fit.runs
    at = {"params": runs.params, "tokens": runs.tokens, **extra_inputs(fit.law, runs)}
    seed = fit.settings.random_seed
    rows = forecast(fit, kind="new-run", ci_prob=fit.ci_prob, random_seed=seed, **at).rows()
    middle = forecast(fit, kind="curve", ci_prob=fit.ci_prob, random_seed=seed, **at).rows()
    counted = runs.counted
    return [
        {
            "run": str(runs.run[i]),
            "flops": float(counted[i]),
            "observed": float(runs.loss[i]),
            "fitted": middle[i]["median"],
            "residual": float(runs.loss[i]) / middle[i]["median"] - 1,
            "lower": row["lower"],
            "upper": row["upper"],
            "inside": bool(row["lower"] <= runs.loss[i] <= row["upper"]),
        }
        for i, row in enumerate(rows)
    ]


def view(data: Data) -> list[Block]:
    """The posterior of each law beside prior and published values."""
    fits, colours, ci = data["fit"], colours_of(data), w.prob(data["ci_prob"])
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
        charts.density(
            name, rows, colours[best], fits[best]["units"].get(name, "").replace(UNITS["nats"], loss_words(data))
        )
        for name, rows in fits[best]["densities"].items()
    )
    learned = Figure(
        "prior_posterior",
        f"What the runs taught about {fits[best]['title']}",
        f"{fits[best]['equation']}. A posterior as wide as its prior means that the runs say nothing on "
        f"that constant. "
        "Constants named gap are what a term contributes at 1B parameters and 20B tokens, in the unit of the loss, "
        "unless the law says otherwise.",
        "Prior and posterior densities of the free parameters of the most probable law.",
        densities,
        (Key("band", "#c9d0d8", "prior"), Key("band", colours[best], "posterior")),
        across=3,
        table="parameters",
    )
    return [
        *_followed(data),
        compared,
        _residual_figure(data),
        learned,
        _parameters(data),
        Table("residuals", "Residuals", _rows_of_residuals(data)),
    ]


def _followed(data: Data) -> list[Prose]:
    """How well each law follows the runs."""
    ci = w.prob(data["ci_prob"])
    rows = []
    for fit in data["fit"].values():
        inside = sum(r["inside"] for r in fit["residuals"])
        rows.append(f"{fit['title']} {inside} of {len(fit['residuals'])}")
    text = say(
        "Of the runs themselves, this many lie inside the {ci} interval that each law gives a new run of "
        "their size: "
        "{rows}. These runs were used in the fit, so it shows how the law follows them, not how it predicts.",
        ci=ci,
        rows=w.listed(rows),
    )
    return [Prose(text, "residuals")]


def _main_parameters(data: Data) -> list[str]:
    known = [set(f["parameters"]) for f in data["fit"].values()]
    wanted = [p for p in ("E", "alpha", "beta") if any(p in k for k in known)]
    return wanted or list(next(iter(data["fit"].values()))["densities"])[:3]


def _parameter_panel(data: Data, parameter: str) -> Panel:
    colours, rows, marks = colours_of(data), [], []
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
    panel = charts.intervals(rows, parameter, "", data["ci_prob"], published=marks, above=True)
    return Panel(
        panel.chart.properties(title=f"E, {loss_words(data)}" if parameter == "E" else parameter), panel.height
    )


def _residual_figure(data: Data) -> Figure:
    fits, colours = data["fit"], colours_of(data)
    every = [100 * abs(r["residual"]) for f in fits.values() for r in f["residuals"]]
    domain = t.padded_log([r["flops"] for f in fits.values() for r in f["residuals"]])
    panels = tuple(
        charts.residuals(f["residuals"], f["title"], colours[name], 1.1 * max(every), domain, data["ci_prob"])
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


def _parameters(data: Data) -> Table:
    rows = []
    for name, fit in data["fit"].items():
        for parameter, value in fit["parameters"].items():
            prior = fit["priors"].get(parameter, "derived")
            rows.append({"law": name, "parameter": parameter, **value, "prior": prior})
        rows += [{"law": name, "parameter": k, **v, "prior": "derived"} for k, v in fit["derived"].items()]
    ci = w.prob(data["ci_prob"])
    columns = (
        law_column(data),
        Column("parameter", lambda r: r["parameter"], numeric=False),
        Column("median", lambda r: w.short(r["median"])),
        Column(f"{ci} interval", lambda r: f"{w.short(r['lower'])} to {w.short(r['upper'])}"),
        Column("sd", lambda r: w.short(r["sd"], 2)),
        Column("ESS bulk", lambda r: f"{r['ess_bulk']:.0f}" if r.get("ess_bulk") is not None else w.DASH),
        Column("ESS tail", lambda r: f"{r['ess_tail']:.0f}" if r.get("ess_tail") is not None else w.DASH),
        Column("R-hat", lambda r: w.fixed(r.get("rhat"), 3)),
        Column("prior", lambda r: r["prior"], numeric=False),
    )
    return Table("parameters", "Posterior of every parameter", rows, columns, folded=True)


def _rows_of_residuals(data: Data) -> list[dict[str, Any]]:
    return [{"law": name, **r} for name, fit in data["fit"].items() for r in fit["residuals"]]


SECTION = Section("fit", "What the runs say about each law", numbers, view)
