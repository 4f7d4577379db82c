"""One PyMC model sampled by this package, by `pm.sample` with NumPyro and by nutpie: seconds, ESS, ratios.

    python benchmarks/sampling.py [--data FOLDER] [--repeats 3] [--json]

Everybody samples the Chinchilla law with Student-t noise (`build("chinchilla", runs)`), 4 chains of 1000 draws,
each with its own default warm-up. The runs are the 245 digitised ones of Hoffmann et al. where
BAYES_SCALING_LOCAL_DATA or `--data` names a folder that holds `chinchilla_epoch.csv`; else as many simulated ones.

Warm: one process each, as a user of each would have it, kept alive and taking turns; timed after one run that is not
counted; nutpie's model is compiled once. Cold: a new process for each run, an empty compilation cache (JAX's,
PyTensor's, Numba's), byte code compiled; the clock runs from asking for the process to having the draws. Warm-up is
paid for. Ours is timed with its own verdict, theirs without one. Nutpie's own default warm-up is shorter than that of
`pm.sample`; `--nutpie-tune 1000` gives it the latter. The ESS that counts is the lowest of bulk and tail over the
model's free parameters. Figures are medians over the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

import numpy as np
from process import Process

from bayes_scaling import load_runs
from bayes_scaling.runs.runs import Runs

CHAINS, DRAWS = 4, 1000
LAW = "chinchilla"
SAMPLERS = ("ours", "numpyro", "nutpie")
FREE = ("E", "gap_params", "gap_tokens", "alpha", "beta", "sigma", "nu")
PACKAGES = ("bayes-scaling", "pymc", "jax", "numpyro", "nutpie")

Posterior = dict[str, np.ndarray]


def simulated(n: int = 245, seed: int = 0) -> Runs:
    """Runs from published constants on a design like that of the digitised ones: 40M to 16B parameters."""
    import pandas as pd

    from bayes_scaling.laws.registry import get_law

    rng = np.random.default_rng(seed)
    law = get_law(LAW)
    flops = 10 ** rng.uniform(18.5, 21.5, n)
    params = np.clip(np.sqrt(flops / 120) * 10 ** rng.normal(0, 0.4, n), 4e7, 1.6e10)
    tokens = flops / (6 * params)
    curve = law.loss(law.published[1].values, {"params": params, "tokens": tokens})
    loss = np.round(curve * np.exp(0.004 * rng.standard_t(2, n)), 4)
    table = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
    return load_runs(table, name=f"{n} simulated runs (no digitised ones were given)")


def table_of(folder: Path | None) -> Runs:
    import pandas as pd

    if folder is None:
        return simulated()
    frame = pd.read_csv(folder / "chinchilla_epoch.csv")
    kept = frame[["params", "tokens", "loss"]]
    return load_runs(kept, name=f"{len(kept)} digitised Chinchilla runs")


def sampler(name: str, runs: Runs, tune: int | None = None) -> Callable[[int], tuple[Posterior, int]]:
    """A function of the seed that gives the draws by name, dims (chain, draw), and the divergences.

    What is done here, before the function is called, is done once in a process.
    """
    if name == "ours":
        from bayes_scaling import fit

        def ours(seed: int) -> tuple[Posterior, int]:
            result = fit(runs, LAW, chains=CHAINS, draws=DRAWS, random_seed=seed, cache=False)
            return drawn(result.idata)

        return ours

    from bayes_scaling import build

    model = build(LAW, runs)
    if name == "numpyro":
        import pymc as pm

        def numpyro(seed: int) -> tuple[Posterior, int]:
            with model:
                tree = pm.sample(
                    DRAWS,
                    chains=CHAINS,
                    nuts_sampler="numpyro",
                    random_seed=seed,
                    progressbar=False,
                    compute_convergence_checks=False,
                    idata_kwargs={"log_likelihood": False},
                )
            return drawn(tree)

        return numpyro

    import nutpie

    compiled = nutpie.compile_pymc_model(model)

    def with_nutpie(seed: int) -> tuple[Posterior, int]:
        return drawn(nutpie.sample(compiled, draws=DRAWS, tune=tune, chains=CHAINS, seed=seed, progress_bar=False))

    return with_nutpie


def drawn(tree: Any) -> tuple[Posterior, int]:
    values = {name: np.asarray(tree["posterior"][name]) for name in FREE}
    return values, int(np.asarray(tree["sample_stats"]["diverging"]).sum())


def judged(posterior: Posterior, divergences: int, seconds: float) -> dict[str, float]:
    from bayes_scaling.inference.diagnostics import ess_and_rhat

    figures = [ess_and_rhat(value) for value in posterior.values()]
    ess = min(min(bulk, tail) for bulk, tail, _ in figures)
    return {
        "seconds": seconds,
        "ess": ess,
        "ess_per_second": ess / seconds,
        "divergences": divergences,
        "rhat": max(rhat for _, _, rhat in figures),
    }


def serve(name: str, runs: Runs, tune: int | None) -> None:
    """Answer each seed on standard input with one run's figures, as a line of JSON; `started` counts from then."""
    run = sampler(name, runs, tune)
    for line in sys.stdin:
        asked = json.loads(line)
        begin = asked.get("started", time())
        posterior, divergences = run(asked["seed"])
        print(json.dumps(judged(posterior, divergences, time() - begin)), flush=True)


