"""The folders are the architecture: few entries, short files, arrows that run one way, and a page that names them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bayes_scaling"
WINGS = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.pyi"))


def test_a_wing_imports_only_the_wings_before_it_and_nothing_goes_in_circles():
    """The layers stand in pyproject.toml; imports in functions and for type checkers count."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_of_the_package_is_a_table_of_contents():
    entries = [p.name for p in PACKAGE.iterdir() if p.name != "__pycache__"]
    assert len(entries) <= 22, sorted(entries)


def test_wings_and_files_are_small():
    for folder in {p.parent for p in PACKAGE.rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= 15, folder
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "models").glob("*.py")]:
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("wing", WINGS)
def test_what_a_face_names_is_there(wing):
    import importlib

    face = importlib.import_module(f"bayes_scaling.{wing}")
    assert face.__doc__
    for name in face.__all__:
        getattr(face, name)


def test_the_page_names_every_wing_and_every_file_of_it():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for path in sorted(PACKAGE.glob("*/*.py")):
        if path.stem != "__init__" and path.parent.name != "models":
            assert f"`{path.stem}`" in text, f"docs/architecture.md does not name {path.relative_to(PACKAGE)}"


def test_no_module_imports_the_top_level_folders():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not {a.name.split(".")[0] for a in node.names} & {"models", "data"}, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] not in ("models", "data"), path
