"""Forward validation: folds, prequential weights, scores, blends, and what a back-test says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_scaling as bs
from bayes_scaling.inference.fitting import fit_laws
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.blending import blend
from bayes_scaling.prediction.discrepancy import Distance, discrepancy, distance
from bayes_scaling.prediction.ensemble import Ensemble, validated
from bayes_scaling.prediction.frontiers import frontier
from bayes_scaling.prediction.losses import Losses, Scatter
from bayes_scaling.prediction.weights import SCALES, Averaging, prior_averaging, under_equal_priors
from bayes_scaling.validation import averaging, forward
from bayes_scaling.validation.backtesting import AVERAGE, Backtest, judge
from bayes_scaling.validation.cells import ANOMALY, ANOMALY_SD, cell_scores
from bayes_scaling.validation.folds import FEWEST, GAP, forward_folds
from bayes_scaling.validation.forward import Validation, bins, predicted, validate_forward
from bayes_scaling.validation.learning import learn
from bayes_scaling.validation.misfits import law_scores
from bayes_scaling.validation.scores import LEVELS, PINBALL_PROBS, score, summary

LAWS = ("kaplan", "chinchilla")
TRUTH = {"E": 1.8, "gap_params": 0.366, "gap_tokens": 0.359, "alpha": 0.342, "beta": 0.362}
NOISE = {"sigma": 0.004, "nu": 4.0}


def table(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray, name: str = "made") -> bs.Runs:
    return bs.load_runs(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}), name=name)


def ladder(budgets: np.ndarray, sizes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Sizes about the best of each budget."""
    c = np.repeat(budgets, sizes)
    n = np.sqrt(c / 6 / 20) * np.tile(np.geomspace(0.4, 2.5, sizes), len(budgets))
    return n, c / (6 * n)


