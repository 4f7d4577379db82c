"""Simulation-based calibration of every law of the standard set, under each noise model asked for.

    python benchmarks/sbc.py [--replicates 200] [--noise student_t,normal] [--json]

A law is rejected when its smallest p-value, corrected over its parameters and over everything that was run, is below
one per cent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from time import perf_counter

import numpy as np

from bayes_scaling.laws import STANDARD
from bayes_scaling.progress import reporting
from bayes_scaling.simulation import calibrate


def design(n_params: int = 6, n_tokens: int = 6) -> dict[str, np.ndarray]:
    """A factorial of sizes and token counts, two decades each."""
    n, d = np.meshgrid(np.geomspace(3e7, 3e9, n_params), np.geomspace(2e9, 2e11, n_tokens))
    return {"params": n.ravel(), "tokens": d.ravel()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--laws", default=",".join(STANDARD))
    parser.add_argument("--noise", default="student_t")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    laws, noises = arguments.laws.split(","), arguments.noise.split(",")
    begin, rows = perf_counter(), []
    with reporting():
        for noise in noises:
            for law in laws:
                found = calibrate(
                    law, design(), noise=noise, replicates=arguments.replicates, random_seed=arguments.seed
                )
                rows.append(
                    {
                        "law": law,
                        "noise": noise,
                        "p_values": dict(found.p_values),
                        "corrected_p": min(1.0, found.smallest_p * len(laws) * len(noises)),
                        "ok_fraction": found.ok_fraction,
                    }
                )
    result = {
        "replicates": arguments.replicates,
        "rejected": [f"{r['law']}, {r['noise']}" for r in rows if r["corrected_p"] < 0.01],
        "rows": rows,
        "seconds": perf_counter() - begin,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    for r in rows:
        worst = min(r["p_values"], key=r["p_values"].get)
        print(
            f"{r['law']:14s}{r['noise']:20s} smallest p {r['p_values'][worst]:.3f} ({worst}), corrected "
            f"{r['corrected_p']:.3f}, fits not failed {r['ok_fraction']:.3f}"
        )
    print(f"rejected: {', '.join(result['rejected']) or 'none'}; {result['seconds']:.0f} s, {result['machine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
