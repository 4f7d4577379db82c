"""How well a law foretold a cell: the runs of one cut and one distance bin, which err together.

A cell speaks twice. Its shift, the one amount by which all its runs lie above or below the law, is scored once and in
full: it shows how wrong the law is at that distance, as sharply as many runs can show it. The scatter about the shift
counts as one run's: it punishes a law that is right in the mean and wrong in each run, and does not let a crowded cell
outvote the others. Scoring every run by itself would hide a shift smaller than the noise of one run.

One odd run at the largest scale is a cell of its own at every cut, and would be held against every law each time. So a
cell may be an anomaly, whatever the law and the discrepancy: that bounds what a single cell can say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from bayes_scaling.prediction.discrepancy import Distance
from bayes_scaling.prediction.losses import Losses
from bayes_scaling.validation.forward import bins

# The shift's likelihood is tabulated this many standard errors to either side, in that many points.
REACH, POINTS = 15.0, 301
# How often a cell is an anomaly, and the further error of its shift then, in log loss.
ANOMALY, ANOMALY_SD = 0.05, 0.05


def cell_scores(
    prediction: Losses, log_loss: np.ndarray, where: Distance, decades: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    """Log score of each cell under each discrepancy scale, dims (cell, scale).

    Parameters
    ----------
    prediction
        One law's draws for the runs.
    log_loss, decades
        What was seen, and how far beyond the cut, dims (run,).
    where
        The runs' distances from those learned from.
    scales
        Discrepancy per decade, in log loss, dims (scale,).
    """
    which = bins(decades)
    return np.stack([_score(prediction, log_loss, where, which == b, scales) for b in np.unique(which)])


def _score(
    prediction: Losses, log_loss: np.ndarray, where: Distance, mine: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    curve = prediction.log_curve[:, mine]
    middle = curve.mean(axis=0)
    (scatter_of,) = prediction.scatters  # one law's
    p = {k: np.median(v, axis=0)[None] for k, v in scatter_of.values.items()}
    scale = np.median(prediction.scale[:, mine], axis=0)
    residual = log_loss[mine] - middle
    shift, error = _shift(residual, scale, lambda z: np.asarray(scatter_of.noise.logpdf(z, p)))
    scatter = (np.asarray(scatter_of.noise.logpdf(((residual - shift) / scale)[None], p))[0] - np.log(scale)).mean()
    # Each draw has its own shift; a scale adds the discrepancy of the cell's distance to the error of the shift seen.
    miss = shift - (curve.mean(axis=1) - middle.mean())
    variance = error**2 + scales**2 * (where.length[mine] ** 2).mean()
    usual = _density(miss, variance)
    odd = _density(miss, variance + ANOMALY_SD**2)
    return np.asarray(np.logaddexp(np.log1p(-ANOMALY) + usual, np.log(ANOMALY) + odd) + scatter)


def _density(miss: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log density of a shift, averaged over draws with `miss` of dims (draw,), dims (scale,)."""
    each = -0.5 * miss[None] ** 2 / variance[:, None] - 0.5 * np.log(2 * np.pi * variance)[:, None]
    return np.asarray(logsumexp(each, axis=1) - np.log(len(miss)))


def _shift(residual: np.ndarray, scale: np.ndarray, logpdf: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Common shift of residuals with dims (run,) under the noise, and its standard error, by tabulated likelihood."""
    reach = REACH * float(np.median(scale)) / np.sqrt(len(residual))
    grid = np.median(residual) + np.linspace(-reach, reach, POINTS)
    log_likelihood = logpdf((residual[None] - grid[:, None]) / scale[None]).sum(axis=1)
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    shift = float(weight @ grid)
    # A single run of a heavy-tailed noise has no finite moment: the middle 68 % stand for a standard error.
    mass = np.cumsum(weight)
    low, high = np.interp([0.1587, 0.8413], mass, grid)
    return shift, max(float(high - low) / 2, float(grid[1] - grid[0]))