@pytest.fixture(scope="module")
def runs() -> bs.Runs:
    n, d = ladder(np.geomspace(1e19, 1e21, 7))
    loss = get_law("chinchilla").loss(TRUTH, {"params": n, "tokens": d})
    return table(n, d, loss * np.exp(0.004 * np.random.default_rng(5).standard_normal(n.size)))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits below a cut with few draws."""
    monkeypatch.setattr(forward, "FOLD_DRAWS", 60)
    monkeypatch.setattr(forward, "FOLD_CHAINS", 2)


def handmade(
    runs: bs.Runs,
    draws: int = 300,
    spread: float = 0.01,
    off: dict[str, float] | None = None,
    seed: int = 11,
    erring: float = 0.0,
) -> Validation:
    """A validation whose posteriors are drawn by hand about the truth; `off` is a bias of log E, by law.

    Each posterior's centre is itself off the truth by `erring`, so that it is honest where `erring` is `spread`.
    """
    rng = np.random.default_rng(seed)
    folds = tuple(forward_folds(runs))
    law, noise = get_law("chinchilla"), get_noise("student_t")
    predictions = {}
    for name in LAWS:
        parts = []
        for fold in folds:
            centre = {k: v * np.exp(erring * rng.standard_normal()) for k, v in TRUTH.items()}
            values = {k: v * np.exp(spread * rng.standard_normal(draws)) for k, v in centre.items()}
            values["E"] *= np.exp((off or {}).get(name, 0.0))
            values |= {k: np.full(draws, v) for k, v in NOISE.items()}
            parts.append(predicted(law, noise, values, "ok", runs.subset(fold.train), runs.subset(fold.test)))
        predictions[name] = tuple(parts)
    distances = tuple(distance(runs.subset(f.train), runs.params[f.test], runs.tokens[f.test]) for f in folds)
    return Validation(runs, folds, LAWS, predictions, distances)


def judged(validation: Validation, seed: int = 0) -> Backtest:
    return judge(validation, [get_law(name) for name in LAWS], random_seed=seed)


# --- folds ----------------------------------------------------------------------------------------------


def test_folds_leave_a_gap_and_enough_to_learn_from(runs):
    folds = forward_folds(runs)
    assert 2 <= len(folds) <= 4
    assert [f.cut for f in folds] == sorted({f.cut for f in folds})
    for fold in folds:
        assert len(fold.train) >= FEWEST
        assert runs.flops[fold.train].max() == pytest.approx(fold.cut)
        assert fold.decades.min() >= GAP - 1e-9
        np.testing.assert_allclose(fold.decades, np.log10(runs.flops[fold.test] / fold.cut), atol=1e-9)
        assert not set(fold.train) & set(fold.test)


def test_a_narrow_table_gets_half_the_gap_and_a_narrower_one_no_fold():
    for reach, some in ((0.4, True), (0.1, False)):
        n, d = ladder(np.geomspace(1e20, 1e20 * 10**reach, 4), 6)
        folds = forward_folds(table(n, d, np.full(n.size, 2.0) + 1e-3 * np.arange(n.size)))
        assert bool(folds) is some
        assert all(f.decades.min() >= GAP / 2 - 1e-9 for f in folds)


def test_without_folds_the_weights_are_those_of_experience():
    n, d = ladder(np.geomspace(1e20, 1.2e20, 4))
    narrow = table(n, d, 2.5 - 1e-3 * np.arange(n.size), "narrow")
    found = bs.backtest(narrow, LAWS)
    known = prior_averaging([get_law(name) for name in LAWS])
    assert [w.code for w in found.notices if w.code == "no_folds"] == ["no_folds"]
    assert found.rule.weights == known.weights
    assert "other tables" in found.rule.basis
    body = found.to_dict()
    assert (body["coverage"], body["n_forecasts"], body["folds"], body["by_decade"]) == (None, 0, [], [])
    assert "no cut is possible" in repr(found)


# --- prequential ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("brief")
def test_what_is_above_a_cut_changes_nothing_at_it(runs):
    laws = [get_law(name) for name in LAWS]
    first = judge(validate_forward(runs, laws), laws)
    cut = first.validation.folds[1].cut
    moved = table(runs.params, runs.tokens, np.where(runs.flops > cut * 1.01, runs.loss * 1.2, runs.loss))
    again = judge(validate_forward(moved, laws), laws)
    for k in (0, 1):
        assert first.rules[k].weights == again.rules[k].weights
        np.testing.assert_array_equal(first.rules[k].scale_weights, again.rules[k].scale_weights)
    # At the second cut something was known, and it was used; what came later moves the rule at the end.
    assert first.rules[0].scored == 0
    assert first.rules[1].scored > 0
    assert first.rules[1].weights != first.rules[0].weights
    assert again.rule.scale_mean > first.rule.scale_mean
    assert again.overall()["bias"] < -5


# --- scores ---------------------------------------------------------------------------------------------


def test_scores_are_what_they_say():
    rng = np.random.default_rng(2)
    draws, observed = rng.gamma(30, 0.1, (501, 7)), rng.gamma(30, 0.1, 7)
    found = score(draws, observed)
    for j in range(7):
        q = [np.quantile(draws[:, j], p) for p in PINBALL_PROBS]
        miss = [(p, observed[j] - v) for p, v in zip(PINBALL_PROBS, q, strict=True)]
        loss = [2 * (p if e >= 0 else p - 1) * e for p, e in miss]
        assert found.pinball[j] == pytest.approx(100 * np.mean(loss) / observed[j])
        assert found.half_width[j] == pytest.approx(100 * (q[4] - q[0]) / 2 / q[2])
        assert found.bias[j] == pytest.approx(100 * (q[2] / observed[j] - 1))
        assert found.pit[j] == pytest.approx(sum(draws[:, j] < observed[j]) / 501)
        for level in LEVELS:
            low, high = np.quantile(draws[:, j], [(1 - level) / 2, (1 + level) / 2])
            assert found.covered[level][j] == (low <= observed[j] <= high)


def test_a_cell_counts_once_whatever_is_in_it():
    draws = np.tile(np.linspace(0.9, 1.1, 101)[:, None], (1, 5))
    found = summary(score(draws, np.array([1.0, 2.0, 2.0, 2.0, 2.0])), np.array([0, 1, 1, 1, 1]))
    assert found["coverage"]["0.9"] == pytest.approx(0.5)
    assert (found["n_forecasts"], found["n_cells"]) == (5, 2)


def cell(noise: str, values: dict[str, float], n: int = 25, off: float = 0.0) -> tuple[Losses, np.ndarray, Distance]:
    """A law that says 0 (sd 0.003) of `n` runs half a decade beyond, seen at `off` with the noise's scatter."""
    rng = np.random.default_rng(5)
    curve = np.repeat(0.003 * rng.standard_normal((4000, 1)), n, axis=1)
    spec = get_noise(noise)
    p = {k: np.full((4000, 1), v) for k, v in values.items()}
    seen = off + values["sigma"] * np.asarray(spec.draw(rng, {k: v[:1] for k, v in p.items()}, (1, n)))[0]
    where = Distance(np.full(n, 0.5), np.zeros(n), np.zeros(n))
    scatter = Scatter(np.arange(4000), spec, p, np.full_like(curve, values["sigma"]))
    return Losses(curve, (scatter,)), seen, where


