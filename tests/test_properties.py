"""What must hold of the statistics whatever the numbers are: hypothesis looks for numbers of which it does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from by_hand import BESIROGLU, POINTS, by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import qmc

from bayes_scaling import forecast, frontier, load_runs
from bayes_scaling.base.intervals import interval_value, weighted_quantile
from bayes_scaling.engine.model import columns
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import STANDARD, all_laws, get_law
from bayes_scaling.prediction.ensemble import ensemble, validated
from bayes_scaling.prediction.optimum import optimal_params
from bayes_scaling.prediction.weights import SCALES, combined, prior_averaging
from bayes_scaling.validation.scores import score

some = settings(max_examples=25, deadline=None)
scores = st.floats(-200, 200)
counts = st.floats(7, 12).map(lambda v: 10**v)
PLANAR = [name for name, law in all_laws().items() if set(law.inputs) == {"params", "tokens"}]


def drawn(law, seed: int) -> dict[str, np.ndarray]:
    """One draw of the law's prior, by inverse transform."""
    u = qmc.Sobol(len(law.parameters), seed=seed).random(1)[0]
    return {name: p.prior.dist.ppf(v) for (name, p), v in zip(law.parameters.items(), u, strict=True)}


def shuffled(runs, seed: int):
    return runs.subset(np.random.default_rng(seed).permutation(runs.n))


# --- weights --------------------------------------------------------------------------------------------


@some
@given(arrays(float, (len(STANDARD), len(SCALES)), elements=scores), st.integers(1, 5))
def test_weights_of_laws_and_scales_sum_to_one(total, cuts):
    laws = [get_law(name) for name in STANDARD]
    rule = combined(laws, total, cuts, 3 * cuts)
    assert sum(rule.weights.values()) == pytest.approx(1)
    assert rule.scale_weights.sum() == pytest.approx(1)
    assert min(*rule.weights.values(), *rule.scale_weights) >= 0
    assert SCALES[0] <= rule.scale_mean <= SCALES[-1]
    # What is added to every score alike says nothing of any law.
    again = combined(laws, total + 17.0, cuts, 3 * cuts)
    assert again.weights == pytest.approx(rule.weights, rel=1e-9)


@some
@given(st.permutations(range(len(STANDARD))), arrays(float, (len(STANDARD), len(SCALES)), elements=scores))
def test_the_order_in_which_laws_are_named_changes_no_weight(order, total):
    laws = [get_law(name) for name in STANDARD]
    one = combined(laws, total, 2, 6)
    other = combined([laws[i] for i in order], total[list(order)], 2, 6)
    assert other.weights == pytest.approx(dict(one.weights), rel=1e-9, abs=1e-300)


@some
@given(st.lists(st.floats(0, 10), min_size=2, max_size=2).filter(lambda w: sum(w) > 1e-3))
def test_draws_of_an_ensemble_share_its_weight(tiny_runs, weights):
    fits = [by_hand(tiny_runs, BESIROGLU, draws=60), by_hand(tiny_runs, POINTS["kaplan"], law="kaplan", draws=40)]
    joined = ensemble(fits, weights)
    assert joined.weights.sum() == pytest.approx(1)
    assert joined.draw_weights.sum() == pytest.approx(1)
    each = [joined.draw_weights[joined.draw_laws == name].sum() for name in ("chinchilla", "kaplan")]
    np.testing.assert_allclose(each, np.array(weights) / sum(weights), atol=1e-12)


# --- intervals ------------------------------------------------------------------------------------------


@some
@given(arrays(float, st.integers(2, 40), elements=st.floats(-1e6, 1e6)), st.floats(0.05, 0.95))
def test_an_interval_contains_the_median_and_grows_with_its_probability(values, prob):
    narrow, wide = interval_value(values, prob), interval_value(values, prob + 0.04)
    assert wide["lower"] <= narrow["lower"] <= narrow["median"] <= narrow["upper"] <= wide["upper"]
    assert values.min() <= wide["lower"] <= wide["upper"] <= values.max()


