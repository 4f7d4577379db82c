"""Two estimates of log evidence against each other and against closed forms: do they agree, how sure, at what cost?

    python benchmarks/evidence.py [--data FOLDER] [--laws A,B] [--seed 0] [--json]

Models with a closed form, then each law on the bundled Pile runs, and, where FOLDER (or BAYES_SCALING_LOCAL_DATA) has
them, on the digitised Chinchilla runs and the OpenEuroLLM runs. For each: bridge and nested estimate, their difference
in combined standard errors, the CPU seconds of each (compiling included, and in a second run without), and the
standard error of a bridge log Bayes factor. Importance sampling from the same draws is a third witness.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaln, gammaln

from bayes_scaling import Runs, fit, load_runs
from bayes_scaling.base.progress import reporting
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.program import program_of
from bayes_scaling.evidence.bridge import LogEvidence, log_evidence, log_evidence_of
from bayes_scaling.evidence.importance import importance_evidence
from bayes_scaling.evidence.nested import LIVE, nested_evidence_of, nested_log_evidence
from bayes_scaling.evidence.variations import as_fitted, varied_draws, varied_program, varied_table
from bayes_scaling.inference.sampling import sample_tables
from bayes_scaling.laws.prior_draws import model_prior_points
from bayes_scaling.laws.registry import STANDARD

AGREE, MOST_SD, MOST_CPU = 3.0, 0.1, 5.0


def regression() -> tuple[Any, float]:
    """Linear regression of unknown variance under a normal-inverse-gamma prior; log evidence in closed form."""
    import pymc as pm

    rng = np.random.default_rng(11)
    n, a0, b0, v0 = 40, 3.0, 0.5, 2.0
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    y = x @ np.array([0.5, -0.7, 0.2]) + 0.3 * rng.standard_normal(n)
    with pm.Model() as model:
        variance = pm.InverseGamma("variance", alpha=a0, beta=b0)
        b = pm.Normal("b", 0.0, pm.math.sqrt(v0 * variance), shape=3)
        pm.Normal("y", pm.math.dot(x, b), pm.math.sqrt(variance), observed=y)
    precision = x.T @ x + np.eye(3) / v0
    mean = np.linalg.solve(precision, x.T @ y)
    a, scale = a0 + n / 2, b0 + 0.5 * (y @ y - mean @ precision @ mean)
    truth = -n / 2 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1] - 1.5 * np.log(v0)
    return model, float(truth + a0 * np.log(b0) - a * np.log(scale) + gammaln(a) - gammaln(a0))


def rates() -> tuple[Any, float]:
    """Success rates with few trials: on the log-odds scale the posterior is skewed."""
    import pymc as pm

    trials, seen = np.array([5, 8, 12]), np.array([0, 3, 1])
    with pm.Model() as model:
        rate = pm.Beta("rate", 1.0, 2.0, shape=3)
        pm.Binomial("seen", trials, rate, observed=seen)
    log_choose = gammaln(trials + 1) - gammaln(seen + 1) - gammaln(trials - seen + 1)
    return model, float((log_choose + betaln(1 + seen, 2 + trials - seen) - betaln(1.0, 2.0)).sum())


def tables(folder: Path | None) -> Iterator[Runs]:
    """The bundled Pile runs, and two larger public tables where they lie in the folder."""
    yield load_runs("pile")
    keep = ["params", "tokens", "flops", "loss"]
    for name, rows in (("chinchilla_epoch", "epoch_excluded == 0"), ("openeurollm_best", "flag.isna()")):
        path = folder / f"{name}.csv" if folder else None
        if path and path.exists():
            frame = pd.read_csv(path).query(rows, engine="python")
            yield load_runs(frame[[c for c in keep if c in frame]].reset_index(drop=True), name=name)


def timed(what: Callable[[], LogEvidence]) -> tuple[LogEvidence, float]:
    """The estimate and its CPU seconds, all threads."""
    begin = process_time()
    return what(), process_time() - begin


def row_of(name: str, law: str, bridge: LogEvidence, nested: LogEvidence, truth: float | None) -> dict[str, Any]:
    def apart(a: float, b: float, *sds: float) -> float:
        return float(abs(a - b) / max(np.hypot(*sds) if len(sds) > 1 else sds[0], 1e-12))

    return {
        "table": name,
        "law": law,
        "bridge": bridge.value,
        "bridge_sd": bridge.sd,
        "nested": nested.value,
        "nested_sd": nested.sd,
        "apart": apart(bridge.value, nested.value, bridge.sd, nested.sd),
        "truth": truth,
        "bridge_from_truth": None if truth is None else apart(bridge.value, truth, bridge.sd),
        "nested_from_truth": None if truth is None else apart(nested.value, truth, nested.sd),
        "ok": bridge.ok and nested.ok,
    }


def closed_forms(seed: int) -> Iterator[dict[str, Any]]:
    for make in (regression, rates):
        model, truth = make()
        program, table = program_of(model)
        drawn = sample_tables(program, [table], Settings(draws=1000), [seed])[0]
        bridge = log_evidence_of(program, table, drawn.x, drawn.stats["lp"], seed)
        nested = nested_evidence_of(program, table, model_prior_points(model, LIVE, seed), seed)
        yield row_of("closed form", make.__name__, bridge, nested, truth)


def on_table(runs: Runs, laws: list[str], seed: int) -> Iterator[dict[str, Any]]:
    for law in laws:
        done = fit(runs, law, random_seed=seed)
        bridge, bridge_cpu = timed(lambda done=done: log_evidence(done, seed))  # type: ignore[misc]
        nested, first_cpu = timed(lambda done=done: nested_log_evidence(done, seed))  # type: ignore[misc]
        _, nested_cpu = timed(lambda done=done: nested_log_evidence(done, seed + 1))  # type: ignore[misc]
        rng = np.random.default_rng([seed, 3])
        program, table, start = varied_program(done), varied_table(done, as_fitted(done)), varied_draws(done, rng)

        def density(x: np.ndarray, program: Any = program, table: Any = table) -> np.ndarray:
            return np.asarray(program.log_densities(x, table)[1])

        third, k = importance_evidence(density, start, rng)
        cpu = {"bridge_cpu": bridge_cpu, "nested_cpu_first": first_cpu, "nested_cpu": nested_cpu}
        witness = {"importance": third.value, "importance_sd": third.sd, "importance_k": k}
        yield {**row_of(runs.name, law, bridge, nested, None), **cpu, **witness}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = [
        float(np.hypot(a["bridge_sd"], b["bridge_sd"]))
        for a, b in combinations([r for r in rows if r["truth"] is None], 2)
        if a["table"] == b["table"]
    ]
    cpu = [r["nested_cpu"] for r in rows if "nested_cpu" in r]
    truths = [r[k] for r in rows for k in ("bridge_from_truth", "nested_from_truth") if r[k] is not None]
    found = {
        "most_apart": max(r["apart"] for r in rows),
        "most_from_truth": max(truths),
        "bayes_factor_sd_max": max(pairs) if pairs else None,
        "nested_cpu_max": max(cpu) if cpu else None,
        "rows": rows,
    }
    found["met"] = {
        "agree": max(found["most_apart"], found["most_from_truth"]) <= AGREE and all(r["ok"] for r in rows),
        "bayes_factor_sd": not pairs or max(pairs) <= MOST_SD,
        "nested_cpu": not cpu or max(cpu) <= MOST_CPU,
    }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--laws", default=",".join(STANDARD))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    begin = perf_counter()
    rows: list[dict[str, Any]] = []
    with reporting():
        rows += closed_forms(arguments.seed)
        for runs in tables(Path(arguments.data) if arguments.data else None):
            rows += on_table(runs, arguments.laws.split(","), arguments.seed)
    result = summary(rows)
    result["seconds"] = perf_counter() - begin
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    print(f"{'':18s}{'':14s}{'bridge':>17s}{'nested':>17s}{'apart':>7s}{'truth':>9s}{'importance':>18s}{'CPU s':>8s}")
    for r in rows:
        third = f"{r['importance']:9.2f} ± {r['importance_sd']:.3f}" if "importance" in r else ""
        truth = f"{r['truth']:9.2f}" if r["truth"] is not None else ""
        print(
            f"{r['table']:18s}{r['law']:14s}{r['bridge']:9.2f} ± {r['bridge_sd']:.3f}{r['nested']:9.2f} ± "
            f"{r['nested_sd']:.3f}{r['apart']:7.2f}{truth:>9s}{third:>18s}{r.get('nested_cpu', np.nan):8.1f}"
        )
    told = f"most apart {result['most_apart']:.2f} and from the truth {result['most_from_truth']:.2f} standard errors"
    if result["bayes_factor_sd_max"] is not None:
        told += f"; bridge log Bayes factors to {result['bayes_factor_sd_max']:.3f} nats"
        told += f"; nested {result['nested_cpu_max']:.1f} CPU seconds a law at the most"
    print(f"{told}; met: {result['met']}; {result['seconds']:.0f} s, {result['machine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