def test_under_normal_noise_a_cell_is_scored_by_the_density_of_its_mean():
    sigma, n = 0.01, 25
    prediction, seen, where = cell("normal", {"sigma": sigma}, n, off=0.006)
    tau = np.array([0.001, 0.01, 0.05])
    found = cell_scores(prediction, seen, where, where.flops, tau)
    sd = np.sqrt(0.003**2 + sigma**2 / n + (tau * 0.5) ** 2)
    scatter = stats.norm.logpdf(seen - seen.mean(), scale=sigma).mean()
    assert found.shape == (1, 3)
    odd = stats.norm.logpdf(seen.mean(), scale=np.hypot(sd, ANOMALY_SD))
    shift = np.logaddexp(np.log1p(-ANOMALY) + stats.norm.logpdf(seen.mean(), scale=sd), np.log(ANOMALY) + odd)
    np.testing.assert_allclose(found[0], shift + scatter, atol=0.05)


@pytest.mark.parametrize(("noise", "values"), [("student_t", {"sigma": 0.01, "nu": 1.5}), ("laplace", {"sigma": 0.01})])
def test_a_shift_of_many_runs_shows_though_it_is_smaller_than_the_noise_of_one(noise, values):
    tau = np.array([0.0005, 0.03])
    right = cell_scores(*(c := cell(noise, values, 400)), c[2].flops, tau)[0]
    wrong = cell_scores(*(c := cell(noise, values, 400, off=0.015)), c[2].flops, tau)[0]
    assert right[0] > right[1] + 1
    assert wrong[1] > wrong[0] + 1
    lone = cell_scores(*(c := cell(noise, values, 1)), c[2].flops, tau)[0]
    assert abs(lone[0] - lone[1]) < 1.5


def test_one_odd_run_cannot_say_more_than_a_bounded_amount():
    tau = np.array([0.005, 0.05])
    near, far = (
        cell_scores(*(c := cell("normal", {"sigma": 0.004}, 1, off=o)), c[2].flops, tau)[0] for o in (0.1, 0.15)
    )
    assert near[1] - near[0] < np.log(1 / ANOMALY) + 1
    assert far[1] - far[0] < np.log(1 / ANOMALY) + 1


def test_bins_of_one_cut_are_cells(runs):
    made = handmade(runs)
    found = cell_scores(
        made.predictions["chinchilla"][0].losses, made.log_loss(0), made.distances[0], made.folds[0].decades, SCALES
    )
    assert found.shape == (len(np.unique(bins(made.folds[0].decades))), len(SCALES))
    assert np.isfinite(found).all()


