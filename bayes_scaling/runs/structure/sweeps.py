"""Sweeps: rows of equal size and tokens whose losses spread with a hyper-parameter, and rows that another column "
"moves."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.columns import printable
from bayes_scaling.runs.losses import rank_correlation
from bayes_scaling.runs.numbers import blank, plain_numbers
from bayes_scaling.runs.structure.surface import Surface, tail

CHANCE = 0.01
_ROWS, _PART = 6, 0.2
_LARGE = 0.02
"""Spread within cells, in log loss, that seeds do not make."""
_SMALL = 0.001
_SHARE, _FAR_SHARE = 0.25, 0.4
_RULE = 0.9

_TUNED = re.compile(
    r"(?:^|[^a-z])(?:lr|learning_?rate|batch\w*|bs|gbs|global_?batch\w*|wd|weight_?decay|warmup\w*|beta_?[12]|momentum|"
    r"dropout|optimi[sz]er|schedule\w*|decay|seq_?len|context\w*|sparsity|clip\w*|hparams?)"
    r"(?:$|[^a-z])",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"loss|ppl|perplex|bpb|acc(?:uracy|_|$)|score|nll|error|(?:^|[^a-z])(?:lo|hi)\d|time|second|date|hour|runtime|tflop|mfu|"
    r"throughput|(?:^|[^a-z])(?:seed|id|index|idx|rank|run|name|url|path|uuid|host|user|tags?|notes?)(?:$|[^a-z])|created",
    re.IGNORECASE,
)


def cells_of(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The number of each row's cell, dims (run,): rows equal in every column share one. Numbers count as equal to four
    digits."""
    keys = [
        np.array([f"{v:.4g}" for v in column]) if column.dtype.kind == "f" else column.astype(str) for column in columns
    ]
    return pd.MultiIndex.from_arrays(keys).factorize()[0]


def notices(
    cells: np.ndarray,
    loss: np.ndarray,
    scale: np.ndarray,
    extra: pd.DataFrame,
    surface: Surface,
    source: str,
    mapped: Sequence[str],
) -> list[Notice]:
    """Notices, code `sweep`; arrays have dims (run,).

    Parameters
    ----------
    cells
        The number of each row's cell.
    scale
        Log params and log tokens, standardised, dims (quantity, run).
    extra
        The table's other columns.
    mapped
        Columns of `extra` that are no hyper-parameters although they are there: groups, a law's counts.
    """
    tuned = _hyper_parameters(extra, mapped)
    if told := _within(cells, loss, scale, tuned, source):
        return [told]
    free = {name: column for name, column in tuned.items() if _TUNED.search(name) and _of_its_own(column, scale)}
    told = _across(surface, free, source)
    return [told] if told else []


def _within(
    cells: np.ndarray, loss: np.ndarray, scale: np.ndarray, tuned: dict[str, np.ndarray], source: str
) -> Notice | None:
    """Cells of several rows, and what their spread goes with."""
    counts = np.bincount(cells)
    repeated = counts[cells] > 1
    rows = int(repeated.sum())
    if rows < _ROWS or rows < _PART * cells.size:
        return None
    y = _centred(np.log(loss[repeated]), cells[repeated])
    inner = cells[repeated]
    spread = float(np.sqrt((y**2).sum() / max(rows - np.unique(inner).size, 1)))
    shares = {}
    for name, values in tuned.items():
        share, chance = _explained(y, inner, values[repeated], scale[:, repeated])
        if share >= _SHARE and chance <= CHANCE / max(len(tuned), 1):
            shares[name] = share
    if not ((shares and spread > _SMALL) or spread > _LARGE):
        return None
    ranked = sorted(shares, key=lambda name: -shares[name])[:3]
    with_what = (
        " and ".join(f"'{printable(name)}' ({100 * shares[name]:.0f} % of it)" for name in ranked)
        if ranked
        else "no column of the table"
    )
    many = int((counts > 1).sum())
    return Notice(
        "sweep",
        f"{source}: {rows} of {cells.size} rows share params and tokens with others ({many} cells, up to "
        f"{counts.max()} "
        f"rows each), and their losses spread by {100 * spread:.2g} % within a cell (standard deviation), which "
        "goes with "
        f"{with_what}. A sweep is fitted as if its spread were noise, and a law of the best runs is another than "
        "that of "
        "all: --per-cell best keeps the best row of each cell (biased low, the more rows the more), --per-cell q25 a "
        "quantile.",
    )


