"""Sentences on how far the evidence hangs on priors and noise, and on claims about the exponent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Prose, say
from bayes_scaling.reporting.prose import titles

Data = Mapping[str, Any]


def ranges(data: Data) -> list[Prose]:
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


def peers(data: Data) -> list[Prose]:
    """What another tool's priors would have said."""
    names, out = titles(data), []
    for peer in data["compare"]["peer_priors"]:
        changed = [b for b in peer["bayes_factors"] if b["changed"]]
        parts = [
            f"{names[b['numerator']]} over {names[b['denominator']]} {w.fixed(b['log_bf'], 1)} nats, "
            f"{named(b['verdict'], names)}"
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


def named(verdict: str, names: Mapping[str, str]) -> str:
    """A word for a law, under its title."""
    head, separator, law = verdict.partition(" for ")
    return f"{head} for {names[law]}" if separator and law in names else verdict


def match(data: Data) -> list[Prose]:
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
        mean=percents(worst["mean"]),
        spread=percents(spread),
        verdict="Their priors carry much the same knowledge, so that evidence compares the laws and not the priors."
        if fair
        else "Their priors carry different knowledge, and the evidence between them is partly a comparison of priors.",
    )
    return [Prose(text, "prior_distances", "" if fair else "caution")]


def percents(share: float) -> str:
    return f"{w.short(100 * share, 2)}\u00a0%"


def share(mass: float) -> str:
    """A probability counted in draws: none of them is less than one in a hundred, not nothing."""
    return w.percent(min(max(mass, 1e-9), 1 - 1e-9))


def claims(data: Data) -> list[Prose]:
    """What is left of published claims about the exponent, by the average over laws."""
    found = (data["compare"] or {}).get("exponents")
    if not found:
        return []
    body = found[-1]
    parts = []
    for c in body["claims"]:
        bound = {"upper": "at most ", "lower": "at least ", None: ""}[c["bound"]]
        error = "" if c["log_bf_sd"] is None else f" ± {w.fixed(c['log_bf_sd'])}"
        parts.append(
            f"{c['hypothesis']}: {share(c['mass'])} (beforehand {w.percent(c['prior_mass'])}), log Bayes "
            f"factor {bound}{w.fixed(c['log_bf'])}{error}"
        )
    who = "the laws averaged by evidence" if body["law"] == "average" else titles(data)[body["law"]]
    text = say(
        "How probable is it that a lies within {rope} of a published claim? By {who}: {parts}.",
        rope=w.short(body["rope"], 2),
        who=who,
        parts="; ".join(parts),
    )
    return [Prose(text, "exponent_claims")]
