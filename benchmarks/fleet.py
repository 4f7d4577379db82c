"""A thousand posteriors of one law: seconds each, against loops of other samplers and against bootstraps.

    python benchmarks/fleet.py [--tables 1000] [--turns 4] [--data FOLDER] [--dask] [--only-ours] [--json]

Every table has 245 runs simulated from Besiroglu et al.'s constants at the digitised design of Hoffmann et al. (their N
and D, where BAYES_SCALING_LOCAL_DATA or `--data` names a folder that holds `chinchilla_epoch.csv`; else as many runs of
like spread), with Student-t noise of the scale and tails found there. Ours: `fleet(tables, "chinchilla")`, 4 chains of
500 draws after warm-up, from DataFrames to verdicts. The tables are shared out over the turns; in each turn the
others have their go, in processes of their own, kept alive, after one run that is not counted:

- a plain loop of `pm.sample` with NumPyro, a model for each table; 4 x 500 draws, its default warm-up;
- nutpie, compiled once and given each table's data; 4 x 500 draws, its default warm-up;
- one bootstrap replicate as Besiroglu et al. (2024) make 4,000 of: runs drawn again, the Huber loss (delta 1e-3) of the
  log-sum-exp form minimised by L-BFGS from a point of Hoffmann et al.'s grid, gradients by differences;
- a thousand bootstrap draws of least squares: `scipy.optimize.least_squares` from the best fit, with exact derivatives;
- a thousand bootstrap draws by `simple-scaling-laws`, where it is installed.

`floor_ratio`: our seconds over those of the gradients alone, as many as were needed (warm-up and redone members
included), each at its measured cost in one compiled loop on one core, shared by all cores. Medians over the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from process import Process
from sampling import machine, simulated
from start import gradient_seconds

from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.runs import Runs

LAW, CHAINS, DRAWS = "chinchilla", 4, 500
# Scale and tails of the digitised runs' scatter about the law (posterior means).
SIGMA, NU = 0.0037, 1.63
RHAT = 1.01
# delta of the Huber loss, and the grid of starts: Hoffmann et al. (2022), appendix D.3.
DELTA = 1e-3
GRID = {
    "alpha": (0.0, 0.5, 1.0, 1.5, 2.0),
    "beta": (0.0, 0.5, 1.0, 1.5, 2.0),
    "e": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "a": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    "b": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
}
OTHERS = {"numpyro": "numpyro", "nutpie": "nutpie", "huber": "scipy", "least_squares": "scipy"}
OTHERS |= {"simple_scaling_laws": "simple_scaling_laws"}


def design(folder: Path | None) -> tuple[pd.DataFrame, str]:
    if folder is not None and (folder / "chinchilla_epoch.csv").exists():
        return pd.read_csv(folder / "chinchilla_epoch.csv")[["params", "tokens"]], "the digitised Chinchilla design"
    return simulated().to_frame()[["params", "tokens"]], "a simulated design (no digitised one was given)"


def table(base: pd.DataFrame, seed: int) -> pd.DataFrame:
    law = get_law(LAW)
    curve = law.loss(law.published[1].values, {k: base[k].to_numpy(float) for k in ("params", "tokens")})
    noise = SIGMA * np.random.default_rng([71, seed]).standard_t(NU, len(base))
    return base.assign(loss=curve * np.exp(noise))


# --- ours ----------------------------------------------------------------------------------------------


def ours(tables: dict[str, pd.DataFrame], executor: Any = None) -> dict[str, Any]:
    import bayes_scaling as bs

    cpu, begin = process_time(), perf_counter()
    result = bs.fleet(tables, LAW, draws=DRAWS, chains=CHAINS, executor=executor)
    seconds, cpu = perf_counter() - begin, process_time() - cpu
    rows = result.diagnostics
    return {
        "seconds": seconds / len(tables),
        "cpu_seconds": cpu / len(tables),
        "gradients": float(rows["gradients"].astype(float).mean()),
        "rhat_ok": rows["rhat_first"].astype(float).le(RHAT).tolist(),
        "redone": int(rows["redone"].sum()),
        "failed": len(result.failed),
        "ess": rows[["ess_bulk_min", "ess_tail_min"]].astype(float).min(axis=1).tolist(),
        "parts": {k: v / len(tables) for k, v in result.seconds.items()},
    }


# --- the others ----------------------------------------------------------------------------------------


def other(name: str, base: pd.DataFrame) -> Callable[[int], None]:
    """A function of the table's seed, that is one posterior, replicate, or bootstrap."""
    if name == "numpyro":
        return lambda seed: _numpyro(load_runs(table(base, seed)), seed)
    if name == "nutpie":
        return _nutpie(base)
    if name == "huber":
        return lambda seed: _huber(table(base, seed), seed)
    if name == "simple_scaling_laws":
        return lambda seed: _simple_scaling_laws(table(base, seed), seed)
    return lambda seed: _least_squares(table(base, seed), seed)


