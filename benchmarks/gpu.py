"""The same posteriors on a GPU and on the processor beside it: seconds, ratios, and whether the numbers agree.

    python benchmarks/gpu.py [--fleets 10,100,1000,10000] [--rows 1000,10000,100000,1000000] [--quick] [--json]

Three kinds of case, Chinchilla law with Student-t noise, simulated runs:
  one      one posterior of 245 runs, 4 x 1000 draws
  fleet    many posteriors of 245 runs each, 4 x 500 draws
  rows     one posterior of a large table, 4 x 250 draws
Each device has a process of its own, and they take their turns case by case: the GPU, all cores, and two cores
(`--cores`). Every case is timed after a run of the same programs on other data that is not counted, from tables to
judged draws. Numbers agree where posterior means of alpha differ by no more than five Monte-Carlo standard errors, in
the worst of all tables. Where there is no GPU, its columns and what rests on them are null, and `not_measured` says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from process import Process

LAW = "chinchilla"
RUNS = 245
DRAWS = {"one": 1000, "fleet": 500, "rows": 250}
# Members of a fleet handed over at once: draws of each are 4 MB until they are summed up.
PORTION = 1000
AGREE = 5.0


def frames(count: int, rows: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Columns of simulated tables, as the model reads them."""
    from bayes_scaling.laws.registry import get_law

    law, out = get_law(LAW), []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        flops = 10 ** rng.uniform(18.5, 21.5, rows)
        params = np.clip(np.sqrt(flops / 120) * 10 ** rng.normal(0, 0.4, rows), 4e7, 1.6e10)
        tokens = flops / (6 * params)
        curve = law.loss(law.published[1].values, {"params": params, "tokens": tokens})
        decades = np.log10(flops)
        out.append(
            {
                "params": params,
                "tokens": tokens,
                "log_loss": np.log(curve) + 0.004 * rng.standard_t(5, rows),
                "log_loss_sd": np.zeros(rows),
                "decades": decades - decades.mean(),
            }
        )
    return out


def posteriors(case: str, count: int, rows: int, seed: int) -> dict[str, Any]:
    """Seconds of sampling `count` tables, and mean and standard error of alpha in each."""
    from bayes_scaling.base.settings import Settings
    from bayes_scaling.engine.model import specify
    from bayes_scaling.engine.program import program_for
    from bayes_scaling.engine.tables import Table
    from bayes_scaling.inference.diagnostics import ess_and_rhat
    from bayes_scaling.inference.sampling import sample_tables

    law, noise = specify(LAW)
    settings = Settings(draws=DRAWS[case])
    seconds, means, errors, good = 0.0, [], [], 0
    for begin in range(0, count, PORTION):
        part = frames(min(PORTION, count - begin), rows, seed + begin)
        start = perf_counter()
        program = program_for(law, noise, part[0])
        drawn = sample_tables(
            program, [Table.padded(f) for f in part], settings, [seed + begin + i for i in range(len(part))], False
        )
        seconds += perf_counter() - start
        for d in drawn:
            alpha = d.values["alpha"]
            means.append(float(alpha.mean()))
            errors.append(float(alpha.std() / np.sqrt(ess_and_rhat(alpha)[0])))
            good += d.diagnostics.rhat_max <= 1.01
    return {"seconds": seconds, "means": means, "errors": errors, "rhat_ok_fraction": good / count}


def serve() -> None:
    """Answer each case on standard input with a line of JSON."""
    for line in sys.stdin:
        asked = json.loads(line)
        case, count, rows = asked["case"], asked["count"], asked["rows"]
        # On cores each member is a call of one program; a GPU has a program for each number of members.
        before = count if os.environ["BAYES_SCALING_PLATFORM"] == "gpu" else min(count, 4)
        posteriors(case, before, rows, seed=10**6)
        from bayes_scaling.base.platforms import used

        print(json.dumps({**posteriors(case, count, rows, seed=0), "device": used()}), flush=True)


def started(device: str, cores: int | None) -> Process:
    """A process that computes on one device, with so many cores; it lives until it is closed."""
    words = [sys.executable, __file__, "--serve", *([f"--pin={cores}"] if cores else [])]
    return Process(device, words, {**os.environ, "BAYES_SCALING_PLATFORM": device})


