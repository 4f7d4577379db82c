"""How far to trust this: the user's own back-test, in numbers and as a reader meets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayes_scaling.prediction.weights import prior_averaging
from bayes_scaling.reporting import advice
from bayes_scaling.reporting import theme as t
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Block, Column, Data, Figure, Key, Panel, Prose, Section, Table, say
from bayes_scaling.reporting.charts import backtest as charts
from bayes_scaling.reporting.reading import AVERAGE, colours_of, titles
from bayes_scaling.reporting.status import failed_cuts
from bayes_scaling.reporting.study import Study
from bayes_scaling.validation.backtesting import AVERAGE as KEY
from bayes_scaling.validation.backtesting import Backtest, averaged_draws

Row = Mapping[str, Any]
LEVELS = ("0.5", "0.8", "0.9", "0.95")


def numbers(study: Study) -> dict[str, Any]:
    """The contract's `backtest` object, with each forecast, each fold's verdicts and the discrepancy's sizes."""
    found = study.backtest
    if found is None:
        raise RuntimeError("; ".join(n.message for n in study.notices if n.code == "section_failed"))
    body = found.to_dict()
    verdicts = [
        {law: found.validation.predictions[law][k].verdict for law in found.validation.laws}
        for k in range(len(body["folds"]))
    ]
    body["folds"] = [{**fold, "verdicts": own} for fold, own in zip(body["folds"], verdicts, strict=True)]
    body["forecasts"] = _forecasts(found)
    known = prior_averaging([f.law for f in study.averaged().fits])
    body["discrepancy"] = {
        "scales": found.rule.scales.tolist(),
        "weights": found.rule.scale_weights.tolist(),
        "prior": known.scale_weights.tolist(),
    }
    body["concentration"] = found.rule.concentration
    return body


def _forecasts(found: Backtest) -> list[dict[str, Any]]:
    """What the average said of each larger run at each cut, and what came."""
    out = []
    for k, fold in enumerate(found.validation.folds):
        draws = averaged_draws(found.validation, k, found.rules[k], found.random_seed)
        low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
        for j, at in enumerate(fold.test):
            observed = float(found.runs.loss[at])
            out.append(
                {
                    "cut": fold.cut,
                    "run": str(found.runs.run[at]),
                    "flops": float(found.runs.counted[at]),
                    "decades": float(fold.decades[j]),
                    "observed": observed,
                    "median": float(middle[j]),
                    "lower": float(low[j]),
                    "upper": float(high[j]),
                    "inside": bool(low[j] <= observed <= high[j]),
                }
            )
    return out


def view(data: Data) -> list[Block]:
    """How forecasts of the larger runs fared, and what averages learn from that."""
    names, body = titles(data), data["backtest"]
    if not body["folds"]:
        return [advice.verdict(data), _rest_on(data, names), _earned_figure(data), _weights(data)]
    return [
        advice.verdict(data),
        *advice.misfit(data),
        _made_how(data),
        *_unsound(data),
        _forecast_figure(data),
        _held_figure(data),
        *_laws_beside(data, names),
        _scores(data),
        _rest_on(data, names),
        _earned_figure(data),
        _weights(data),
        _by_decade(data),
        _cuts(data),
        Table("backtest_forecasts", "Each forecast and what came", body["forecasts"]),
    ]


def _made_how(data: Data) -> Prose:
    """What was done, in the order it was done."""
    folds = data["backtest"]["folds"]
    text = say(
        "At {cuts} along compute, every law was fitted again to the runs below the cut only. Laws were weighed "
        "and the discrepancy sized by what was known there, and the larger runs, at least {gap} beyond, were "
        "forecast as if they had not been made. Forecasts of one cut at one distance err together: such a cell "
        "counts once, however many runs are in it. {weak}",
        cuts=w.plural(len(folds), "cut"),
        gap=advice.decades(min(fold["decades"][0] for fold in folds)),
        weak="The cuts share their runs, so even the cells are not independent of one another.",
    )
    return Prose(text, "backtest_cuts")


