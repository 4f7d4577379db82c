"""`report(runs)`: the whole analysis as one folder, and `rebuild(folder)`, which makes the page from its
numbers."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import DataError, Notice, UsageError
from bayes_scaling.base.files import dump_json, finite, write_text
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporter, reporting
from bayes_scaling.base.provenance import Stopwatch, envelope
from bayes_scaling.base.settings import Settings
from bayes_scaling.decisions.costs import Amount, CostModel
from bayes_scaling.inference.result import cached_laws
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.reporting.ownership import NUMBERS, PAGE, claim, done
from bayes_scaling.reporting.study import Request, Study, request, study
from bayes_scaling.runs.loading import as_runs

if TYPE_CHECKING:
    import pandas as pd

CONTRACT_SECTIONS = ("fit", "forecast", "frontier", "compare", "diagnostics", "backtest", "decide", "next")
"""Keys that report.json always has; null where this report has no such section."""


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A report that has been written.

    Parameters
    ----------
    path
        Its folder: `index.html`, `report.json`, `tables/`, `figures/`, `fits/`.
    data
        What report.json holds.
    """

    path: Path
    data: Mapping[str, Any]

    @property
    def page(self) -> Path:
        """Its page, `index.html`."""
        return self.path / PAGE

    @property
    def ok(self) -> bool:
        """Whether every fit and every evidence estimate passed its checks, and every section was made."""
        return bool(self.data["ok"])

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `report`."""
        return dict(self.data)

    def to_frame(self) -> pd.DataFrame:
        """The forecasts, one row a budget."""
        import pandas as pd

        from bayes_scaling.reporting.blocks import flat

        rows = [flat(r) for r in (self.data["forecast"] or {"forecasts": []})["forecasts"]]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        from bayes_scaling.reporting.answer import headline
        from bayes_scaling.reporting.blocks import plain

        lines = [f"Report on {self.data['asked']['name']}: {self.page}"]
        if not self.ok:
            lines.append("  FAILED: part of it did not pass its checks; the page says which.")
        lines += [f"  {plain(sentence.text)}" for sentence in headline(self.data)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from bayes_scaling.reporting.answer import headline
        from bayes_scaling.reporting.blocks import say

        items = "".join(say("<li>{text}</li>", text=s.text) for s in headline(self.data))
        failed = "" if self.ok else "<p><b>Part of it did not pass its checks.</b></p>"
        return f"<div><p>Report: <code>{escape(str(self.page))}</code></p>{failed}<ul>{items}</ul></div>"


@keywords()
def report(
    runs: Any = "pile",
    *,
    laws: Sequence[str | ScalingLaw] | None = None,
    out: str | os.PathLike[str] | None = None,
    budgets: Sequence[float | str | Amount] | None = None,
    target_loss: float | None = None,
    cost: CostModel | None = None,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 300,
    target_accept: float = 0.8,
    random_seed: int = 0,
    settings: Settings | None = None,
    ci_prob: float = 0.9,
    cache: bool = True,
    progressbar: bool = False,
) -> Report:
    """Fit the laws, compare them, forecast, and write it all up.

    Each posterior is saved as soon as it is found, so a report that was interrupted goes on where it stopped.

    Parameters
    ----------
    runs
        `Runs`, a path, the name of a known data set, or a DataFrame.
    laws
        Laws or their names; the standard set where None.
    out
        The folder; `reports/NAME` where None.
    budgets
        Compute asked about: FLOP, or text in any form that `decide` takes ("1e24", "10x", "$2M"), whose median is
        taken; the largest leads, all have their numbers at the top. About ten and a hundred times the largest run's
        compute where None, of which the former leads.
    cost
        What compute costs, for budgets in other units than FLOP, and for an assured budget in money.
    settings
        Those of the sampler as one `Settings`, in place of the keywords.
    target_loss
        A loss, nats per token, whose probability of being reached is wanted.

    Raises
    ------
    UsageError
        For an unknown law, noise model or prior, a budget or a target that cannot be used.
    InfeasibleError
        For a budget too far from the runs, or one whose price or device is not known.
    DataError
        If the runs cannot be used, or the folder cannot be written; both before anything is fitted.
    """
    watch = Stopwatch()
    runs = as_runs(runs)
    _check(target_loss, ci_prob)
    how = settings or Settings(draws, chains, warmup, target_accept, random_seed)
    asked = request(laws, noise, priors, how, ci_prob, cache)
    path = Path(out) if out is not None else Path("reports") / _slug(runs.name)
    _writable(path)
    with reporting(progressbar):
        found = study(runs, asked, path / "fits", budgets, target_loss, watch, cost)
        with watch("numbers"):
            sections, failures = _numbers(found)
        data = _assemble(found, asked, priors, path, sections, failures, bool(budgets), watch)
        reporter().stage("Report: page, figures and tables")
        return _write(path, data)


def rebuild(path: str | os.PathLike[str]) -> Report:
    """Make the page, figures and tables of a report again from its report.json alone; nothing is fitted.

    Raises
    ------
    DataError
        If the folder has no report.json of ours, or cannot be written.
    """
    path = Path(path)
    source = path / NUMBERS
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
        if data["command"] != "report" or data["schema_version"] != 1:
            raise KeyError("command")
    except OSError as error:
        raise DataError(f"{path} holds no report to rebuild: {source} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{source} is not the report.json of a report. Make one with 'bayes-scaling report'."
        ) from error
    return _write(path, data)


def _check(target_loss: float | None, ci_prob: float) -> None:
    if target_loss is not None and not 0 < target_loss < 30:
        raise UsageError(f"A target loss of {target_loss:g} cannot be used: give nats per token, above 0 and below 30.")
    if not 0 < ci_prob < 1:
        raise UsageError(f"An interval of probability {ci_prob:g} does not exist: give a number between 0 and 1.")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "runs"


def _writable(path: Path) -> None:
    """Finds out now, not after the fits, whether the folder can be written, and nobody's file is lost."""
    claim(path)
    for folder in (path, path / "fits", path / "tables", path / "figures"):
        probe = write_text(folder / ".probe", "")
        with contextlib.suppress(OSError):
            probe.unlink()


