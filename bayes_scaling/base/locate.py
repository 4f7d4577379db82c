"""Finds the `models/` and `data/` folders: inside an installed package, or beside it in a checkout.

In a wheel both are sub-folders of the package. In a checkout (an editable install) they are plain folders at the
top of the repository. `bayes_scaling/models/` and `bayes_scaling/data/` hold nothing there, so the parent's
`models/` and `data/` are taken; it counts only when `pyproject.toml` beside it says that it is ours.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


@cache
def folder(name: str) -> Path:
    """The folder `models` or `data`, wherever this installation keeps it.

    Raises
    ------
    FileNotFoundError
        If neither place holds it: the installation is broken.
    """
    inside = PACKAGE / name
    if any(inside.glob("*.md")) or any(p.name != "__init__.py" for p in inside.glob("*.py")):
        return inside
    top = PACKAGE.parent
    marker = top / "pyproject.toml"
    if (top / name).is_dir() and marker.is_file() and 'name = "bayes-scaling"' in marker.read_text("utf-8"):
        return top / name
    raise FileNotFoundError(f"bayes_scaling's '{name}' folder is missing beside {PACKAGE}; reinstall the package.")
