"""`backtest(runs)`: how the intervals would have fared on the user's own larger runs.

Prequential: at each cut, laws, weights and discrepancy are learned from the runs below it only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporting
from bayes_scaling.base.provenance import Stopwatch, envelope
from bayes_scaling.engine.model import specify
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import laws_or_standard
from bayes_scaling.prediction.drawing import pooled
from bayes_scaling.prediction.weights import Averaging
from bayes_scaling.runs.loading import as_runs
from bayes_scaling.runs.runs import Runs
from bayes_scaling.validation.forward import BIN_WIDTH, Validation, bins, losses_of, validate_forward
from bayes_scaling.validation.learning import learn
from bayes_scaling.validation.misfits import cells, law_scores, misfit, validation_notices
from bayes_scaling.validation.scores import Scores, joined, score, summary

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"
BLEND_DRAWS = 2000


@dataclass(frozen=True, eq=False, repr=False)
class Backtest:
    """Forward validation of one table, judged.

    Parameters
    ----------
    validation
        Cuts and predictions.
    scores
        By law, and `average`: one `Scores` a fold.
    rules
        The averaging rule in force at each cut, learned from below it.
    rule
        The rule learned from all folds: what a forecast beyond the table uses.
    """

    runs: Runs
    validation: Validation
    scores: Mapping[str, tuple[Scores, ...]]
    rules: tuple[Averaging, ...]
    rule: Averaging
    random_seed: int = 0
    ci_prob: float = 0.9
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Whose scores there are: each law, and "average"."""
        return tuple(self.scores)

    def overall(self, name: str = AVERAGE) -> dict[str, Any]:
        """Scores of one law or of the average over all folds; empty where there are none."""
        if not self.validation.folds:
            return {}
        return summary(joined(list(self.scores[name])), cells(self.validation)[0])

    def by_decade(self, name: str = AVERAGE) -> list[dict[str, Any]]:
        """Scores by distance beyond the cut."""
        if not self.validation.folds:
            return []
        labels, which = cells(self.validation)
        every = joined(list(self.scores[name]))
        out = []
        for b in np.unique(which):
            mine = which == b
            part = Scores(
                {k: v[mine] for k, v in every.covered.items()},
                *(getattr(every, n)[mine] for n in ("pinball", "half_width", "bias", "pit")),
            )
            span = {"decades_from": float(b * BIN_WIDTH), "decades_to": float((b + 1) * BIN_WIDTH)}
            out.append(span | summary(part, labels[mine]))
        return out

    def folds(self) -> list[dict[str, Any]]:
        """One entry a cut."""
        out = []
        for k, fold in enumerate(self.validation.folds):
            out.append(
                {
                    "cut": fold.cut,
                    "n_train": len(fold.train),
                    "n_test": len(fold.test),
                    "decades": [float(fold.decades.min()), float(fold.decades.max())],
                    "law_weights": dict(self.rules[k].weights),
                    "discrepancy_per_decade": self.rules[k].scale_mean,
                    **summary(self.scores[AVERAGE][k], bins(fold.decades)),
                    "laws": {n: summary(self.scores[n][k], bins(fold.decades)) for n in self.validation.laws},
                }
            )
        return out

    @property
    def pit(self) -> np.ndarray:
        """Probability integral transform of each averaged forecast, dims (forecast,)."""
        parts = [s.pit for s in self.scores[AVERAGE]]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the runs and the validation have to say."""
        return (*self.runs.notices, *validation_notices(self.validation, self.scores))

    @property
    def misfit(self) -> str:
        """A sentence where the laws, each believed as it stands, missed the larger runs; else empty."""
        return misfit(self.validation, self.scores)

    def to_frame(self) -> pd.DataFrame:
        """One row a law, and the average."""
        import pandas as pd

        rows = []
        for name in self.names:
            row = self.overall(name)
            cover = row.pop("coverage", {}) if row else {}
            rows.append({"law": name, **{f"coverage_{k}": v for k, v in cover.items()}, **row})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `backtest`."""
        overall = self.overall()
        body = {
            "coverage": overall.get("coverage"),
            "pinball": overall.get("pinball"),
            "half_width": overall.get("half_width"),
            "bias": overall.get("bias"),
            "n_forecasts": overall.get("n_forecasts", 0),
            "n_cells": overall.get("n_cells", 0),
            "by_decade": self.by_decade(),
            "folds": self.folds(),
            "pit": self.pit.tolist(),
            "misfit": self.misfit or None,
            "laws": [
                {
                    "law": n,
                    **self.overall(n),
                    "by_decade": self.by_decade(n),
                    "forward_score": self.rule.forward_score[n],
                    "weight": self.rule.weights[n],
                }
                for n in self.validation.laws
            ],
            "discrepancy_per_decade": self.rule.scale_mean,
            "weights_from": self.rule.basis,
        }
        return envelope(
            "backtest",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.random_seed,
            runs_sha256=self.runs.sha256,
            warnings=self.notices,
        )

    def __repr__(self) -> str:
        if not self.validation.folds:
            return f"Back-test of {self.runs.name}: no cut is possible; {self.rule.basis}"
        table = self.to_frame().map(lambda v: f"{v:.3g}" if isinstance(v, float) else v)
        cuts = ", ".join(f"{f.cut:.2g} FLOP ({len(f.train)} runs)" for f in self.validation.folds)
        head = f"Back-test of {self.runs.name}: cuts at {cuts}"
        weights = ", ".join(f"{k} {v:.2f}" for k, v in self.rule.weights.items())
        tail = f"Weights for forecasts: {weights}; discrepancy {self.rule.scale_mean:.1%} per decade"
        return "\n".join([head, table.to_string(index=False), tail, self.misfit]).rstrip()

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