def _laws_beside(data: Data, names: Mapping[str, str]) -> list[Prose]:
    """How the average fared beside each law believed alone."""
    body = data["backtest"]
    if len(body["laws"]) < 2:
        return []
    best = min(body["laws"], key=lambda r: r["pinball"])
    shares = [f"{names[r['law']]} {w.percent(r['coverage']['0.9'])}" for r in body["laws"]]
    worse = body["pinball"] > 1.02 * best["pinball"]
    text = say(
        "Believed alone, the laws' 90\u00a0% intervals held {shares}. The average lost {average} on the pinball "
        "score, the best single law, {law}, {single}{tail}",
        shares=w.listed(shares),
        average=advice.percents(body["pinball"]),
        law=names[best["law"]],
        single=advice.percents(best["pinball"]),
        tail="; which law that would be was not known beforehand." if worse else ".",
    )
    return [Prose(text, "backtest")]


def _rest_on(data: Data, names: Mapping[str, str]) -> Prose:
    """What forecasts beyond these runs rest on."""
    body = data["backtest"]
    parts = [f"{names[r['law']]} {w.percent(r['weight'])}" for r in sorted(body["laws"], key=lambda r: -r["weight"])]
    share = 100 * body["discrepancy_per_decade"]
    text = say(
        "Forecasts beyond these runs rest on {basis}: {weights}, and a discrepancy of {share} of the loss per "
        "decade, {two} at two decades (one standard deviation).",
        basis=body["weights_from"],
        weights=w.listed(parts),
        share=advice.percents(share),
        two=advice.percents(2 * share),
    )
    return Prose(text, "backtest_weights")


def _unsound(data: Data) -> list[Prose]:
    """Fits below a cut that did not pass their checks."""
    bad = failed_cuts(data)
    if not bad:
        return []
    text = say(
        "{n} made for the back-test did not pass the checks ({which}); the forecasts from there are less sure. "
        "The fits behind this report's own forecasts are not among them.",
        n=w.plural(len(bad), "fit"),
        which="; ".join(bad),
    )
    return [Prose(text, "backtest_cuts", "caution")]


def _forecast_figure(data: Data) -> Figure:
    body = data["backtest"]
    rows = [
        {
            **r,
            "run": w.name(r["run"]),
            "error": 100 * (r["observed"] / r["median"] - 1),
            "low": 100 * (r["lower"] / r["median"] - 1),
            "high": 100 * (r["upper"] / r["median"] - 1),
        }
        for r in body["forecasts"]
    ]
    # A wide interval far out must not squeeze the others: clipped at what holds nine tenths of them.
    ends = np.array([max(abs(r["low"]), abs(r["high"])) for r in rows])
    reach = max(1.15 * float(np.quantile(ends, 0.9)), 1.1 * max(abs(r["error"]) for r in rows))
    rows = [{**r, "low": max(r["low"], -reach), "high": min(r["high"], reach)} for r in rows]
    x = [0.0, 1.05 * max(r["decades"] for r in rows)]
    panels = tuple(
        charts.forecasts(
            [r for r in rows if r["cut"] == fold["cut"]],
            f"Cut at {w.flop(float(f'{fold["cut"]:.2g}'))} FLOP, from {fold['n_train']} runs",
            x,
            [-reach, reach],
        )
        for fold in body["folds"]
    )
    return Figure(
        "backtest_forecasts",
        "Each cut's forecasts against what came",
        "Zero is the median forecast; a dot above it ended at a higher loss than forecast. Dots that drift to one "
        "side as they go further show forecasts that lean. Bars of runs at one distance lie over one another.",
        "Observed over forecast loss in per cent with 90 % intervals against decades beyond each cut.",
        panels,
        (
            Key("point", t.INK, "a larger run, inside its interval"),
            Key("ring", t.ACCENT, "outside it"),
            Key("band", "#a9c3d6", "90\u00a0% interval of the forecast"),
        ),
        across=min(2, len(panels)),
        table="backtest_forecasts",
    )