def test_the_law_that_foretold_better_gains(runs):
    made = handmade(runs, off={"kaplan": 0.08})
    laws = [get_law(name) for name in LAWS]
    known, learned = prior_averaging(laws), learn(made, laws)
    assert learned.weights["chinchilla"] > known.weights["chinchilla"]
    assert learned.forward_score["chinchilla"] > learned.forward_score["kaplan"]
    assert sum(learned.weights.values()) == pytest.approx(1)
    assert learned.scale_weights.sum() == pytest.approx(1)


# --- blends and the discrepancy -------------------------------------------------------------------------


def rule(weights: dict[str, float], scale: float = 0.02) -> Averaging:
    sizes = np.exp(-((np.log(SCALES / scale)) ** 2) * 20)
    return Averaging(weights, SCALES, sizes / sizes.sum(), 8.0, 5, dict.fromkeys(weights), "a test")


def test_a_blend_follows_its_seed_and_its_weights():
    made = [blend(rule({"a": 0.7, "b": 0.3}), ("a", "b"), (100, 60), 4000, seed) for seed in (1, 1, 2)]
    shares = [np.column_stack([part.shares for part in pool.parts]) for pool in made]
    for first, second in zip(made[0].parts, made[1].parts, strict=True):
        for name in ("rows", "picks", "shares"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(made[0].component, made[1].component)
    assert not np.array_equal(shares[0], shares[2])
    np.testing.assert_allclose(shares[0].sum(axis=1), 1)
    np.testing.assert_allclose(shares[0].mean(axis=0), [0.7, 0.3], atol=0.02)
    assert np.mean(made[0].component == 0) == pytest.approx(0.7, abs=0.04)
    assert [part.picks.max() for part in made[0].parts] == [99, 59]


def test_the_discrepancy_cancels_between_plans_of_equal_compute(runs):
    n = np.array([3e9, 5e9, 8e9])
    where = distance(runs, n, 3e22 / (6 * n))
    np.testing.assert_allclose(where.flops, np.log10(3e22 / runs.flops.max()))
    np.testing.assert_array_equal(where.params, 0)
    np.testing.assert_array_equal(where.tokens, 0)
    drawn = discrepancy(where, np.full(500, 0.02), np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 2])
    assert drawn.std(axis=0)[0] == pytest.approx(0.02 * where.flops[0], rel=0.1)
    inside = discrepancy(distance(runs, runs.params, runs.tokens), np.full(9, 0.02), np.random.default_rng(0))
    np.testing.assert_array_equal(inside, 0)


def test_n_or_d_leaving_its_own_range_adds_a_line_of_its_own(runs):
    wide = distance(runs, [runs.params.max() * 100], [runs.tokens.max() / 100])
    assert wide.params[0] > 1
    assert wide.length[0] > wide.flops[0]


@pytest.fixture(scope="module")
def group(runs) -> Ensemble:
    fits = fit_laws(runs, LAWS, draws=400, chains=2)
    good = [replace(f, diagnostics=replace(f.diagnostics, verdict="ok")) for f in fits]
    return validated(good, rule(dict.fromkeys(LAWS, 0.5)))


def test_forecasts_asked_together_or_apart_agree(group):
    n, d = np.array([2e9, 1e10, 5e10]), np.array([4e10, 2e11, 1e12])
    for kind in ("new-run", "curve"):
        together = bs.forecast(group, params=n, tokens=d, kind=kind)
        np.testing.assert_array_equal(together.draws, bs.forecast(group, params=n, tokens=d, kind=kind).draws)
        for j in range(3):
            apart = bs.forecast(group, params=n[j], tokens=d[j], kind=kind)
            np.testing.assert_allclose(apart.draws[:, 0], together.draws[:, j], rtol=1e-12)
        other = bs.forecast(group, params=n, tokens=d, kind=kind, random_seed=1)
        assert not np.array_equal(other.draws, together.draws)
    assert together.weights_from == "a test"


