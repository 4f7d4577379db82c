"""Checkpoints: several rows of one training run, at more and more tokens."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.columns import printable, shell_word

_STEP = re.compile(r"(?:^|[^a-z])(?:global_?)?(?:steps?|iter(?:ation)?s?|checkpoints?|ckpts?)$", re.IGNORECASE)
_PART = 0.5


def notices(
    labels: np.ndarray | None,
    column: str | None,
    params: np.ndarray,
    tokens: np.ndarray,
    extra: pd.DataFrame,
    source: str,
    declared: bool,
) -> list[Notice]:
    """A notice, code `checkpoints`, where most rows stand for a run that other rows stand for too; arrays have dims
    (run,).

    Parameters
    ----------
    labels, column
        The runs' labels and the source column they are from, or None where rows have no labels of their own.
    declared
        Whether `--run` named the column: then it is known, and only recorded.
    """
    found = _of_runs(labels, params, tokens) if labels is not None else None
    if found is None and any(_STEP.search(str(name)) for name in extra.columns):
        for name in extra.columns:
            text = extra[name]
            if text.dtype == object or pd.api.types.is_string_dtype(text):
                labels, column = text.astype(str).to_numpy(), str(name)
                if found := _of_runs(labels, params, tokens):
                    break
    if found is None or column is None:
        return []
    runs, rows = found
    known = (
        f"--run '{printable(column)}' says so; they are fitted as if they were independent all the same."
        if declared
        else "Checkpoints of one run err together, and those before the end carry a learning rate that has not "
        "come down: "
        f"--last-per {shell_word(column)} keeps the last of each run; --run {shell_word(column)} declares them."
    )
    message = (
        f"{source}: {rows} of {params.size} rows are checkpoints of {runs} runs, by column "
        f"'{printable(column)}'. {known}"
    )
    return [Notice("checkpoints", message)]


def _of_runs(labels: np.ndarray, params: np.ndarray, tokens: np.ndarray) -> tuple[int, int] | None:
    """How many runs have several rows of one size at different tokens, and how many rows they are; None where they are
    less than half of the table."""
    codes, distinct = pd.factorize(labels)
    if len(distinct) == labels.size:
        return None
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(distinct) + 1))
    runs = rows = 0
    for low, high in itertools.pairwise(edges):
        members = order[low:high]
        if members.size < 2 or params[members].max() > 1.01 * params[members].min():
            continue
        if np.unique(tokens[members]).size == members.size:
            runs, rows = runs + 1, rows + members.size
    return (runs, rows) if rows >= _PART * labels.size and runs else None
