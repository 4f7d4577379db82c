"""Do the intervals hold on larger runs? Fits the smaller runs of public tables and scores forecasts of the larger.

    python benchmarks/calibration.py --data FOLDER [--own] [--json] [--seed N]

Compares, in one run: the averaged forecast; the same without the misplacement of best sizes (`laws_alone`), and with
the laws mixed instead of blended (or the reverse); equal weights over the same laws, each law alone, and the additive
law by least squares with bootstrap intervals. FOLDER (or BAYES_SCALING_LOCAL_DATA) holds the tables; they are not
shipped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from bayes_scaling import Runs
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import columns, specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.laws.registry import STANDARD, get_law
from bayes_scaling.prediction.drawing import pooled
from bayes_scaling.prediction.misplacement import USUAL, Misplacement
from bayes_scaling.prediction.weights import POOLING, Averaging
from bayes_scaling.validation.forward import Foretold, flat, losses_of, predicted, validate_forward
from bayes_scaling.validation.learning import learn
from bayes_scaling.validation.scores import Scores, score

sys.path.insert(0, str(Path(__file__).parent))
from splits import Split, own_splits, splits

DRAWS = 4000
BOOTSTRAPS = 200
OTHER = "mixture" if POOLING == "blend" else "blend"
"""How the laws might be pooled instead."""


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Every law's draws for the larger runs of a split, and the rule learned on the smaller."""

    split: Split
    laws: tuple[str, ...]
    predictions: tuple[Foretold, ...]
    rule: Averaging


def forecasts(split: Split, seed: int = 0) -> Forecasts:
    laws = [get_law(name) for name in STANDARD]
    validation = validate_forward(split.train, laws, random_seed=seed)
    found = []
    for law in laws:
        spec, noise = specify(law)
        frame = columns(spec, noise, split.train)
        table = Table.padded(frame, padded_length(split.train.n))
        drawn = sample_tables(program_for(spec, noise, frame), [table], Settings(draws=500), [seed], patient=False)[0]
        found.append(predicted(spec, noise, flat(drawn), drawn.diagnostics.verdict, split.train, split.test))
    return Forecasts(split, STANDARD, tuple(found), learn(validation, laws))


def averaged(
    f: Forecasts, rule: Averaging, seed: int = 0, pooling: str = POOLING, misplacement: Misplacement | None = USUAL
) -> np.ndarray:
    """Loss draws of the averaged forecast, dims (draw, run)."""
    laws = [p.drawn for p in f.predictions]
    worlds = pooled(
        laws, f.split.train, rule, pooling=pooling, misplacement=misplacement, draws=DRAWS, random_seed=seed
    )
    return losses_of(worlds, f.split.test).new_runs()


def single(p: Foretold) -> np.ndarray:
    return p.losses.new_runs()


def least_squares_bootstrap(train: Runs, test: Runs, seed: int = 0) -> np.ndarray:
    """Loss draws of the additive law by least squares on log loss, cases resampled, residuals added."""
    rng = np.random.default_rng([seed, 9])

    def curve(p: np.ndarray, runs: Runs) -> np.ndarray:
        n, d = np.log(runs.params / 1e9), np.log(runs.tokens / 2e10)
        return np.log(np.exp(p[0]) + np.exp(p[1] - np.exp(p[3]) * n) + np.exp(p[2] - np.exp(p[4]) * d))

    def fit(chosen: np.ndarray, starts: Iterable[np.ndarray]) -> np.ndarray:
        part = train.subset(chosen)
        target = np.log(part.loss)
        ends = [
            least_squares(lambda p: np.clip(curve(p, part) - target, -1e3, 1e3), s, bounds=(-12, 12), max_nfev=200)
            for s in starts
        ]
        return min(ends, key=lambda e: e.cost).x

    every = np.arange(train.n)
    starts = [
        np.array([np.log(e * train.loss.min()), np.log(0.5), np.log(0.5), np.log(a), np.log(b)])
        for e in (0.3, 0.7) for a in (0.2, 0.5) for b in (0.2, 0.5)
    ]  # fmt: skip
    best = fit(every, starts)
    residual = np.log(train.loss) - curve(best, train)
    # Leverage-free correction of residuals for the five parameters that were fitted.
    residual = residual * np.sqrt(train.n / max(1, train.n - 5))
    draws = []
    for _ in range(BOOTSTRAPS):
        p = fit(rng.integers(0, train.n, train.n), [best])
        draws.append(curve(p, test) + rng.choice(residual, size=(5, test.n)))
    return np.exp(np.concatenate(draws))


def row(scores: Scores) -> dict[str, float]:
    return {
        "coverage_90": float(scores.covered[0.9].mean()),
        "coverage_50": float(scores.covered[0.5].mean()),
        "pinball": float(scores.pinball.mean()),
        "half_width": float(scores.half_width.mean()),
        "bias": float(scores.bias.mean()),
    }