def _numpyro(runs: Runs, seed: int) -> None:
    import pymc as pm

    from bayes_scaling import build

    with build(LAW, runs):
        pm.sample(
            DRAWS,
            chains=CHAINS,
            nuts_sampler="numpyro",
            random_seed=seed,
            progressbar=False,
            compute_convergence_checks=False,
            idata_kwargs={"log_likelihood": False},
        )


def _nutpie(base: pd.DataFrame) -> Callable[[int], None]:
    import nutpie

    from bayes_scaling import build
    from bayes_scaling.engine.model import columns, specify

    law, noise = specify(LAW)
    compiled = nutpie.compile_pymc_model(build(LAW, load_runs(table(base, 0))))
    used = {str(variable.name) for variable in compiled.shared_var_keys}

    def sample(seed: int) -> None:
        frame = columns(law, noise, load_runs(table(base, seed)))
        mine = compiled.with_data(**{name: values for name, values in frame.items() if name in used})
        nutpie.sample(mine, draws=DRAWS, chains=CHAINS, seed=seed, progress_bar=False)

    return sample


def _huber(frame: pd.DataFrame, seed: int) -> None:
    from scipy.optimize import minimize
    from scipy.special import huber, logsumexp

    picked = frame.sample(len(frame), replace=True, random_state=seed)
    log_n, log_d, log_l = (np.log(picked[k].to_numpy(float)) for k in ("params", "tokens", "loss"))
    ones = np.ones_like(log_n)

    def objective(v: np.ndarray) -> float:
        a, b, e, alpha, beta = v
        curve = logsumexp(np.stack([a - alpha * log_n, b - beta * log_d, e * ones]), axis=0)
        return float(huber(DELTA, curve - log_l).sum())

    minimize(objective, START, method="L-BFGS-B")


# The point of the grid nearest to Besiroglu et al.'s constants: log 482, log 2085, log 1.82, 0.35, 0.37.
START = np.array(
    [
        min(GRID[name], key=lambda v, t=target: abs(v - t))
        for name, target in (("a", 6.18), ("b", 7.64), ("e", 0.6), ("alpha", 0.35), ("beta", 0.37))
    ]
)


def _simple_scaling_laws(frame: pd.DataFrame, seed: int, count: int = 1000) -> None:
    import polars as pl
    from simple_scaling_laws import fit

    names = [f"run {i}" for i in range(len(frame))]
    columns = {
        "training_run_id": names,
        "train_set_id": names,
        "test_set_id": ["one"] * len(names),
        "optimizer_seed": list(range(len(names))),
        "model_size__n_params": frame["params"].to_list(),
        "dataset_size__n_subjects": frame["tokens"].to_list(),
        "test_loss__loss": frame["loss"].to_list(),
    }
    fit(pl.DataFrame(columns), law="separable-power", n_draws=count, seed=seed)


