"""What one fit costs from the command to its JSON, and how near a warm process comes to the cost of its gradients.

    python benchmarks/start.py [--data FOLDER] [--repeats 3] [--law chinchilla] [--json]

New processes run `bayes-scaling fit pile --law NAME --json`, byte code compiled; the clock runs from asking for the
process to its end. They take turns over three states of the cache folder: `cold`, empty; `untraced`, compiled code but
no traced programs, so that PyMC is imported and everything traced; `warm`, both. `to_sampling` is when the first chain
begins, everything compiled.

In one process, after a first fit that is not counted, the same law is fitted to the 245 digitised runs of Hoffmann et
al. (where BAYES_SCALING_LOCAL_DATA or `--data` names a folder that holds `chinchilla_epoch.csv`; else as many simulated
ones), 4 chains of 1000 draws. The floor is the gradients behind those draws times the cost of one, spread over the
cores: a compiled loop of nothing but gradients, measured on one core. `floor_ratio` is the seconds of the whole call
over that. Figures are medians over the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, time
from typing import Any

from sampling import CHAINS, DRAWS, machine, simulated, table_of

from bayes_scaling.runs.runs import Runs

STATES = ("cold", "untraced", "warm")
# Gradients in one timing of the loop: a tenth of a second or so.
LOOP = 20_000


def probe(words: list[str]) -> int:
    """The command line, saying on standard error when its first chain began."""
    from bayes_scaling.cli.main import main
    from bayes_scaling.engine import program as programs

    chain = programs.Program.chain
    begun: list[float] = []

    def watched(self: Any, key: Any, start: Any, where: Any, table: Any, settings: Any) -> Any:
        if settings.budget > 0 and not begun:  # without a budget it is only being compiled
            begun.append(time())
        return chain(self, key, start, where, table, settings)

    programs.Program.chain = watched  # type: ignore[method-assign]
    code = main(words)
    print(json.dumps({"sampling": begun[0] if begun else None}), file=sys.stderr)
    return code


def one_process(law: str, cache: Path, bytecode: Path) -> dict[str, float]:
    """Seconds of one command, and of its parts as it reports them."""
    dropped = ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")
    surroundings = {k: v for k, v in os.environ.items() if k not in dropped}
    surroundings |= {"BAYES_SCALING_CACHE": str(cache), "PYTHONPYCACHEPREFIX": str(bytecode)}
    words = [sys.executable, __file__, "--probe", "fit", "pile", "--law", law, "--no-cache", "--json", "--quiet"]
    begin = time()
    done = subprocess.run(words, env=surroundings, capture_output=True, text=True)
    seconds = time() - begin
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    parts = json.loads(done.stdout)["seconds"]
    began = json.loads(done.stderr.splitlines()[-1])["sampling"]
    return {"seconds": seconds, "to_sampling": began - begin, "model": parts["model"], "sampling": parts["sampling"]}


def processes(law: str, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Every state of the cache folder in turn, `repeats` times."""
    found: dict[str, list[dict[str, float]]] = {state: [] for state in STATES}
    with tempfile.TemporaryDirectory() as folder:
        bytecode, full = Path(folder) / "bytecode", Path(folder) / "full"
        one_process(law, full, bytecode)  # fills both
        for turn in range(repeats):
            empty, untraced = Path(folder) / f"empty-{turn}", Path(folder) / f"untraced-{turn}"
            shutil.copytree(full, untraced)
            shutil.rmtree(untraced / "programs", ignore_errors=True)
            for state, cache in zip(STATES, (empty, untraced, full), strict=True):
                found[state].append(one_process(law, cache, bytecode))
            shutil.rmtree(empty)
            shutil.rmtree(untraced)
    return found