def _numbers(found: Study) -> tuple[dict[str, Any], dict[str, str]]:
    """The numbers of each section; what went wrong with those that have none."""
    from bayes_scaling.reporting.sections import sections

    numbers: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for section in sections():
        if section.within in failures:
            continue
        reporter().stage(f"Report: {section.title}")
        try:
            made = section.numbers(found)
            numbers[section.place] = {**numbers[section.within], **made} if section.within else made
        except DataError:
            raise
        except Exception as error:  # one section less is better than no report; its place says what is missing
            numbers[section.place] = None
            failures[section.place] = f"{type(error).__name__}: {error}"
    return numbers, failures


def _assemble(
    found: Study,
    asked: Request,
    priors: Mapping[str, Prior] | None,
    path: Path,
    sections: Mapping[str, Any],
    failures: Mapping[str, str],
    budgets_given: bool,
    watch: Stopwatch,
) -> dict[str, Any]:
    settings = asked.settings
    compared = found.evidence is not None and found.evidence.ok
    body = {
        "path": str(path),
        "ok": compared and not failures and all(f.ok for f in found.fits),
        "generated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "asked": {
            "name": found.runs.name,
            "source": found.runs.source,
            "laws": [law.name for law, _ in asked.laws],
            "titles": [law.title for law, _ in asked.laws],
            "noise": asked.laws[0][1].name,
            "noise_title": asked.laws[0][1].title,
            "priors": {k: str(v) for k, v in (priors or {}).items()},
            "budgets": list(found.budgets),
            "budgets_given": budgets_given,
            "target_loss": found.target_loss,
            "draws": settings.draws,
            "chains": settings.chains,
            "warmup": settings.warmup,
            "target_accept": settings.target_accept,
            "random_seed": settings.random_seed,
        },
        "resumed": list(found.resumed),
        "failures": dict(failures),
        **dict.fromkeys(CONTRACT_SECTIONS),
        **sections,
    }
    broken = [Notice("section_failed", f"Section '{k}' could not be made: {v}") for k, v in failures.items()]
    fitted = [n for f in found.fits for n in f.notices]
    weighed = list(found.evidence.notices) if found.evidence else []
    whole = envelope(
        "report",
        body,
        ci_prob=found.ci_prob,
        seconds=watch.seconds,
        seed=settings.random_seed,
        runs_sha256=found.runs.sha256,
        warnings=[*found.runs.notices, *fitted, *weighed, *found.notices, *broken],
        cached=cached_laws(found.fits),
    )
    result: dict[str, Any] = finite(whole)
    return result


def _write(path: Path, data: dict[str, Any]) -> Report:
    """Everything but the fits, from the numbers; report.json last but for the page, so that it never lies."""
    from bayes_scaling.reporting.page import make

    made = make(data)
    before = _listed(path)
    for name, text in made.files.items():
        write_text(path / name, text)
    for name in before - set(made.files):  # left by an earlier report of other laws
        with contextlib.suppress(OSError):
            (path / name).unlink()
    data = {**data, "files": sorted(made.files)}
    write_text(path / NUMBERS, dump_json(data) + "\n")
    write_text(path / PAGE, made.page)
    done(path)
    return Report(path, data)


def _listed(path: Path) -> set[str]:
    """Tables and figures that an earlier report in this folder wrote."""
    try:
        names = json.loads((path / NUMBERS).read_text(encoding="utf-8"))["files"]
        return {n for n in names if re.fullmatch(r"(tables|figures)/[a-z_0-9]+\.(csv|svg)", n)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
