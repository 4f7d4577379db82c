"""Sentences made from a report's numbers. Each names the table its numbers stand in; nothing is estimated
here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Prose, say

Data = Mapping[str, Any]


def titles(data: Data) -> dict[str, str]:
    return dict(zip(data["asked"]["laws"], data["asked"]["titles"], strict=True))


def beyond(decades: float, what: str = "compute") -> str:
    if decades < 0.05:
        return f"within the range of {what} that the runs cover"
    amount = f"{decades:.1f} decade{'' if f'{decades:.1f}' == '1.0' else 's'}"
    times = 10**decades
    factor = f"{times:.1f}" if times < 3 else f"{times:.0f}" if times < 100 else f"{float(f'{times:.2g}'):,.0f}"
    return f"{amount} of {what} beyond the runs (a factor of {factor})"


def headline(data: Data) -> list[Prose]:
    """The answer, in as few sentences as hold it."""
    out = []
    ci = w.prob(data["ci_prob"])
    if data["forecast"]:
        row = data["forecast"]["forecasts"][0]
        text = say(
            "With {budget} FLOP spent at the best allocation, one new run is expected to end at <b>{loss} "
            "nats per "
            "token</b> ({ci} interval {range}). That is {beyond}.",
            budget=w.flop(row["budget"]),
            loss=w.loss(row),
            ci=ci,
            range=w.loss_range(row),
            beyond=beyond(row["decades_beyond"]["flops"]),
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
            "Ten times the compute of the largest run takes <b>{gain} nats</b> off the loss at the best "
            "allocation ({ci} interval {range}).",
            gain=w.loss(row["gain"]),
            ci=ci,
            range=w.loss_range(row["gain"]),
        )
        out.append(Prose(text, "ten_times"))
        out += _target(data)
    if data["compare"]:
        out.append(Prose(_leader(data), "evidence"))
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


def _leader(data: Data) -> Any:
    names, body = titles(data), data["compare"]
    rows = sorted(body["laws"], key=lambda r: -r["probability"])
    if len(rows) == 1:
        return say(
            "Only one law was asked for, {law}, so nothing here speaks for it against another.",
            law=names[rows[0]["law"]],
        )
    averaged = len(data["forecast"]["law_weights"]) > 1 if data["forecast"] else False
    tail = ", and the answers average over all of them" if averaged else ""
    first = body["bayes_factors"][0]
    return say(
        "Of {n} laws, <b>{law}</b> is the most probable ({share}); its lead over {second}, "
        "{bf}\u00a0±\u00a0{sd}\u00a0nats, "
        "<b>{verdict}</b>{tail}.",
        n=len(rows),
        law=names[rows[0]["law"]],
        share=w.percent(rows[0]["probability"]),
        second=names[first["denominator"]],
        bf=w.fixed(first["log_bf"], 2),
        sd=w.fixed(first["log_bf_sd"], 2),
        verdict=_judged(first["verdict"]),
        tail=tail,
    )


def _judged(verdict: str) -> str:
    """A verdict as what a lead is or does."""
    if verdict in ("positive", "strong", "very strong"):
        return f"is {verdict} evidence"
    return {
        "depends on the priors or noise: no verdict": "is no verdict, as it depends on the priors or noise",
    }.get(verdict, f"is {verdict}")


def cautions(data: Data) -> list[Prose]:
    """What a careful colleague would add before the answer is used."""
    out: list[Prose] = []
    names = titles(data)
    if data["forecast"]:
        rows = data["forecast"]["forecasts"]
        far = max(rows, key=lambda r: r["decades_beyond"]["flops"])
        decades = far["decades_beyond"]["flops"]
        if decades >= 0.5:
            text = say(
                "The budget of {budget} FLOP lies {beyond}. No run checks a law there{width}.",
                budget=w.flop(far["budget"]),
                beyond=beyond(decades),
                width=_allowance(data, decades),
            )
            out.append(Prose(text, "forecast", "caution"))
        out += _disagree(data, names)
    if data["frontier"]:
        row = data["frontier"]["frontier"][0]
        outside = [
            f"{beyond(row['decades_beyond'][k], what)}"
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
        "The laws disagree here: {low} (weight {u}) expects {a}, {high} (weight {v}) expects {b} nats per "
        "token. "
        "The forecast lies between them, and is only as good as these weights.",
        low=names[low["law"]],
        u=w.percent(low["weight"]),
        a=w.fixed(low["median"], digits),
        high=names[high["law"]],
        v=w.percent(high["weight"]),
        b=w.fixed(high["median"], digits),
    )
    return [Prose(text, "forecast_by_law", "caution")]


def asked(data: Data) -> list[Prose]:
    """What was asked, of which runs."""
    names, runs, a = titles(data), data["runs"], data["asked"]
    budgets = w.listed([w.flop(b) for b in a["budgets"]])
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
        out.append(Prose(say("How probable is a loss of at most {t} nats per token?", t=w.short(a["target_loss"], 4))))
    design = runs["design"] if runs else None
    if design:
        text = say(
            "The answers come from <b>{n} runs</b> ({name}) of {p0} to {p1} parameters on {d0} to {d1} "
            "tokens, {c} "
            "decades of compute, by {laws}, with {noise} noise on the logarithm of the loss.",
            n=runs["n"],
            name=runs["name"],
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


def posterior(data: Data) -> list[Prose]:
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


def forecasts(data: Data) -> list[Prose]:
    body = data["forecast"]
    names = titles(data)
    weights = [f"{names[k]} {w.percent(v)}" for k, v in sorted(body["law_weights"].items(), key=lambda i: -i[1])]
    out = []
    if len(weights) > 1:
        text = say(
            "The forecast blends the laws: each of its draws mixes their curves in random proportions about "
            "these weights, {weights}, which come from {basis}.",
            basis=body["weights_from"],
            weights=w.listed(weights),
        )
    else:
        text = say("The forecast rests on one law, {law}.", law=names[next(iter(body["law_weights"]))])
    if body["discrepancy_per_decade"]:
        text += say(
            " To that comes a <b>discrepancy</b>, for all laws may be wrong together: {share} of the loss per "
            "decade beyond the runs (one standard deviation), nothing among them.",
            share=f"{w.short(100 * body['discrepancy_per_decade'], 2)}\u00a0%",
        )
    out.append(Prose(text, "backtest_weights" if data["backtest"] else "forecast_by_law"))
    if len(body["forecasts"]) > 1:
        ci = w.prob(data["ci_prob"])
        parts = [f"{w.flop(r['budget'])} FLOP: {w.loss(r)} ({w.loss_range(r)})" for r in body["forecasts"]]
        text = say("Loss of one new run at each budget, with {ci} intervals: {parts}.", ci=ci, parts="; ".join(parts))
        out.append(Prose(text, "forecast"))
    first, second = body["tenfold"][:2]
    text = say(
        "The first tenfold of compute beyond the largest run takes {a} nats off the loss at the best "
        "allocation ({ar}), the second {b} ({br}).",
        a=w.loss(first["gain"]),
        ar=w.loss_range(first["gain"]),
        b=w.loss(second["gain"]),
        br=w.loss_range(second["gain"]),
    )
    out.append(Prose(text, "ten_times"))
    return out


def frontiers(data: Data) -> list[Prose]:
    body, ci = data["frontier"], w.prob(data["ci_prob"])
    a = body["exponent_average"]
    text = say(
        "At {c} FLOP the best model size grows as compute to the power <b>{a}</b> ({ci} interval {low} to "
        "{high}), "
        "and the tokens as compute to the power {b}.",
        c=w.flop(a["flops"]),
        a=w.fixed(a["median"]),
        ci=ci,
        low=w.fixed(a["lower"]),
        high=w.fixed(a["upper"]),
        b=w.fixed(1 - a["median"]),
    )
    inside = [e["name"] for e in body["exponents_published"] if a["lower"] <= e["value"] <= a["upper"]]
    outside = [e["name"] for e in body["exponents_published"] if not a["lower"] <= e["value"] <= a["upper"]]
    parts = [
        f"{w.listed(v)} {'lies' if len(v) == 1 else 'lie'} {where}"
        for v, where in ((inside, "inside that interval"), (outside, "outside it"))
        if v
    ]
    text += say(" Of the published exponents, {parts}.", parts="; ".join(parts))
    out = [Prose(text, "exponents")]
    size = body["misplacement"]
    if size is not None:
        text = say(
            "Laws that foretell losses well still misplace their minimum, since the loss is flat there. On public "
            "tables the best size measured at larger budgets lay further from the laws' than their intervals say, so "
            "these are widened: by about {offset} of the size at any budget, and {slope} more for each tenfold of "
            "compute beyond the runs.",
            offset=w.prob(round(10 ** size["offset"] - 1, 2)),
            slope=w.prob(round(10 ** size["slope"] - 1, 2)),
        )
        out.append(Prose(text, "frontier"))
    return out


def evidence(data: Data) -> list[Prose]:
    names, body = titles(data), data["compare"]
    out = [Prose(_leader(data), "evidence")]
    if not body["ok"]:
        text = "A fit or an evidence estimate failed its checks: these verdicts cannot be relied on."
        out.append(Prose(text, "diagnostics", "failed"))
    rows = body["laws"]
    if len(rows) > 1:
        stacked = max(rows, key=lambda r: r["stacking_weight"])
        loo = max(rows, key=lambda r: r["elpd_loo"])
        same = stacked["law"] == body["best"] == loo["law"]
        text = say(
            "Evidence asks which law, priors and all, made these runs probable; leave-one-out asks which "
            "predicts a "
            "run among them best; stacking asks for the best mixture. {verdict} None of them weighs the "
            "forecasts: the forward score does, which asks what a law fitted to smaller runs said of larger ones.",
            verdict=f"All three point to {names[body['best']]}."
            if same
            else f"They differ here: {names[body['best']]} by evidence, {names[loo['law']]} by "
            f"leave-one-out, "
            f"{names[stacked['law']]} by stacking.",
        )
        out.append(Prose(text, "evidence"))
    if all(b["range"] is None for b in body["bayes_factors"]) and body["bayes_factors"]:
        out.append(
            Prose(
                "These verdicts hold for the priors and the noise model stated; how far they move under "
                "others was not computed.",
                "bayes_factors",
            )
        )
    return out


def diagnostics(data: Data) -> list[Prose]:
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
