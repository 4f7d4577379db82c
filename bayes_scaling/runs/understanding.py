"""How a table was understood, for people: what each column is, why, how surely, and the options that say so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bayes_scaling.runs.columns import ALIASES, LAW_COLUMNS, looks_like, printable, shell_word
from bayes_scaling.runs.header_units import header_unit
from bayes_scaling.runs.loading import Options, Understood
from bayes_scaling.runs.loss_names import UNITS, kind_of, options_for


@dataclass(frozen=True)
class ColumnReading:
    """One column of the source.

    Attributes
    ----------
    column
        Its name there.
    role
        What it is read as, or "" where no fit uses it.
    unit
        In words, with the factor where there is one; "" where it has none.
    why
        Why it is read so; for other columns what they hold, and what they might be.
    sure
        "sure" (a name of ours, or as an option says), "likely" (another name, or a unit read off the header), or "".
    """

    column: str
    role: str
    unit: str
    why: str
    sure: str

    def to_dict(self) -> dict[str, Any]:
        """The reading as a JSON-like object."""
        return asdict(self)


def readings(found: Understood, options: Options) -> list[ColumnReading]:
    """What each column of the table is read as, in the table's order."""
    roles = {column: role for role, column in found.resolution.roles.items()}
    out = []
    for column in map(str, found.table.frame.columns):
        role = roles.get(column, "")
        if role in ALIASES:
            out.append(_read_as(column, role, found, options))
        else:
            out.append(_left_over(column, found.resolution.extra.get(column, column), found))
    return out


def to_copy(found: Understood, options: Options) -> str:
    """The options that read the table as it was read, whatever the rules for names become."""
    words = []
    for role, column in found.resolution.roles.items():
        if column != role and role not in ("group", "run"):
            unit = found.resolution.units.get(role)
            words.append(f"--map {role}={shell_word(column if unit is None else f'{column}*{unit.factor:g}')}")
    if (group := found.resolution.roles.get("group")) is not None:
        words.append(f"--group {shell_word(group)}")
    if options.loss_unit:
        words.append(f"--loss-unit {options.loss_unit}")
    return " ".join(words)


def _read_as(column: str, role: str, found: Understood, options: Options) -> ColumnReading:
    reason = found.resolution.reasons.get(role, "by its name")
    unit = found.resolution.units.get(role)
    words = {"params": "a count", "tokens": "a count", "flops": "FLOP", "pf_days": "PF-days"}.get(role, "")
    if role in ("loss", "loss_sd"):
        words = UNITS[options.loss_unit or "nats"] if role == "loss" else UNITS[found.runs.loss_unit]
        if options.loss_unit and found.runs.loss_unit != options.loss_unit:
            words += f", turned into {found.runs.unit_words}"
    if unit is not None:
        words += f", times {unit.factor:g}" + ("" if unit.words == "--map" else f" (the header says {unit.words})")
    chosen = reason.startswith("as --")
    ours = column in (role, *ALIASES[role])
    sure = "sure" if chosen or (ours and unit is None) else "likely"
    return ColumnReading(column, role, words, reason, sure)


def _left_over(column: str, kept: str, found: Understood) -> ColumnReading:
    if kept in LAW_COLUMNS:
        unit = header_unit(column, kept)
        words = "a count" + (f", times {unit.factor:g}" if unit else "")
        return ColumnReading(column, kept, words, "enters laws that name it", "sure" if kept == column else "likely")
    why = _holds(found.runs.extra[kept].to_numpy() if kept in found.runs.extra.columns else np.array([]))
    if looks_like("loss", [column]):
        why += f"; {options_for(shell_word(column), kind_of(column))} to use it"
    return ColumnReading(column, "", "", why, "")


def _holds(values: np.ndarray) -> str:
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        if not known.size:
            return "blank"
        return f"numbers, {known.min():.3g} to {known.max():.3g}"
    texts = list(dict.fromkeys(str(value).strip() for value in values))
    if len(texts) == 1:
        return f"always {printable(texts[0], 30)}"
    return f"text, {len(texts)} values"
