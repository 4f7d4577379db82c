"""From RUNS or FIT.nc and the options to runs, one fit, or an average over laws."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import DataError, Notice, UsageError
from bayes_scaling.base.text import printable
from bayes_scaling.cli import values
from bayes_scaling.cli.options import default

if TYPE_CHECKING:
    from bayes_scaling.inference.result import Fit
    from bayes_scaling.prediction.ensemble import Ensemble
    from bayes_scaling.runs.runs import Runs

# What has no effect once a posterior has been sampled.
_TABLE = (
    "map",
    "group",
    "loss_unit",
    "tokens_per_byte",
    "tokens_per_word",
    "where",
    "last_per",
    "per_cell",
    "skip_bad",
)
_BEFORE_FIT = ("laws", "noise", "prior", *_TABLE, "run_column", "chains", "draws")


@dataclass(frozen=True)
class Posterior:
    """What forecasts and frontiers are made from, the notices that go with it, and seconds by part."""

    fits: Fit | Ensemble
    notices: tuple[Notice, ...]
    seconds: Mapping[str, float]

    def mark(self, result: Any, part: str, seconds: float) -> Any:
        """`result` with these notices, and with the seconds of this posterior and of its own `part`."""
        parts = {k: v for k, v in self.seconds.items() if k != "total"}
        total = self.seconds.get("total", 0.0) + seconds
        notices = (*result.notices, *(n for n in self.notices if n not in result.notices))
        return dataclasses.replace(result, notices=notices, seconds={"total": total, **parts, part: seconds})


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the table is to be read: the arguments of `load_runs`."""
    return {
        "columns": values.column_map(arguments.map),
        "group": arguments.group,
        "loss_unit": arguments.loss_unit,
        "tokens_per_byte": arguments.tokens_per_byte,
        "tokens_per_word": arguments.tokens_per_word,
        "where": arguments.where,
        "last_per": arguments.last_per,
        "per_cell": arguments.per_cell,
        "run": arguments.run_column,
        "skip_bad": bool(arguments.skip_bad),
    }


def read_runs(arguments: argparse.Namespace) -> Runs:
    """The runs that the command names, read as its options say."""
    from bayes_scaling.runs.loading import load_runs

    return load_runs(arguments.runs, **reading(arguments))


def told(runs: Runs) -> dict[str, Any]:
    """What every JSON object says of the runs it is about."""
    return {"n": runs.n, "name": runs.name, "loss_unit": runs.loss_unit}


def is_saved(arguments: argparse.Namespace) -> bool:
    """Whether RUNS is a fit that was saved."""
    if arguments.runs == "-":
        return False
    from bayes_scaling.inference.storage import is_fit_file

    return is_fit_file(arguments.runs)


