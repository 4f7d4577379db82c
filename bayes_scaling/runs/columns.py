"""Which column of a table means what: canonical names, the names also accepted, and `--map`.

Knows names only, no values, and needs the standard library alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayes_scaling.base.errors import DataError, UsageError, unknown
from bayes_scaling.base.text import printable as text_printable

ALIASES: dict[str, tuple[str, ...]] = {
    "params": ("N", "n_params", "parameters", "model_size"),
    "tokens": ("D", "n_tokens", "training_tokens"),
    "loss": ("L", "val_loss", "test_loss"),
    "flops": ("C", "compute", "training_flops"),
    "pf_days": ("pf-days", "petaflop_days"),
    "loss_sd": (),
    "group": ("family", "corpus"),
    "run": ("run_name", "run_id", "name", "id"),
}
"""Canonical name -> other names accepted, first choice first."""

NEEDED = ("params", "tokens", "flops", "pf_days", "loss", "loss_sd")
"""Roles whose numbers enter every fit: two candidates for one of them are refused, never guessed between."""

LAW_COLUMNS = ("unique_tokens", "experts")
"""Counts that some laws name; kept among the extra columns, blanks allowed."""


_STEMS = {"params": "param", "tokens": "token", "flops": "flop"}


@dataclass(frozen=True)
class Resolution:
    """`roles`: canonical name -> source column. `extra`: the other source columns, in their order, each with
    the name it is kept under. `group_unclear`: columns that could each be the group, when none was chosen."""

    roles: dict[str, str]
    extra: dict[str, str]
    group_unclear: tuple[str, ...] = ()


def resolve(
    names: Sequence[str],
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    source: str = "table",
) -> Resolution:
    """Assign the source columns `names` to canonical roles.

    Parameters
    ----------
    names
        The table's column names, unique.
    columns
        `--map`: canonical name -> source column; it overrules every alias. An empty column name leaves the
        role out: {"flops": ""} has compute derived although the table gives it.
    group
        `--group`: the source column to pool over.
    source
        The table's name, for messages.

    Raises
    ------
    UsageError
        If `columns` names something that is no canonical column, or uses one source column twice.
    DataError
        If a mapped column is not in the table, or a column is understood in two ways.
    """
    without = {role for role, name in (columns or {}).items() if not name}
    chosen = _check_map(names, {role: name for role, name in (columns or {}).items() if name}, source)
    if group is not None:
        if chosen.get("group", group) != group:
            raise UsageError(f"The group is given twice: --group {group} and --map group={chosen['group']}. Keep one.")
        chosen["group"] = _present(group, names, source, "--group")
    roles = dict(chosen)
    taken = set(chosen.values())
    unclear: tuple[str, ...] = ()
    closed = set(without)
    if closed & {"flops", "pf_days"} or "flops" in chosen or "pf_days" in chosen:
        closed |= {"flops", "pf_days"}  # one choice of compute settles the other
    for role in ALIASES:
        if role in chosen or role in closed:
            continue
        found = [name for name in _candidates(role, names) if name not in taken]
        if len(found) > 1 and role in NEEDED:
            raise _ambiguous(role, found, source)
        if len(found) > 1 and role == "group" and found[0] != role:
            unclear = tuple(found)
        elif found:
            roles[role] = found[0]
    if "flops" in roles and "pf_days" in roles:
        raise _ambiguous("flops", [roles["flops"], roles["pf_days"]], source, pf_days=roles["pf_days"])
    return Resolution(roles, _extra_names(names, roles), unclear)


def missing_column(role: str, names: Sequence[str], source: str) -> DataError:
    """The error for a table without `role`: the columns found and, where one looks right, a ready `--map`."""
    also = ", ".join(ALIASES.get(role, ()))
    likely = [name for name in names if _STEMS.get(role, role) in name.lower()]
    guess = likely[0] if likely else "COLUMN"
    return DataError(
        f"{source}: no column '{role}'" + (f" (nor {also})" if also else "") + f". Columns found: {listed(names)}. "
        f"If one of them holds it, say so: --map {role}={shell_word(guess)}."
    )


def listed(names: Sequence[str], limit: int = 30) -> str:
    """Column names for a message, at most `limit`."""
    shown = ", ".join(printable(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def printable(text: object, limit: int = 40) -> str:
    """One line of safe text for a terminal, short enough for a message: see `base.text`."""
    return text_printable(text, limit)


def shell_word(text: str) -> str:
    """Quoted for a shell where it must be."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else "'" + printable(text).replace("'", "'\\''") + "'"


def _check_map(names: Sequence[str], columns: dict[str, str], source: str) -> dict[str, str]:
    hint = "Write --map CANONICAL=COLUMN, for instance --map loss=eval/c4_loss."
    for role, name in columns.items():
        close = difflib.get_close_matches(role, ALIASES, n=1, cutoff=0.7)
        if role not in ALIASES and (close or not role.isidentifier()):
            raise unknown("column", role, [*ALIASES, *LAW_COLUMNS], hint)
        _present(name, names, source, f"--map {role}=")
    used: dict[str, str] = {}
    for role, name in columns.items():
        if name in used:
            raise UsageError(f"--map uses column '{name}' twice, for {used[name]} and for {role}. Keep one.")
        used[name] = role
    return columns


def _present(name: str, names: Sequence[str], source: str, option: str) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean '{printable(close[0])}'?" if close else ""
    raise DataError(f"{source}: {option} names column '{name}', which is not there.{guess} Columns: {listed(names)}.")


def _candidates(role: str, names: Sequence[str]) -> list[str]:
    wanted = (role, *ALIASES[role])
    exact = [name for name in wanted if name in names]
    loose = [name for name in names if name not in exact and any(_same(name, w) for w in wanted)]
    return exact + loose


def _same(name: str, wanted: str) -> bool:
    """ "Model Size" is `model_size`; a single letter counts only as written: `n` may be a sample size."""
    if len(name.strip()) < 2 or len(wanted) < 2:
        return name.strip() == wanted
    return re.sub(r"[\W_]+", "_", name.strip().lower()) == re.sub(r"[\W_]+", "_", wanted.lower())


def _ambiguous(role: str, found: list[str], source: str, pf_days: str | None = None) -> DataError:
    both = " and ".join(f"'{printable(name)}'" for name in found)
    options = [f"--map {'pf_days' if name == pf_days else role}={shell_word(name)}" for name in found]
    return DataError(f"{source}: {both} can each be read as '{role}'. Choose one: {' or '.join(options)}.")


def _extra_names(names: Sequence[str], roles: dict[str, str]) -> dict[str, str]:
    """Unused columns keep their names, unless a canonical column now bears it: `--map loss=c4` turns an
    unused `loss` into `source_loss`. A mapped law column (`--map experts=E`) takes its canonical name."""
    used = {name: role for role, name in roles.items()}
    extra: dict[str, str] = {}
    for name in names:
        role = used.get(name)
        if role in ALIASES:
            continue
        kept = role or (f"source_{name}" if name in ALIASES or name in roles else name)
        while kept in extra.values():
            kept = f"{kept}_"
        extra[name] = kept
    return extra
