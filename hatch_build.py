"""Ships the top-level `models/` and `data/` folders inside the package.

They are plain folders at the top of the repository so that adding a law or a table is adding one file; a wheel
carries them as `bayes_scaling/models/` and `bayes_scaling/data/`. The hook acts on standard builds only: an
editable install finds the folders where they are (see `bayes_scaling/locate.py`), so a new file is seen at once.
"""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = {"models": ("*.py",), "data": ("*.csv", "*.md", "*.toml")}


class ShipModelsAndData(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if version != "standard":
            return
        for folder, patterns in SHIPPED.items():
            for pattern in patterns:
                for path in sorted(Path(self.root, folder).glob(pattern)):
                    build_data["force_include"][str(path)] = f"bayes_scaling/{folder}/{path.name}"