def _sources(data: Data) -> list[tuple[str, str, Row, bool]]:
    """Title, colour, scores and whether it is the average: the laws, and the average last, on top."""
    names, body, colours = titles(data), data["backtest"], colours_of(data)
    laws = [(names[r["law"]], colours[r["law"]], r, False) for r in body["laws"]]
    return [*laws, (AVERAGE, t.BAND, body, True)]


def _held_figure(data: Data) -> Figure:
    sources = _sources(data)
    levels = [
        {
            "title": title,
            "colour": colour,
            "average": average,
            "nominal": float(level),
            "label": w.prob(float(level)),
            "held": row["coverage"][level],
        }
        for title, colour, row, average in sources
        for level in LEVELS
    ]
    distances = [
        {
            "title": title,
            "colour": colour,
            "average": average,
            "at": (r["decades_from"] + r["decades_to"]) / 2,
            "span": f"{r['decades_from']:.1f} to {r['decades_to']:.1f}",
            "held": r["coverage"]["0.9"],
            **{k: r[k] for k in ("decades_from", "decades_to", "half_width", "n_cells")},
        }
        for title, colour, row, average in sources
        for r in row["by_decade"]
    ]
    panels: tuple[Panel, ...] = (
        charts.coverage(levels),
        charts.by_decade(distances, "held", "Held by 90 % intervals", "", 0.9),
        charts.by_decade(distances, "half_width", "Half-width of 90 % intervals", "% of the loss"),
    )
    return Figure(
        "backtest_coverage",
        "How many of the larger runs the intervals held",
        "Left: honest intervals put their dot on the tick; left of it they are too narrow, right of it wider than "
        "need be. Middle and right: the same for 90 % intervals, and how wide they were, by distance beyond the "
        "cut; a large dot rests on more cells, and one cell moves a small dot by a lot.",
        "Coverage of nominal intervals by the average and each law, and coverage and width by distance.",
        panels,
        (
            Key("tick", t.INK, "nominal share"),
            *(Key("point", colour, title) for title, colour, _, _ in reversed(sources)),
        ),
        across=3,
        table="backtest",
    )


def _earned_figure(data: Data) -> Figure:
    names, body, colours = titles(data), data["backtest"], colours_of(data)
    laws = [
        {
            "title": names[r["law"]],
            "colour": colours[r["law"]],
            "weight": r["weight"],
            "label": w.percent(r["weight"]),
        }
        for r in sorted(body["laws"], key=lambda r: -r["weight"])
    ]
    columns = [body["discrepancy"][k] for k in ("scales", "weights", "prior")]
    sizes = [
        {"label": w.short(100 * scale, 2), "probability": probability, "prior": prior}
        for scale, probability, prior in zip(*columns, strict=True)
    ]
    return Figure(
        "backtest_weights",
        "What forecasts beyond these runs rest on",
        "The weights say about which proportions each draw blends the laws, and are kept from settling on one "
        "law. The discrepancy is what the laws together may be wrong by, and grows in proportion to the "
        "decades beyond the runs.",
        "Weight of each law in forecasts and probability of each size of the discrepancy.",
        (charts.weights(laws), charts.sizes(sizes, 100 * body["discrepancy_per_decade"])),
        (
            Key("band", t.BAND, "discrepancy, after this back-test"),
            Key("band", "#d3d9df", "before, from other public tables"),
        ),
        across=2,
        table="backtest_weights",
    )


