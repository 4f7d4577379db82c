"""Faults injected from outside: processes killed at random times, disks that are full or read-only, several processes
on one cache and one output. What is written must be whole or absent, what was done must not be lost, and what goes on
must give the numbers of a run that nobody disturbed.

    python benchmarks/faults.py [--json] [--seed N] [--kills 25] [--full 20] [--only kills]

Linux. The full disk is a small tmpfs where the user may mount one, and else a limit on the size of files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUICK = ["--draws", "100", "--chains", "2", "--allow-bad-fit", "--quiet"]
LAWS = ["--laws", "kaplan,chinchilla"]
WORDS = {
    "fit": ["fit", "RUNS", "--law", "chinchilla", *QUICK, "--out", "fit.nc"],
    "fleet": ["fleet", "RUNS", "--by", "group", "--law", "kaplan", *QUICK, "--out", "fleet.nc"],
    "report": ["report", "RUNS", "--law", "kaplan", *QUICK, "--out", "report"],
    "cache": ["forecast", "RUNS", "--law", "chinchilla", "--at", "params=70B,tokens=1.4T", *QUICK, "--json"],
}
NUMBERS = ("fit", "forecast", "frontier", "compare", "backtest", "decide", "next", "members", "forecasts", "parameters")


class Place:
    """A folder for outputs and one for the cache."""

    def __init__(self, root: Path, warm: Path | None = None) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.cache = root / "cache"
        if warm is not None:
            shutil.copytree(warm, self.cache)

    def begin(self, words: list[str], **how: Any) -> subprocess.Popen[str]:
        """Start a command here."""
        surroundings = {**os.environ, "BAYES_SCALING_CACHE": str(self.cache)}
        line = [sys.executable, "-m", "bayes_scaling", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(line, cwd=self.root, env=surroundings, text=True, stdout=pipe, stderr=pipe, **how)

    def run(self, words: list[str], **how: Any) -> tuple[int, str, str]:
        """Run a command here to its end."""
        process = self.begin(words, **how)
        out, err = process.communicate(timeout=900)
        return process.returncode, out, err


def result(place: Place, name: str, out: str) -> Any:
    """The numbers that a command wrote or said."""
    if name == "report":
        return numbers(json.loads((place.root / "report" / "report.json").read_text()))
    if name == "cache":
        return numbers(json.loads(out))
    if name == "fit":
        from bayes_scaling import load_fit

        return numbers(load_fit(place.root / "fit.nc").to_dict())
    from bayes_scaling import load_fleet

    return numbers(load_fleet(place.root / "fleet.nc").to_dict())


def numbers(body: dict[str, Any]) -> Any:
    """Without seconds, and what else differs from one run to the next."""
    return strip({k: body[k] for k in NUMBERS if k in body})


def strip(value: Any) -> Any:
    """`value` without seconds."""
    if isinstance(value, dict):
        return {k: strip(v) for k, v in value.items() if k not in ("seconds", "provenance", "resumed")}
    return [strip(v) for v in value] if isinstance(value, list) else value


def leftovers(place: Place) -> list[str]:
    """Files that are half-written and not hidden, or that cannot be read as what their names say."""
    from bayes_scaling import load_fit
    from bayes_scaling.fleets.storage import load_fleet
    from bayes_scaling.inference.netcdf import attribute

    wrong = []
    for path in place.root.rglob("*"):
        if not path.is_file() or path.name.startswith(".") or "jax" in path.parts or "programs" in path.parts:
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".nc" and attribute(path, "bayes_scaling_fleet") is not None:
                load_fleet(path)
            elif path.suffix == ".nc":
                load_fit(path)
            elif path.suffix in (".html", ".svg", ".csv"):
                text = path.read_text()
                ends = {".html": "</html>", ".svg": "</svg>", ".csv": "\n"}[path.suffix]
                assert text.rstrip(" \n").endswith(ends.rstrip()), "cut short"
        except Exception as error:
            wrong.append(f"{path.relative_to(place.root)}: {type(error).__name__} {error}")
    return wrong


def kills(arguments: argparse.Namespace, work: Path, runs: Path) -> dict[str, Any]:
    """Each command killed at random times, then finished; its numbers against those of a run left alone."""
    chance = random.Random(arguments.seed)
    found: dict[str, Any] = {}
    for name, words in WORDS.items():
        if arguments.command not in (None, name):
            continue
        words = [str(runs) if w == "RUNS" else w for w in words]
        alone = Place(work / f"{name}-alone")
        begin = time.monotonic()
        code, out, err = alone.run(words)
        took = time.monotonic() - begin
        assert code == 0, err
        truth = result(alone, name, out)
        tally: Counter[str] = Counter()
        wrong: list[str] = []
        place = Place(work / f"{name}-killed")
        for i in range(arguments.kills):
            if i % 5 == 0:  # from the beginning again
                shutil.rmtree(place.root)
                place = Place(place.root)
            how = signal.SIGKILL if i % 3 else chance.choice([signal.SIGINT, signal.SIGTERM])
            process = place.begin(words, start_new_session=True)
            began = time.monotonic()
            try:
                process.communicate(timeout=chance.uniform(0.05, 0.95) * took)
                tally["finished before"] += 1
                took = min(took, time.monotonic() - began)  # with a warm cache it is quicker
            except subprocess.TimeoutExpired:
                process.send_signal(how)
                try:
                    _, err = process.communicate(timeout=30)
                except subprocess.TimeoutExpired:
                    wrong.append(f"{how.name} was not heeded")
                    process.kill()
                    process.communicate()
                    continue
                tally[how.name] += 1
                expected = {signal.SIGKILL: (-9,), signal.SIGINT: (130,), signal.SIGTERM: (143, -15)}[how]
                if process.returncode not in (*expected, 0):
                    wrong.append(f"{how.name}: exit {process.returncode}, {err[-200:]}")
                if "Traceback" in err:
                    wrong.append(f"{how.name}: {err[-300:]}")
            wrong += leftovers(place)
            print(f"{name} {i + 1} {dict(tally)} {wrong}", file=sys.stderr, flush=True)
            if i % 5 == 4:  # and to the end
                code, out, err = place.run(words)
                if code or result(place, name, out) != truth:
                    wrong.append(f"resumed: exit {code}, {'other numbers' if not code else err[-300:]}")
                tally["resumed, the same numbers"] += not code and result(place, name, out) == truth
        found[name] = {"seconds alone": round(took, 1), **tally, "wrong": wrong}
    return found


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[dict[str, Any]]:
    """`folder` on a disk of `size` bytes; gives further arguments for processes that write there."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )
    try:
        if mounted:
            yield {}
        else:
            yield {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disks(arguments: argparse.Namespace, work: Path, runs: Path) -> dict[str, Any]:
    """Commands whose output, or whose cache, lies on a disk too small for it."""
    chance = random.Random(arguments.seed)
    tally: Counter[str] = Counter()
    wrong: list[str] = []
    warm = Place(work / "warm")
    warm.run(["fit", str(runs), "--law", "chinchilla", *QUICK])
    for i in range(arguments.full):
        name = ("fit", "fleet", "fit", "cache", "report")[i % 5]
        words = [str(runs) if w == "RUNS" else w for w in WORDS[name]]
        size = int(10 ** chance.uniform(4, 5.6)) // 4096 * 4096 + 4096
        place = Place(work / f"full-{i}", None if name == "cache" else warm.cache)
        folder = place.cache if name == "cache" else place.root / "out"
        with small_disk(folder, size) as how:
            if name != "cache":
                at = words.index("--out") + 1
                words[at] = str(folder / words[at])
            code, _, err = place.run(words, **how)
            tally[f"{name}, exit {code}"] += 1
            if code not in (0, 3) or (code == 3 and ("Error: " not in err or len(err.splitlines()) != 1)):
                wrong.append(f"{name}, {size} bytes: exit {code}, {err[-300:]}")
            if name == "cache" and code:
                wrong.append(f"a full cache stopped the command: {err[-300:]}")
            left = [p.name for p in folder.rglob("*.tmp")]
            wrong += [f"{name}: left {p}" for p in left] + leftovers(place)
    return {"disks": arguments.full, **tally, "wrong": wrong}


def read_only(arguments: argparse.Namespace, work: Path, runs: Path) -> dict[str, Any]:
    """Outputs and caches where nothing may be written. Root may write anywhere: then a mount says no."""
    wrong: list[str] = []
    place = Place(work / "read-only")
    shut = place.root / "shut"
    shut.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(shut)], capture_output=True).returncode
    )
    if not mounted:
        shut.chmod(0o500)
    try:
        for words in (
            ["fit", str(runs), "--law", "kaplan", "--out", "shut/f.nc"],
            ["report", str(runs), "--out", "shut/r"],
        ):
            code, _, err = place.run([*words, *QUICK])
            if code != 3 or "Cannot write" not in err:
                wrong.append(f"{words[0]}: exit {code}, {err[-200:]}")
        place.cache = shut / "cache"
        code, _, err = place.run(["fit", str(runs), "--law", "kaplan", *QUICK])
        if code or err:
            wrong.append(f"cache: exit {code}, {err[-200:]}")
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(shut)], check=True)
    return {"commands": 3, "wrong": wrong}


