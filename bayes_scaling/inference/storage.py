"""Fits on disk: one netCDF file each, holding the draws, the runs and what it takes to go on without refitting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.base.files import write_with
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import specify
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.runs import Runs

_MAGIC = (b"\x89HDF\r\n\x1a\n",)
_NUMERIC = ("params", "tokens", "flops", "loss", "loss_sd")
_TEXT = ("run", "group")


def save_fit(fit: Fit, path: Path | str) -> Path:
    """Write `fit` to `path` (netCDF-4), whole or not at all.

    Raises
    ------
    DataError
        If the place cannot be written.
    """
    import xarray as xr

    runs = fit.runs
    columns: dict[str, Any] = {k: ("run", getattr(runs, k)) for k in _NUMERIC if getattr(runs, k) is not None}
    columns |= {f"{k}_label": ("run", getattr(runs, k).astype(str)) for k in _TEXT if getattr(runs, k) is not None}
    for name in fit.law.inputs:
        if name not in columns:
            columns[f"extra_{name}"] = ("run", np.asarray(runs.extra[name], float))
    tree = fit.idata.copy()
    tree["runs"] = xr.DataTree(xr.Dataset(columns))
    return write_with(path, lambda p: tree.to_netcdf(p, engine="h5netcdf"))


def is_fit_file(path: Path | str) -> bool:
    """Whether a file looks like a saved fit: by its first bytes, else by its name."""
    path = Path(path)
    if path.suffix.lower() in (".nc", ".nc4", ".netcdf", ".h5"):
        return True
    try:
        with path.open("rb") as handle:
            return handle.read(8) in _MAGIC
    except OSError:
        return False


def load_fit(path: Path | str, law: ScalingLaw | None = None) -> Fit:
    """A fit saved by `save_fit`.

    Parameters
    ----------
    law
        The law, where it is none that this installation knows by name.

    Raises
    ------
    DataError
        If the file is missing, damaged, not one of ours, or of a law that is not installed.
    """
    import xarray as xr

    path = Path(path)
    hint = "Make one with 'bayes-scaling fit RUNS --law NAME --out FIT.nc'."
    if not path.exists():
        raise DataError(f"There is no file {path}. {hint}")
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a saved fit. {hint}")
    try:
        with path.open("rb") as handle:
            first = handle.read(8)
        if first not in _MAGIC:
            raise DataError(f"{path} is not a saved fit: it is no netCDF-4 file. {hint}")
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
        note = json.loads(tree.attrs["bayes_scaling"])
        runs = _runs(tree["runs"].to_dataset(), note["runs"])
        del tree["runs"]  # they are the fit's; its tree is as it was when it was made
        verdict = note["diagnostics"]
        diagnostics = Diagnostics(**{**verdict, "messages": tuple(verdict["messages"])})
        settings = Settings(**note["settings"])
        priors = {name: Prior.parse(text) for name, text in note["priors"].items()}
        scale, name, noise = note["scale"], note["law"], note["noise"]
    except DataError:
        raise
    except KeyError as error:
        raise DataError(f"{path} is a netCDF file but not a fit of ours (no {error}). {hint}") from error
    except Exception as error:  # whatever h5py, xarray or json say of a damaged file, the user needs one sentence
        raise DataError(
            f"{path} cannot be read: it is truncated or damaged ({type(error).__name__}). {hint}"
        ) from error
    try:
        base = get_law(law or name).with_scale(**scale)
        spec, noise_spec = specify(base, noise, priors)
    except UsageError as error:
        raise DataError(f"{path} holds a fit of a law that is not installed as it was: {error}") from error
    return Fit(spec, noise_spec, runs, tree, diagnostics, settings)


def saved_key(path: Path | str) -> str | None:
    """The `fit_key` of a saved fit, or None where there is none to be read."""
    import h5py

    try:
        with h5py.File(path, "r") as handle:
            note: Mapping[str, Any] = json.loads(handle.attrs["bayes_scaling"])
            return None if note["key"] is None else str(note["key"])
    except (OSError, KeyError, ValueError):
        return None


def _runs(data: Any, note: Mapping[str, Any]) -> Runs:
    import pandas as pd

    columns: dict[str, Any] = {k: data[k].to_numpy() for k in _NUMERIC if k in data}
    for k in _TEXT:
        if f"{k}_label" in data:
            columns[k] = data[f"{k}_label"].to_numpy().astype(str)
    extra = {str(k)[6:]: data[k].to_numpy() for k in data if str(k).startswith("extra_")}
    runs = Runs(**columns, extra=pd.DataFrame(extra), name=note["name"], source=note["source"])
    if runs.sha256 != note["sha256"]:
        raise DataError("The runs inside the file do not match their own checksum: it was changed. Fit again.")
    return runs
