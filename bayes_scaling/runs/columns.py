"""Which column of a table means what: canonical names, the names also accepted, and `--map`.

Knows names only, no values, and needs the standard library alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bayes_scaling.base.errors import DataError, UsageError, unknown
from bayes_scaling.base.text import printable as text_printable
from bayes_scaling.runs.header_units import Unit, bare, header_unit, is_pf_days, is_rate, split_factor
from bayes_scaling.runs.loss_names import kind_of, options_for

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

ALSO: dict[str, tuple[str, ...]] = {
    "params": (
        "num_params", "num_parameters", "n_parameters", "nparams", "param", "parameter", "parameter_count",
        "parameters_count", "param_count", "params_count", "count_params", "total_params", "total_parameters",
        "params_total", "model_params", "model_parameters", "num_model_params", "n_params_total", "size",
    ),
    "tokens": (
        "num_tokens", "token", "tokens_trained", "trained_tokens", "tokens_seen", "seen_tokens", "train_tokens",
        "num_train_tokens", "n_train_tokens", "tokens_train", "total_tokens", "tokens_total", "token_count",
        "tokens_count", "tokens_consumed", "consumed_tokens", "tokens_processed", "num_training_tokens",
        "n_training_tokens", "training_data_tokens", "dataset_tokens", "data_tokens", "ntokens",
    ),
    "loss": (
        "validation_loss", "valid_loss", "eval_loss", "evaluation_loss", "dev_loss", "heldout_loss", "held_out_loss",
        "final_loss", "loss_val", "loss_eval", "loss_validation", "loss_test", "final_val_loss", "final_eval_loss",
        "best_val_loss", "val_ce", "val_cross_entropy", "eval_cross_entropy", "cross_entropy", "cross_entropy_loss",
        "crossentropyloss", "ce_loss", "nll", "xent", "val_nll", "eval_nll",
    ),
    "flops": (
        "flop", "num_flops", "n_flops", "train_flops", "flops_train", "total_flops", "flops_total", "flop_count",
        "flops_budget", "flop_budget", "budget", "compute_budget", "compute_flops", "training_compute",
        "train_compute", "total_compute", "training_flop", "train_flop", "total_flop", "isoflop_budget",
    ),
    "pf_days": ("pfdays", "pflop_days", "pflops_days", "petaflop_s_days", "pf_day", "compute_pf_days"),
    "loss_sd": (),
    "group": (),
    "run": ("run_label", "runname", "mlflow_runname", "display_name", "experiment_name"),
}  # fmt: skip
"""The field's other names: they count where no name of `ALIASES` is there."""

NEEDED = ("params", "tokens", "flops", "pf_days", "loss", "loss_sd")
"""Roles whose numbers enter every fit: two candidates for one of them are refused, never guessed between."""

LAW_COLUMNS = ("unique_tokens", "experts")
"""Counts that some laws name; kept among the extra columns, blanks allowed."""

LAW_ALIASES = {"unique_tokens": ("n_unique_tokens", "num_unique_tokens"), "experts": ("n_experts", "num_experts")}
"""Other names of a law's counts."""

_COUNTED = ("params", "tokens", "flops", "unique_tokens", "experts")
"""Roles whose header may name a unit."""

_LOOKS = {
    "params": re.compile(r"param|model_?size|(?<![a-z])size|n_?active", re.I),
    "tokens": re.compile(r"token|(?<![a-z])toks?(?![a-z])|data_?size", re.I),
    "loss": re.compile(r"loss|nll|xent|cross.?entropy|ppl|perplexity|bpb|bpc|bpw|nats|(?<![a-z])bits", re.I),
    "flops": re.compile(r"flop|compute|pf.?days?", re.I),
}
_NOT = {
    "params": re.compile(r"hyper|per_param|param_?groups?", re.I),
    "tokens": re.compile(r"vocab|batch|context|seq|tokenizer|unique|per[_ ]?(?:param|step|gpu|device)|max_tok", re.I),
    "loss": re.compile(
        r"scale|aux|balanc|router|z_?loss|stderr|std|_sd$|_se$|^lo\d|^hi\d|__m|weight|(?<![a-z])lr", re.I
    ),
    "flops": re.compile(r"util|mfu|increase|compute_?(?:type|cap|dtype)|dtype|flops?_per|per_", re.I),
}
_STEPS = re.compile(r"(?:^|[^a-z])(?:global_?)?(?:step|steps|iter|iters|iteration|iterations)$", re.I)
_PREFIX = re.compile(r"^(?:config|summary|params|metrics|tags|hparams|hyperparameters)[./]", re.I)