@some
@given(arrays(float, st.integers(2, 40), elements=st.floats(-100, 100)), st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_scale_of_weights_matters(values, random):
    weights = np.array([random.random() + 0.01 for _ in values])
    order = np.array(random.sample(range(len(values)), len(values)))
    probs = [0.05, 0.5, 0.95]
    expected = weighted_quantile(values, probs, weights)
    np.testing.assert_allclose(weighted_quantile(values[order], probs, weights[order] * 7), expected, atol=1e-9)


@some
@given(arrays(float, (30, 4), elements=st.floats(0.5, 5)), st.floats(0.5, 5), st.floats(0.1, 10))
def test_scores_do_not_depend_on_the_unit_of_the_loss(draws, observed, unit):
    """Pinball loss is relative, and coverage counts: bits give what nats give."""
    seen = np.full(4, observed)
    one, other = score(draws, seen), score(draws * unit, seen * unit)
    np.testing.assert_allclose(other.pinball, one.pinball, rtol=1e-9, atol=1e-9)


# --- laws and frontiers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANAR)
@some
@given(seed=st.integers(0, 2**20), flops=st.floats(18, 26))
def test_more_compute_never_costs_loss_along_the_frontier(name, seed, flops):
    law = get_law(name)
    p = drawn(law, seed)
    budgets = 10 ** np.array([flops, flops + 0.5, flops + 1.0])
    n = optimal_params(law, {k: np.array([v]) for k, v in p.items()}, budgets)[0]
    loss = np.asarray(law.loss(p, {"params": n, "tokens": budgets / (6 * n)}))
    assert (np.diff(loss) <= 1e-12 * loss[:-1]).all()
    # And no other size does better at any of the budgets.
    for factor in (0.9, 1.1):
        m = n * factor
        other = np.asarray(law.loss(p, {"params": m, "tokens": budgets / (6 * m)}))
        assert (other >= loss * (1 - 1e-9)).all()


@some
@given(st.lists(st.floats(19, 25), min_size=2, max_size=4, unique=True))
def test_a_frontier_answers_each_budget_alone_and_in_any_order(blend_of_two, exponents):
    budgets = 10 ** np.array(exponents)
    found = frontier(blend_of_two, budgets)
    np.testing.assert_allclose(np.median(found.draws("params") * found.draws("tokens") * 6, axis=0), budgets, rtol=1e-6)
    order = np.argsort(budgets)
    sorted_loss = np.median(found.draws("loss"), axis=0)[order]
    assert (np.diff(sorted_loss) < 0).all()
    alone = frontier(blend_of_two, budgets[:1])
    np.testing.assert_allclose(alone.draws("params")[:, 0], found.draws("params")[:, 0], rtol=1e-9)


@pytest.fixture(scope="module")
def blend_of_two(tiny_runs):
    fits = [
        by_hand(tiny_runs, BESIROGLU, spread=0.02, draws=200, seed=1),
        by_hand(tiny_runs, POINTS["coupled"], law="coupled", spread=0.02, draws=200, seed=2),
    ]
    return validated(fits, prior_averaging([f.law for f in fits]))


# --- runs: their order and their units ------------------------------------------------------------------


@some
@given(st.integers(0, 2**20))
def test_a_forecast_does_not_depend_on_the_order_of_the_runs(tiny_runs, seed):
    def asked(runs):
        return forecast(by_hand(runs, BESIROGLU, spread=0.02, draws=100), params=[3e9, 7e10], tokens=[1e11, 1.4e12])

    one, other = asked(tiny_runs), asked(shuffled(tiny_runs, seed))
    np.testing.assert_allclose(other.draws, one.draws, rtol=1e-12)
    for key, value in one.decades_beyond.items():
        np.testing.assert_array_equal(other.decades_beyond[key], value)


@pytest.mark.parametrize("name", STANDARD)
def test_a_posterior_density_does_not_depend_on_the_order_of_the_runs(name, tiny_runs):
    from bayes_scaling.engine.program import program_for
    from bayes_scaling.engine.tables import Table

    law, noise = get_law(name), get_noise("student_t")
    values = []
    for runs in (tiny_runs, shuffled(tiny_runs, 4)):
        frame = columns(law, noise, runs)
        program = program_for(law, noise, frame)
        points = program.density.initial + 0.1 * np.random.default_rng(2).standard_normal((5, program.density.size))
        prior, likelihood = program.log_densities(points, Table.padded(frame, 32))
        values.append(prior + likelihood)
    np.testing.assert_allclose(values[1], values[0], rtol=1e-10)


@some
@given(st.lists(st.tuples(counts, counts, st.floats(1.5, 6)), min_size=4, max_size=8, unique_by=lambda row: row[0]))
def test_units_are_one_table_in_other_words(rows):
    frame = pd.DataFrame(rows, columns=["params", "tokens", "loss"])
    nats = load_runs(frame)
    bits = load_runs(frame.assign(loss=frame["loss"] / np.log(2)), loss_unit="bits")
    np.testing.assert_allclose(bits.loss, nats.loss, rtol=1e-12)
    days = load_runs(
        frame.assign(pf_days=6 * frame["params"] * frame["tokens"] / (1e15 * 86400)).drop(columns="tokens")
    )
    np.testing.assert_allclose(days.tokens, nats.tokens, rtol=1e-9)
    np.testing.assert_allclose(days.flops, nats.flops, rtol=1e-9)
    words = frame.assign(params=[f"{v / 1e6!r}M" for v in frame["params"]])
    np.testing.assert_allclose(load_runs(words).params, nats.params, rtol=1e-12)


@some
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 2**20))
def test_where_a_law_states_its_amplitudes_changes_no_loss(params, tokens, seed):
    """The reference scale is a unit: amplitudes carried to another give the same curve and the same best size."""
    law = get_law("chinchilla")
    p = drawn(law, seed)
    moved = law.with_scale(params=law.scale.params * params, tokens=law.scale.tokens * tokens)
    q = p | {
        "gap_params": p["gap_params"] * params ** -p["alpha"],
        "gap_tokens": p["gap_tokens"] * tokens ** -p["beta"],
    }
    x = {"params": np.geomspace(1e7, 1e12, 7), "tokens": np.geomspace(1e9, 1e13, 7)}
    np.testing.assert_allclose(moved.loss(q, x), law.loss(p, x), rtol=1e-9)
    assert dataclasses.replace(moved, scale=law.scale) == law
