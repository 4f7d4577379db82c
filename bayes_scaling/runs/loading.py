"""`load_runs`: from a file, a known data set, a DataFrame or standard input to checked `Runs`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice, UsageError, nearest
from bayes_scaling.base.units import FLOP_PER_PF_DAY
from bayes_scaling.runs import checks, losses, plausible, readers, selection
from bayes_scaling.runs.columns import (
    LAW_COLUMNS,
    Resolution,
    listed,
    missing_column,
    printable,
    resolve,
)
from bayes_scaling.runs.datasets import describe, is_dataset, known_names, load_table
from bayes_scaling.runs.header_units import header_unit
from bayes_scaling.runs.numbers import is_missing, numeric_or_text
from bayes_scaling.runs.readers import RawTable
from bayes_scaling.runs.runs import Runs
from bayes_scaling.runs.structure import judging


@dataclass(frozen=True)
class Options:
    """How a table is to be read: the arguments of `load_runs`, checked."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    group: str | None = None
    loss_unit: str | None = None
    ratios: losses.Ratios = dataclasses.field(default_factory=losses.Ratios)
    where: tuple[str, ...] = ()
    last_per: str | None = None
    per_cell: float | None = None
    run: str | None = None
    skip_bad: bool = False


@dataclass(frozen=True)
class Understood:
    """Runs, and the table that they are from as it was understood: `table` has the rows that were kept by `where` and
    `skip_bad`, `resolution` says what its columns are."""

    runs: Runs
    table: RawTable
    resolution: Resolution


def load_runs(
    source: str | os.PathLike[str] | pd.DataFrame | Runs,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    loss_unit: str | None = None,
    tokens_per_byte: float | None = None,
    tokens_per_word: float | None = None,
    where: str | Sequence[str] | None = None,
    last_per: str | None = None,
    per_cell: str | float | None = None,
    run: str | None = None,
    skip_bad: bool = False,
    name: str | None = None,
) -> Runs:
    """Read and check a table of training runs.

    Parameters
    ----------
    source
        The name of a known data set ("pile"), a path to a table (CSV and its kin, JSON, Parquet, Arrow, Excel,
        Markdown, an MLflow store, compressed or not), "-" for a table on standard input, or a DataFrame. A file that
        bears a data set's name is reached as "./pile".
    columns
        Canonical name -> the table's column, for columns not recognised by themselves:
        {"loss": "eval/c4_loss"}; a factor may stand with it: {"params": "Params (M)*1e6"}. An empty name leaves a
        column out: {"flops": ""} has compute derived.
    group
        The column that names groups; by default `group`, `family` or `corpus` where the table has one. Nothing is
        pooled over it: groups that differ are told (`groups_differ`).
    loss_unit
        "nats" (the default), "bits", "ppl" (per token), "bpb", "bpc", "bpw", or "error"; `loss_sd` is in the same unit.
        The result is in nats per token, but for "error", which stays as it is.
    tokens_per_byte, tokens_per_word
        Tokens per byte (or character) of the text, for "bpb" and "bpc"; tokens per word, for "bpw".
    where
        Conditions that a row must meet, such as "State=finished" or "lr<=0.003"; nothing is evaluated.
    last_per
        A column: of the rows that share its value only that with the most tokens is kept.
    per_cell
        "best", "median" or a quantile ("q10", 0.1): of the rows of equal params and tokens that one is kept.
    run
        The column that names the training run whose checkpoints rows are.
    skip_bad
        Leave out rows with a cell that cannot be used, instead of refusing the table.
    name
        A name for the runs; by default the data set's or the file's.

    Returns
    -------
    Runs
        Checked; what is odd but no error is in its `notices`, rows left out among it (`rows_left_out`).

    Raises
    ------
    DataError
        If the table cannot be read or used. All missing columns and bad cells are listed at once.
    UsageError
        If an argument is wrong in itself.
    """
    options = checked_options(
        columns=columns,
        group=group,
        loss_unit=loss_unit,
        tokens_per_byte=tokens_per_byte,
        tokens_per_word=tokens_per_word,
        where=where,
        last_per=last_per,
        per_cell=per_cell,
        run=run,
        skip_bad=skip_bad,
    )
    if isinstance(source, Runs):
        if options != Options():
            raise UsageError("These runs are read already. Give columns, units and choices of rows with their table.")
        return source if name is None else dataclasses.replace(source, name=name)
    runs = understand(source, options, name).runs
    if isinstance(source, str) and options == Options() and is_dataset(source) and describe(source).shipped:
        # What is odd about a bundled table is on its card, and no fault of who asks for it.
        runs = dataclasses.replace(runs, notices=tuple(dataclasses.replace(n, aside=True) for n in runs.notices))
    return runs


