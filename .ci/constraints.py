"""Writes constraints.txt: name and version of everything that `bayes-scaling[test]` needs, as installed here.

Run by `./dev freeze`, in the environment whose tests have passed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Versions that the tests have passed with: what ./dev installs. Made by './dev freeze'; not edited by hand.
# pyproject.toml says what may be installed; './dev newest' tests the newest of that.
"""


def closure(wanted: list[str]) -> dict[str, str]:
    """Version of everything that `wanted` needs, by normalised name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    pending = [Requirement(text) for text in wanted]
    while pending:
        need = pending.pop()
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        try:
            installed = distribution(need.name)
        except PackageNotFoundError:
            sys.exit(f"{need} is not installed here.")
        found[name] = installed.version
        for extra in {"", *need.extras} - {e for n, e in seen if n == name}:
            seen.add((name, extra))
            further = [Requirement(text) for text in installed.requires or ()]
            pending += [n for n in further if not n.marker or n.marker.evaluate({"extra": extra})]
    return found


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    everything = closure([*project["dependencies"], *project["optional-dependencies"]["test"]])
    lines = [f"{name}=={version}\n" for name, version in sorted(everything.items())]
    (ROOT / "constraints.txt").write_text(HEAD + "".join(lines))
