"""Fleets on disk: one netCDF file each, a group for each law, and the runs of every data set row by row."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.files import write_with
from bayes_scaling.base.provenance import versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.fingerprint import priors_of
from bayes_scaling.engine.model import specify
from bayes_scaling.fleets.result import Fleet
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.runs import Runs

_NUMERIC = ("params", "tokens", "flops", "loss", "loss_sd")
_NOTE = "bayes_scaling_fleet"


def save_fleet(fleet: Fleet, path: Path | str) -> Path:
    """Write `fleet` to `path` (netCDF-4), whole or not at all.

    Raises
    ------
    DataError
        If the place cannot be written.
    """
    import xarray as xr

    tree = fleet.idata.copy()
    tree["runs"] = xr.DataTree(xr.Dataset(_rows(fleet)))
    tree.attrs[_NOTE] = json.dumps(
        {
            "format": 1,
            "laws": [
                {"law": w.name, "scale": asdict(w.scale), "noise": n.name, "priors": priors_of(w, n)}
                for w, n in zip(fleet.laws, fleet.noises, strict=True)
            ],
            "datasets": [{"name": name, "source": runs.source} for name, runs in fleet.runs.items()],
            "unusable": [[*member, text] for member, text in fleet.unusable.items()],
            "settings": asdict(fleet.settings),
            "ci_prob": fleet.ci_prob,
            "seconds": dict(fleet.seconds),
            "versions": versions(),
        }
    )
    return write_with(path, lambda p: tree.to_netcdf(p, engine="h5netcdf"))


def _rows(fleet: Fleet) -> dict[str, Any]:
    """Columns with dims (row,) over all data sets; which data set a row is of is told by its position in `runs`."""
    tables = list(fleet.runs.values())
    extra = sorted({name for law in fleet.laws for name in law.inputs} - set(_NUMERIC))
    columns: dict[str, Any] = {"dataset": np.repeat(np.arange(len(tables)), [t.n for t in tables])}
    for name in _NUMERIC:
        parts = [np.full(t.n, np.nan) if getattr(t, name) is None else getattr(t, name) for t in tables]
        columns[name] = np.concatenate(parts)
    for name in extra:
        parts = [t.extra[name].to_numpy(float) if name in t.extra else np.full(t.n, np.nan) for t in tables]
        columns[f"extra_{name}"] = np.concatenate(parts)
    columns["run_label"] = np.concatenate([t.run.astype(object) for t in tables])
    return {name: ("row", values) for name, values in columns.items()}


def load_fleet(path: Path | str) -> Fleet:
    """A fleet saved by `save_fleet`.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not one of ours.
    """
    import xarray as xr

    path = Path(path)
    hint = "Make one with 'bayes-scaling fleet RUNS --out FLEET.nc'."
    if not path.is_file():
        raise DataError(f"There is no file {path}. {hint}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
        note = json.loads(tree.attrs.pop(_NOTE))
        specs = []
        for entry in note["laws"]:
            base = get_law(entry["law"]).with_scale(**entry["scale"])
            specs.append(specify(base, entry["noise"], {k: Prior.parse(v) for k, v in entry["priors"].items()}))
        rows = tree["runs"].to_dataset()
        runs = {d["name"]: _runs(rows, i, d) for i, d in enumerate(note["datasets"])}
        unusable = {(name, law): text for name, law, text in note["unusable"]}
        settings = Settings(**note["settings"])
        del tree["runs"]
    except KeyError as error:
        raise DataError(f"{path} is a netCDF file but not a fleet of ours (no {error}). {hint}") from error
    except DataError:
        raise
    except Exception as error:  # whatever h5py, xarray or json say of a damaged file, the user needs one sentence
        raise DataError(f"{path} cannot be read as a fleet ({type(error).__name__}). {hint}") from error
    laws, noises = (tuple(column) for column in zip(*specs, strict=True))
    return Fleet(laws, noises, runs, unusable, tree, settings, note["ci_prob"], note["seconds"])


def _runs(rows: Any, position: int, entry: dict[str, str]) -> Runs:
    import pandas as pd

    mine = rows["dataset"].to_numpy() == position
    numbers: dict[str, Any] = {name: rows[name].to_numpy()[mine] for name in _NUMERIC}
    if np.isnan(numbers["loss_sd"]).all():
        numbers["loss_sd"] = None
    extra = {
        str(k).removeprefix("extra_"): v.to_numpy()[mine]
        for k, v in rows.data_vars.items()
        if str(k).startswith("extra_")
    }
    return Runs(
        **numbers,
        run=rows["run_label"].to_numpy()[mine].astype(str),
        extra=pd.DataFrame(extra),
        name=entry["name"],
        source=entry["source"],
    )
