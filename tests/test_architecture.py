"""The architecture page is the code's: every module is on it, and imports only what stands above it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bayes_scaling"


def listed() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    names = []
    for line in text.splitlines():
        if line.startswith("- "):
            head = re.split(r": ", line[2:], maxsplit=1)
            names += re.findall(r"`([a-z_]+)`", head[0])
            # "`a`: one thing. `b`: another." names b as well.
            names += re.findall(r"\. `([a-z_]+)`:", line)
    return names


def unit(path: Path) -> str:
    inside = path.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 else path.stem


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bayes_scaling":
            parts = str(node.module).split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("bayes_scaling.")}
    return found


def test_every_module_is_on_the_page_once():
    modules = {unit(p) for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"}
    names = listed()
    assert len(names) == len(set(names))
    assert modules == set(names)


def test_modules_import_only_what_stands_above_them():
    order = {name: i for i, name in enumerate(listed())}
    wrong = [
        f"{unit(path)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
        for name in sorted(imported(path))
        if name in order and name != unit(path) and order[name] > order[unit(path)]
    ]
    assert not wrong, "\n".join(wrong)