def together(arguments: argparse.Namespace, work: Path, runs: Path) -> dict[str, Any]:
    """Two and four processes on one cold cache and one output."""
    wrong: list[str] = []
    count = 0
    for name in ("fit", "fleet", "report"):
        words = [str(runs) if w == "RUNS" else w for w in WORDS[name]]
        alone = Place(work / f"one-{name}")
        _, out, _ = alone.run(words)
        truth = result(alone, name, out)
        for n in (2, 4):
            place = Place(work / f"{n}-{name}")
            processes = [place.begin(words) for _ in range(n)]
            ends = [(p.communicate(timeout=1800), p.returncode) for p in processes]
            count += n
            wrong += [f"{n} × {name}: exit {code}, {err[-300:]}" for (_, err), code in ends if code or err]
            wrong += leftovers(place)
            if result(place, name, "") != truth:
                wrong.append(f"{n} × {name}: other numbers")
            again = place.run(words)
            if again[0] or result(place, name, "") != truth:
                wrong.append(f"{n} × {name}: what they left gives other numbers")
    return {"processes": count, "wrong": wrong}


def same(arguments: argparse.Namespace, work: Path, runs: Path) -> dict[str, Any]:
    """One seed: cache cold and warm, one core and all, quiet or not; JSON equal but for what says when and how."""
    wrong: list[str] = []
    commands = {
        "fit": ["fit", str(runs), "--law", "chinchilla"],
        "forecast": ["forecast", str(runs), *LAWS, "--at", "params=70B,tokens=1.4T"],
        "frontier": ["frontier", str(runs), *LAWS, "--budget", "1e24"],
        "decide": ["decide", str(runs), *LAWS, "--budget", "1e23"],
        "next": ["next", str(runs), *LAWS, "--budget", "1e23"],
        "compare": ["compare", str(runs), *LAWS],
        "backtest": ["backtest", str(runs), *LAWS],
        "fleet": ["fleet", str(runs), "--by", "group", "--law", "kaplan"],
        "validate": ["validate", str(runs)],
        "laws": ["laws"],
        "data": ["data"],
    }
    sampling = [w for w in QUICK if w != "--quiet"]
    one = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    for name, words in commands.items():
        words = [*words, "--json", *([] if name in ("validate", "laws", "data") else sampling)]
        place = Place(work / f"same-{name}")
        texts = []
        for how, extra, cold in (([], [], True), ([], ["--quiet"], False), (one, ["--quiet"], True), (one, [], False)):
            if cold:
                shutil.rmtree(place.cache, ignore_errors=True)
            surroundings = {**os.environ, "BAYES_SCALING_CACHE": str(place.cache)}
            line = [*how, sys.executable, "-m", "bayes_scaling", *words, *extra]
            ended = subprocess.run(line, cwd=place.root, env=surroundings, capture_output=True, text=True, timeout=900)
            if ended.returncode:
                wrong.append(f"{name}: exit {ended.returncode}, {ended.stderr[-300:]}")
                continue
            texts.append(json.dumps(everything(json.loads(ended.stdout)), sort_keys=True))
        if len(set(texts)) > 1:
            wrong.append(f"{name}: {len(set(texts))} answers")
    return {"commands": len(commands), "ways": 4, "wrong": wrong}