def test_intervals_widen_with_distance_and_equal_compute_shares_the_discrepancy(group, runs):
    c = runs.flops.max() * 10.0 ** np.array([0, 1, 2, 3])
    n = np.sqrt(c / 120)
    found = bs.forecast(group, params=n, tokens=c / (6 * n), kind="curve")
    width = np.diff(np.log(found.quantile([0.05, 0.95])), axis=0)[0]
    assert np.all(np.diff(width) > 0.01)
    # Two plans of equal compute: what tells them apart is the laws' alone, the discrepancy being common.
    plain = replace(group, averaging=replace(rule(dict.fromkeys(LAWS, 0.5)), scales=np.zeros(len(SCALES))))
    pair = {"params": n[2] * np.array([0.8, 1.25]), "tokens": c[2] / (6 * n[2] * np.array([0.8, 1.25]))}
    with_it, without = (np.log(bs.forecast(g, kind="curve", **pair).draws) for g in (group, plain))
    np.testing.assert_allclose(np.diff(with_it), np.diff(without), atol=1e-12)
    assert with_it[:, 0].std() > 1.5 * without[:, 0].std()


def test_a_frontier_mixes_the_laws_by_the_same_weights(group):
    front = frontier(group, [1e22])
    assert dict(front.law_weights) == pytest.approx(dict.fromkeys(LAWS, 0.5))
    assert front.weights_from == "a test"


# --- what a back-test says ------------------------------------------------------------------------------


def test_the_json_has_the_keys_of_the_contract(runs):
    body = judged(handmade(runs)).to_dict()
    assert body["command"] == "backtest"
    assert body["coverage"].keys() == {"0.5", "0.8", "0.9", "0.95"}
    assert body.keys() >= {"pinball", "n_forecasts", "by_decade", "folds", "laws", "seconds", "provenance", "warnings"}
    each = {"coverage", "pinball", "n_forecasts"}
    assert [row["law"] for row in body["laws"]] == list(LAWS)
    for row in body["laws"]:
        assert row.keys() >= each | {"by_decade", "forward_score", "weight"}
    for fold in body["folds"]:
        assert fold.keys() >= each | {"cut", "laws"}
        assert fold["laws"].keys() == set(LAWS)
    assert sum(row["n_cells"] for row in body["by_decade"]) == body["n_cells"]
    assert sum(row["n_forecasts"] for row in body["by_decade"]) == body["n_forecasts"] == len(body["pit"])


def test_honest_posteriors_hold_and_wrong_ones_are_told(runs):
    good = judged(handmade(runs, spread=0.004))
    assert good.overall()["coverage"]["0.9"] > 0.75
    assert good.misfit == ""
    assert list(good.to_frame()["law"]) == [AVERAGE, *LAWS]
    assert "Back-test of made: cuts at" in repr(good)
    wrong = judged(handmade(runs, spread=0.001, off=dict.fromkeys(LAWS, 0.1)))
    assert "misfit" in [n.code for n in wrong.notices]
    assert wrong.overall()["bias"] > 5
    assert wrong.rule.scale_mean > good.rule.scale_mean


@pytest.mark.parametrize(("stated", "verdict"), [(1.0, "right"), (0.4, "narrow"), (2.5, "wide")])
def test_coverage_tells_narrow_and_wide_from_right(stated, verdict):
    """Posteriors that err by 1 % and say so, say less, or say more: judged from both sides at every level."""
    n, d = ladder(np.geomspace(1e19, 1e21, 7))
    loss = get_law("chinchilla").loss(TRUTH, {"params": n, "tokens": d})
    held = []
    for seed in range(40):
        noise = NOISE["sigma"] * np.random.default_rng([seed, 1]).standard_t(NOISE["nu"], n.size)
        made = table(n, d, loss * np.exp(noise))
        validation = handmade(made, spread=0.01 * stated, erring=0.01, seed=seed)
        scores = law_scores(validation)[LAWS[0]]
        held.append([np.mean([s.covered[level].mean() for s in scores]) for level in (0.5, 0.9)])
    share = np.array(held)
    # Tables are independent, their runs are not.
    far = (share.mean(axis=0) - [0.5, 0.9]) / (share.std(axis=0, ddof=1) / np.sqrt(40))
    if verdict == "right":
        assert (abs(far) < 4).all(), far
    else:
        assert ((far < -4) if verdict == "narrow" else (far > 4)).all(), far


