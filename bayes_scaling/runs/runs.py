"""The runs a law is fitted to: checked, in one unit each, and never changed."""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.base.errors import DataError, Notice
from bayes_scaling.base.text import storable
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.runs.checks import design_notices
from bayes_scaling.runs.loss_names import UNITS
from bayes_scaling.runs.plausible import flop_notices

_NUMERIC = ("params", "tokens", "flops", "loss", "loss_sd")


@dataclass(frozen=True, eq=False, repr=False)
class Runs:
    """Training runs. Arrays have dims (run,), are float64 where numeric, and are read-only.

    Made by `load_runs`, which checks; the constructor only checks shapes.

    Attributes
    ----------
    params
        Parameters, a count.
    tokens
        Training tokens seen, a count.
    flops
        Training compute, FLOP.
    loss
        In `loss_unit`: nats per token, if nothing else is said.
    loss_sd
        Standard error of `loss`, in its unit, or None.
    group
        What may be pooled over, text, or None.
    run
        Labels, text; not necessarily unique. In these and in all other names NUL and lone surrogates are escaped.
    extra
        The table's other columns, one row a run.
    name, source
        A short name, and where the runs came from, for people.
    notices
        What was noticed on reading.
    loss_unit
        "nats", per token, or "error", a positive number on its own scale.
    flops_factor
        The median of `flops` over 6·params·tokens, 1 where they agree to 1 %: what compute is counted with.
    """

    params: np.ndarray
    tokens: np.ndarray
    flops: np.ndarray
    loss: np.ndarray
    loss_sd: np.ndarray | None = None
    group: np.ndarray | None = None
    run: np.ndarray = field(default_factory=lambda: np.array([], dtype=str))
    extra: pd.DataFrame = field(default_factory=pd.DataFrame)
    name: str = "runs"
    source: str = ""
    notices: tuple[Notice, ...] = ()
    loss_unit: str = "nats"
    flops_factor: float = 0.0

    def __post_init__(self) -> None:
        n = np.asarray(self.params).shape[0]
        for key in _NUMERIC:
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, _frozen(value, np.float64, key, n))
        if len(self.run) == 0:
            object.__setattr__(self, "run", np.array([f"run {i + 1}" for i in range(n)], dtype=str))
        for key in ("run", "group"):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, _frozen(_storable(value), np.str_, key, n))
        for key in ("name", "source"):
            object.__setattr__(self, key, _storable([getattr(self, key)])[0])
        extra = self.extra if len(self.extra.columns) else pd.DataFrame(index=range(n))
        if len(extra) != n:
            raise ValueError(f"extra has {len(extra)} rows for {n} runs")
        object.__setattr__(self, "extra", extra.reset_index(drop=True))
        object.__setattr__(self, "notices", tuple(self.notices))
        if not self.flops_factor:
            object.__setattr__(self, "flops_factor", _factor(self.params, self.tokens, self.flops))

    @property
    def n(self) -> int:
        """Number of runs."""
        return int(self.params.shape[0])

    def __len__(self) -> int:
        return self.n

    @cached_property
    def counted(self) -> np.ndarray:
        """Training compute as all of it is counted, FLOP, dims (run,): `flops_factor` times 6·params·tokens.

        Given compute differs from 6·params·tokens run by run (attention, embeddings, recomputation), and a run that
        nobody has made has none given. So cuts, distances, noise and budgets count both alike; `flops` is what the
        table says.
        """
        counted = self.flops_factor * 6 * self.params * self.tokens
        counted.flags.writeable = False
        return np.asarray(counted)

    @property
    def unit_words(self) -> str:
        """The unit of the losses in words: "nats per token", or "error"."""
        return UNITS[self.loss_unit]

    @property
    def groups(self) -> tuple[str, ...]:
        """The distinct groups, in order of first appearance; empty without a group column."""
        return () if self.group is None else tuple(dict.fromkeys(self.group.tolist()))

    @cached_property
    def sha256(self) -> str:
        """Hash of the numbers and groups, in order: equal for equal content, whatever file it came from."""
        digest = hashlib.sha256()
        for key in _NUMERIC:
            value = getattr(self, key)
            if value is not None:
                digest.update(key.encode() + b"\0" + np.ascontiguousarray(value, dtype="<f8").tobytes())
        if self.group is not None:
            digest.update(b"group\0" + "\0".join(self.group.tolist()).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def design(self) -> dict[str, Any]:
        """What the runs span: `n`; (smallest, largest) of `params`, `tokens`, `flops`, `loss`,
        `tokens_per_param`; `decades` of the first three; `replicates`, the runs that share (params, tokens)
        with an earlier one; and the number of `groups`."""
        columns = {key: getattr(self, key) for key in ("params", "tokens", "flops", "loss")}
        columns["tokens_per_param"] = self.tokens / self.params
        span: dict[str, Any] = {key: (float(v.min()), float(v.max())) for key, v in columns.items()}
        distinct = len(set(zip(self.params.tolist(), self.tokens.tolist(), strict=True)))
        decades = {key: float(np.log10(span[key][1] / span[key][0])) for key in ("params", "tokens", "flops")}
        return {
            "n": self.n,
            **span,
            "decades": decades,
            "replicates": self.n - distinct,
            "groups": len(self.groups),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a run: `run`, `group` and `loss_sd` where given, the quantities, then extra columns."""
        keys = ("run", "group", "params", "tokens", "flops", "loss", "loss_sd")
        # Labels as objects: a frame of runs should look the same whether or not pyarrow is installed.
        frame = pd.DataFrame(
            {
                key: pd.Series(value, dtype=object if key in ("run", "group") else np.float64)
                for key in keys
                if (value := getattr(self, key)) is not None
            }
        )
        return pd.concat([frame, self.extra], axis=1) if len(self.extra.columns) else frame

    def to_dict(self) -> dict[str, Any]:
        """A JSON-like object of plain Python values, the canonical columns as lists."""
        listed = {key: _as_list(getattr(self, key)) for key in ("run", "group", *_NUMERIC)}
        return {
            "name": self.name,
            "source": self.source,
            "n": self.n,
            "sha256": self.sha256,
            "loss_unit": self.loss_unit,
            **listed,
            "extra": {str(key): column.astype(object).tolist() for key, column in self.extra.items()},
            "design": {k: list(v) if isinstance(v, tuple) else v for k, v in self.design.items()},
            "notices": [notice.to_dict() for notice in self.notices],
        }

    def subset(self, mask: Any, name: str | None = None) -> Runs:
        """The runs that `mask` selects.

        Parameters
        ----------
        mask
            Truth values, dims (run,), or integer positions in the order wanted.
        name
            A name for the result; by default this one's.

        Raises
        ------
        DataError
            If nothing is selected, or `mask` does not fit the runs.
        """
        index = np.asarray(mask)
        if index.ndim != 1 or index.dtype.kind not in "biu" or (index.dtype == bool and len(index) != self.n):
            raise DataError(
                f"A subset of {self.name} needs {self.n} truth values, or integer positions, in one dimension."
            )
        positions = np.flatnonzero(index) if index.dtype == bool else index
        if positions.size == 0:
            raise DataError(f"The subset of {self.name} selects none of its {self.n} runs. Widen the selection.")
        if positions.min() < -self.n or positions.max() >= self.n:
            raise DataError(f"A subset of {self.name} names a run beyond its {self.n}.")
        columns: dict[str, Any] = {
            key: None if (value := getattr(self, key)) is None else value[positions]
            for key in (*_NUMERIC, "group", "run")
        }
        name = self.name if name is None else name
        # Notices of the whole table need not hold for a part; those on the numbers are worked out afresh.
        design = design_notices(columns["params"], columns["tokens"], name)
        flops = flop_notices(columns["params"], columns["tokens"], columns["flops"], self.flops_factor, name)
        return Runs(
            **columns,
            extra=self.extra.iloc[positions],
            name=name,
            source=self.source,
            notices=(*flops, *design),
            loss_unit=self.loss_unit,
            flops_factor=self.flops_factor,
        )

    def __repr__(self) -> str:
        lines = [f"Runs '{self.name}': {_summary(self)}"]
        lines += [f"  {label:<7}{low} to {high}" for label, low, high in _ranges(self)]
        lines += [f"  notice: {notice.message}" for notice in self.notices]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.to_frame().head(10).to_html(escape=True, index=False)
        ranges = "; ".join(f"{label} {low} to {high}" for label, low, high in _ranges(self))
        notices = "".join(f"<li>{html.escape(notice.message)}</li>" for notice in self.notices)
        more = f"<p>and {self.n - 10} more</p>" if self.n > 10 else ""
        return (
            f"<div><p><b>{html.escape(self.name)}</b>: "
            f"{html.escape(_summary(self))}<br>{html.escape(ranges)}</p>"
            + (f"<ul>{notices}</ul>" if notices else "")
            + table
            + more
            + "</div>"
        )


def _summary(runs: Runs) -> str:
    groups = f", {len(runs.groups)} groups" if runs.group is not None else ""
    source = f", from {runs.source}" if runs.source and runs.source != runs.name else ""
    return f"{runs.n} runs{groups}{source}"


def _ranges(runs: Runs) -> list[tuple[str, str, str]]:
    design = runs.design
    rows = [(key, *(format_count(v) for v in design[key])) for key in ("params", "tokens")]
    rows.append(("flops", *(format_flop(v) for v in design["flops"])))
    low, high = design["loss"]
    rows.append(("loss", f"{low:.4g}", f"{high:.4g} {runs.unit_words}"))
    return [(label, low, high) for label, low, high in rows]


def _factor(params: np.ndarray, tokens: np.ndarray, flops: np.ndarray) -> float:
    """The median ratio of given compute to 6·params·tokens; 1 where it is within rounding of 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.median(flops / (6 * params * tokens)))
    return ratio if np.isfinite(ratio) and ratio > 0 and abs(ratio - 1) > 0.01 else 1.0


def _as_list(value: np.ndarray | None) -> list[Any] | None:
    return None if value is None else value.tolist()


def _storable(names: Any) -> Any:
    """Names of which none holds what files cannot."""
    text = "".join(map(str, names))
    return names if storable(text) == text else [storable(str(v)) for v in names]


def _frozen(value: Any, dtype: Any, key: str, n: int) -> np.ndarray:
    array = np.array(value, dtype=dtype)  # a copy: the caller's array stays writable
    if array.shape != (n,):
        raise ValueError(f"{key} has shape {array.shape}; expected ({n},)")
    array.flags.writeable = False
    return array