@dataclass(frozen=True)
class Resolution:
    """`roles`: canonical name -> source column. `extra`: the other source columns, in their order, each with
    the name it is kept under. `group_unclear`: columns that could each be the group, when none was chosen. `units`:
    role -> the factor for its plain numbers, from the header or from `--map`. `reasons`: role -> how it was found."""

    roles: dict[str, str]
    extra: dict[str, str]
    group_unclear: tuple[str, ...] = ()
    units: dict[str, Unit] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


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
    chosen, units = _chosen(names, columns or {}, source)
    if group is not None:
        if chosen.get("group", group) != group:
            raise UsageError(f"The group is given twice: --group {group} and --map group={chosen['group']}. Keep one.")
        chosen["group"] = _present(group, names, source, "--group")
    roles, reasons = dict(chosen), dict.fromkeys(chosen, "as --map says")
    if group is not None:
        reasons["group"] = "as --group says"
    taken = set(chosen.values())
    unclear: tuple[str, ...] = ()
    closed = {role for role, name in (columns or {}).items() if not name}
    if closed & {"flops", "pf_days"} or "flops" in chosen or "pf_days" in chosen:
        closed |= {"flops", "pf_days"}  # one choice of compute settles the other
    for role in ALIASES:
        if role in chosen or role in closed:
            continue
        found, reason = _candidates(role, [name for name in names if name not in taken])
        if len(found) > 1 and role in NEEDED:
            raise _ambiguous(role, found, source)
        if len(found) > 1 and role == "group" and found[0] != role:
            unclear = tuple(found)
        elif found:
            roles[role] = found[0]
            reasons[role] = reason
    if "flops" in roles and "pf_days" in roles:
        raise _ambiguous("flops", [roles["flops"], roles["pf_days"]], source, pf_days=roles["pf_days"])
    for role, name in roles.items():
        if role in _COUNTED and role not in units and (unit := header_unit(name, role)):
            units[role] = unit
    return Resolution(roles, _extra_names(names, roles), unclear, units, reasons)


def looks_like(role: str, names: Sequence[str]) -> list[str]:
    """Columns whose names could mean `role`, likeliest first; a proposal, never taken by itself."""
    named = [name for name in names if _LOOKS[role].search(name) and not _NOT[role].search(name) and not is_rate(name)]
    if role == "loss":  # held out before trained on; a unit of its own after nats
        named.sort(key=lambda n: (not re.search(r"val|eval|test|dev|held", n, re.I), "loss" not in n.lower()))
    return named


def missing_column(role: str, names: Sequence[str], source: str, free: Sequence[str] | None = None) -> str:
    """One line on a table without `role`: names that would do and, where a column looks right, ready options.

    Parameters
    ----------
    free
        The columns that have no role yet; all, if None.
    """
    also = ", ".join(ALIASES.get(role, ()))
    likely = looks_like(role, names if free is None else free)
    text = f"no column '{role}'" + (f" (nor {also}, or the field's other names)" if also else "") + ". "
    if likely:
        ways = [_option(role, name) for name in likely[:3]]
        return text + f"It may be {listed([f'{n!r}' for n in likely[:3]])}: {'; or '.join(ways)}."
    steps = [name for name in (names if free is None else free) if _STEPS.search(name)]
    if role == "tokens" and steps:
        way = shell_word(f"{steps[0]}*TOKENS_PER_STEP")
        return (
            text + f"Where '{printable(steps[0])}' counts optimiser steps, times the tokens in one: --map tokens={way}."
        )
    return text + f"If one of them holds it, say so: --map {role}=COLUMN."


