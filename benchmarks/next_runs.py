"""Three rounds of four suggested runs, refitted each round, against a grid of three budgets by four sizes.

    python benchmarks/next_runs.py [--worlds 100] [--arms within,free] [--json]

Each world has constants of a Chinchilla law of its own and Student-t noise of 0.3 to 1 %. Both arms begin with the
same six small runs; the grid then spends its FLOP at once, and the suggestions a third of that sum in each round. Asked
for is log N* two decades beyond the grid's largest budget. "within" keeps suggestions to the grid's range of tokens per
parameter, "free" does not. All arms are fitted under the package's default priors, which know nothing of the worlds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling import load_runs
from bayes_scaling.base.progress import reporting
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.experiments.candidates import Box, Candidates
from bayes_scaling.experiments.selection import best_batch
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.prediction.drawing import LawDraws, pooled
from bayes_scaling.prediction.optimum import optimal_params
from bayes_scaling.runs.runs import Runs
from bayes_scaling.validation.forward import flat

LAW, NOISE = specify("chinchilla")
# Median and log spread of the worlds' constants: what fits of the public tables leave open.
WORLD = {
    "E": (1.75, 0.08),
    "gap_params": (0.40, 0.15),
    "gap_tokens": (0.40, 0.15),
    "alpha": (0.34, 0.10),
    "beta": (0.31, 0.12),
}
SIGMA, SIGMA_SPREAD, NU = 0.0055, 0.3, 4.0
START = (np.array([3e16, 1e17]), np.array([8.0, 20.0, 50.0]))
GRID = (np.array([3e17, 1e18, 3e18]), np.geomspace(5, 80, 4))
TARGET = 100 * GRID[0].max()
ROUNDS, PER_ROUND = 3, 4
# Tokens per parameter of suggested runs.
ARMS = {"within": (5.0, 80.0), "free": (0.2, 2000.0)}
FITTING = Settings(draws=250, chains=4)


def factorial(costs: np.ndarray, ratios: np.ndarray) -> Candidates:
    c, r = (v.ravel() for v in np.meshgrid(costs, ratios))
    n = np.sqrt(c / (6 * r))
    return Candidates(n, n * r, c)


def together(a: Candidates, b: Candidates) -> Candidates:
    return Candidates(*(np.concatenate([getattr(a, k), getattr(b, k)]) for k in ("params", "tokens", "flops")))


@dataclass(frozen=True, eq=False)
class World:
    """One truth, and what runs in it show: noise of their own for each arm and round."""

    values: dict[str, float]
    seed: int

    @property
    def answer(self) -> float:
        values = {k: np.array([v]) for k, v in self.values.items()}
        return float(np.log(optimal_params(LAW, values, np.array([TARGET]))[0, 0]))

    def seen(self, runs: Candidates, arm: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, arm, len(runs), 5])
        curve = LAW.loss({k: self.values[k] for k in LAW.parameters}, {"params": runs.params, "tokens": runs.tokens})
        own = {k: np.asarray(self.values[k]) for k in NOISE.parameters}
        return np.asarray(np.log(curve) + self.values["sigma"] * NOISE.draw(rng, own, (len(runs),)))


def worlds(n: int, seed: int) -> list[World]:
    out = []
    for i in range(n):
        rng = np.random.default_rng([seed, i, 3])
        values = {k: float(m * np.exp(s * rng.standard_normal())) for k, (m, s) in WORLD.items()}
        sigma = float(np.clip(SIGMA * np.exp(SIGMA_SPREAD * rng.standard_normal()), 0.003, 0.01))
        out.append(World(values | {"sigma": sigma, "nu": NU}, 1000 * seed + i))
    return out


def frame(runs: Candidates, log_loss: np.ndarray) -> dict[str, np.ndarray]:
    log_c = np.log10(runs.flops)
    return {
        "params": runs.params,
        "tokens": runs.tokens,
        "log_loss": log_loss,
        "log_loss_sd": np.zeros_like(log_loss),
        "decades": log_c - log_c.mean(),
    }


def made_of(runs: Candidates, log_loss: np.ndarray) -> Runs:
    """A table of runs that were made."""
    return load_runs(pd.DataFrame({"params": runs.params, "tokens": runs.tokens, "loss": np.exp(log_loss)}))


def fitted(frames: Sequence[dict[str, np.ndarray]], seed: int) -> list[LawDraws]:
    """Posteriors of all tables at once."""
    length = padded_length(max(len(f["log_loss"]) for f in frames))
    tables = [Table.padded(f, length) for f in frames]
    program = program_for(LAW, NOISE, frames[0])
    drawn = sample_tables(program, tables, FITTING, [seed + 7 * i for i in range(len(tables))], patient=False)
    return [LawDraws(LAW, NOISE, flat(d)) for d in drawn]


def log_optima(member: LawDraws) -> np.ndarray:
    """Log N* of each draw, dims (draw,)."""
    return np.log(optimal_params(LAW, {k: member.values[k] for k in LAW.parameters}, np.array([TARGET]))[:, 0])


def judged(members: Sequence[LawDraws], truths: Sequence[World], ci: float = 0.9) -> list[dict[str, float]]:
    rows = []
    for member, world in zip(members, truths, strict=True):
        q = log_optima(member)
        low, middle, high = np.quantile(q, [(1 - ci) / 2, 0.5, (1 + ci) / 2])
        covered = float(low <= world.answer <= high)
        rows.append({"error": float(middle - world.answer), "covered": covered, "width": float(high - low)})
    return rows


def adaptive(
    truths: Sequence[World],
    begun: Sequence[tuple[Candidates, np.ndarray]],
    members: Sequence[LawDraws],
    limits: Box,
    budget: float,
    arm: int,
    seconds: list[float],
    foretold: list[tuple[float, float]],
) -> tuple[list[LawDraws], list[Candidates]]:
    """Three rounds of suggestions; the posterior after the last, and all runs.

    `foretold` takes, of each choice, the variance of log N* that was expected to be left, and that which was.
    """
    state, members = list(begun), list(members)
    for turn in range(ROUNDS):
        expected: list[float] = []
        for i, world in enumerate(truths):
            begin = perf_counter()
            beliefs, quantity = pooled([members[i]], made_of(*state[i])), log_optima(members[i])[:, None]
            spent = state[i][0].flops[len(begun[i][0]) :].sum()
            left = budget * (turn + 1) / ROUNDS - spent
            choice = best_batch(beliefs, quantity, limits, PER_ROUND, left, random_seed=turn)
            seconds.append(perf_counter() - begin)
            expected.append(float(quantity.var() - choice.gains.sum()))
            batch = choice.batch
            state[i] = together(state[i][0], batch), np.concatenate([state[i][1], world.seen(batch, 10 * arm + turn)])
        members = fitted([frame(*s) for s in state], 100 * arm + turn)
        foretold += [(e, float(log_optima(m).var())) for e, m in zip(expected, members, strict=True)]
        print(f"arm {arm}, round {turn + 1}", file=sys.stderr, flush=True)
    return members, [s[0] for s in state]


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    error = np.array([r["error"] for r in rows])
    n = len(error)
    rms = float(np.sqrt((error**2).mean()))
    coverage = float(np.mean([r["covered"] for r in rows]))
    return {
        "rms": rms,
        "rms_se": float(np.std(error**2, ddof=1) / np.sqrt(n) / (2 * rms)),
        "bias": float(error.mean()),
        "coverage_90": coverage,
        "coverage_90_se": float(np.sqrt(0.9 * 0.1 / n)),
        "width": float(np.median([r["width"] for r in rows])),
    }


def lower(
    ours: Sequence[dict[str, float]], grid: Sequence[dict[str, float]], rng: np.random.Generator
) -> tuple[float, float]:
    """How much lower our rms error is, as a share of the grid's, and its bootstrap standard error over worlds."""
    a, b = (np.array([r["error"] for r in rows]) for rows in (ours, grid))
    pick = rng.integers(0, len(a), (2000, len(a)))
    ratio = np.sqrt((a[pick] ** 2).mean(axis=1) / (b[pick] ** 2).mean(axis=1))
    return float(1 - np.sqrt((a**2).mean() / (b**2).mean())), float(ratio.std())