def _scores(data: Data) -> Table:
    """The average and each law over all cuts."""
    names, body = titles(data), data["backtest"]
    keep = ("coverage", "pinball", "half_width", "bias", "n_forecasts", "n_cells")
    rows: list[dict[str, Any]] = [{"law": KEY, **{k: body[k] for k in keep}, "forward_score": None}]
    rows += [{"law": r["law"], **{k: r[k] for k in (*keep, "forward_score")}} for r in body["laws"]]
    columns = (
        Column("", lambda r: names.get(r["law"], AVERAGE), numeric=False),
        *_score_columns(),
        Column("forward score", lambda r: w.fixed(r["forward_score"])),
    )
    note = (
        "Held: share of the larger runs inside the interval. Pinball, half-width (of the 90 % interval) and bias "
        "(positive: too high) in % of the loss. The forward score, in nats, weighs the laws."
    )
    return Table("backtest", "Back-test of the average and of each law", rows, columns, note)


def _score_columns() -> tuple[Column, ...]:
    held = tuple(
        Column(f"held by {w.prob(float(level))}", lambda r, level=level: w.percent(r["coverage"][level]))  # type: ignore[misc]
        for level in LEVELS
    )
    return (
        *held,
        Column("pinball", lambda r: w.fixed(r["pinball"])),
        Column("half-width", lambda r: w.fixed(r["half_width"], 1)),
        Column("bias", lambda r: _signed(r["bias"])),
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _by_decade(data: Data) -> Table:
    names, body = titles(data), data["backtest"]
    rows = [{"law": KEY, **r} for r in body["by_decade"]]
    rows += [{"law": law["law"], **r} for law in body["laws"] for r in law["by_decade"]]
    columns = (
        Column("", lambda r: names.get(r["law"], AVERAGE), numeric=False),
        Column("decades beyond", lambda r: f"{r['decades_from']:.1f} to {r['decades_to']:.1f}"),
        *_score_columns(),
        Column("cells", lambda r: str(r["n_cells"])),
    )
    return Table("backtest_by_decade", "By decades beyond the cut", rows, columns, folded=True)


def _cuts(data: Data) -> Table:
    names = titles(data)
    rows = [{k: v for k, v in fold.items() if k != "laws"} for fold in data["backtest"]["folds"]]
    rows = [{**r, "decades_from": r["decades"][0], "decades_to": r["decades"][1]} for r in rows]

    def checks(row: Row) -> str:
        bad = [names[law] for law, value in row["verdicts"].items() if value == "failed"]
        return f"failed: {', '.join(bad)}" if bad else "passed"

    columns = (
        Column("cut, FLOP", lambda r: w.flop(float(f"{r['cut']:.2g}"))),
        Column("runs below", lambda r: str(r["n_train"])),
        Column("forecast", lambda r: str(r["n_test"])),
        Column("decades beyond", lambda r: f"{r['decades_from']:.1f} to {r['decades_to']:.1f}"),
        Column("held by 90\u00a0%", lambda r: w.percent(r["coverage"]["0.9"])),
        Column("bias, %", lambda r: _signed(r["bias"])),
        Column("discrepancy a decade", lambda r: advice.percents(100 * r["discrepancy_per_decade"])),
        Column(
            "weights then",
            lambda r: ", ".join(
                f"{names[k]} {w.percent(v)}" for k, v in sorted(r["law_weights"].items(), key=lambda i: -i[1])
            ),
            numeric=False,
        ),
        Column("fits", checks, numeric=False),
    )
    return Table("backtest_cuts", "Cut by cut", rows, columns, folded=True)


def _weights(data: Data) -> Table:
    names, body = titles(data), data["backtest"]
    rows = [{"law": r["law"], "weight": r["weight"], "forward_score": r["forward_score"]} for r in body["laws"]]
    columns = (
        Column("law", lambda r: names[r["law"]], numeric=False),
        Column("weight", lambda r: w.percent(r["weight"])),
        Column("forward score, nats", lambda r: w.fixed(r["forward_score"])),
    )
    return Table("backtest_weights", "Weights for forecasts", rows, columns, folded=True)


SECTION = Section("backtest", "How far to trust this", numbers, view)