def test_the_same_seed_gives_the_same_scores(runs):
    made = handmade(runs)
    first, second, other = (judged(made, seed).to_frame() for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


@pytest.mark.usefixtures("brief")
def test_a_break_along_compute_is_a_misfit():
    """Beyond the break the loss falls by a power of compute more than the laws can bend."""
    n, d = ladder(np.geomspace(1e19, 3e21, 9))
    loss = get_law("chinchilla").loss(TRUTH, {"params": n, "tokens": d})
    loss = loss * (1 + (6 * n * d / 3e20) ** 4) ** (-0.08 / 4)
    loss *= np.exp(0.003 * np.random.default_rng(1).standard_normal(n.size))
    found = bs.backtest(table(n, d, loss, "broken"), LAWS)
    assert "misfit" in [w.code for w in found.notices], found
    assert found.overall()["bias"] > 0


def test_average_is_an_ensemble_with_a_rule(runs, group, monkeypatch):
    monkeypatch.setattr(averaging, "fit_laws", lambda *a, **k: group.fits)
    monkeypatch.setattr(averaging, "validate_forward", lambda *a, **k: handmade(runs))
    found = bs.average(runs, LAWS)
    assert found.averaging is not None
    assert found.basis.startswith("forward validation at 4 cuts (")
    assert found.weights.sum() == pytest.approx(1)


def test_weights_tell_where_they_come_from(runs):
    """Prior times what the folds say is the final weight, scale by scale; without folds the prior is all there is."""
    laws = [get_law(name) for name in LAWS]
    learned, known = learn(handmade(runs, off={"kaplan": 0.03}), laws), prior_averaging(laws)
    for rule in (learned, known):
        trust = np.array([law.trust for law in laws])
        np.testing.assert_allclose([rule.sources.prior[n] for n in LAWS], trust / trust.sum())
        assert sum(rule.sources.data.values()) == pytest.approx(1)
        ratio = np.array([rule.weights[n] / (rule.sources.data[n] * rule.sources.prior[n]) for n in LAWS])
        np.testing.assert_allclose(ratio, ratio[0])
    np.testing.assert_allclose(list(known.sources.data.values()), 1 / len(LAWS))
    assert under_equal_priors(learned).weights == learned.sources.data


def test_a_forecast_shows_what_it_would_be_without_the_prior_trust(group, runs):
    laws = [get_law(name) for name in LAWS]
    rule_ = learn(handmade(runs, off={"kaplan": 0.03}), laws)
    one = validated(group.fits, rule_)
    made = bs.forecast(one, params=1e10, tokens=2e11)
    body = made.to_dict()
    assert [row["law"] for row in body["weights"]] == list(one.law_weights)
    for row in body["weights"]:
        assert row["final"] == pytest.approx(body["forecasts"][0]["law_weights"][row["law"]])
    alike = body["equal_priors"]
    assert alike["law_weights"] == pytest.approx(rule_.sources.data)
    assert alike["forecasts"][0]["median"] != made.rows()[0]["median"]
    alone = bs.forecast(group.fits[0], params=1e10, tokens=2e11).to_dict()
    assert alone["equal_priors"] is None
    assert alone["weights"] == [{"law": LAWS[0], "prior": None, "data": None, "final": 1.0}]
