"""Forecasts in simulated worlds where the truth is known: a law of the set, or a power law that breaks.

    python benchmarks/worlds.py [--replicates 4] [--json]

The design is 245 runs spread like the digitised Chinchilla runs: nine budgets from 6e18 to 3e21 FLOP with sizes about
the optimum. From each table, runs one decade beyond are forecast. Where a law of the set is true, coverage should be
nominal and the average hardly wider than the true law alone; where the law breaks half a decade to a decade inside the
runs, a warning should be seen and the intervals still hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling import Runs, load_runs
from bayes_scaling.laws.registry import STANDARD, get_law
from bayes_scaling.validation.backtesting import judge as judge_folds
from bayes_scaling.validation.forward import validate_forward
from bayes_scaling.validation.scores import score

sys.path.insert(0, str(Path(__file__).parent))
from calibration import Forecasts, averaged, forecasts, single
from splits import Split

# Constants near what each law fits to the digitised Chinchilla runs.
TRUTH = {
    "kaplan": {"gap_params": 2.37, "gap_tokens": 2.28, "alpha": 0.092, "beta": 0.122},
    "kaplan_floor": {"E": 1.69, "gap_params": 0.67, "gap_tokens": 0.64, "alpha": 0.28, "beta": 0.336},
    "chinchilla": {"E": 1.80, "gap_params": 0.366, "gap_tokens": 0.359, "alpha": 0.342, "beta": 0.362},
    "coupled": {"E": 1.755, "gap_params": 0.436, "gap_tokens": 0.45, "alpha": 0.328, "beta": 0.332, "k": 0.8},
}
SIGMA, NU = 0.004, 3.0


def design(budgets: np.ndarray, sizes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    c = np.repeat(budgets, sizes)
    n = 0.1 * (c / 6) ** 0.5 * np.exp(rng.uniform(-1.8, 1.8, c.size)) * 2
    return n, c / (6 * n)


def broken(n: np.ndarray, d: np.ndarray, at: float) -> np.ndarray:
    """Chinchilla's gaps, falling by a further fifth of a power of compute beyond the break."""
    law = get_law("chinchilla")
    loss = law.loss(TRUTH["chinchilla"], {"params": n, "tokens": d})
    bend = (1 + (6 * n * d / at) ** 4) ** (-0.08 / 4)
    return TRUTH["chinchilla"]["E"] * 0.8 + (loss - TRUTH["chinchilla"]["E"] * 0.8) * bend


def world(name: str, seed: int) -> Split:
    rng = np.random.default_rng([seed, 71, len(name)])
    budgets = np.geomspace(6e18, 3e21, 9)
    parts: list[Runs] = []
    for where, sizes in ((budgets, 27), (np.array([3e22]), 12)):
        n, d = design(where, sizes, rng)
        if name == "broken":
            loss = broken(n, d, at=3e21 / 10 ** rng.uniform(0.5, 1.0))
        else:
            loss = get_law(name).loss(TRUTH[name], {"params": n, "tokens": d})
        observed = loss * np.exp(SIGMA * rng.standard_t(NU, n.size))
        parts.append(load_runs(pd.DataFrame({"params": n, "tokens": d, "loss": observed}), name=f"{name} {seed}"))
    return Split(f"{name} {seed}", name, *parts)


def run(name: str, seed: int) -> dict[str, Any]:
    split = world(name, seed)
    laws = [get_law(law) for law in STANDARD]
    f: Forecasts = forecasts(split, seed)
    ours = score(averaged(f, f.rule), split.test.loss)
    test = judge_folds(validate_forward(split.train, laws, random_seed=seed), laws)
    alone = None
    if name in STANDARD:
        alone = score(single(f.predictions[STANDARD.index(name)]), split.test.loss)
    return {
        "world": name,
        "seed": seed,
        "coverage_90": float(ours.covered[0.9].mean()),
        "coverage_50": float(ours.covered[0.5].mean()),
        "half_width": float(ours.half_width.mean()),
        "bias": float(ours.bias.mean()),
        "true_law_coverage_90": float(alone.covered[0.9].mean()) if alone else None,
        "width_over_true_law": float(ours.half_width.mean() / alone.half_width.mean()) if alone else None,
        "misfit_warning": bool(test.misfit),
        "discrepancy_per_decade": f.rule.scale_mean,
        "weights": dict(f.rule.weights),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--worlds", default=",".join([*STANDARD, "broken"]))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    begin, rows = perf_counter(), []
    for name in arguments.worlds.split(","):
        for seed in range(arguments.replicates):
            rows.append(run(name, seed))
            print(f"[{perf_counter() - begin:6.0f} s] {name} {seed}", file=sys.stderr, flush=True)
    frame = pd.DataFrame(rows).drop(columns="weights")
    means = frame.groupby("world", sort=False).mean(numeric_only=True)
    result = {
        "rows": rows,
        "means": json.loads(means.to_json(orient="index")),
        "seconds": perf_counter() - begin,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    print(json.dumps(result, indent=2) if arguments.json else means.round(3).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
