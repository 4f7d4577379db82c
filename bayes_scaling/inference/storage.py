"""Fits on disk: one netCDF file each, holding the draws, the runs and what it takes to go on without refitting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import numpy as np

from bayes_scaling.base.errors import BayesScalingError, DataError, UsageError
from bayes_scaling.base.settings import Settings
from bayes_scaling.base.text import printable
from bayes_scaling.engine.model import specify
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.idata import sampled
from bayes_scaling.inference.netcdf import MAGIC, attribute, read_tree, write_tree
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import get_law
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    from xarray import DataTree

NOTE = "bayes_scaling"
"""The attribute that makes a netCDF file a fit of ours: a JSON object."""

_NUMERIC = ("params", "tokens", "flops", "loss", "loss_sd")
_TEXT = ("run", "group")
_HINT = "Make one with 'bayes-scaling fit RUNS --law NAME --out FIT.nc'."


def save_fit(fit: Fit, path: Path | str, *, durable: bool = True) -> Path:
    """Write `fit` to `path` (netCDF-4 and its checksum), whole or not at all; `durable` as in `write_bytes`.

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
    tree = sampled(fit).copy()
    tree["runs"] = xr.DataTree(xr.Dataset(columns))
    return write_tree(tree, path, durable=durable)


def is_fit_file(path: Path | str) -> bool:
    """Whether a file looks like a saved fit: by its first bytes, else by its name. A pipe is none: looking would take
    from it what is to be read."""
    path = Path(path)
    if path.suffix.lower() in (".nc", ".nc4", ".netcdf", ".h5"):
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            return handle.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def holds_fit(path: Path | str) -> bool:
    """Whether a file is a fit of ours, whole enough to say so: only such a file may be replaced by another."""
    return attribute(path, NOTE, sealed=False) is not None


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
    found = read_tree(path, NOTE, _HINT)
    shown, note, tree = printable(path, 200), found.note, found.tree
    try:
        runs = _runs(tree["runs"].to_dataset(), note["runs"])
        del tree["runs"]  # they are the fit's; its tree is as it was when it was made
        diagnostics, settings = _diagnostics(note["diagnostics"]), _typed(Settings, note["settings"])
        priors = {name: Prior.parse(text) for name, text in note["priors"].items()}
        scale, name, noise = note["scale"], _text(note["law"]), _text(note["noise"])
    except DataError:
        raise
    except KeyError as error:
        raise DataError(
            f"{shown} is a netCDF file but not a fit of ours (no {printable(error, 80)}). {_HINT}"
        ) from error
    except (BayesScalingError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise DataError(f"{shown} cannot be read: it is damaged ({type(error).__name__}). {_HINT}") from error
    try:
        base = get_law(law or name).with_scale(**scale)
        spec, noise_spec = specify(base, noise, priors)
    except (UsageError, TypeError, ValueError) as error:
        raise DataError(f"{shown} holds a fit of a law that is not installed as it was: {error}") from error
    _check_draws(tree, spec, noise_spec, shown)
    return Fit(spec, noise_spec, replace(runs, notices=(*runs.notices, *found.notices)), tree, diagnostics, settings)


def saved_key(path: Path | str) -> str | None:
    """The `fit_key` of a saved fit, or None where there is none to be read, or no checksum vouches for it."""
    key = (attribute(path, NOTE) or {}).get("key")
    return key if isinstance(key, str) else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not a {type(value).__name__}")
    return value


def _typed(kind: type, given: Mapping[str, Any]) -> Any:
    """A dataclass from a JSON object, whose values must be of its fields' types; a file may say anything."""
    hints = get_type_hints(kind)
    out: dict[str, Any] = {}
    for name, value in given.items():
        allowed = get_args(hints[name]) if isinstance(hints[name], UnionType) else (hints[name],)
        if tuple[str, ...] in allowed and isinstance(value, list):
            value = tuple(_text(v) for v in value)
        elif isinstance(value, bool) != (bool in allowed) or not isinstance(value, _plain(allowed)):
            raise TypeError(f"{name} is a {type(value).__name__}")
        out[name] = value
    return kind(**out)


def _plain(allowed: tuple[Any, ...]) -> tuple[type, ...]:
    """The types that JSON has for these."""
    return tuple(kind for a in allowed for kind in ((int, float) if a is float else (get_origin(a) or a,)))


def _diagnostics(given: Mapping[str, Any]) -> Diagnostics:
    found: Diagnostics = _typed(Diagnostics, given)
    if found.verdict not in ("ok", "warning", "failed"):
        raise ValueError("a verdict that is none")
    return found


def _check_draws(tree: DataTree, law: ScalingLaw, noise: Noise, shown: str) -> None:
    """Every parameter has draws, numbers with dims (chain, draw)."""
    try:
        groups = tree["posterior"], tree["sample_stats"], tree["unconstrained_posterior"]
        draws = {name: groups[0][name] for name in (*law.parameters, *noise.parameters)}
        draws |= {name: groups[0][name] for name in law.derived}
        shape = groups[2]["x"].shape[:2]
        fine = all(v.dims == ("chain", "draw") and v.dtype.kind == "f" and v.shape == shape for v in draws.values())
        fine = fine and groups[2]["x"].dtype.kind == "f" and min(shape) > 0
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise DataError(
            f"{shown} is a netCDF file but not a fit of ours (no {printable(error, 80)}). {_HINT}"
        ) from error
    if not fine:
        raise DataError(f"{shown} cannot be read: its draws are not numbers by chain and draw. {_HINT}")


def _runs(data: Any, note: Mapping[str, Any]) -> Runs:
    import pandas as pd

    columns: dict[str, Any] = {k: data[k].to_numpy() for k in _NUMERIC if k in data}
    for k in _TEXT:
        if f"{k}_label" in data:
            columns[k] = data[f"{k}_label"].to_numpy().astype(str)
    extra = {str(k)[6:]: data[k].to_numpy() for k in data if str(k).startswith("extra_")}
    runs = Runs(
        **columns,
        extra=pd.DataFrame(extra),
        name=_text(note["name"]),
        source=_text(note["source"]),
        loss_unit=str(note.get("loss_unit", "nats")),  # fits saved by 0.1 have neither
        flops_factor=float(note.get("flops_factor", 0.0)),
    )
    if runs.sha256 != note["sha256"]:
        raise DataError("The runs inside the file do not match their own checksum: it was changed. Fit again.")
    return runs
