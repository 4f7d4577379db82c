"""Forward validation: every law fitted below each cut, and its draws for the runs above it.

All fits of one law are one batch of one compiled program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayes_scaling.base.progress import reporter
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import columns, specify_all
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.inference.sampling import Draws, sample_tables
from bayes_scaling.laws.compute import SIZES
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.prediction.discrepancy import Distance, distance
from bayes_scaling.prediction.drawing import LawDraws, pooled
from bayes_scaling.prediction.losses import Losses
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.runs.runs import Runs
from bayes_scaling.validation.folds import Fold, forward_folds

# A fold's fit needs quantiles, not moments in the fourth digit.
FOLD_DRAWS, FOLD_CHAINS = 250, 4
BIN_WIDTH = 0.3


@dataclass(frozen=True, eq=False)
class Foretold:
    """What one law, fitted below a cut, says of the runs above it.

    Parameters
    ----------
    drawn
        Its posterior draws.
    losses
        Of the runs, the law believed as it stands, dims (draw, run).
    verdict
        Of the fit.
    """

    drawn: LawDraws
    losses: Losses
    verdict: str


def predicted(
    law: ScalingLaw, noise: Noise, values: Mapping[str, np.ndarray], verdict: str, train: Runs, queries: Runs
) -> Foretold:
    """Of `queries`; `values` has dims (draw,)."""
    drawn = LawDraws(law, noise, values)
    return Foretold(drawn, losses_of(pooled([drawn], train), queries), verdict)


def losses_of(worlds: Predictive, queries: Runs) -> Losses:
    """Of runs that were made, at their own sizes, columns and compute, dims (draw, run)."""
    frames = [columns(m.law, m.noise, queries) for m in worlds.members]
    named = {name for m in worlds.members for name in m.law.inputs} - set(SIZES)
    further = {name: frame[name] for frame in frames for name in named & set(frame)}
    sd = frames[0]["log_loss_sd"]
    return worlds.at(queries.params, queries.tokens, flops=queries.counted, loss_sd=sd, further=further)


@dataclass(frozen=True, eq=False)
class Validation:
    """What the folds showed.

    Parameters
    ----------
    runs, folds
        The table and its cuts, smallest first; no folds where the table is too narrow.
    laws
        Their names.
    predictions
        By law: one a fold, of the fold's test runs.
    distances
        One a fold, of its test runs from its training runs.
    """

    runs: Runs
    folds: tuple[Fold, ...]
    laws: tuple[str, ...]
    predictions: Mapping[str, tuple[Foretold, ...]]
    distances: tuple[Distance, ...]

    def log_loss(self, fold: int) -> np.ndarray:
        """Observed log loss of the fold's test runs, dims (run,)."""
        return np.asarray(np.log(self.runs.loss[self.folds[fold].test]))

    def up_to(self, cut: float) -> list[tuple[int, np.ndarray]]:
        """What was known at `cut`: each earlier fold, and which of its test runs lie at or below the cut."""
        known = []
        for k, fold in enumerate(self.folds):
            if fold.cut < cut:
                inside = self.runs.counted[fold.test] <= cut
                if inside.any():
                    known.append((k, inside))
        return known


def bins(decades: np.ndarray) -> np.ndarray:
    """Distance bin of each run: points of one cut and one bin err together and count once."""
    return np.floor(decades / BIN_WIDTH + 1e-9).astype(int)


def validate_forward(
    runs: Runs,
    laws: Sequence[ScalingLaw],
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    random_seed: int = 0,
) -> Validation:
    """Fit every law below every cut and predict the runs above it."""
    folds = tuple(forward_folds(runs))
    predictions: dict[str, tuple[Foretold, ...]] = {}
    settings = Settings(draws=FOLD_DRAWS, chains=FOLD_CHAINS, random_seed=random_seed)
    trains = [runs.subset(f.train) for f in folds]
    tests = [runs.subset(f.test) for f in folds]
    for spec, noise_spec in specify_all(laws, noise, priors):
        if not folds:
            predictions[spec.name] = ()
            continue
        reporter().stage(f"{spec.title}: forward validation at {len(folds)} cuts", total=len(folds) * (1 + FOLD_CHAINS))
        frames = [columns(spec, noise_spec, train) for train in trains]
        program = program_for(spec, noise_spec, frames[0])
        length = padded_length(runs.n)
        tables = [Table.padded(f, length) for f in frames]
        seeds = [random_seed + 7919 * (k + 1) for k in range(len(folds))]
        drawn = sample_tables(program, tables, settings, seeds, patient=False)
        predictions[spec.name] = tuple(
            predicted(spec, noise_spec, flat(d), d.diagnostics.verdict, train, test)
            for d, train, test in zip(drawn, trains, tests, strict=True)
        )
    return Validation(
        runs=runs,
        folds=folds,
        laws=tuple(predictions),
        predictions=predictions,
        distances=tuple(distance(train, test.params, test.tokens) for train, test in zip(trains, tests, strict=True)),
    )


def flat(drawn: Draws) -> dict[str, np.ndarray]:
    """Scalar parameters with chains joined, dims (draw,)."""
    return {k: v.reshape(-1) for k, v in drawn.values.items() if v.ndim == 2}