def _option(role: str, name: str) -> str:
    if role != "loss":
        return f"--map {role}={shell_word(name)}"
    return options_for(shell_word(name), kind_of(name))


def listed(names: Sequence[str], limit: int = 30) -> str:
    """Column names for a message, at most `limit`."""
    shown = ", ".join(printable(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def printable(text: object, limit: int = 40) -> str:
    """One line of safe text for a terminal, short enough for a message: see `base.text`."""
    return text_printable(text, limit)


def shell_word(text: str) -> str:
    """Quoted for a shell where it must be."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else "'" + printable(text, 200).replace("'", "'\\''") + "'"


def _chosen(names: Sequence[str], columns: Mapping[str, str], source: str) -> tuple[dict[str, str], dict[str, Unit]]:
    """`--map`, checked: role -> column, and the factors given with it."""
    chosen: dict[str, str] = {}
    units: dict[str, Unit] = {}
    hint = "Write --map CANONICAL=COLUMN, for instance --map loss=eval/c4_loss."
    for role, text in columns.items():
        if not text:
            continue
        close = difflib.get_close_matches(role, ALIASES, n=1, cutoff=0.7)
        if role not in ALIASES and (close or not role.isidentifier()):
            raise unknown("column", role, [*ALIASES, *LAW_COLUMNS], hint)
        name, factor = split_factor(text, names)
        chosen[role] = _present(name, names, source, f"--map {role}=")
        if factor is not None:
            if role in ("group", "run"):
                raise UsageError(f"--map {role}={text}: a factor goes with numbers only. Name the column alone.")
            units[role] = Unit(factor, "--map")
    used: dict[str, str] = {}
    for role, name in chosen.items():
        if name in used:
            raise UsageError(f"--map uses column '{name}' twice, for {used[name]} and for {role}. Keep one.")
        used[name] = role
    return chosen, units


def _present(name: str, names: Sequence[str], source: str, option: str) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean '{printable(close[0])}'?" if close else ""
    raise DataError(f"{source}: {option} names column '{name}', which is not there.{guess} Columns: {listed(names)}.")


def _candidates(role: str, names: Sequence[str]) -> tuple[list[str], str]:
    """Columns that can be read as `role`, and why: names of `ALIASES`, else those with a unit or a prefix, else
    `ALSO`."""
    wanted = (role, *ALIASES[role])
    exact = [name for name in wanted if name in names]
    loose = [name for name in names if name not in exact and any(_same(name, w) for w in wanted)]
    if exact or loose:
        return exact + loose, "by its name"
    plain = {name: _plain(name) for name in names if not is_rate(name)}
    for accepted in (wanted, ALSO[role]):
        if found := [name for name, text in plain.items() if any(_same(text, w) for w in accepted)]:
            return found, "by its name"
    if role == "pf_days":
        return [name for name in names if is_pf_days(name) and len(name) <= 12], "by its name"
    return [], ""


def _plain(name: str) -> str:
    """A name without its unit and without the prefix of an export: `config.Params (M)` is `Params`."""
    return bare(_PREFIX.sub("", name.strip())).strip("# ")


def _same(name: str, wanted: str) -> bool:
    """ "Model Size" is `model_size`; a single letter counts only as written: `n` may be a sample size."""
    if len(name.strip()) < 2 or len(wanted) < 2:
        return name.strip() == wanted
    return _joined(name) == _joined(wanted)


def _joined(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


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
        kept = role or (f"source_{name}" if name in ALIASES or name in roles else _law_column(name, names))
        while kept in extra.values():
            kept = f"{kept}_"
        extra[name] = kept
    return extra


def _law_column(name: str, names: Sequence[str]) -> str:
    """A law's canonical name for `num_experts` or `unique_tokens_B`; any other column keeps its own."""
    plain = _plain(name)
    for canonical, others in LAW_ALIASES.items():
        if canonical not in names and any(_same(plain, wanted) for wanted in (canonical, *others)):
            return canonical
    return name
