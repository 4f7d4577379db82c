"""The simultaneous test of uniform ranks: its size, its power, and the band that belongs to it."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_scaling.fleets.ranks import band, ecdf_difference, holm, simultaneous_p, smallest_tail

LEVELS = 100


def test_uniform_ranks_are_rejected_as_often_as_said():
    rng = np.random.default_rng(5)
    p = np.array([simultaneous_p(r, LEVELS) for r in rng.integers(0, LEVELS, (400, 120))])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / 400)


@pytest.mark.parametrize("shift", [0.6, -0.6])
def test_biased_and_narrow_posteriors_are_found(shift):
    rng = np.random.default_rng(1)
    truth, draws = rng.normal(shift, 1, 200), rng.normal(0, 1, (200, LEVELS - 1))
    assert simultaneous_p((draws < truth[:, None]).sum(1), LEVELS) < 0.01
    narrow = rng.normal(0, 0.5, (200, LEVELS - 1))
    assert simultaneous_p((narrow < rng.normal(0, 1, 200)[:, None]).sum(1), LEVELS) < 0.01


def test_the_band_holds_whole_curves_with_its_probability():
    rng = np.random.default_rng(9)
    _, low, high = band(150, LEVELS, 0.9)
    curves = np.array([ecdf_difference(r, LEVELS) for r in rng.integers(0, LEVELS, (600, 150))])
    held = np.mean(((curves >= low) & (curves <= high)).all(axis=1))
    assert abs(held - 0.9) < 4 * np.sqrt(0.09 / 600) + 0.01


def test_tails_are_of_the_binomial():
    ranks = np.array([[0, 0, 1, 1]])
    # Two of four below one half is the middle; nothing more extreme than itself on either side.
    assert smallest_tail(ranks, 2)[0] == pytest.approx(2 * (1 + 4 + 6) / 16)
    assert smallest_tail(np.array([[0, 0, 0, 0]]), 2)[0] == pytest.approx(2 / 16)


def test_holm():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