def gradient_seconds(law: str, runs: Runs, repeats: int) -> float:
    """Seconds of one gradient of the log density on one core, in a compiled loop."""
    from bayes_scaling.engine.backend import jax_ready
    from bayes_scaling.engine.model import columns, specify
    from bayes_scaling.engine.program import program_for
    from bayes_scaling.engine.tables import Table

    jax = jax_ready()
    spec, noise = specify(law)
    frame = columns(spec, noise, runs)
    density, table = program_for(spec, noise, frame).density, Table.padded(frame)

    def loop(x: Any, data: Any, mask: Any) -> Any:
        def step(_: Any, x: Any) -> Any:
            value, slope = jax.value_and_grad(density.log_density)(x, data, mask)
            return x + 1e-12 * (slope + value)  # each waits for the one before it, as in a trajectory

        return jax.lax.fori_loop(0, LOOP, step, x)

    compiled = jax.jit(loop)
    arguments = (jax.numpy.asarray(density.initial), dict(table.data), table.mask)
    compiled(*arguments).block_until_ready()
    taken = []
    for _ in range(max(3, repeats)):
        begin = perf_counter()
        compiled(*arguments).block_until_ready()
        taken.append((perf_counter() - begin) / LOOP)
    return statistics.median(taken)


def in_one_process(law: str, runs: Runs, repeats: int) -> dict[str, Any]:
    """Seconds of a whole call in a warm process, its gradients, and the floor."""
    from bayes_scaling import fit
    from bayes_scaling.engine.backend import cores

    fit(runs, law, chains=CHAINS, draws=DRAWS, random_seed=1, cache=False)
    turns = []
    for turn in range(repeats):
        begin = perf_counter()
        result = fit(runs, law, chains=CHAINS, draws=DRAWS, random_seed=100 + turn, cache=False)
        taken = perf_counter() - begin
        turns.append(
            {
                "seconds": taken,
                "sampling": result.seconds["sampling"],
                "gradients": result.diagnostics.gradients,
                "ess": min(result.diagnostics.ess_bulk_min, result.diagnostics.ess_tail_min),
            }
        )
    gradient = gradient_seconds(law, runs, repeats)
    streams = min(cores(), CHAINS)
    middle = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
    floor = statistics.median(turn["gradients"] * gradient / streams for turn in turns)
    return {
        "runs": runs.name,
        "n": runs.n,
        **middle,
        "gradient_us": 1e6 * gradient,
        "streams": streams,
        "floor_seconds": floor,
        "floor_ratio": statistics.median(turn["seconds"] * streams / (turn["gradients"] * gradient) for turn in turns),
        "turns": turns,
    }


def table(result: dict[str, Any]) -> str:
    on, here = result["machine"], result["process"]
    lines = [
        f"fit pile --law {result['law']} --json, a new process each, medians of {result['repeats']}",
        f"{on['cores']} cores of {on['processor']}, load {on['load']}, {on['date']}",
        f"{'cache':10} {'seconds':>8} {'to sampling':>12}",
    ]
    for state in STATES:
        seconds, begun = result[f"seconds_{state}"], result[f"to_sampling_{state}"]
        lines.append(f"{state:10} {seconds:8.2f} {begun:12.2f}" if seconds is not None else f"{state:10} not measured")
    return "\n".join(
        [
            *lines,
            f"In one warm process, {here['runs']}, {CHAINS} x {DRAWS} draws: {here['seconds']:.2f} s, "
            f"{here['gradients']:.0f} gradients of {here['gradient_us']:.1f} µs, lowest ESS {here['ess']:.0f}",
            f"Floor on {here['streams']} cores {here['floor_seconds']:.2f} s; the call takes {here['floor_ratio']:.1f} "
            "times as long",
        ]
    )


def main() -> int:
    if "--probe" in sys.argv:
        return probe(sys.argv[sys.argv.index("--probe") + 1 :])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("BAYES_SCALING_LOCAL_DATA"))
    parser.add_argument("--law", default="chinchilla")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-processes", action="store_true", help="leave the new processes out")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    folder = Path(words.data) if words.data and (Path(words.data) / "chinchilla_epoch.csv").exists() else None
    turns = {} if words.no_processes else processes(words.law, words.repeats)
    here = in_one_process(words.law, table_of(folder) if folder else simulated(), words.repeats)
    result: dict[str, Any] = {"law": words.law, "repeats": words.repeats}
    for state in STATES:
        for key in ("seconds", "to_sampling"):
            one = [turn[key] for turn in turns.get(state, [])]
            result[f"{key}_{state}"] = statistics.median(one) if one else None
    result |= {"floor_ratio": here["floor_ratio"], "process": here, "turns": turns, "machine": machine()}
    print(json.dumps(result, indent=1) if words.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
