"""What the rows of checked runs are, told in notices: checkpoints, groups that differ, sweeps, an absurd scatter."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.columns import LAW_COLUMNS, listed, shell_word
from bayes_scaling.runs.numbers import blank
from bayes_scaling.runs.runs import Runs
from bayes_scaling.runs.structure import checkpoints, groups, sweeps
from bayes_scaling.runs.structure.surface import surface
from bayes_scaling.runs.structure.sweeps import cells_of as cells_of

ABSURD = 0.1
"""Scatter around a smooth falling surface, in log loss, that no language model's runs have."""
_UNFINISHED = (
    "crashed",
    "failed",
    "killed",
    "running",
    "preempted",
    "preempting",
    "pending",
    "scheduled",
    "error",
    "oom",
)
_STATE = re.compile(r"(?:^|[._ ])(?:state|status)$", re.IGNORECASE)
_ACTIVE = re.compile(r"(?:^|[^a-z])(?:active|activated|effective)(?:$|[^a-z])|^Na$", re.IGNORECASE)
_FEWEST = 8


def law_like(extra: pd.DataFrame) -> list[str]:
    """Columns that make runs of equal params and tokens different models: active beside total parameters."""
    return [
        str(name) for name in extra.columns if _ACTIVE.search(str(name)) and not str(name).endswith(("/N", "ratio"))
    ]


def notices(runs: Runs, group: str | None, run: str | None, run_declared: bool, source: str) -> list[Notice]:
    """Everything to be told of what the rows are.

    Parameters
    ----------
    group, run
        The source columns of the runs' groups and labels, if they have any.
    run_declared
        Whether `--run` named that of the labels.
    """
    extra = runs.extra
    found = _unfinished(extra, source) + _unused(extra, source)
    labels = runs.run if run is not None else None
    found += checkpoints.notices(labels, run, runs.params, runs.tokens, extra, source, run_declared)
    if runs.n < _FEWEST:
        return found
    quick = surface(runs.params, runs.tokens, runs.loss)
    frame = extra if runs.group is None or group is None else extra.assign(**{group: runs.group})
    columns = groups.candidates(frame, runs.params, runs.tokens)
    names = {name: _values(frame[name]) for name in columns}
    different = groups.differences(quick, columns, names)
    found += groups.notices(different, group, source)
    known = [*LAW_COLUMNS, *law_like(extra), *(one.column for one in different)]
    by = [runs.params, runs.tokens, *(_as_key(frame[name]) for name in known if name in frame.columns)]
    cells = cells_of(by)
    if not any(notice.code == "checkpoints" for notice in found):
        scale = np.stack([_standard(np.log(runs.params)), _standard(np.log(runs.tokens))])
        found += sweeps.notices(cells, runs.loss, scale, extra, quick, source, known)
    if quick.scatter > ABSURD:
        message = (
            f"{source}: the losses scatter by {100 * quick.scatter:.0f} % around any smooth surface that falls "
            "with params "
            "and tokens; runs of language models scatter by about 1 %. Either these numbers are no losses, or a "
            "column is "
            "not what it seems, or something else than params and tokens moves them. No forecast from them can be "
            "trusted."
        )
        found.insert(0, Notice("absurd_scatter", message))
    return found


def _unfinished(extra: pd.DataFrame, source: str) -> list[Notice]:
    """A notice where a column of states has runs that did not end well; they are used all the same."""
    for name in extra.columns:
        if not _STATE.search(str(name)):
            continue
        states = [str(cell).strip().casefold() for cell in extra[name]]
        bad = [state for state in states if state in _UNFINISHED]
        good = next((cell for cell, s in zip(extra[name], states, strict=True) if s in ("finished", "completed")), None)
        if bad and good is not None:
            message = (
                f"{source}: {len(bad)} of {len(states)} rows did not finish by column '{name}' "
                f"({listed(sorted(set(bad)), 4)})"
                f" and are used all the same. Leave them out: --where {shell_word(f'{name}={good}')}."
            )
            return [Notice("unfinished_runs", message)]
    return []


def _unused(extra: pd.DataFrame, source: str) -> list[Notice]:
    """A notice that names columns which a law could use, where they vary: none enters a fit unless a law names it."""
    names = [name for name in LAW_COLUMNS if name in extra.columns and _varies(extra[name])]
    names += [name for name in law_like(extra) if _varies(extra[name])]
    if not names:
        return []
    message = (
        f"{source}: {listed(names)} could explain losses, but enter only a law that names them among its inputs "
        "('bayes-scaling laws'); any other takes these runs for alike where params and tokens are."
    )
    return [Notice("unused_columns", message)]


def _varies(cells: pd.Series) -> bool:
    seen = {str(cell) for cell in cells if not blank(cell)}
    return len(seen) > 1


def _values(cells: pd.Series) -> list[str]:
    return list(dict.fromkeys(str(cell).strip() for cell in cells if not blank(cell)))


def _as_key(cells: pd.Series) -> np.ndarray:
    values = cells.to_numpy()
    return values if values.dtype.kind == "f" else np.array([str(cell) for cell in values], dtype=str)


def _standard(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))
