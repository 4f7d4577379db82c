"""A long run over what strangers may hand us: tables in eleven forms, command lines, damaged fits and caches, hostile
attributes. The strategies and what must hold are `tests/hostile.py`; `tests/test_fuzz.py` is the short run.

    python benchmarks/fuzz.py [--json] [--seed N] [--only tables] [--share 0.1]

Every fault is counted and shown with what brought it about; the exit code is 1 where there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COUNTS = {"tables": 20_000, "commands": 5_000, "fits": 1_500, "older fits": 500, "caches": 1_000, "attributes": 1_000}


class Tally:
    """What came of one kind of input: how often each outcome, and the faults."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcomes: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = {}
        self.begin = time.monotonic()

    def take(self, check: Callable[[], Any], what: object) -> None:
        """Run one check; a fault is kept by where it arose, with what brought it about."""
        try:
            self.outcomes[str(check())] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:300]!a}"
            self.faults.setdefault(key, []).append(ascii(what)[:600])

    def to_dict(self) -> dict[str, Any]:
        """Counts, and each kind of fault with one example."""
        return {
            "inputs": sum(self.outcomes.values()) + sum(map(len, self.faults.values())),
            "outcomes": dict(sorted(self.outcomes.items())),
            "faults": sum(map(len, self.faults.values())),
            "kinds": [{"fault": key, "count": len(v), "example": v[0]} for key, v in self.faults.items()],
            "seconds": round(time.monotonic() - self.begin),
        }


def tallies(arguments: argparse.Namespace, folder: Path) -> Iterator[Tally]:
    """Each kind of input in turn."""
    import hostile
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    from bayes_scaling.base.caches import Store
    from bayes_scaling.engine import exports
    from bayes_scaling.inference.netcdf import attribute

    def over(name: str, strategy: Any, check: Callable[[Any], Any]) -> Tally:
        tally = Tally(name)

        @seed(arguments.seed)
        @settings(
            max_examples=max(1, int(COUNTS[name] * arguments.share)),
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def run(value: Any) -> None:
            tally.take(lambda: check(value), value)

        run()
        return tally

    def struck(data: bytes) -> Any:
        return st.sampled_from(["bytes", "cut", "noise"]).flatmap(lambda how: hostile.damaged(data, how))

    def wanted(name: str) -> bool:
        return arguments.only in (None, name)

    fit = folder / "saved.nc"
    with contextlib.redirect_stderr(io.StringIO()):
        words = ["fit", "pile", "--law", "chinchilla", "--draws", "200", "--chains", "2", "--allow-bad-fit"]
        code, _, err = hostile.said([*words, "--out", str(fit)])
    assert code == 0, err
    whole = fit.read_bytes()
    if wanted("tables"):
        yield over("tables", hostile.tables(), lambda made: _named(made, hostile.check_table(made, folder)))
    if wanted("commands"):
        place = folder / "commands"
        place.mkdir()
        yield over("commands", hostile.command_lines(), hostile.Commands(place, fit).check)
    if wanted("fits"):
        yield over("fits", struck(whole), hostile.Damage(whole, folder).check)
    if wanted("older fits"):
        older = hostile.unsealed(whole)
        assert hostile.check_attributes(older, folder) == 0  # undamaged it opens
        yield over("older fits", struck(older), lambda data: hostile.check_attributes(data, folder))
    if wanted("caches"):
        payload = bytes(range(256)) * 8
        store = Store(folder / "store", 1 << 20)
        store.put("key", payload)
        exports.save("name", payload)
        path = folder / "store" / "key-cache"
        other = exports._path("name")
        kept = path.read_bytes(), other.read_bytes()

        def look(pair: tuple[int, bytes]) -> str:
            which, data = pair
            (path, other)[which].write_bytes(data)
            found = store.get("key") if which == 0 else exports.load("name")
            assert found in (None, payload)
            return "absent" if found is None else "whole"

        both = st.integers(0, 1).flatmap(lambda i: st.tuples(st.just(i), struck(kept[i])))
        yield over("caches", both, look)
    if wanted("attributes"):
        note = attribute(fit, "bayes_scaling")
        assert note is not None
        kinds = st.sampled_from(["json", "json", "json", "json", "bytes", "array", "half"])
        edited = st.tuples(hostile.edits(note), kinds, st.booleans())
        yield over(
            "attributes", edited, lambda given: hostile.check_attributes(hostile.with_note(whole, *given), folder)
        )


def _named(made: Any, code: int) -> str:
    return f"{'valid' if made.valid else 'hostile'}, exit {code}"


def main() -> int:
    """Run what is asked for and print what came of it; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(COUNTS))
    parser.add_argument("--share", type=float, default=1.0, help="of the counts (default: 1)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ["BAYES_SCALING_CACHE"] = place
        os.environ["BAYES_SCALING_CACHE_LIMIT"] = "0"
        for tally in tallies(arguments, Path(place)):
            found[tally.name] = tally.to_dict()
            told = found[tally.name]
            print(
                f"{tally.name:12} {told['inputs']:6} inputs, {told['faults']} faults, {told['seconds']} s",
                file=sys.stderr,
            )
            for kind in told["kinds"]:
                print(f"  {kind['count']} × {kind['fault']}\n      {kind['example']}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, "kinds": found}, indent=2))
    else:
        for name, told in found.items():
            print(f"| {name} | {told['inputs']} | {told['outcomes']} | {told['faults']} |")
    return int(any(told["faults"] for told in found.values()))


if __name__ == "__main__":
    sys.exit(main())