@keywords()
def backtest(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    random_seed: int = 0,
    ci_prob: float = 0.9,
    progressbar: bool = False,
) -> Backtest:
    """Back-test laws and their average on a table.

    Parameters
    ----------
    runs
        `Runs`, a path, the name of a known data set, or a DataFrame.
    laws
        Laws or their names; the standard set where None.

    Raises
    ------
    UsageError, DataError
        As `fit`.
    """
    runs = as_runs(runs)
    chosen = laws_or_standard(laws)
    watch = Stopwatch()
    with reporting(progressbar), watch("folds"):
        validation = validate_forward(runs, chosen, noise=noise, priors=priors, random_seed=random_seed)
    found = judge(validation, [specify(law, noise)[0] for law in chosen], random_seed=random_seed)
    return Backtest(**{**vars(found), "seconds": watch.seconds, "ci_prob": ci_prob})


def judge(validation: Validation, laws: Sequence[ScalingLaw], *, random_seed: int = 0) -> Backtest:
    """Score what a forward validation predicted, the average prequentially."""
    rules, averaged = [], []
    for k, fold in enumerate(validation.folds):
        rule = learn(validation, laws, validation.up_to(fold.cut))
        rules.append(rule)
        observed = validation.runs.loss[fold.test]
        averaged.append(score(averaged_draws(validation, k, rule, random_seed), observed))
    return Backtest(
        runs=validation.runs,
        validation=validation,
        scores={AVERAGE: tuple(averaged), **law_scores(validation)},
        rules=tuple(rules),
        rule=learn(validation, laws),
        random_seed=random_seed,
    )


def averaged_draws(validation: Validation, k: int, rule: Averaging, seed: int) -> np.ndarray:
    """Loss draws of fold k's test runs under an averaging rule, dims (draw, run)."""
    fold = validation.folds[k]
    laws = [validation.predictions[name][k].drawn for name in validation.laws]
    worlds = pooled(laws, validation.runs.subset(fold.train), rule, draws=BLEND_DRAWS, random_seed=seed + k)
    return losses_of(worlds, validation.runs.subset(fold.test)).new_runs()