def judge(f: Forecasts) -> dict[str, Any]:
    observed = f.split.test.loss
    equal = np.concatenate([single(p) for p in f.predictions])
    beyond = np.log10(f.split.test.flops / f.split.train.flops.max())
    ours = score(averaged(f, f.rule), observed)
    near = (beyond > 0.7) & (beyond < 1.3)
    return {
        "name": f.split.name,
        "table": f.split.table,
        "n_train": f.split.train.n,
        "n_test": f.split.test.n,
        "decades_beyond": [float(beyond.min()), float(beyond.max())],
        "weights": dict(f.rule.weights),
        "discrepancy_per_decade": f.rule.scale_mean,
        "scored_cells": f.rule.scored,
        "half_width_at_one_decade": float(np.median(ours.half_width[near])) if near.any() else None,
        "averaged": row(ours),
        "laws_alone": row(score(averaged(f, f.rule, misplacement=None), observed)),
        OTHER: row(score(averaged(f, f.rule, pooling=OTHER), observed)),
        "equal": row(score(equal, observed)),
        "least_squares": row(score(least_squares_bootstrap(f.split.train, f.split.test), observed)),
        **{name: row(score(single(p), observed)) for name, p in zip(f.laws, f.predictions, strict=True)},
    }


def clustered(values: list[float], tables: list[str]) -> tuple[float, float]:
    """Mean over splits and its standard error clustered by table."""
    x = np.array(values)
    groups = [x[[t == g for t in tables]] - x.mean() for g in sorted(set(tables))]
    k = len(groups)
    se = np.sqrt(k / max(1, k - 1) * sum(float(g.sum()) ** 2 for g in groups)) / len(x)
    return float(x.mean()), float(se)


def summarise(rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    tables = [r["table"] for r in rows]
    methods = ["averaged", "laws_alone", OTHER, "equal", "least_squares", *STANDARD]
    mean = {m: {k: float(np.mean([r[m][k] for r in rows])) for k in rows[0][m]} for m in methods}
    cover, cover_se = clustered([r["averaged"]["coverage_90"] for r in rows], tables)
    half, half_se = clustered([r["averaged"]["coverage_50"] for r in rows], tables)
    widths = [r["half_width_at_one_decade"] for r in rows if r["half_width_at_one_decade"] is not None]
    return {
        "mean_coverage_90": cover,
        "mean_coverage_90_se": cover_se,
        "mean_coverage_50": half,
        "mean_coverage_50_se": half_se,
        "splits_under_half_at_90": sum(r["averaged"]["coverage_90"] < 0.5 for r in rows),
        "mean_pinball": mean["averaged"]["pinball"],
        "equal_weights_pinball": mean["equal"]["pinball"],
        "best_single_pinball": min(mean[name]["pinball"] for name in STANDARD),
        "best_single": min(STANDARD, key=lambda name: mean[name]["pinball"]),
        "least_squares_pinball": mean["least_squares"]["pinball"],
        "median_half_width_at_one_decade": float(np.median(widths)) if widths else None,
        "methods": mean,
        "splits": rows,
        "n_splits": len(rows),
        "n_tables": len(set(tables)),
        "seconds": seconds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def show(result: dict[str, Any]) -> None:
    print(f"{'split':46s}{'n':>5s}{'test':>5s}{'cov90':>7s}{'cov50':>7s}{'pinball':>9s}{'width':>7s}{'bias':>7s}")
    for r in result["splits"]:
        a = r["averaged"]
        print(
            f"{r['name'][:45]:46s}{r['n_train']:5d}{r['n_test']:5d}{a['coverage_90']:7.2f}{a['coverage_50']:7.2f}"
            f"{a['pinball']:9.3f}{a['half_width']:7.2f}{a['bias']:7.2f}"
        )
    print(f"\n{'method':20s}{'cov90':>7s}{'cov50':>7s}{'pinball':>9s}{'width':>7s}{'bias':>7s}")
    for name, m in result["methods"].items():
        print(
            f"{name:20s}{m['coverage_90']:7.2f}{m['coverage_50']:7.2f}{m['pinball']:9.3f}{m['half_width']:7.2f}"
            f"{m['bias']:7.2f}"
        )
    print(
        f"\n90 %: {result['mean_coverage_90']:.3f} ± {result['mean_coverage_90_se']:.3f}, "
        f"50 %: {result['mean_coverage_50']:.3f} ± {result['mean_coverage_50_se']:.3f}, "
        f"splits under 0.5 at 90 %: {result['splits_under_half_at_90']}, "
        f"median half-width at one decade: {result['median_half_width_at_one_decade']:.2f} %"
    )
    print(f"{result['n_splits']} splits of {result['n_tables']} tables, {result['seconds']:.0f} s, {result['machine']}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--own", action="store_true", help="further splits that no setting was chosen on")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.data:
        print("Name the folder of public tables: --data FOLDER, or BAYES_SCALING_LOCAL_DATA.", file=sys.stderr)
        return 3
    begin, rows = perf_counter(), []
    for split in (own_splits if arguments.own else splits)(Path(arguments.data)):
        rows.append(judge(forecasts(split, arguments.seed)))
        print(f"[{perf_counter() - begin:6.0f} s] {split.name}", file=sys.stderr, flush=True)
    result = summarise(rows, perf_counter() - begin)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