def _across(surface: Surface, tuned: dict[str, np.ndarray], source: str) -> Notice | None:
    """A hyper-parameter that the losses follow where no rows share a cell."""
    found = {}
    for seed, (name, values) in enumerate(tuned.items()):
        chosen = values[surface.rows]
        if np.unique(chosen).size < 3:
            continue
        z = (chosen - chosen.mean()) / max(float(chosen.std()), 1e-12)
        share, chance = surface.explained(np.stack([z, z**2], axis=1), _FAR_SHARE, seed)
        if share >= _FAR_SHARE and chance <= CHANCE / len(tuned):
            found[name] = share
    if not found or surface.scatter < _SMALL:
        return None
    name = max(found, key=lambda one: found[one])
    return Notice(
        "sweep",
        f"{source}: beside params and tokens the losses follow '{printable(name)}', which explains "
        f"{100 * found[name]:.0f} % of the scatter around a smooth surface ({100 * surface.scatter:.2g} %). It is "
        "fitted "
        "as if it were noise, and intervals widen by it. Keep rows that share it (--where), or the best of each cell "
        "(--per-cell best).",
    )


def _hyper_parameters(extra: pd.DataFrame, mapped: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns that may be hyper-parameters, as numbers (text as codes), dims (run,); known names first."""
    found: dict[str, np.ndarray] = {}
    names = sorted(map(str, extra.columns), key=lambda name: _TUNED.search(name) is None)
    for name in names:
        if name in mapped or _OUTCOME.search(name):
            continue
        cells = extra[name]
        values, left = plain_numbers(cells)
        if len(left) and not all(blank(cell) for cell in cells.to_numpy(dtype=object)[left]):
            text = np.array([str(cell) for cell in cells], dtype=object)
            values = pd.factorize(text)[0].astype(float)
            if np.unique(values).size > 0.5 * values.size:
                continue
        elif len(left):
            continue
        elif (values > 0).all() and values.max() > 3 * values.min():
            values = np.log(values)
        if np.ptp(values) > 0 and not any(_same(values, other) for other in found.values()):
            found[name] = values
        if len(found) >= 24:
            break
    return found


def _of_its_own(values: np.ndarray, scale: np.ndarray) -> bool:
    """Whether a column is more than a rule of size or tokens, as a learning rate set by size is."""
    return all(abs(rank_correlation(values, s)) < _RULE for s in (*scale, scale[0] - scale[1], scale[0] + scale[1]))


def _explained(y: np.ndarray, cells: np.ndarray, values: np.ndarray, scale: np.ndarray) -> tuple[float, float]:
    """The share of the spread within cells that a column explains beyond chance, and its chance.

    A number enters as a cubic whose place may move with size and tokens (best learning rates do), text and numbers of
    few values by value. `y`, log losses centred in their cells, is clipped: a run that diverged is one run.
    """
    distinct = np.unique(values)
    if distinct.size < 2:
        return 0.0, 1.0
    if distinct.size <= 3:
        columns = np.stack([(values == v).astype(float) for v in distinct[1:]], axis=1)
    else:
        x = (values - values.mean()) / max(float(values.std()), 1e-12)
        columns = np.stack([x, x**2, x**3, *(x * s for s in scale), *(x**2 * s for s in scale)], axis=1)
    directions, s, _ = np.linalg.svd(_centred_columns(columns, cells), full_matrices=False)
    directions = directions[:, s > 1e-6 * max(float(s[0]), 1e-9)]
    limit = 3 * 1.4826 * float(np.median(np.abs(y)))
    y = _centred(np.clip(y, -limit, limit), cells) if limit > 0 else y
    total = float(y @ y)
    terms = directions.shape[1]
    free = y.size - np.unique(cells).size - terms
    if not terms or free < 1 or total <= 0:
        return 0.0, 1.0
    share = float(((directions.T @ y) ** 2).sum()) / total
    return max(0.0, 1 - (1 - share) * (free + terms) / free), tail(share, terms, free)


def _centred(y: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return np.asarray(_centred_columns(y[:, None], cells)[:, 0])


def _centred_columns(columns: np.ndarray, cells: np.ndarray) -> np.ndarray:
    index = np.unique(cells, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(index)
    means = np.stack([np.bincount(index, weights=column) / counts for column in columns.T], axis=1)
    return np.asarray(columns - means[index])


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.ptp(a - a.mean() - (b - b.mean())) < 1e-12)