def law_choice(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The laws asked for by name; None is the standard set."""
    law, several = arguments.law, arguments.laws
    if law == (values.AVERAGE,):
        law = None
    if law and several:
        raise UsageError("Give --law NAME or --laws A,B,C, not both.")
    chosen: tuple[str, ...] | None = law or several
    if chosen == (values.AVERAGE,):
        return None
    return chosen


def sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `fit` and `compare`, checked before anything slow is imported."""
    from bayes_scaling.base.settings import Settings
    from bayes_scaling.laws.priors import parse_overrides

    draws, chains, seed = (default(arguments, k) for k in ("draws", "chains", "seed"))
    Settings(draws=draws, chains=chains, random_seed=seed)
    return {
        "noise": default(arguments, "noise"),
        "priors": parse_overrides(arguments.prior),
        "draws": draws,
        "chains": chains,
        "random_seed": seed,
        "ci_prob": default(arguments, "ci"),
        "cache": not getattr(arguments, "no_cache", False),
        "progressbar": not arguments.quiet,
    }


def posterior(arguments: argparse.Namespace) -> Posterior:
    """The fit in FIT.nc; or one law's, or the average over laws by forward validation, on RUNS."""
    if is_saved(arguments):
        return _saved(arguments)
    laws, settings = law_choice(arguments), sampling(arguments)
    runs = read_runs(arguments)
    if laws and len(laws) == 1:
        from bayes_scaling.engine.model import specify

        specify(laws[0], settings["noise"], settings["priors"])
        from bayes_scaling.inference.fitting import fit

        one = fit(runs, laws[0], **settings)
        return Posterior(one, (*one.notices, _alone(one)), one.seconds)
    return _averaged(runs, laws, settings)


def _averaged(runs: Runs, laws: Sequence[str] | None, settings: Mapping[str, Any]) -> Posterior:
    from bayes_scaling.base.progress import reporting
    from bayes_scaling.base.provenance import Stopwatch
    from bayes_scaling.cli import forward
    from bayes_scaling.inference.fitting import fit_laws

    watch = Stopwatch()
    shown = settings["progressbar"]
    with reporting(shown):
        with watch("fits"):
            fits = fit_laws(runs, laws, **settings)
        with watch("validation"):
            group, tested = forward.averaged(fits, settings["random_seed"], shown)
    # Of every fit: one that failed is left out of the average, and that must be said.
    told = [n for f in fits for n in f.notices]
    return Posterior(group, (*told, *(n for n in tested.notices if n not in told)), watch.seconds)


def _alone(fit: Fit) -> Notice:
    text = (
        f"The interval takes one law, {fit.law.title}, for the truth and does not widen for the law being "
        "wrong; '--law average' on the runs weighs several laws by what they foretold, and widens with distance."
    )
    return Notice("one_law", text)


def _saved(arguments: argparse.Namespace) -> Posterior:
    given = [
        f"--{name.removesuffix('_column').replace('_', '-')}"
        for name in _BEFORE_FIT
        if getattr(arguments, name) is not None
    ]
    if given:
        raise UsageError(f"{', '.join(given)}: no effect on a saved fit, which {arguments.runs} is. Leave it out.")
    from bayes_scaling.inference.storage import load_fit

    fit = load_fit(arguments.runs)
    if arguments.law not in (None, (values.AVERAGE,), (fit.law.name,)):
        raise UsageError(f"{arguments.runs} holds a fit of '{fit.law.name}', not of '{arguments.law[0]}'.")
    return Posterior(fit, (*fit.notices, _alone(fit)), {})


def output(text: str, runs: Sequence[str], what: str, ours: Callable[[Path], bool]) -> Path:
    """Where a result is to be saved, made sure of before hours are spent: it can be written, and what is replaced there
    is an earlier result of ours, or an empty file.

    Parameters
    ----------
    runs
        What is read, none of which may be written over.
    what
        What is saved, for messages: "fit" or "fleet".
    ours
        Whether a file there is such a result.

    Raises
    ------
    DataError
        If it is not so.
    """
    out = Path(text)
    shown = printable(out, 200)
    if not text.strip() or "\0" in text:
        raise UsageError(f"--out takes the name of a file, such as {what}.nc.")
    if out.is_dir():
        raise DataError(f"--out {shown} is a folder. Name a file in it, such as {printable(out / f'{what}.nc', 200)}.")
    writable(out)
    if not out.exists():
        return out
    source = any(run != "-" and Path(run).exists() and out.samefile(run) for run in runs)
    empty = out.is_file() and out.stat().st_size == 0
    if source or not out.is_file() or not (empty or ours(out)):
        raise DataError(f"--out {shown} exists and is no saved {what}; it is left as it is. Choose another name.")
    return out


def writable(path: Path | str) -> Path:
    """Make sure, before hours are spent, that `path` could be written; leaves nothing behind.

    Raises
    ------
    DataError
        If it could not.
    """
    path = Path(path)
    place = path.absolute().parent
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return path
    except OSError as error:
        reason = "it is not a folder" if not place.is_dir() else error.strerror or str(error)
        raise DataError(f"Cannot write {path}: {place}: {reason}. Choose another place with --out.") from error