def _least_squares(frame: pd.DataFrame, seed: int, count: int = 1000) -> None:
    from scipy.optimize import least_squares

    rng = np.random.default_rng(seed)
    params, tokens, loss = (frame[k].to_numpy(float) for k in ("params", "tokens", "loss"))
    log_n, log_d = np.log(params), np.log(tokens)
    start = np.array([np.log(482.01), np.log(2085.43), np.log(1.8169), 0.3478, 0.3659])

    def terms(v: np.ndarray, i: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        return np.exp(v[0] - v[3] * log_n[i]), np.exp(v[1] - v[4] * log_d[i]), float(np.exp(v[2]))

    def residual(v: np.ndarray, i: np.ndarray) -> np.ndarray:
        n, d, e = terms(v, i)
        return n + d + e - loss[i]

    def jacobian(v: np.ndarray, i: np.ndarray) -> np.ndarray:
        n, d, e = terms(v, i)
        return np.stack([n, d, np.full_like(n, e), -n * log_n[i], -d * log_d[i]], axis=1)

    best = least_squares(residual, start, jac=jacobian, method="lm", args=(np.arange(len(loss)),)).x
    for _ in range(count):
        picked = rng.integers(0, len(loss), len(loss))
        least_squares(residual, best, jac=jacobian, method="lm", args=(picked,))


def process(name: str, folder: Path | None) -> Process:
    """One of the others in a process of its own; asked with a seed, it answers with the seconds, wall and CPU."""
    return Process(
        name, [sys.executable, __file__, "--serve", name, *(["--data", str(folder)] if folder else ["--simulated"])]
    )


def serve(name: str, base: pd.DataFrame) -> None:
    run = other(name, base)
    for line in sys.stdin:
        cpu, begin = process_time(), perf_counter()
        run(int(line))
        print(json.dumps({"seconds": perf_counter() - begin, "cpu_seconds": process_time() - cpu}), flush=True)


# --- putting it together -------------------------------------------------------------------------------


def measured(base: pd.DataFrame, count: int, turns: int, names: list[str], folder: Path | None) -> dict[str, Any]:
    processes = {name: process(name, folder) for name in names}
    mine: list[dict[str, Any]] = []
    theirs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    gradient: list[float] = []
    shares = np.array_split(np.arange(count), turns)
    try:
        for one in processes.values():
            one.ask(10**6)
        ours({f"warm {i}": table(base, 10**6 + i) for i in range(8)})
        for turn, share in enumerate(shares):
            gradient.append(gradient_seconds(LAW, load_runs(table(base, 0)), 20))
            mine.append(ours({f"table {i}": table(base, int(i)) for i in share}))
            for name, one in processes.items():
                theirs[name].append(one.ask(turn))
    finally:
        for one in processes.values():
            one.close()
    return {"ours": mine, "others": theirs, "gradient_seconds": gradient}


def dask(base: pd.DataFrame, count: int) -> dict[str, float]:
    """Seconds of one fleet on one worker and on two, the same chunks, after a first fleet that is not counted."""
    from bayes_scaling import cluster

    tables = {f"table {i}": table(base, i) for i in range(count)}
    warm = {f"warm {i}": table(base, 10**6 + i) for i in range(16)}
    found = {}
    for workers in (1, 2):
        with cluster(workers=workers) as executor:
            ours(warm, executor)
            found[f"dask_seconds_{workers}"] = ours(tables, executor)["seconds"]
    return found | {"dask_speed_up": found["dask_seconds_1"] / found["dask_seconds_2"], "dask_tables": count}


def report(turns: dict[str, Any], count: int, name: str) -> dict[str, Any]:
    mine, others = turns["ours"], turns["others"]

    def middle(rows: list[dict[str, Any]], key: str) -> float | None:
        return statistics.median(row[key] for row in rows) if rows else None

    seconds = middle(mine, "seconds")
    assert seconds is not None
    gradient, needed = statistics.median(turns["gradient_seconds"]), middle(mine, "gradients")
    assert needed is not None
    on = machine()
    floor = needed * gradient / on["cores"]
    theirs = {k: middle(rows, "seconds") for k, rows in others.items()}
    cpu = {k: middle(rows, "cpu_seconds") for k, rows in others.items()}
    ok = [v for row in mine for v in row["rhat_ok"]]

    def times(value: float | None, ours: float) -> float | None:
        return None if value is None else value / ours

    mine_cpu = middle(mine, "cpu_seconds") or float("nan")
    return {
        "design": name,
        "tables": count,
        "turns": len(mine),
        "chains": CHAINS,
        "draws": DRAWS,
        "seconds_per_posterior": seconds,
        "cpu_seconds_per_posterior": mine_cpu,
        "ratio_to_pymc_loop": times(theirs.get("numpyro"), seconds),
        "ratio_to_nutpie_loop": times(theirs.get("nutpie"), seconds),
        "rhat_ok_fraction": float(np.mean(ok)),
        "floor_ratio": seconds / floor,
        "gradients_per_posterior": needed,
        "gradient_seconds": gradient,
        "ess_min_median": float(np.nanmedian([v for row in mine for v in row["ess"]])),
        "redone": sum(row["redone"] for row in mine),
        "failed": sum(row["failed"] for row in mine),
        "seconds_pymc_loop": theirs.get("numpyro"),
        "seconds_nutpie_loop": theirs.get("nutpie"),
        "seconds_huber_replicate": theirs.get("huber"),
        "posterior_in_huber_replicates": None if not theirs.get("huber") else seconds / theirs["huber"],
        "cpu_seconds_least_squares_1000": cpu.get("least_squares"),
        "cpu_share_of_least_squares": None if not cpu.get("least_squares") else mine_cpu / cpu["least_squares"],
        "cpu_seconds_simple_scaling_laws_1000": cpu.get("simple_scaling_laws"),
        "cpu_share_of_simple_scaling_laws": (
            None if not cpu.get("simple_scaling_laws") else mine_cpu / cpu["simple_scaling_laws"]
        ),
        "seconds_by_part": {k: statistics.median(row["parts"][k] for row in mine) for k in mine[0]["parts"]},
        "turns_of_others": others,
        "machine": on,
    }


def text(result: dict[str, Any]) -> str:
    on = result["machine"]

    def said(key: str, form: str = ".3g") -> str:
        return "not measured" if result.get(key) is None else format(result[key], form)

    rows = [
        ("seconds a posterior", "seconds_per_posterior"),
        ("CPU seconds a posterior", "cpu_seconds_per_posterior"),
        ("R-hat at most 1.01 before any redo, share", "rhat_ok_fraction"),
        ("redone", "redone"),
        ("failed", "failed"),
        ("lowest ESS of a posterior, median", "ess_min_median"),
        ("gradients a posterior", "gradients_per_posterior"),
        ("seconds a gradient, one core", "gradient_seconds"),
        ("times the gradients' own cost", "floor_ratio"),
        ("pm.sample (NumPyro) loop, seconds a posterior", "seconds_pymc_loop"),
        ("   times ours", "ratio_to_pymc_loop"),
        ("nutpie, compiled once, seconds a posterior", "seconds_nutpie_loop"),
        ("   times ours", "ratio_to_nutpie_loop"),
        ("one Huber bootstrap replicate, seconds", "seconds_huber_replicate"),
        ("   our posterior costs so many", "posterior_in_huber_replicates"),
        ("1,000 least-squares draws, CPU seconds", "cpu_seconds_least_squares_1000"),
        ("   our posterior costs this share of the CPU", "cpu_share_of_least_squares"),
        ("1,000 draws of simple-scaling-laws, CPU seconds", "cpu_seconds_simple_scaling_laws_1000"),
        ("   our posterior costs this share of the CPU", "cpu_share_of_simple_scaling_laws"),
        ("Dask, one worker to two: times faster", "dask_speed_up"),
    ]
    head = [
        f"{result['tables']} tables of 245 runs on {result['design']}",
        f"{CHAINS} x {DRAWS} draws, {result['turns']} turns",
        f"{on['cores']} cores of {on['processor']}, load {on['load']}, {on['date']}",
    ]
    return "\n".join([*head, *(f"{label:50} {said(key):>14}" for label, key in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--only-ours", action="store_true", help="leave the others out")
    parser.add_argument("--dask", action="store_true", help="time one and two local Dask workers, too")
    parser.add_argument("--simulated", action="store_true", help="a simulated design, whatever data there is")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=OTHERS, help=argparse.SUPPRESS)
    words = parser.parse_args()
    folder = None if words.simulated or not words.data else Path(words.data)
    base, name = design(folder)
    if words.serve:
        serve(words.serve, base)
        return
    names = [] if words.only_ours else [n for n, module in OTHERS.items() if find_spec(module)]
    result = report(measured(base, words.tables, words.turns, names, folder), words.tables, name)
    result |= dask(base, words.tables) if words.dask else {}
    print(json.dumps(result, indent=1) if words.json else text(result))


if __name__ == "__main__":
    main()
