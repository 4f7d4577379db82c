"""Many data sets, each read by itself: what is wrong with one is its own affair."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_scaling.base.errors import BayesScalingError, DataError, UsageError, nearest
from bayes_scaling.runs.columns import listed, printable
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.readers import read_file
from bayes_scaling.runs.runs import Runs


@dataclass(frozen=True, eq=False)
class Gathered:
    """What could be read, by name, in the order given; and for the others what is wrong, by name."""

    runs: Mapping[str, Runs]
    unusable: Mapping[str, str]


def gather(datasets: Any, by: str | None = None, **reading: Any) -> Gathered:
    """Read every data set.

    Parameters
    ----------
    datasets
        A mapping of names to whatever `load_runs` takes; a sequence of it; or, with `by`, one table that is cut into
        a data set for each value of that column. Members of a sequence are named as their files and data sets are,
        where those differ, else "0", "1", ...
    by
        A column of the table.
    reading
        Further arguments of `load_runs`.

    Raises
    ------
    UsageError
        If there is no data set, or names are not text.
    DataError
        If `by` names no column, or the one table cannot be read.
    """
    named = _parts(datasets, by) if by is not None else _named(datasets)
    if not named:
        raise UsageError("A fleet needs at least one data set.")
    found: dict[str, Runs] = {}
    unusable: dict[str, str] = {}
    for name, source in named.items():
        try:
            found[name] = source if isinstance(source, Runs) else load_runs(source, name=name, **reading)
        except BayesScalingError as error:
            unusable[name] = str(error)
    return Gathered(found, unusable)


def _named(datasets: Any) -> dict[str, Any]:
    if isinstance(datasets, Mapping):
        wrong = [name for name in datasets if not isinstance(name, str)]
        if wrong:
            raise UsageError(f"Data sets are named by text; {wrong[0]!r} is none.")
        return dict(datasets)
    if isinstance(datasets, str | os.PathLike | pd.DataFrame | Runs):
        datasets = [datasets]
    if not isinstance(datasets, Iterable):
        raise UsageError(
            f"A fleet takes a mapping of names to data sets, a sequence of data sets, or one with by='COLUMN'; "
            f"not a {type(datasets).__name__}."
        )
    sources = list(datasets)
    names = [_name(source) for source in sources]
    if None in names or len(set(names)) < len(names):
        names = [str(i) for i in range(len(sources))]
    return {str(name): source for name, source in zip(names, sources, strict=True)}


def _name(source: Any) -> str | None:
    if isinstance(source, Runs):
        return source.name
    return Path(source).stem if isinstance(source, str | os.PathLike) else None


def _parts(table: Any, by: str) -> dict[str, Any]:
    """The rows of each value of column `by`, in order of first appearance."""
    if isinstance(table, Runs):
        return _parts_of_runs(table, by)
    if isinstance(table, Mapping):
        raise UsageError("by='COLUMN' cuts one table; several data sets in a mapping are apart already.")
    if not isinstance(table, pd.DataFrame):
        text = os.fspath(table)
        if text != "-" and os.path.exists(text):
            table = read_file(Path(text)).frame
        else:
            return _parts_of_runs(load_runs(table), by)
    if by not in table.columns:
        raise _no_column(by, map(str, table.columns))
    label = table[by].astype(object)
    # A cell that is empty belongs to nobody: such rows make a data set of their own, which says so by its name.
    label = label.where(label.notna(), "(none)").astype(str)
    return {str(value): table[label == value] for value in dict.fromkeys(label)}


def _parts_of_runs(runs: Runs, by: str) -> dict[str, Any]:
    if by in runs.extra.columns:
        label = runs.extra[by].astype(object).astype(str).to_numpy()
    elif by in ("group", "run") and getattr(runs, by) is not None:
        label = getattr(runs, by)
    else:
        known = [*(k for k in ("group", "run") if getattr(runs, k) is not None), *map(str, runs.extra.columns)]
        raise _no_column(by, known)
    return {str(value): runs.subset(label == value, name=str(value)) for value in dict.fromkeys(label.tolist())}


def _no_column(by: str, columns: Iterable[str]) -> DataError:
    known = list(columns)
    near = nearest(by, known)
    guess = f" Did you mean '{printable(near)}'?" if near else ""
    return DataError(
        f"There is no column '{printable(by)}' to tell the data sets apart.{guess} Columns: {listed(known) or 'none'}."
    )