def everything(body: dict[str, Any]) -> Any:
    """All that a command says but seconds, command line, and which posteriors were there already."""
    kept = strip({k: v for k, v in body.items() if k != "provenance"})
    told = {k: v for k, v in body["provenance"].items() if k not in ("command_line", "cached_posteriors")}
    return {**kept, "provenance": told}


PARTS: dict[str, Callable[[argparse.Namespace, Path, Path], dict[str, Any]]] = {
    "kills": kills,
    "full disks": full_disks,
    "read-only": read_only,
    "together": together,
    "same": same,
}


def table(path: Path) -> Path:
    """Twenty-four runs in two groups, by Chinchilla's law with a little scatter."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(11)
    size, data = 10 ** rng.uniform(7.5, 10, 24), 10 ** rng.uniform(9.5, 12, 24)
    loss = (1.8 + 480 / size**0.35 + 2100 / data**0.37) * np.exp(0.004 * rng.standard_normal(24))
    groups = ["left", "right"] * 12
    pd.DataFrame({"params": size, "tokens": data, "loss": loss, "group": groups}).to_csv(path, index=False)
    return path


def main() -> int:
    """Run what is asked for; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=25, help="of each of four commands (default: 25)")
    parser.add_argument("--full", type=int, default=20, help="full disks (default: 20)")
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--command", choices=list(WORDS), help="kill this one alone")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            with tempfile.TemporaryDirectory() as place:
                begin = time.monotonic()
                found[name] = part(arguments, Path(place), table(Path(place) / "runs.csv"))
                print(f"{name}: {time.monotonic() - begin:.0f} s {json.dumps(found[name])[:3000]}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, **found}, indent=2))
    return int('"wrong": ["' in json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
