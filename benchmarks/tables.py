"""What is told of tables: notices on clean ones and on public ones, and what is lost where they are passed over.

    python benchmarks/tables.py --data FOLDER [--part codes|sweep|groups|compute]… [--quick] [--json]

`codes`: how often each notice fires on simulated clean tables (tests/clean_tables.py), and which fire on public ones.
`sweep`: Chinchilla's exponents on a sweep as it is, and on the best run of each cell of active parameters and tokens.
`groups`: the evidence between Kaplan and Chinchilla on two corpora in one table, and on each.
`compute`: averaged forecasts of a table with a column of compute that differs from 6·N·D run by run (log-normal about
twice it, sd 0.3), and without it: the ratio of half-widths.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling import average, compare, fit, forecast, load_runs
from bayes_scaling.base.errors import BayesScalingError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from clean_tables import clean_table

CLEAN = 200


def codes(folder: Path, quick: bool) -> dict[str, Any]:
    """Notices on clean tables, a share each, and on public ones."""
    count = 20 if quick else CLEAN
    fired: Counter[str] = Counter()
    for seed in range(count):
        fired.update({notice.code for notice in load_runs(clean_table(seed)).notices})
    public = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("exports/*.csv")]):
        begin = perf_counter()
        try:
            found = [notice.code for notice in load_runs(path).notices]
        except BayesScalingError as error:
            found = ["refused", *(line.split(": ", 1)[-1][:40] for line in str(error).splitlines()[:3])]
        public[path.name] = {"codes": found, "seconds": round(perf_counter() - begin, 2)}
    return {"clean_tables": count, "clean": {code: n / count for code, n in fired.items()}, "public": public}


def sweep(folder: Path, quick: bool) -> dict[str, Any]:
    """Exponents of a sweep as it is, of the median and of the best of each cell."""
    path = folder / "steplaw_moe.csv"
    out = {}
    for choice in (None, "median", "best"):
        runs = load_runs(path, columns={"params": "Na"}, per_cell=choice)
        found = fit(runs, "chinchilla", draws=200 if quick else 1000, cache=False)
        rows = {**found.summary_rows()} if hasattr(found, "summary_rows") else found.to_dict()
        told = {name: rows["parameters"][name] for name in ("alpha", "beta", "E", "sigma")}
        told["exponent_params"] = rows["derived"]["exponent_params"]
        out[choice or "as it is"] = {
            "n": runs.n,
            "verdict": found.diagnostics.verdict,
            **{k: {e: round(v[e], 4) for e in ("median", "lower", "upper")} for k, v in told.items()},
        }
    return out


def groups(folder: Path, quick: bool) -> dict[str, Any]:
    """Kaplan over Chinchilla, log Bayes factor, on two corpora of one table together and on each."""
    table = pd.read_csv(folder / "gadre_overtraining.csv")
    two = table[table.train_data.isin(["c4_original", "rpj"])]
    out = {}
    for where in (None, "train_data=c4_original", "train_data=rpj"):
        evidence = compare(
            load_runs(two, where=where), ["kaplan", "chinchilla"], draws=200 if quick else 1000, cache=False
        )
        factor = evidence.to_dict()["bayes_factors"][0]
        sign = 1 if factor["numerator"] == "kaplan" else -1
        out[where or "together"] = {
            "kaplan_over_chinchilla": round(sign * factor["log_bf"], 2),
            "sd": round(factor["log_bf_sd"], 2),
        }
    return out


def compute(folder: Path, quick: bool) -> dict[str, Any]:
    """Ratios of half-widths of averaged forecasts with and without a column of compute."""
    out = {}
    rng = np.random.default_rng(0)
    names = ["openeurollm_best"] if quick else ["openeurollm_best", "gadre_overtraining", "muennighoff_fit182"]
    for name in names:
        table = pd.read_csv(folder / f"{name}.csv")[["params", "tokens", "loss"]]
        given = table.assign(flops=12 * table.params * table.tokens * np.exp(0.3 * rng.standard_normal(len(table))))
        n, d = 3 * table.params.max(), 3 * table.tokens.max()
        widths = []
        for frame in (table, given):
            row = forecast(average(load_runs(frame, name=name), random_seed=0), params=n, tokens=d).rows()[0]
            widths.append(row["upper"] - row["lower"])
        out[name] = round(widths[1] / widths[0], 4)
    return out


PARTS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "codes": codes,
    "sweep": sweep,
    "groups": groups,
    "compute": compute,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--part", action="append", choices=tuple(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer tables and draws, to see that it works")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    if not words.data:
        raise SystemExit("The tables are not part of the repository: --data FOLDER says where they are.")
    result = {part: PARTS[part](Path(words.data), words.quick) for part in words.part or PARTS}
    if words.json:
        print(json.dumps(result, indent=1))
        return
    for part, found in result.items():
        print(part)
        for key, value in found.items():
            rows = value.items() if isinstance(value, dict) else [("", value)]
            for name, row in rows:
                print(f"  {key:<26} {name:<50} {row}")


if __name__ == "__main__":
    main()
