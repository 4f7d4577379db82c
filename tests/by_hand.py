"""Posteriors made by hand, whose answers are known, for tests of what is made of posteriors."""

from __future__ import annotations

import numpy as np

from bayes_scaling.base.settings import Settings
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import get_law

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
BESIROGLU = {"E": 1.8169, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3659}
# Constants near what each law fits to the digitised Chinchilla runs.
POINTS = {
    "chinchilla": HOFFMANN,
    "kaplan": {"gap_params": 2.37, "gap_tokens": 2.28, "alpha": 0.092, "beta": 0.122},
    "coupled": {"E": 1.755, "gap_params": 0.436, "gap_tokens": 0.45, "alpha": 0.328, "beta": 0.332, "k": 0.8},
}


def loss_at(c, n, d):
    return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]


def by_hand(runs, constants, *, law="chinchilla", noise="student_t", draws=400, spread=0.0, sigma=0.01, seed=0):
    """A Fit whose posterior is `constants`, each scattered by `spread` on the log scale."""
    from arviz_base import from_dict

    rng = np.random.default_rng(seed)
    spec, scatter = get_law(law), get_noise(noise)
    values = {**spec.free_values(constants), "sigma": sigma, "nu": 4.0}
    wanted = [*spec.parameters, *scatter.parameters]
    posterior = {k: values[k] * np.exp(spread * rng.standard_normal((2, draws // 2))) for k in wanted}
    verdict = Diagnostics("ok", 1.0, 1000.0, 1000.0, 0, 1.0, ())
    return Fit(spec, scatter, runs, from_dict({"posterior": posterior}), verdict, Settings(random_seed=11))


def constants(fit):
    """Columns of posterior draws in the formula's own constants, dims (draw, 1)."""
    return {k: v[:, None] for k, v in fit.law.derived_values(fit.draws(*fit.law.parameters)).items()} | {
        k: v[:, None] for k, v in fit.draws("E", "alpha", "beta").items()
    }


def fine(budget, low=1e10, high=1e12, points=2001):
    n = np.geomspace(low, high, points)
    return n, budget / (6 * n)
