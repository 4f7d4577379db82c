"""What was checked, what passed and what did not: the lines that say whether a report can be relied on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_scaling.inference.psis import K_LIMIT
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import Data
from bayes_scaling.reporting.reading import titles

PASSED, WARNING, FAILED = "passed", "warning", "failed"


@dataclass(frozen=True)
class Check:
    """One line of the list: what was checked, how it came out ("passed", "warning" or "failed"), and the details."""

    what: str
    outcome: str
    detail: str = ""


def checks(data: Data) -> list[Check]:
    """Everything that was checked, the fits first. A warning is worth knowing and does not spoil the answer."""
    found = [_fits(data), _evidence(data), _of_the_cuts(data), _loo(data), _sections(data)]
    return [check for check in found if check is not None]


def status(data: Data) -> dict[str, Any]:
    """`level`, "failed", "warning" or "ok"; `line`, that in words; `checks`; `notices`, what was noticed on the way.

    The level is "failed" where the report is not to be relied on, and "ok" only where every check passed.
    """
    made, notices = checks(data), [n["message"] for n in data["warnings"]]
    if not data["ok"]:
        bad = [_named(c) for c in made if c.outcome == FAILED and c.what != CUTS] or ["a part of it failed"]
        return {"level": FAILED, "line": f"Not to be relied on: {'; '.join(bad)}.", "checks": made, "notices": notices}
    if all(c.outcome == PASSED for c in made):
        line = f"All checks passed: {w.listed([c.what for c in made])}."
        return {"level": "ok", "line": line, "checks": [], "notices": notices}
    failed, warned = (sum(c.outcome == o for c in made) for o in (FAILED, WARNING))
    parts = [f"{n} {word}" for n, word in ((failed, "failed"), (warned, "passed with a warning")) if n]
    line = f"Of {len(made)} checks, {w.listed(parts)}:"
    return {"level": WARNING, "line": line, "checks": made, "notices": notices}


FITS, EVIDENCE, CUTS, LOO, SECTIONS = (
    "fits",
    "evidence estimates",
    "fits of the back-test",
    "leave-one-out",
    "sections",
)


def _named(check: Check) -> str:
    if check.what == FITS:
        return f"the fit of {check.detail} failed its checks"
    return f"{check.what} failed ({check.detail})" if check.detail else f"{check.what} failed"


def _fits(data: Data) -> Check | None:
    if not data["diagnostics"]:
        return None
    names, rows = titles(data), data["diagnostics"]["fits"]

    def of(verdict: str) -> list[str]:
        return [names[r["law"]] for r in rows if r["verdict"] == verdict]

    if of("failed"):
        return Check(FITS, FAILED, w.listed(of("failed")))
    if of("warning"):
        return Check(FITS, WARNING, w.listed(of("warning")))
    return Check(FITS, PASSED)


def _evidence(data: Data) -> Check | None:
    if not data["compare"]:
        return None
    bad = [n["message"] for n in data["warnings"] if n["code"] == "evidence_failed"]
    return Check(EVIDENCE, FAILED, " ".join(bad)) if bad else Check(EVIDENCE, PASSED)


def _of_the_cuts(data: Data) -> Check | None:
    """The fits below each cut: one that failed is scored as it is, so the back-test itself is less sure."""
    if not data["backtest"] or not data["backtest"]["folds"]:
        return None
    made = [v for fold in data["backtest"]["folds"] for v in fold["verdicts"].values()]
    bad = failed_cuts(data)
    if not bad:
        return Check(CUTS, PASSED)
    return Check(CUTS, FAILED, f"{len(bad)} of {len(made)}: {'; '.join(bad)}; the back-test is less sure for it")


def failed_cuts(data: Data) -> list[str]:
    """The fits below a cut that did not pass their checks, each in words."""
    names = titles(data)
    return [
        f"{names[law]} below {w.flop(float(f'{fold["cut"]:.2g}'))} FLOP"
        for fold in data["backtest"]["folds"]
        for law, value in fold["verdicts"].items()
        if value == FAILED
    ]


def _loo(data: Data) -> Check | None:
    rows: Sequence[Mapping[str, Any]] = data["compare"]["laws"] if data["compare"] else ()
    if not rows:
        return None
    names = titles(data)
    high = [
        f"{names[r['law']]} ({w.fixed(r['pareto_k_max'])})"
        for r in rows
        if r["pareto_k_max"] is None or r["pareto_k_max"] > K_LIMIT
    ]
    if not high:
        return Check(LOO, PASSED)
    told = f"Pareto k above {K_LIMIT:g} for {w.listed(high)}: elpd and stacking weights are unreliable there"
    return Check(LOO, FAILED, told + "; evidence and forecasts do not use them")


def _sections(data: Data) -> Check | None:
    missing = data["failures"]
    return Check(SECTIONS, FAILED, f"{w.listed(list(missing))} could not be made") if missing else None