def checked_options(
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    loss_unit: str | None = None,
    tokens_per_byte: float | None = None,
    tokens_per_word: float | None = None,
    where: str | Sequence[str] | None = None,
    last_per: str | None = None,
    per_cell: str | float | None = None,
    run: str | None = None,
    skip_bad: bool = False,
) -> Options:
    """The arguments of `load_runs`, checked; raises `UsageError` where one is wrong in itself."""
    ratios = losses.Ratios(tokens_per_byte, tokens_per_word)
    mapping = dict(columns or {})
    if run is not None:
        if mapping.get("run", run) != run:
            raise UsageError(f"The run is given twice: --run {run} and --map run={mapping['run']}. Keep one.")
        mapping["run"] = run
    return Options(
        mapping,
        group,
        losses.check_unit(loss_unit, ratios),
        ratios,
        (where,) if isinstance(where, str) else tuple(where or ()),
        last_per,
        None if per_cell is None else selection.choice(per_cell),
        run,
        skip_bad,
    )


def understand(source: str | os.PathLike[str] | pd.DataFrame, options: Options, name: str | None = None) -> Understood:
    """As `load_runs`, with the table beside the runs; raises what it raises."""
    table, default = _read(source)
    if options.where:
        table = selection.filtered(table, options.where)
    names = [str(column) for column in table.frame.columns]
    resolution = resolve(names, options.columns, options.group, table.source)
    return _checked(table, resolution, options, name or default)


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
        near = nearest(text, known_names())
        guess = f" Did you mean '{near}'?" if near else ""
        raise DataError(
            f"'{printable(text)}' is neither a file nor a known data set.{guess} Known data sets: "
            f"{', '.join(known_names())}. See 'bayes-scaling data'."
        )
    return readers.read_file(path), path.name.split(".")[0] or path.stem


def _checked(table: RawTable, resolution: Resolution, options: Options, name: str) -> Understood:
    roles = resolution.roles
    findings = checks.Findings(table)
    missing = _missing(table, resolution)
    findings.columns += missing
    if not missing:
        checks.enough_runs(len(table.frame), table.source, options.where)
    values = _values(findings, resolution, options)
    group = _group(findings, resolution)
    extra = _extra(findings, resolution)
    if findings.cells and options.skip_bad and not findings.columns:
        return _checked(_without_bad(findings), resolution, options, name)
    findings.raise_if_any()
    notices = [*table.notices, *findings.notices]

    labels = _labels(table, roles.get("run"))
    keep = np.arange(len(table.frame))
    if options.last_per is not None:
        keep, notice = selection.last_rows(table, options.last_per, values["tokens"])
        notices += [notice] if notice else []
    law = [extra[column].to_numpy() for column in LAW_COLUMNS if column in extra.columns]
    law += [extra[column].to_numpy() for column in judging.law_like(extra)]
    if options.per_cell is not None:
        by = [values["params"], values["tokens"], *law, *([group] if group is not None else [])]
        cells = judging.cells_of([column[keep] for column in by])
        chosen, notice = selection.chosen_per_cell(cells, values["loss"][keep], options.per_cell, table.source)
        keep = keep[chosen]
        notices += [notice] if notice else []
    if keep.size < len(table.frame):
        checks.enough_runs(keep.size, table.source, ("what was chosen of its rows",))
    kept: dict[str, Any] = {key: column[keep] for key, column in values.items()}
    runs = Runs(
        **kept,
        group=None if group is None else group[keep],
        run=labels[keep],
        extra=extra.iloc[keep],
        name=name,
        source=table.source,
        loss_unit=losses.result_unit(options.loss_unit),
    )
    notices += losses.notices(roles["loss"], runs.loss, runs.params, runs.tokens, options.loss_unit, table.source)
    if "flops" in roles or "pf_days" in roles:
        notices += plausible.flop_notices(runs.params, runs.tokens, runs.flops, runs.flops_factor, table.source)
    notices += checks.design_notices(runs.params, runs.tokens, table.source)
    notices += checks.duplicate_notices(selection.rows(table, keep))
    run_column = roles.get("run") if options.last_per is None else None
    notices += judging.notices(runs, roles.get("group"), run_column, options.run is not None, table.source)
    return Understood(dataclasses.replace(runs, notices=tuple(notices)), selection.rows(table, keep), resolution)


