"""Weights and widths that forward validation supports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.prediction.weights import SCALES, Averaging, combined
from bayes_scaling.validation.cells import cell_scores
from bayes_scaling.validation.forward import Validation


def learn(
    validation: Validation, laws: Sequence[ScalingLaw], known: Sequence[tuple[int, np.ndarray]] | None = None
) -> Averaging:
    """The averaging rule that forward validation supports.

    Parameters
    ----------
    laws
        In the order of the weights.
    known
        Folds, and which of their test runs may be looked at; all where None. The prequential back-test passes what
        was known at a cut.
    """
    if known is None:
        known = [(k, np.ones(len(f.test), bool)) for k, f in enumerate(validation.folds)]
    total = np.zeros((len(laws), len(SCALES)))
    cells = 0
    for k, inside in known:
        decades, seen = validation.folds[k].decades[inside], validation.log_loss(k)[inside]
        for i, law in enumerate(laws):
            prediction = validation.predictions[law.name][k].losses.of(inside)
            scores = cell_scores(prediction, seen, validation.distances[k].of(inside), decades, SCALES)
            total[i] += scores.mean(axis=0)
        cells += len(scores)
    return combined(laws, total, len(known), cells)