def run(n: int, seed: int, arms: Sequence[str] = tuple(ARMS)) -> dict[str, Any]:
    begin = perf_counter()
    truths = worlds(n, seed)
    start, grid = factorial(*START), factorial(*GRID)
    budget = float(grid.flops.sum())
    begun = [(start, w.seen(start, 0)) for w in truths]
    first = fitted([frame(*b) for b in begun], seed)
    whole = together(start, grid)
    gridded = fitted(
        [frame(whole, np.concatenate([b[1], w.seen(grid, 1)])) for b, w in zip(begun, truths, strict=True)], seed + 1
    )
    results = {"start": judged(first, truths), "grid": judged(gridded, truths)}
    print("grid", summary(results["grid"]), f"{perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    seconds: list[float] = []
    foretold: list[tuple[float, float]] = []
    designs = {}
    box = (float(start.params.min()), 1e12), (float(start.tokens.min()), 1e15)
    for arm, (name, ratio) in enumerate(ARMS.items(), 2):
        if name not in arms:
            continue
        wide = ((1e6, 1e12), (1e7, 1e15)) if name == "free" else box
        members, runs = adaptive(truths, begun, first, Box(*wide, ratio), budget, arm, seconds, foretold)
        results[name] = judged(members, truths)
        designs[name] = runs
        print(name, summary(results[name]), f"{perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    rng = np.random.default_rng([seed, 9])
    improvement = {}
    for name in arms:
        value, error = lower(results[name], results["grid"], rng)
        improvement[name] = {"lower_by": value, "se": error}
    return {
        "worlds": n,
        "target_flops": TARGET,
        "runs_flops": budget,
        "arms": {name: summary(rows) for name, rows in results.items()},
        "improvement": improvement,
        "rows": results,
        "spent": {name: float(np.mean([r.flops[len(start) :].sum() for r in runs])) for name, runs in designs.items()},
        "variance_left_over_foretold": float(np.divide(*np.mean(foretold, axis=0)[::-1])),
        "seconds_per_choice": float(np.median(seconds)),
        "seconds": perf_counter() - begin,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with reporting(False):
        result = run(arguments.worlds, arguments.seed, arguments.arms.split(","))
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    for name, arm in result["arms"].items():
        print(
            f"{name:8s} rms error of log N* {arm['rms']:.3f} ± {arm['rms_se']:.3f}, bias {arm['bias']:+.3f}, "
            f"90 % coverage {arm['coverage_90']:.2f} ± {arm['coverage_90_se']:.2f}, median width {arm['width']:.2f}"
        )
    for name, value in result["improvement"].items():
        print(f"{name}: {100 * value['lower_by']:.0f} ± {100 * value['se']:.0f} % lower than the grid")
    print(f"variance left over what was foretold: {result['variance_left_over_foretold']:.2f}")
    print(f"{result['seconds_per_choice']:.2f} s a choice; {result['seconds']:.0f} s, {result['machine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