class Worker(Process):
    """One sampler in a process of its own, with a compilation cache that begins empty."""

    def __init__(self, name: str, folder: Path | None, tune: int | None) -> None:
        self._empty = tempfile.TemporaryDirectory()
        empty = self._empty.name
        surroundings = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        surroundings |= {
            "BAYES_SCALING_CACHE": empty,
            "PYTENSOR_FLAGS": f"base_compiledir={empty}",
            "NUMBA_CACHE_DIR": empty,
        }
        words = [sys.executable, __file__, "--serve", name]
        words += ["--data", str(folder)] if folder else ["--simulated"]
        words += ["--nutpie-tune", str(tune)] if tune else []
        self.started = time()
        super().__init__(name, words, surroundings)

    def close(self) -> None:
        super().close()
        self._empty.cleanup()


Turns = dict[str, list[dict[str, float]]]


def warm(names: list[str], folder: Path | None, tune: int | None, repeats: int) -> Turns:
    found: Turns = {name: [] for name in names}
    workers = []
    try:
        for name in names:
            workers.append(Worker(name, folder, tune))
            workers[-1].ask({"seed": 1})
        for turn in range(repeats):
            for worker in workers:
                found[worker.name].append(worker.ask({"seed": 100 + turn}))
    finally:
        for worker in workers:
            worker.close()
    return found


def cold(names: list[str], folder: Path | None, tune: int | None, repeats: int) -> Turns:
    found: Turns = {name: [] for name in names}
    for turn in range(repeats):
        for name in names:
            worker = Worker(name, folder, tune)
            try:
                found[name].append(worker.ask({"seed": 200 + turn, "started": worker.started}))
            finally:
                worker.close()
    return found


def middle(turns: list[dict[str, float]], key: str) -> float:
    return statistics.median(turn[key] for turn in turns)


def ratio(found: Turns) -> float | None:
    """Our ESS per second over the better competitor's; None without one."""
    others = [middle(turns, "ess_per_second") for name, turns in found.items() if name != "ours"]
    return middle(found["ours"], "ess_per_second") / max(others) if others else None


def machine() -> dict[str, Any]:
    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    chip = platform.processor() or platform.machine()
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        names = [v for k, _, v in (x.partition(":") for x in lines.read_text().splitlines()) if "model name" in k]
        chip = names[0].strip() if names else chip
    return {
        "date": date.today().isoformat(),
        "cores": count,
        "processor": chip,
        "load": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in PACKAGES},
    }


def report(runs: Runs, found: dict[str, Turns], repeats: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        "runs": runs.name,
        "n": runs.n,
        "chains": CHAINS,
        "draws": DRAWS,
        "repeats": repeats,
    }
    for kind in ("warm", "cold"):
        turns = found.get(kind, {})
        out[f"ratio_{kind}"] = ratio(turns) if turns else None
        for name in SAMPLERS:
            for key in ("seconds", "ess", "ess_per_second", "divergences", "rhat"):
                out[f"{key}_{kind}_{name}"] = middle(turns[name], key) if name in turns else None
        out[f"turns_{kind}"] = turns
    return out | {"machine": machine()}


def table(result: dict[str, Any]) -> str:
    on = result["machine"]
    lines = [
        f"{result['runs']}, {LAW}, {CHAINS} x {DRAWS} draws, medians of {result['repeats']}",
        f"{on['cores']} cores of {on['processor']}, load {on['load']}, {on['date']}",
        f"{'':5} {'sampler':8} {'seconds':>8} {'ESS':>7} {'ESS/s':>8} {'divergent':>10} {'R-hat':>7}",
    ]
    for kind in ("warm", "cold"):
        for name in SAMPLERS:
            s, ess, rate, bad, rhat = (
                result[f"{key}_{kind}_{name}"] for key in ("seconds", "ess", "ess_per_second", "divergences", "rhat")
            )
            if s is not None:
                lines.append(f"{kind:5} {name:8} {s:8.2f} {ess:7.0f} {rate:8.1f} {bad:10.0f} {rhat:7.4f}")
        if result[f"ratio_{kind}"] is not None:
            lines.append(f"{kind:5} ours over the better of the others: {result[f'ratio_{kind}']:.1f} times")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("warm", "cold"), help="leave the other out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nutpie-tune", type=int, help="nutpie's warm-up (default: its own)")
    parser.add_argument("--simulated", action="store_true", help="simulated runs, whatever data there is")
    parser.add_argument("--serve", choices=SAMPLERS, help=argparse.SUPPRESS)
    words = parser.parse_args()
    folder = None if words.simulated or not words.data else Path(words.data)
    if folder and not (folder / "chinchilla_epoch.csv").exists():
        folder = None
    runs = table_of(folder)
    if words.serve:
        serve(words.serve, runs, words.nutpie_tune)
        return
    names = [n for n in SAMPLERS if n == "ours" or find_spec(n)]
    found = {}
    if words.only != "cold":
        found["warm"] = warm(names, folder, words.nutpie_tune, words.repeats)
    if words.only != "warm":
        found["cold"] = cold(names, folder, words.nutpie_tune, words.repeats)
    result = report(runs, found, words.repeats)
    print(json.dumps(result, indent=1) if words.json else table(result))


if __name__ == "__main__":
    main()
