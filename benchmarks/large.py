"""One posterior of a large table: seconds and peak memory against the number of runs.

    python benchmarks/large.py [--rows 1000,10000,100000,1000000] [--repeats 1] [--quick] [--json]

Each size runs in a process of its own, in turn: its peak memory is the process's. The runs are simulated from published
Chinchilla constants with Student-t scatter. One fit that is not counted comes first (it compiles); then `--repeats`
fits are timed, each from columns to a judged posterior. `slope` is that of log seconds on log rows over all sizes,
fitted by least squares: 1 is linear. `--method auto` times the fast approximation, where it may be used.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sampling import machine

LAW = "chinchilla"


def frame_of(rows: int, seed: int = 0) -> Any:
    """A table of simulated checkpoints: 40M to 16B parameters, 1e18.5 to 1e21.5 FLOP."""
    import pandas as pd

    from bayes_scaling.laws.registry import get_law

    rng = np.random.default_rng(seed)
    law = get_law(LAW)
    flops = 10 ** rng.uniform(18.5, 21.5, rows)
    params = np.clip(np.sqrt(flops / 120) * 10 ** rng.normal(0, 0.4, rows), 4e7, 1.6e10)
    tokens = flops / (6 * params)
    curve = law.loss(law.published[1].values, {"params": params, "tokens": tokens})
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": curve * np.exp(0.004 * rng.standard_t(5, rows))})


def peak() -> float:
    """Largest resident memory of this process so far, GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measure(rows: int, words: argparse.Namespace) -> dict[str, Any]:
    """Seconds of reading and fitting a table of `rows` runs, and what it took, in this process."""
    from bayes_scaling import fit, load_runs

    frame = frame_of(rows)
    imported = peak()
    begin = perf_counter()
    runs = load_runs(frame, name=f"{rows} simulated runs")
    reading = perf_counter() - begin
    how = {"draws": words.draws, "chains": words.chains, "method": words.method}
    turns = []
    for turn in range(words.repeats + 1):
        begin = perf_counter()
        made = fit(runs, LAW, random_seed=turn, **how, cache=False)
        turns.append(perf_counter() - begin)
    d = made.diagnostics
    return {
        "rows": rows,
        "seconds": statistics.median(turns[1:]),
        "seconds_first": turns[0],
        "seconds_reading": reading,
        "peak_gb": peak(),
        "peak_gb_before": imported,
        "method": d.method,
        "verdict": d.verdict,
        "gradients": d.gradients,
        "ess": min(d.ess_bulk_min, d.ess_tail_min),
    }


def alone(rows: int, words: argparse.Namespace) -> dict[str, Any]:
    """`measure`, in a new process."""
    given = [f"--{k}={getattr(words, k)}" for k in ("draws", "chains", "repeats", "method")]
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(rows), *given], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def slope(sizes: list[dict[str, Any]]) -> float | None:
    """Of log seconds on log rows; None with fewer than two sizes."""
    if len(sizes) < 2:
        return None
    x, y = (np.log([s[k] for s in sizes]) for k in ("rows", "seconds"))
    return float(np.polyfit(x, y, 1)[0])


def table(result: dict[str, Any]) -> str:
    on = result["machine"]
    lines = [
        f"{LAW}, {result['chains']} x {result['draws']} draws, method {result['method']}, medians of "
        f"{result['repeats']}; {on['cores']} cores of {on['processor']}, load {on['load']}, {on['date']}",
        f"{'rows':>9} {'seconds':>9} {'first':>9} {'reading':>9} {'peak GB':>8} {'method':>8} {'ESS':>6}  verdict",
    ]
    for s in result["sizes"]:
        lines.append(
            f"{s['rows']:9d} {s['seconds']:9.2f} {s['seconds_first']:9.2f} {s['seconds_reading']:9.2f} "
            f"{s['peak_gb']:8.2f} {s['method']:>8} {s['ess']:6.0f}  {s['verdict']}"
        )
    if result["slope"] is not None:
        lines.append(f"log-log slope of seconds on rows {result['slope']:.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000,10000,100000,1000000", help="sizes, separated by commas")
    parser.add_argument("--draws", type=int, default=250)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--method", choices=("nuts", "auto"), default="nuts")
    parser.add_argument("--quick", action="store_true", help="500 and 5,000 rows, to see that it works")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        print(json.dumps(measure(words.one, words)))
        return
    rows = [500, 5000] if words.quick else [int(float(r)) for r in words.rows.split(",")]
    sizes = [alone(r, words) for r in rows]
    result = {
        "slope": slope(sizes),
        "peak_gb": max(s["peak_gb"] for s in sizes),
        "seconds_largest": sizes[-1]["seconds"],
        **{k: getattr(words, k) for k in ("draws", "chains", "repeats", "method")},
        "sizes": sizes,
        "machine": machine(),
    }
    print(json.dumps(result, indent=1) if words.json else table(result))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
