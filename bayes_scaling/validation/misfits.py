"""What forward validation gives cause to say: that no cut is possible, that every law missed, that a fit below a cut
failed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.validation.forward import Validation, bins
from bayes_scaling.validation.scores import Scores, joined, score, summary

# Where no single law holds more of the larger runs than this within its 90 % intervals, a warning is due. In simulated
# worlds (docs/forecasts.md) the best law held 0.85 to 0.97 where one was true, 0.61 to 0.72 where a power law broke.
MISFIT_COVERAGE = 0.75


def law_scores(validation: Validation) -> dict[str, tuple[Scores, ...]]:
    """Scores of each law, believed as it stands, one `Scores` a fold."""
    found: dict[str, tuple[Scores, ...]] = {}
    for name in validation.laws:
        parts = []
        for k, fold in enumerate(validation.folds):
            seen = validation.predictions[name][k].losses.new_runs()
            parts.append(score(seen, validation.runs.loss[fold.test]))
        found[name] = tuple(parts)
    return found


def cells(validation: Validation) -> tuple[np.ndarray, np.ndarray]:
    """Label of (cut, bin), and bin, of each forecast, folds in order."""
    which = [bins(f.decades) for f in validation.folds]
    labels = [1000 * k + b for k, b in enumerate(which)]
    empty = np.zeros(0, int)
    return np.concatenate(labels or [empty]), np.concatenate(which or [empty])


def misfit(validation: Validation, scores: Mapping[str, tuple[Scores, ...]]) -> str:
    """A sentence where the laws, each believed as it stands, missed the larger runs; else empty."""
    if not validation.folds or not validation.laws:
        return ""
    labels = cells(validation)[0]
    held = [summary(joined(list(scores[name])), labels)["coverage"]["0.9"] for name in validation.laws]
    if max(held) >= MISFIT_COVERAGE:
        return ""
    return (
        f"no single law foretold the larger runs: the best one's 90 % intervals held {max(held):.0%} of them. The runs "
        "may change behaviour along compute; the averaged intervals are widened for it."
    )


def validation_notices(validation: Validation, scores: Mapping[str, tuple[Scores, ...]]) -> tuple[Notice, ...]:
    """The warnings that travel with whatever rests on this validation."""
    name = validation.runs.name
    if not validation.folds:
        text = (
            f"{name}: the runs are too few, or span too little compute, to be cut into smaller and larger ones; the "
            "intervals rest on experience with other tables. Add runs, at a larger or smaller scale."
        )
        return (Notice("no_folds", text),)
    found = []
    missed = misfit(validation, scores)
    if missed:
        found.append(Notice("misfit", f"{name}: {missed}"))
    failed = {
        law: [f.cut for f, p in zip(validation.folds, parts, strict=True) if p.verdict == "failed"]
        for law, parts in validation.predictions.items()
    }
    told = [f"{law} (below {', '.join(f'{c:.2g}' for c in cuts)} FLOP)" for law, cuts in failed.items() if cuts]
    if told:
        text = (
            f"{name}: forward validation rests in part on fits that failed their diagnostics: {'; '.join(told)}. "
            "Their scores, and so the laws' weights, are less sure than they look."
        )
        found.append(Notice("fold_fit_failed", text))
    return tuple(found)
