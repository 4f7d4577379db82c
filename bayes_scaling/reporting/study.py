"""What every section of a report draws on: the runs, their posteriors, the evidence, the average and the
budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.errors import DataError, InfeasibleError, Notice, UsageError
from bayes_scaling.base.progress import reporter
from bayes_scaling.base.provenance import Stopwatch
from bayes_scaling.base.settings import Settings
from bayes_scaling.base.units import format_flop
from bayes_scaling.decisions.costs import Amount, CostModel, typical_flops
from bayes_scaling.engine.fingerprint import fit_key
from bayes_scaling.engine.model import specify_all
from bayes_scaling.evidence.comparing import weigh
from bayes_scaling.evidence.result import Evidence
from bayes_scaling.inference.fitting import fit, fit_together
from bayes_scaling.inference.idata import given
from bayes_scaling.inference.result import Fit, with_ci
from bayes_scaling.inference.storage import load_fit, save_fit, saved_key
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import laws_or_standard
from bayes_scaling.prediction.ensemble import Ensemble, validated
from bayes_scaling.prediction.frontiers import Frontier, frontier
from bayes_scaling.prediction.weights import prior_averaging
from bayes_scaling.runs.runs import Runs
from bayes_scaling.validation.averaging import validated_average
from bayes_scaling.validation.backtesting import Backtest, judge

SIZES = {"params", "tokens"}
GRID_POINTS = 49
GRID_DECADES = 3.0
"""How far beyond the largest run the curves are drawn, decades of compute; further where a budget asks for
it."""
FARTHEST = 8.0
"""Decades from the runs at which a budget can still be asked about."""


@dataclass(frozen=True, eq=False)
class Study:
    """The fitted laws and what was asked of them.

    Parameters
    ----------
    fits
        One a law, in the order asked.
    evidence
        The comparison, or None where it could not be made.
    group
        The laws that need only params and tokens, averaged by forward validation: what forecasts and
        frontiers come from. None where there is no such law.
    backtest
        The forward validation, judged; None where there is no such law, or it could not be made.
    budgets
        Compute asked about, FLOP; the first leads the report.
    grid
        Compute at which curves are drawn, FLOP, dims (point,).
    resumed
        Laws whose posterior an earlier report in the same folder had already found.
    notices
        What was noticed on the way.
    cost
        What compute costs; None where that was not said.
    """

    runs: Runs
    fits: tuple[Fit, ...]
    evidence: Evidence | None
    group: Ensemble | None
    budgets: tuple[float, ...]
    grid: np.ndarray
    target_loss: float | None
    ci_prob: float
    random_seed: int
    backtest: Backtest | None = None
    resumed: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = field(default=())
    cost: CostModel | None = None

    def averaged(self) -> Ensemble:
        """The average over laws.

        Raises
        ------
        UsageError
            If no law asked for is one of params and tokens alone.
        """
        if self.group is None:
            raise UsageError("No law of this report depends on params and tokens alone, so none has a frontier.")
        return self.group

    @cached_property
    def asked(self) -> Frontier:
        """The frontier at the budgets."""
        return frontier(self.averaged(), self.budgets, ci_prob=self.ci_prob)

    @cached_property
    def curve(self) -> Frontier:
        """The frontier along the grid."""
        return frontier(self.averaged(), self.grid, ci_prob=self.ci_prob)


@dataclass(frozen=True)
class Request:
    """How to fit: laws with their own priors, the noise, the sampler's settings, and whether to use the cache."""

    laws: tuple[tuple[ScalingLaw, Noise], ...]
    settings: Settings
    ci_prob: float
    cache: bool = True


def request(
    laws: Sequence[str | ScalingLaw] | None,
    noise: str | Noise,
    priors: Mapping[str, Prior] | None,
    settings: Settings,
    ci_prob: float,
    cache: bool = True,
) -> Request:
    """Each prior goes to every law, or noise model, that has a parameter of its name.

    Raises
    ------
    UsageError
        If a law or a noise model is unknown, or a prior names a parameter that none of them has.
    """
    return Request(tuple(specify_all(laws_or_standard(laws), noise, priors)), settings, ci_prob, cache)


def fit_or_load(runs: Runs, asked: Request, folder: Path) -> tuple[tuple[Fit, ...], tuple[str, ...]]:
    """The posterior of each law, saved as soon as it is found; what an earlier report left there is taken up.

    Returns
    -------
    The fits, and the names of the laws that had one already.
    """
    fits: dict[str, Fit] = {}
    resumed, missing = [], []
    for law, noise in asked.laws:
        path = folder / f"{law.name}.nc"
        found = _saved(path, runs, law, noise, asked)
        if found is not None:
            reporter().stage(f"{law.title}: taken from {path.name}, an earlier report's fit of the same")
            resumed.append(law.name)
            fits[law.name] = found
        else:
            missing.append(partial(_fit_and_save, runs, law, noise, asked, path))
    for made in fit_together(missing) if missing else []:
        fits[made.law.name] = made
    return tuple(fits[law.name] for law, _ in asked.laws), tuple(resumed)


def _fit_and_save(runs: Runs, law: ScalingLaw, noise: Noise, asked: Request, path: Path) -> Fit:
    settings = asked.settings
    made = fit(
        runs,
        law,
        noise=noise,
        draws=settings.draws,
        chains=settings.chains,
        warmup=settings.warmup,
        target_accept=settings.target_accept,
        random_seed=settings.random_seed,
        ci_prob=asked.ci_prob,
        cache=asked.cache,
    )
    save_fit(made, path)
    return made


