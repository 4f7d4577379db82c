"""Simulation-based calibration of every law under every noise model, with pictures.

    python benchmarks/sbc.py [--replicates 200] [--laws A,B] [--noise A,B] [--samplers A,B] [--out docs] [--json]

Every noise model under NUTS, as `fit` runs it, and the default one under the other samplers: the fast approximation
of method "auto", and a fleet.

Each law and noise model is saved under OUT/sbc as soon as it is done, and taken from there next time, so that a run
can be stopped and goes on where it was. OUT/calibration.md and one picture a law are written from what is there.
A law under a noise model is rejected when the p-value of one of its parameters, or of its log likelihood, is below one
per cent after Holm's correction over everything tested.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from bayes_scaling.base.files import dump_json, write_text
from bayes_scaling.base.progress import reporting
from bayes_scaling.engine.fingerprint import priors_of
from bayes_scaling.fleets.calibration import (
    CURVE,
    LIKELIHOOD,
    NEW_RUN,
    OPTIMUM,
    RANK_DRAWS,
    SAMPLERS,
    calibrate,
    held,
    uniformity,
)
from bayes_scaling.fleets.ranks import band, ecdf_difference, holm, simultaneous_p
from bayes_scaling.laws.noise import NOISES
from bayes_scaling.laws.registry import STANDARD, get_law
from bayes_scaling.reporting import theme as t

LEVELS = RANK_DRAWS + 1
REJECTED = 0.01
DEFAULT_SAMPLER = SAMPLERS[0]
INTRODUCTION = """\
Parameters are drawn from a law's prior and the noise's, 36 runs from the law on a 6 by 6 factorial of two decades in
parameters and in tokens, and the posterior is sampled: by NUTS as `fit` does it ("nuts"), as `fit` does it under
method "auto" ("auto"), and as a member of a fleet ("fleet"). If the sampler and the densities are right,
the rank of each true parameter among its posterior draws is uniform (Talts et al. 2018, arXiv:1804.06788), and so is
that of the true log likelihood (Modrak et al. 2022, arXiv:2211.02383). The p-values are of the simultaneous test on
the ranks' distribution (Säilynoja et al. 2022, arXiv:2103.10522), the corrected ones are Holm's over all {tests} tests
of this page. This page and its pictures are written by `python benchmarks/sbc.py`.
"""
READING = """\
In the pictures each line is one parameter: its ranks' empirical distribution less the uniform one. The grey band holds
a whole line with 95 % probability if all is well; of this many lines some leave it by chance. A line that rises first
and falls later belongs to a posterior that is too high, the mirror image to one too low; an S to one that is too
narrow or too wide.
"""


def design(n_params: int = 6, n_tokens: int = 6) -> dict[str, np.ndarray]:
    """A factorial of sizes and token counts, two decades each."""
    n, d = np.meshgrid(np.geomspace(3e7, 3e9, n_params), np.geomspace(2e9, 2e11, n_tokens))
    return {"params": n.ravel(), "tokens": d.ravel()}


def key_of(law: str, noise: str, sampler: str, replicates: int, seed: int) -> str:
    """What two results share exactly when they are the same computation."""
    parts = [law, noise, replicates, seed, sorted(priors_of(get_law(law), NOISES[noise]).items())]
    parts += [] if sampler == DEFAULT_SAMPLER else [sampler]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def result(folder: Path, law: str, noise: str, sampler: str, replicates: int, seed: int) -> dict[str, Any]:
    """Taken from the folder, or calibrated and saved there."""
    how = "" if sampler == DEFAULT_SAMPLER else f"-{sampler}"
    path, key = folder / f"{law}-{noise}{how}.json", key_of(law, noise, sampler, replicates, seed)
    if path.exists():
        saved = json.loads(path.read_text("utf-8"))
        if saved["key"] == key:
            return {"sampler": sampler, **saved}
    begin = perf_counter()
    found = calibrate(law, design(), noise=noise, replicates=replicates, random_seed=seed, sampler=sampler)
    body = {
        "key": key,
        "law": law,
        "noise": noise,
        "sampler": sampler,
        "replicates": replicates,
        "seed": seed,
        "ranks": {name: ranks.tolist() for name, ranks in found.ranks.items()},
        "ok_fraction": found.ok_fraction,
        "seconds": perf_counter() - begin,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    write_text(path, dump_json(body) + "\n")
    print(f"{law}, {noise}, {sampler}: {body['seconds']:.0f} s", file=sys.stderr, flush=True)
    return body


def judged(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each result with its p-values, and those corrected over all of them together."""
    tests = {
        f"{_name(r)}|{name}": simultaneous_p(np.array(ranks), LEVELS)
        for r in results
        for name, ranks in r["ranks"].items()
    }
    corrected = holm(tests)
    rows = []
    for r in results:
        own = {name: tests[f"{_name(r)}|{name}"] for name in r["ranks"]}
        worst = min(own, key=lambda name: own[name])
        rows.append(
            {
                **{
                    k: r[k]
                    for k in ("law", "noise", "sampler", "replicates", "ok_fraction", "seconds", "made", "machine")
                },
                "p_values": own,
                "coverage_90": {name: held(np.array(r["ranks"][name])) for name in (CURVE, NEW_RUN, OPTIMUM)},
                "chi_square": {name: uniformity(np.array(ranks)) for name, ranks in r["ranks"].items()},
                "worst": worst,
                "corrected_p": corrected[f"{_name(r)}|{worst}"],
            }
        )
    return rows


