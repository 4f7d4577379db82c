"""Whether an assured plan reaches its target as often as it says, in worlds drawn from the prior.

    python benchmarks/assurance.py [--worlds 1000] [--probability 0.9] [--json]

Each world draws Chinchilla's constants and Student-t noise from their priors, makes a new table on the bundled Pile
runs' sizes and tokens, and fits it. The target is what the posterior expects (its median) of ten times the compute of
the largest run, so that it rests on the table alone and not on the truth; the assured plan is then made, and run once
in that world. Worlds whose fit fails, or whose target cannot be assured by 1e32 FLOP, are left out: both are seen from
the table, so that leaving them out biases nothing; how many they were is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling import Runs, load_runs
from bayes_scaling.base.errors import InfeasibleError
from bayes_scaling.base.settings import Settings
from bayes_scaling.decisions.assurance import assure
from bayes_scaling.decisions.choosing import choose
from bayes_scaling.decisions.limits import Allocations
from bayes_scaling.engine.model import specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.fleets.calibration import prior_values, simulated_frame
from bayes_scaling.inference.sampling import Draws, sample_tables
from bayes_scaling.prediction.drawing import LawDraws, pooled
from bayes_scaling.prediction.predictive import Predictive

AHEAD = 10.0
CHUNK = 25


def worlds_of(law: Any, noise: Any, drawn: Draws, runs: Runs) -> Predictive:
    """The posterior of one table, the law believed as it stands."""
    values = {k: v.reshape(-1) for k, v in drawn.values.items() if v.ndim == 2}
    return pooled([LawDraws(law, noise, values)], runs)


def judge(worlds: Predictive, truth: dict[str, float], law: Any, noise: Any, probability: float, seed: int) -> Any:
    """One world's verdict; None where its target cannot be assured."""
    budget = AHEAD * float(worlds.runs.counted.max())
    allocations = Allocations(np.asarray(budget))
    n = choose(worlds, allocations, ["expected"]).params
    target = float(np.median(worlds.loss(n, allocations.tokens(n))))
    try:
        plan = assure(worlds, target, probability)
    except InfeasibleError:
        return None
    loss = float(law.loss({k: truth[k] for k in law.parameters}, {"params": plan.params, "tokens": plan.tokens}))
    p = {k: np.asarray(truth[k]) for k in noise.parameters}
    z = (np.log(target) - np.log(loss)) / truth["sigma"]
    luck = float(noise.draw(np.random.default_rng([seed, 83]), p, ()))
    return {
        "reached": bool(luck <= z),
        "chance": float(noise.cdf(z, p)),
        "target": target,
        "decades": float(np.log10(plan.spent / worlds.runs.counted.max())),
        "overspend": (plan.overspend or 0.0) / plan.spent,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--probability", type=float, default=0.9)
    parser.add_argument("--law", default="chinchilla")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    law, noise = specify(arguments.law, "student_t")
    pile = load_runs("pile")
    design = {"params": pile.params, "tokens": pile.tokens}
    rng = np.random.default_rng([arguments.seed, 79])
    truth = prior_values(law, noise, arguments.worlds, rng)
    points = [{k: float(v[i]) for k, v in truth.items()} for i in range(arguments.worlds)]
    frames = [simulated_frame(law, noise, p, design, rng) for p in points]
    program = program_for(law, noise, frames[0])
    rows: list[dict[str, Any]] = []
    failed = unattainable = 0
    begin = perf_counter()
    for start in range(0, arguments.worlds, CHUNK):
        part = range(start, min(start + CHUNK, arguments.worlds))
        tables = [Table.padded(frames[i], padded_length(pile.n)) for i in part]
        seeds = [arguments.seed + 13 * i for i in part]
        for i, drawn in zip(
            part, sample_tables(program, tables, Settings(draws=250), seeds, patient=False), strict=True
        ):
            if drawn.diagnostics.verdict == "failed":
                failed += 1
                continue
            table = pd.DataFrame({**design, "loss": np.exp(frames[i]["log_loss"])})
            runs = Runs(table.params.to_numpy(), table.tokens.to_numpy(), 6 * pile.params * pile.tokens, table.loss)
            row = judge(worlds_of(law, noise, drawn, runs), points[i], law, noise, arguments.probability, i)
            if row is None:
                unattainable += 1
            else:
                rows.append(row)
        done = np.mean([r["reached"] for r in rows])
        print(
            f"[{perf_counter() - begin:6.0f} s] {part[-1] + 1} worlds, {done:.3f} reached", file=sys.stderr, flush=True
        )
    frame = pd.DataFrame(rows)
    result = {
        "probability": arguments.probability,
        "worlds": len(rows),
        "left_out": {"fit_failed": failed, "unattainable": unattainable},
        "reached": float(frame.reached.mean()),
        "reached_se": float(frame.reached.std() / np.sqrt(len(frame))),
        "chance": float(frame.chance.mean()),
        "chance_se": float(frame.chance.std() / np.sqrt(len(frame))),
        "median_decades_beyond": float(frame.decades.median()),
        "mean_overspend": float(frame.overspend.mean()),
        "seconds": perf_counter() - begin,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    print(
        f"{result['worlds']} worlds: plans assured with probability {arguments.probability:g} reached their target in "
        f"{result['reached']:.3f} ± {result['reached_se']:.3f} of them; the noise averaged out, "
        f"{result['chance']:.3f} ± {result['chance_se']:.3f}. Left out: {failed} fits failed, {unattainable} targets "
        f"not to be assured. Median distance {result['median_decades_beyond']:.2f} decades. {result['seconds']:.0f} s, "
        f"{result['machine']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