def _saved(path: Path, runs: Runs, law: ScalingLaw, noise: Noise, asked: Request) -> Fit | None:
    key = fit_key(runs, law, noise, asked.settings) if path.exists() else None
    if key is None or saved_key(path) != key:
        return None
    try:
        found = load_fit(path, law)
        return with_ci(replace(found, idata=given(found), runs=runs, law=law, noise=noise), asked.ci_prob)
    except DataError:  # a damaged file is no reason to stop: the law is fitted again and the file replaced
        return None


def study(
    runs: Runs,
    asked: Request,
    folder: Path,
    budgets: Sequence[float | str | Amount] | None,
    target_loss: float | None,
    watch: Stopwatch,
    cost: CostModel | None = None,
) -> Study:
    """Fit, weigh and average; `watch` takes the seconds of each.

    Raises
    ------
    UsageError, InfeasibleError
        For a budget that is no amount of compute, or so far from the runs that nothing can be said.
    """
    counted = runs.counted
    chosen: tuple[float, ...] = default_budgets(runs)
    if budgets:
        chosen = largest_first([typical_flops(b, cost, float(counted.max())) for b in budgets])
        _within_reach(chosen, float(counted.min()), float(counted.max()))
    with watch("fits"):
        fits, resumed = fit_or_load(runs, asked, folder)
    notices: list[Notice] = []
    evidence = None
    try:
        with watch("evidence"):
            evidence = weigh(fits, random_seed=asked.settings.random_seed, ci_prob=asked.ci_prob)
    except DataError:
        raise
    except Exception as error:  # the posteriors are worth a report even where the comparison is not to be had
        notices.append(Notice("section_failed", f"The evidence could not be worked out: {error}"))
    sized = tuple(f for f in fits if set(f.law.inputs) <= SIZES)
    for left in (f for f in fits if f not in sized):
        needs = ", ".join(sorted(set(left.law.inputs) - SIZES))
        text = f"{left.law.title} also needs {needs}, so it has no part in the forecasts and the frontier."
        notices.append(Notice("law_left_out", text))
    with watch("backtest"):
        group, tested = _averaged(sized, asked.settings.random_seed, notices)
    return Study(
        runs=runs,
        fits=fits,
        evidence=evidence,
        group=group,
        budgets=chosen,
        grid=grid_of(runs, chosen),
        target_loss=target_loss,
        ci_prob=asked.ci_prob,
        random_seed=asked.settings.random_seed,
        backtest=tested,
        resumed=resumed,
        notices=tuple(notices),
        cost=cost,
    )


def _within_reach(budgets: Sequence[float], least: float, largest: float) -> None:
    for budget in budgets:
        outside = max(math.log10(budget / largest), math.log10(least / budget))
        if outside > FARTHEST:
            side = "above the largest" if budget > largest else "below the smallest"
            raise InfeasibleError(
                f"The budget of {format_flop(budget)} FLOP lies {outside:.0f} decades {side} of the runs "
                f"({format_flop(least)} to {format_flop(largest)} FLOP): they say nothing of it. Ask within "
                f"{FARTHEST:g} decades."
            )


def _averaged(fits: Sequence[Fit], seed: int, notices: list[Notice]) -> tuple[Ensemble | None, Backtest | None]:
    """The average over laws by forward validation, and the back-test; without the latter where it fails, by
    what is known of the laws from other tables."""
    if not fits:
        return None, None
    laws = [f.law for f in fits]
    try:
        group, validation = validated_average(fits, random_seed=seed)
        tested = judge(validation, laws, random_seed=seed)
    except DataError:
        raise
    except Exception as error:  # forecasts can rest on experience where these runs could not be asked
        notices.append(Notice("section_failed", f"The back-test could not be made: {error}"))
        return validated(fits, prior_averaging(laws)), None
    notices += tested.notices
    return group, tested


def largest_first(budgets: Sequence[float]) -> tuple[float, ...]:
    """Budgets as a report answers them, each once: the largest leads, since one inside the runs asks for no forecast,
    and the others follow in the order asked."""
    return tuple(dict.fromkeys([max(budgets), *budgets]))


def default_budgets(runs: Runs) -> tuple[float, float]:
    """About ten and a hundred times the largest run's compute, as 1, 2 or 5 times a power of ten."""
    largest = float(runs.counted.max())
    return _rounded(10 * largest), _rounded(100 * largest)


def _rounded(value: float) -> float:
    exponent = math.floor(math.log10(value))
    choices = [float(f"{m}e{exponent + up}") for up in (0, 1) for m in (1, 2, 5)]
    return min(choices, key=lambda c: abs(math.log(c / value)))


def grid_of(runs: Runs, budgets: Sequence[float]) -> np.ndarray:
    """Compute from the smallest run (or budget) to well beyond the largest, evenly spaced in its
    logarithm."""
    low = min(float(runs.counted.min()), *budgets)
    high = max(float(runs.counted.max()) * 10**GRID_DECADES, *(2 * b for b in budgets))
    return np.geomspace(low, high, GRID_POINTS)


def extra_inputs(law: ScalingLaw, runs: Runs) -> dict[str, Any]:
    """The columns a law names besides params and tokens, dims (run,)."""
    from bayes_scaling.engine.model import input_column

    return {name: input_column(law, runs, name) for name in law.inputs if name not in SIZES}
