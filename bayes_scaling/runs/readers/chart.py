"""A chart exported by Weights & Biases: `Step`, then `run - metric`, `run - metric__MIN`, `run - metric__MAX`.

One column a run becomes one row a point: the axis, `run`, and a column for each metric. Bounds are left out.
"""

from __future__ import annotations

import dataclasses

from bayes_scaling.base.errors import Notice
from bayes_scaling.runs.readers.reader import Layout, RawTable, object_frame

_BOUNDS = ("__MIN", "__MAX")


def _turn(table: RawTable) -> RawTable | None:
    names = list(table.frame.columns)
    bounds = {name for name in names if name.endswith(_BOUNDS) and name[:-5] in names}
    series = [name for name in names if name + "__MIN" in names and name + "__MAX" in names]
    if not series or any(" - " not in name for name in series):
        return None
    axes = [name for name in names if name not in bounds and name not in series]
    points: dict[tuple[str, int], dict[str, object]] = {}
    metrics: dict[str, None] = {}
    for name in series:
        run, metric = name.rsplit(" - ", 1)
        metrics[metric] = None
        for at, cell in enumerate(table.frame[name].to_numpy(dtype=object)):
            if not _blank(cell):
                points.setdefault((run, at), {})[metric] = cell
    order = {run: k for k, run in enumerate(dict.fromkeys(run for run, _ in points))}
    keys = sorted(points, key=lambda key: (order[key[0]], key[1]))
    columns: dict[str, list[object]] = {"run": [run for run, _ in keys]}
    columns |= {axis: [table.frame[axis].iloc[at] for _, at in keys] for axis in axes}
    columns |= {metric: [points[key].get(metric, "") for key in keys] for metric in metrics}
    notice = Notice(
        "layout",
        f"{table.source}: read as a chart exported by Weights & Biases: {len(keys)} points of {len(order)} run(s), "
        f"metric {', '.join(metrics)}. It holds no sizes of models; {', '.join(axes) or 'nothing'} is its axis.",
    )
    places = table.places[[at for _, at in keys]]
    return dataclasses.replace(table, frame=object_frame(columns), places=places, notices=(*table.notices, notice))


def _blank(cell: object) -> bool:
    return cell is None or str(cell).strip().casefold() in ("", "nan")


LAYOUT = Layout("chart of Weights & Biases", _turn, order=10)