def _values(findings: checks.Findings, resolution: Resolution, options: Options) -> dict[str, np.ndarray]:
    """The numbers of every role that is there, dims (run,), what is wrong with them in `findings`; the third of params,
    tokens and flops from the two that are there."""
    roles, units = resolution.roles, resolution.units
    compute = next((role for role in ("flops", "pf_days") if role in roles), None)
    given = [role for role in ("params", "tokens") if role in roles]
    values: dict[str, np.ndarray] = {}
    for role in given:
        values[role] = checks.positive_column(findings, role, roles[role], unit=units.get(role))
    if compute is not None:
        scale = FLOP_PER_PF_DAY if compute == "pf_days" else 1.0
        values["flops"] = checks.positive_column(
            findings, compute, roles[compute], optional=len(given) == 2, unit=units.get(compute), scale=scale
        )
    if "loss" in roles:
        if options.loss_unit is None and (refusal := losses.undeclared(roles["loss"], findings.table.source)):
            findings.columns.append(refusal)
        loss = checks.positive_column(findings, "loss", roles["loss"], unit=units.get("loss"))
        sd = None
        if "loss_sd" in roles:
            sd = checks.positive_column(findings, "loss_sd", roles["loss_sd"], unit=units.get("loss_sd"))
        loss, sd = losses.converted(loss, sd, options.loss_unit, options.ratios)
        if options.loss_unit != "error":
            checks.check_loss(findings, roles["loss"], loss, options.loss_unit)
        values["loss"] = loss
        if sd is not None:
            values["loss_sd"] = sd
    if len(given) + (compute is not None) >= 2:
        _derive(values, findings, compute is not None)
        columns: dict[str, str] = {role: roles[role] for role in given}
        plausible.check_counts(findings, values, columns, units)
        if compute is not None and len(given) == 2:
            plausible.check_flops(findings, values, roles[compute], compute)
    return values


def _missing(table: RawTable, resolution: Resolution) -> list[str]:
    """What the table lacks, all at once: one line a role, then what was understood, and the columns there are."""
    roles = resolution.roles
    names = [str(column) for column in table.frame.columns]
    free = [name for name in names if name not in roles.values()]
    sizes = [role for role in ("params", "tokens", "flops", "pf_days") if role in roles]
    absent = ["loss"] if "loss" not in roles else []
    if len(sizes) < 2:
        absent = [*(role for role in ("params", "tokens") if role not in roles), *absent]
    if not absent:
        return []
    lines = [f"{table.source}: {missing_column(role, names, table.source, free)}" for role in absent]
    if len(sizes) < 2:
        found = f"it has only '{sizes[0]}'" if sizes else "it has none of them"
        lines.append(f"Two of params, tokens and flops are needed (the third follows); {found}.")
    lines += [notice.message for notice in table.notices if notice.code == "layout"]
    if roles:
        told = [f"{role} = {printable(name)}" for role, name in roles.items()]
        lines.append(f"Understood: {', '.join(told)}.")
    lines.append(f"Columns found: {listed(names)}.")
    return lines


def _without_bad(findings: checks.Findings) -> RawTable:
    """The table without the rows that `findings` has cells of, with a notice that counts them."""
    table = findings.table
    bad = {cell.position for cell in findings.cells}
    first = sorted(findings.cells)[0]
    message = (
        f"{table.source}: {len(bad)} of {len(table.frame)} rows left out by --skip-bad, for cells that cannot be used, "
        f"such as {table.where(first.position)}, column '{printable(first.column)}', value '{first.value}': "
        f"{first.why}."
    )
    keep = np.array([i for i in range(len(table.frame)) if i not in bad], dtype=int)
    return selection.rows(table, keep, Notice(selection.CODE, message))


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
    for position in np.flatnonzero(is_missing(cells)):
        findings.bad(position, column, "missing", "name the run's group, or delete the column")
    return np.array([_label(cell) for cell in cells], dtype=str)


def _extra(findings: checks.Findings, resolution: Resolution) -> pd.DataFrame:
    frame = findings.table.frame
    extra: dict[str, object] = {}
    for column, kept in resolution.extra.items():
        if kept in LAW_COLUMNS:
            unit = resolution.units.get(kept) or header_unit(column, kept)
            extra[kept] = checks.positive_column(findings, kept, column, optional=True, unit=unit)
        else:
            extra[kept] = numeric_or_text(frame[column]).to_numpy()
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
    missing = is_missing(cells)
    labels = [numbered[i] if missing[i] else _label(cell) for i, cell in enumerate(cells)]
    return np.array(labels, dtype=str)


def _label(cell: object) -> str:
    return str(cell).strip()


def as_runs(runs: Any) -> Runs:
    """`Runs`, from whatever `load_runs` takes."""
    return runs if isinstance(runs, Runs) else load_runs(runs)
