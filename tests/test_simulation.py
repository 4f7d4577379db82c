"""Simulation-based calibration: what is ranked, and that the ranks of a right posterior look uniform."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_scaling.fleets.calibration import (
    CURVE,
    LIKELIHOOD,
    NEW_RUN,
    OPTIMUM,
    RANK_DRAWS,
    SAMPLERS,
    Calibration,
    calibrate,
    prior_values,
    quantities_beyond,
    uniformity,
)
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import get_law

C = np.repeat(np.geomspace(1e19, 1e21, 6), 4)
DESIGN = {"params": (n := np.sqrt(C / 120) * np.tile(np.geomspace(0.4, 2.5, 4), 6)), "tokens": C / (6 * n)}


def test_quantities_beyond_are_the_laws_own():
    law, noise = get_law("chinchilla"), get_noise("normal")
    values = prior_values(law, noise, 2000, np.random.default_rng(0)) | {"sigma": np.full(2000, 0.01)}
    found = quantities_beyond(law, noise, values, DESIGN, np.random.default_rng(1))
    n = np.exp(found[OPTIMUM][0])
    grid = n * np.exp(np.linspace(-0.5, 0.5, 2001))
    one = {k: values[k][0] for k in law.parameters}
    loss = law.loss(one, {"params": grid, "tokens": 10 * C.max() / (6 * grid)})
    assert grid[loss.argmin()] == pytest.approx(n, rel=1e-3)
    gap = found[NEW_RUN] - found[CURVE]
    assert abs(gap.mean()) < 5 * 0.01 / np.sqrt(2000)
    assert gap.std() == pytest.approx(0.01, rel=0.08)


def test_uniformity_and_coverage_see_what_is_wrong():
    rng = np.random.default_rng(2)
    right = rng.integers(0, RANK_DRAWS + 1, 400)
    narrow = np.where(rng.random(400) < 0.5, rng.integers(0, 10, 400), rng.integers(90, 100, 400))
    assert uniformity(right) > 0.001
    assert uniformity(narrow) < 1e-6
    found = Calibration("a", "b", {"right": right, "narrow": narrow}, {}, 1.0)
    assert found.coverage("right") == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / 400))
    assert found.coverage("narrow") < 0.7
    wide = rng.integers(40, 60, 400)
    assert uniformity(wide) < 1e-6
    assert Calibration("a", "b", {"wide": wide}, {}, 1.0).coverage("wide", 0.5) == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_posteriors_of_simulated_tables_are_calibrated(sampler):
    found = calibrate("chinchilla", DESIGN, noise="normal", replicates=40, random_seed=1, sampler=sampler)
    assert {*get_law("chinchilla").parameters, "sigma", LIKELIHOOD, CURVE, NEW_RUN, OPTIMUM} == set(found.ranks)
    assert found.smallest_p > 1e-4
    for name in (CURVE, NEW_RUN, OPTIMUM):
        assert found.coverage(name) > 0.9 - 4 * np.sqrt(0.09 / 40)
        # Of 40 tables 90 % intervals cannot be told from ones that hold all; half as wide as the truth is told at 50 %.
        assert abs(found.coverage(name, 0.5) - 0.5) < 4 * np.sqrt(0.25 / 40)