def gpu_here() -> str | None:
    """What kind of GPU JAX finds, asked in a process of its own so that this one does not hold it."""
    code = "from bayes_scaling.base.platforms import accelerator as a; print(a().device_kind if a() else '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip() or None


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of means, in standard errors."""
    a, b = np.array(one["means"]), np.array(other["means"])
    return float(np.max(np.abs(a - b) / np.hypot(one["errors"], other["errors"])))


def compare(cases: list[dict[str, Any]], cores: int) -> dict[str, Any]:
    kind = gpu_here()
    workers = {"cpu": started("cpu", None), "few": started("cpu", cores)}
    if kind:
        workers["gpu"] = started("gpu", None)
    rows = []
    try:
        for case in cases:
            found = {name: worker.ask(case) for name, worker in workers.items()}
            row: dict[str, Any] = {**case}
            for name in ("cpu", "few", "gpu"):
                row[f"seconds_{name}"] = found[name]["seconds"] if name in found else None
                row[f"rhat_ok_{name}"] = found[name]["rhat_ok_fraction"] if name in found else None
            row["ratio"] = row["seconds_cpu"] / row["seconds_gpu"] if kind else None
            row["ratio_few"] = row["seconds_few"] / row["seconds_gpu"] if kind else None
            row["standard_errors_apart"] = apart(found["cpu"], found["gpu"]) if kind else None
            rows.append(row)
            print(f"done: {case}", file=sys.stderr, flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    missing = [] if kind else ["everything on a GPU: JAX finds none here"]
    return {
        "gpu": kind,
        "cores_few": cores,
        "cases": rows,
        "agree": all(r["standard_errors_apart"] < AGREE for r in rows) if kind else None,
        "not_measured": missing,
    }


def table(result: dict[str, Any]) -> str:
    on = result["machine"]
    show = lambda v, form: "-" if v is None else format(v, form)  # noqa: E731
    few = f"{result['cores_few']} cores"
    lines = [
        f"{result['gpu'] or 'no GPU'} beside {on['cores']} cores of {on['processor']}, load {on['load']}, {on['date']}",
        f"{'case':6} {'tables':>7} {'rows':>9} {'all cores':>10} {few:>10} {'GPU':>10} {'ratio':>7} {'to few':>7} "
        f"{'apart':>6}",
    ]
    for r in result["cases"]:
        lines.append(
            f"{r['case']:6} {r['count']:7d} {r['rows']:9d} {r['seconds_cpu']:10.2f} {r['seconds_few']:10.2f} "
            f"{show(r['seconds_gpu'], '.2f'):>10} {show(r['ratio'], '.1f'):>7} {show(r['ratio_few'], '.1f'):>7} "
            f"{show(r['standard_errors_apart'], '.1f'):>6}"
        )
    lines += [f"not measured: {what}" for what in result["not_measured"]]
    if result["agree"] is not None:
        lines.append(f"the numbers {'agree' if result['agree'] else 'DIFFER'} within Monte-Carlo error")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", default="10,100,1000,10000")
    parser.add_argument("--rows", default="1000,10000,100000,1000000")
    parser.add_argument("--cores", type=int, default=2, help="the fewer cores to compare with as well")
    parser.add_argument("--quick", action="store_true", help="a fleet of 4 and 1,000 rows, to see that it works")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pin", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        if words.pin and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: words.pin])
        serve()
        return
    numbers = lambda text: [int(float(v)) for v in text.split(",") if v]  # noqa: E731
    fleets, rows = ([4], [1000]) if words.quick else (numbers(words.fleets), numbers(words.rows))
    cases = [{"case": "one", "count": 1, "rows": RUNS}]
    cases += [{"case": "fleet", "count": n, "rows": RUNS} for n in fleets]
    cases += [{"case": "rows", "count": 1, "rows": n} for n in rows]
    from sampling import machine

    result = compare(cases, words.cores) | {"machine": machine()}
    print(json.dumps(result, indent=1) if words.json else table(result))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
