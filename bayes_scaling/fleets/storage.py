"""Fleets on disk: one netCDF file each, a group for each law, and the runs of every data set row by row."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.errors import BayesScalingError, DataError
from bayes_scaling.base.provenance import versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.base.text import printable
from bayes_scaling.engine.fingerprint import priors_of
from bayes_scaling.engine.model import specify
from bayes_scaling.fleets.result import Fleet
from bayes_scaling.inference.netcdf import attribute, read_tree, write_tree
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.runs import Runs

_NUMERIC = ("params", "tokens", "flops", "loss", "loss_sd")
NOTE = "bayes_scaling_fleet"
"""The attribute that makes a netCDF file a fleet of ours: a JSON object."""


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
    tree.attrs[NOTE] = json.dumps(
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
    return write_tree(tree, path)


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


def holds_fleet(path: Path | str) -> bool:
    """Whether a file is a fleet of ours, whole enough to say so: only such a file may be replaced by another."""
    return attribute(path, NOTE, sealed=False) is not None


def load_fleet(path: Path | str) -> Fleet:
    """A fleet saved by `save_fleet`.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not one of ours.
    """
    hint = "Make one with 'bayes-scaling fleet RUNS --out FLEET.nc'."
    found = read_tree(path, NOTE, hint)
    shown, note, tree = printable(path, 200), found.note, found.tree
    del tree.attrs[NOTE]
    try:
        specs = []
        for entry in note["laws"]:
            base = get_law(entry["law"]).with_scale(**entry["scale"])
            specs.append(specify(base, entry["noise"], {k: Prior.parse(v) for k, v in entry["priors"].items()}))
        rows = tree["runs"].to_dataset()
        runs = {str(d["name"]): _runs(rows, i, d) for i, d in enumerate(note["datasets"])}
        unusable = {(str(name), str(law)): str(text) for name, law, text in note["unusable"]}
        settings = Settings(**note["settings"])
        del tree["runs"]
        laws, noises = (tuple(column) for column in zip(*specs, strict=True))
        fleet = Fleet(laws, noises, runs, unusable, tree, settings, float(note["ci_prob"]), note["seconds"])
        _ = fleet.failed  # every member is there, with what is known of it
    except KeyError as error:
        raise DataError(f"{shown} is netCDF but no fleet of ours (no {printable(error, 80)}). {hint}") from error
    except DataError:
        raise
    except (BayesScalingError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise DataError(f"{shown} cannot be read as a fleet: it is damaged ({type(error).__name__}). {hint}") from error
    return fleet


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
