"""`load_runs`: from a file, a known data set, a DataFrame or standard input to checked `Runs`."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice, UsageError
from bayes_scaling.base.units import FLOP_PER_PF_DAY
from bayes_scaling.runs import checks, readers
from bayes_scaling.runs.columns import LAW_COLUMNS, Resolution, missing_column, printable, resolve
from bayes_scaling.runs.datasets import describe, is_dataset, known_names, load_table
from bayes_scaling.runs.readers import RawTable
from bayes_scaling.runs.runs import Runs

LOSS_UNITS = {"nats": 1.0, "bits": math.log(2.0)}
"""Nats per unit of loss."""


def load_runs(
    source: str | os.PathLike[str] | pd.DataFrame | Runs,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    loss_unit: str = "nats",
    name: str | None = None,
) -> Runs:
    """Read and check a table of training runs.

    Parameters
    ----------
    source
        The name of a known data set ("pile"), a path to CSV, Parquet or JSON lines, "-" for CSV on standard
        input, or a DataFrame. A file that bears a data set's name is reached as "./pile".
    columns
        Canonical name -> the table's column, for columns not recognised by themselves:
        {"loss": "eval/c4_loss"}. An empty name leaves a column out: {"flops": ""} has compute derived.
    group
        The column to pool over; by default `group`, `family` or `corpus` where the table has one.
    loss_unit
        "nats" or "bits", per token; `loss_sd` is in the same unit. The result is in nats.
    name
        A name for the runs; by default the data set's or the file's.

    Returns
    -------
    Runs
        Checked; what is odd but no error is in its `notices`.

    Raises
    ------
    DataError
        If the table cannot be read or used. All bad cells are listed at once.
    UsageError
        If an argument is wrong in itself.
    """
    if loss_unit not in LOSS_UNITS:
        raise UsageError(f"Unknown loss unit '{loss_unit}'. Choose nats or bits.")
    if isinstance(source, Runs):
        if columns or group or loss_unit != "nats":
            raise UsageError("These runs are read already. Give columns, group and loss_unit with their table.")
        return source if name is None else dataclasses.replace(source, name=name)
    table, default = _read(source)
    names = [str(column) for column in table.frame.columns]
    resolution = resolve(names, columns, group, table.source)
    return _checked(table, resolution, loss_unit, name or default)


def _read(source: str | os.PathLike[str] | pd.DataFrame) -> tuple[RawTable, str]:
    if isinstance(source, pd.DataFrame):
        return readers.from_frame(source, "DataFrame"), "DataFrame"
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise UsageError(f"Runs cannot be read from a {kind}. Give a data set's name, a path or a DataFrame.")
    text = os.fspath(source)
    if text == "-":
        return readers.read_stdin(), "stdin"
    if isinstance(source, str) and is_dataset(text):
        if not describe(text).has_losses:
            raise DataError(f"Data set '{text}' holds no losses, so no law can be fitted to it. Try 'pile'.")
        return readers.from_frame(load_table(text), text), text
    path = Path(text)
    if not path.suffix and path.name == text and not os.path.exists(text):
        raise DataError(
            f"'{printable(text)}' is neither a file nor a known data set. Known data sets: "
            f"{', '.join(known_names())}. See 'bayes-scaling data'."
        )
    return readers.read_file(path), path.stem


def _checked(table: RawTable, resolution: Resolution, loss_unit: str, name: str) -> Runs:
    roles = resolution.roles
    names = list(table.frame.columns)
    compute = next((role for role in ("flops", "pf_days") if role in roles), None)
    given = [role for role in ("params", "tokens") if role in roles]
    if "loss" not in roles:
        raise missing_column("loss", names, table.source)
    if len(given) + (compute is not None) < 2:
        raise _too_few_columns(table, roles, compute)

    checks.enough_runs(len(table.frame), table.source)
    findings = checks.Findings(table)
    notices = findings.notices
    values: dict[str, np.ndarray] = {}
    for role in given:
        values[role] = checks.positive_column(findings, role, roles[role])
    if compute is not None:
        scale = FLOP_PER_PF_DAY if compute == "pf_days" else 1.0
        derivable = len(given) == 2
        values["flops"] = checks.positive_column(findings, compute, roles[compute], optional=derivable, scale=scale)
    nats = LOSS_UNITS[loss_unit]
    values["loss"] = checks.positive_column(findings, "loss", roles["loss"], scale=nats)
    checks.check_loss(findings, roles["loss"], values["loss"])
    if "loss_sd" in roles:
        values["loss_sd"] = checks.positive_column(findings, "loss_sd", roles["loss_sd"], scale=nats)
    group = _group(findings, resolution)
    extra = _extra(findings, resolution)
    _derive(values, findings, compute is not None)
    for role in ("params", "tokens"):
        checks.check_units(findings, role, values[role], roles.get(role))
    findings.raise_if_any()

    notices += checks.flop_notices(values["params"], values["tokens"], values["flops"], table.source)
    notices += checks.design_notices(values["params"], values["tokens"], table.source)
    notices += checks.duplicate_notices(table)
    labels = _labels(table, roles.get("run"))
    return Runs(
        **values,
        group=group,
        run=labels,
        extra=extra,
        name=name,
        source=table.source,
        notices=(*table.notices, *notices),
    )


def _derive(values: dict[str, np.ndarray], findings: checks.Findings, compute_given: bool) -> None:
    """Fill in the one of params, tokens, flops that is not given, by C = 6·N·D, Kaplan et al. (2020)."""
    if "params" not in values:
        values["params"] = values["flops"] / (6 * values["tokens"])
    elif "tokens" not in values:
        values["tokens"] = values["flops"] / (6 * values["params"])
    else:
        product = 6 * values["params"] * values["tokens"]
        if not compute_given:
            values["flops"] = product
            return
        blank = np.isnan(values["flops"])
        values["flops"] = np.where(blank, product, values["flops"])
        if blank.any():
            count = int(blank.sum())
            message = f"{findings.table.source}: flops were blank in {count} run(s); 6·params·tokens is used."
            findings.notices.append(Notice("flops_derived", message))


def _group(findings: checks.Findings, resolution: Resolution) -> np.ndarray | None:
    source = findings.table.source
    if resolution.group_unclear:
        both = " and ".join(f"'{name}'" for name in resolution.group_unclear)
        message = f"{source}: {both} could each be the group; none is used. Choose one with --group COLUMN."
        findings.notices.append(Notice("group_unclear", message))
        return None
    column = resolution.roles.get("group")
    if column is None:
        return None
    cells = findings.table.frame[column]
    for position in np.flatnonzero(checks.is_missing(cells)):
        findings.bad(position, column, "missing", "name the run's group, or delete the column")
    return np.array([_label(cell) for cell in cells], dtype=str)


def _extra(findings: checks.Findings, resolution: Resolution) -> pd.DataFrame:
    frame = findings.table.frame
    extra: dict[str, object] = {}
    for column, kept in resolution.extra.items():
        if kept in LAW_COLUMNS:
            extra[kept] = checks.positive_column(findings, kept, column, optional=True)
        else:
            extra[kept] = checks.numeric_or_text(frame[column]).to_numpy()
    # dtype=object keeps text as it is; numbers get their own type back column by column.
    result = pd.DataFrame(
        {key: pd.Series(cells, dtype=getattr(cells, "dtype", object)) for key, cells in extra.items()}
    )
    return result if len(result.columns) else pd.DataFrame(index=range(len(frame)))


def _labels(table: RawTable, column: str | None) -> np.ndarray:
    numbered = [f"run {i + 1}" for i in range(len(table.frame))]
    if column is None:
        return np.array(numbered, dtype=str)
    cells = table.frame[column]
    missing = checks.is_missing(cells)
    labels = [numbered[i] if missing[i] else _label(cell) for i, cell in enumerate(cells)]
    return np.array(labels, dtype=str)


def _label(cell: object) -> str:
    return str(cell).strip()


def _too_few_columns(table: RawTable, roles: Mapping[str, str], compute: str | None) -> DataError:
    names = list(table.frame.columns)
    have = [role for role in ("params", "tokens", compute) if role in roles]
    absent = "params" if "params" not in roles else "tokens"
    found = f"it has only '{have[0]}'" if have else "it has none of them"
    base = missing_column(absent, names, table.source)
    return DataError(f"{base} Two of params, tokens and flops are needed (the third follows); {found}.")


def as_runs(runs: Any) -> Runs:
    """`Runs`, from whatever `load_runs` takes."""
    return runs if isinstance(runs, Runs) else load_runs(runs)
