"""The wheel carries the laws and the tables, and installs nothing called `models` or `data`."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    "bayes_scaling",
    "models",
    "data",
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
    "CITATION.cff",
)
NEW_LAW = """
from dataclasses import replace
from bayes_scaling.models.chinchilla import LAW as CHINCHILLA

LAW = replace(CHINCHILLA, name="{name}")
"""

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree, with files in it that do not belong."""
    copy = tmp_path_factory.mktemp("checkout") / "tree"
    copy.mkdir()
    for part in (*PARTS, ".gitignore"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / part)
    (copy / "data" / "huge.parquet").write_bytes(b"no")
    (copy / "models" / "notes.txt").write_text("no")
    return copy


@pytest.fixture(scope="module")
def dist(checkout):
    """sdist, and the wheel built from it."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    (wheel,) = (checkout / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """A folder that the wheel alone was installed into."""
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    done = subprocess.run([*pip, "--target", str(target), str(dist[1])], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


def ask(path, cwd, *words):
    """The JSON answer of the package found on `path`, asked from `cwd`."""
    code = (
        "import sys, bayes_scaling; from bayes_scaling.cli.main import main; "
        "print(bayes_scaling.__file__, file=sys.stderr); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words, "--json", "--quiet"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stderr.splitlines()[0]).is_relative_to(path)
    return json.loads(done.stdout)


def names(folder, *patterns):
    return {path.name for pattern in patterns for path in (ROOT / folder).glob(pattern)}


def test_wheel_contents(dist):
    with zipfile.ZipFile(dist[1]) as archive:
        files = archive.namelist()
    tops = {name.partition("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bayes_scaling"}
    models = {Path(n).name for n in files if n.startswith("bayes_scaling/models/")}
    data = {Path(n).name for n in files if n.startswith("bayes_scaling/data/")}
    assert models == names("models", "*.py") | {"__init__.py"}
    assert data == names("data", "*.csv", "*.md", "*.toml")
    assert {"chinchilla.py", "kaplan.py"} <= models
    assert {"pile.csv", "pile.md", "registry.toml"} <= data
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "bayes_scaling").rglob("*") if p.is_file()}
    assert {p for p in package if "__pycache__" not in p} <= set(files)
    assert any(name.endswith("licenses/LICENSE") for name in files)
    assert len(files) == len(set(files))


def test_sdist_contents(dist):
    with tarfile.open(dist[0]) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"models/chinchilla.py", "data/pile.csv", "LICENSE", "CITATION.cff", "hatch_build.py"} <= files
    assert not {"data/huge.parquet", "models/notes.txt"} & files


def test_the_wheel_works_from_elsewhere(installed, tmp_path):
    assert not (installed / "models").exists()
    assert not (installed / "data").exists()
    laws = [law["name"] for law in ask(installed, tmp_path, "laws")["laws"]]
    assert laws[:4] == ["kaplan", "kaplan_floor", "chinchilla", "coupled"]
    assert ask(installed, tmp_path, "validate", "pile")["runs"]["n"] == 30
    (points,) = installed.glob("bayes_scaling-*.dist-info/entry_points.txt")
    assert "bayes-scaling = bayes_scaling.cli.main:entry" in points.read_text()


def test_another_package_adds_a_law_to_the_wheel(installed, tmp_path):
    other = tmp_path / "other"
    (other / "mine-1.0.dist-info").mkdir(parents=True)
    (other / "mine.py").write_text(NEW_LAW.format(name="mine"))
    (other / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (other / "mine-1.0.dist-info" / "entry_points.txt").write_text("[bayes_scaling.laws]\nmine = mine:LAW\n")
    code = "from bayes_scaling.laws import all_laws; print(*all_laws())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(other)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split()[-1] == "mine", done.stderr


def test_a_checkout_sees_a_new_law_at_once(checkout, tmp_path):
    new = checkout / "models" / "brand_new.py"
    new.write_text(NEW_LAW.format(name="brand_new"))
    try:
        laws = [law["name"] for law in ask(checkout, tmp_path, "laws")["laws"]]
    finally:
        new.unlink()
    assert laws[-1] == "brand_new"


def test_nothing_imports_models_or_data_from_the_top():
    files = [f for part in ("bayes_scaling", "models", "tests", "benchmarks") for f in (ROOT / part).rglob("*.py")]
    assert len(files) > 30
    bad = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            bad += [f"{path.name}:{node.lineno}" for m in modules if m.partition(".")[0] in ("models", "data")]
    assert not bad
    assert not (ROOT / "models" / "__init__.py").exists()
    assert not (ROOT / "data" / "__init__.py").exists()