def picture(law: str, results: list[dict[str, Any]]) -> str:
    """Rank distributions less the uniform one with their simultaneous band, one panel a noise model, as SVG."""
    names = list(dict.fromkeys(name for r in results for name in r["ranks"]))
    colours = {name: t.LAWS[i % len(t.LAWS)] if name != LIKELIHOOD else t.INK for i, name in enumerate(names)}
    panels = []
    for r in results:
        at, low, high = band(r["replicates"], LEVELS)
        limits = [
            {"at": float(a), "low": float(lo), "high": float(hi)} for a, lo, hi in zip(at, low, high, strict=True)
        ]
        lines = [
            {"at": float(a), "value": float(v), "name": name.replace("_", " ")}
            for name, ranks in r["ranks"].items()
            for a, v in zip(at, ecdf_difference(np.array(ranks), LEVELS), strict=True)
        ]
        top = 1.25 * max(float(np.abs([low, high]).max()), max(abs(row["value"]) for row in lines))
        x = alt.X(
            "at:Q", title="rank, as a share", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(grid=False, tickCount=5)
        )
        scale = alt.Scale(domain=[-top, top], nice=False)
        colour = alt.Color(
            "name:N",
            title=None,
            scale=alt.Scale(domain=[n.replace("_", " ") for n in names], range=list(colours.values())),
        )
        shade = alt.Chart(t.data(limits)).mark_area(color=t.FAINT, opacity=0.3)
        line = alt.Chart(t.data(lines)).mark_line(strokeWidth=1.4, interpolate="step-after")
        y = alt.Y("value:Q", title="empirical less uniform", scale=scale, axis=alt.Axis(tickCount=5))
        shaded = shade.encode(x=x, y=alt.Y("low:Q", scale=scale, title="empirical less uniform"), y2="high:Q")
        how = "" if r["sampler"] == DEFAULT_SAMPLER else f", sampler {r['sampler']}"
        title = f"{NOISES[r['noise']].title} noise{how}, {r['replicates']} tables"
        panels.append(
            alt.layer(shaded, line.encode(x=x, y=y, color=colour), title=title).properties(width=380, height=220)
        )
    chart = alt.concat(*panels, columns=2, spacing=28).properties(title=f"{get_law(law).title}: ranks of the truth")
    spec = chart.to_dict()
    spec["config"] = {**t.CONFIG, "font": "Helvetica, Arial, 'Liberation Sans', sans-serif", "padding": 14}
    return str(vl_convert.vegalite_to_svg(spec, vl_version=".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])))


def page(rows: list[dict[str, Any]]) -> str:
    """docs/calibration.md: the table of results, and how to read the pictures."""
    worst = min(rows, key=lambda r: r["corrected_p"])
    rejected = [r for r in rows if r["corrected_p"] < REJECTED]
    tests = sum(len(r["p_values"]) for r in rows)
    lines = [
        "# Simulation-based calibration",
        "",
        INTRODUCTION.format(tests=tests),
        f"Rejected at 1 % after correction: {', '.join(_name(r) for r in rejected) or 'none'}. "
        f"Smallest corrected p-value: {worst['corrected_p']:.2f} ({_name(worst)}).",
        "",
        "| law | noise | sampler | tables | smallest p | of | corrected | fits not failed | made |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['law']} | {r['noise']} | {r['sampler']} | {r['replicates']} | {r['p_values'][r['worst']]:.3f} | "
        f"{r['worst']} | {r['corrected_p']:.2f} | {r['ok_fraction']:.3f} | {r['made']} |"
        for r in rows
    ]
    lines += [
        "",
        "Share of the tables whose truth lay in its 90 % interval, one decade of compute beyond the runs:",
        "",
        "| law | noise | sampler | the law's loss | a new run | best model size |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['law']} | {r['noise']} | {r['sampler']} | "
        + " | ".join(_share(v, r["replicates"]) for v in r["coverage_90"].values())
        + " |"
        for r in rows
    ]
    lines += [
        "",
        READING,
    ]
    for law in dict.fromkeys(r["law"] for r in rows):
        lines += [f"![{get_law(law).title}: ranks less uniform, one panel a noise model](sbc/{law}.svg)", ""]
    machines = sorted({r["machine"] for r in rows})
    lines.append(f"Made on {'; '.join(machines)}, {sum(r['seconds'] for r in rows) / 60:.0f} minutes in all.")
    return "\n".join(lines) + "\n"


def _share(value: float, count: int) -> str:
    return f"{value:.3f} ± {np.sqrt(value * (1 - value) / count):.3f}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['law']}, {row['noise']}, {row['sampler']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--laws", default=",".join(STANDARD))
    parser.add_argument("--noise", default=",".join(NOISES))
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    laws, noises, folder = arguments.laws.split(","), arguments.noise.split(","), arguments.out / "sbc"
    asked = arguments.samplers.split(",")
    plan = [(DEFAULT_SAMPLER, noise) for noise in noises if DEFAULT_SAMPLER in asked]
    plan += [(sampler, noises[0]) for sampler in asked if sampler != DEFAULT_SAMPLER]
    with reporting():
        results = [
            result(folder, law, noise, sampler, arguments.replicates, arguments.seed)
            for sampler, noise in plan
            for law in laws
        ]
    for law in laws:
        write_text(folder / f"{law}.svg", picture(law, [r for r in results if r["law"] == law]))
    rows = judged(results)
    write_text(arguments.out / "calibration.md", page(rows))
    body = {
        "replicates": arguments.replicates,
        "rejected": [_name(r) for r in rows if r["corrected_p"] < REJECTED],
        "rows": rows,
        "seconds": sum(r["seconds"] for r in rows),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    if arguments.json:
        print(json.dumps(body, indent=2))
        return 0
    for r in rows:
        print(
            f"{r['law']:14s}{r['noise']:20s}{r['sampler']:7s} smallest p {r['p_values'][r['worst']]:.3f} "
            f"({r['worst']}), corrected {r['corrected_p']:.3f}, fits not failed {r['ok_fraction']:.3f}"
        )
    print(f"rejected: {', '.join(body['rejected']) or 'none'}; {body['seconds']:.0f} s, {body['machine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
