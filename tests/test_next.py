"""What to run next: estimators against closed forms, brute force and ArviZ; then `suggest` and the command."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.cli.main import main
from bayes_scaling.experiments.candidates import Box, Candidates, batches, candidates, per_flop
from bayes_scaling.experiments.moments import added, in_turn, moments, total
from bayes_scaling.experiments.selection import best_batch, quantity_of
from bayes_scaling.experiments.suggesting import suggest
from bayes_scaling.experiments.value import worth
from bayes_scaling.experiments.worlds import entropy, normal_law_entropy, study
from bayes_scaling.inference.fitting import fit
from bayes_scaling.inference.psis import smoothed
from bayes_scaling.inference.storage import save_fit
from bayes_scaling.laws.law import Parameter, ScalingLaw
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.ops import exp, log
from bayes_scaling.laws.priors import normal
from bayes_scaling.prediction.drawing import LawDraws, pooled
from bayes_scaling.prediction.predictive import Predictive
from bayes_scaling.runs.loading import load_runs

SPREAD = np.array([0.05, 0.03])


def line(name="line", curve=None):
    """Log loss is a straight line in log N."""
    free = {k: Parameter(normal(mu=0, sigma=1), "toy") for k in ("a", "b")}
    return ScalingLaw(name, name, "a line", curve or (lambda p, x: exp(p.a + p.b * log(x.n))), free, "toy")


def joined(laws, weights=None) -> Predictive:
    runs = load_runs(pd.DataFrame({"params": [1e8, 2e8, 4e8], "tokens": [2e9, 4e9, 8e9], "loss": [3.0, 2.9, 2.8]}))
    return pooled(laws, runs, weights=None if weights is None else np.array(weights))


def toy(sigma=0.01, draws=3000, noise="normal", seed=0, shift=0.0, law=None, **extra) -> LawDraws:
    """Intercept and slope independent and normal, their sample moments exact."""
    z = np.random.default_rng([seed, 5]).standard_normal((draws, 2))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / draws)).T * SPREAD
    values = {"a": z[:, 0] + shift, "b": z[:, 1], "sigma": np.full(draws, sigma)}
    values |= {k: np.full(draws, v) for k, v in extra.items()}
    return LawDraws(law or line(), get_noise(noise), values)


def at(log_n) -> Candidates:
    n = 1e9 * np.exp(np.asarray(log_n, float))
    return Candidates(n, 20 * n, 120 * n**2)


def closed(log_n, sigma):
    """Variance of the slope left after each run, and information on both, nats."""
    x = np.column_stack([np.ones(len(log_n)), log_n])
    left, information = [], []
    for j in range(1, len(log_n) + 1):
        precision = np.diag(SPREAD**-2) + x[:j].T @ x[:j] / sigma**2
        left.append(np.linalg.inv(precision)[1, 1])
        information.append(0.5 * (np.linalg.slogdet(precision)[1] + 2 * np.log(SPREAD).sum()))
    return np.array(left), np.array(information)


PLACES, SIGMA = [2.0, -2.0, 1.0], 0.03


@pytest.fixture(scope="module")
def made():
    beliefs = joined([toy(SIGMA)])
    slope = beliefs.members[0].values["b"][:, None]
    return beliefs, slope, study(beliefs, slope, at(PLACES), worlds=400, random_seed=1)


def of(beliefs: Predictive, quantity, where, everything=False):
    losses = beliefs.at(where.params, where.tokens)
    return moments(quantity, losses.log_curve, losses.normal_variance(), everything)


# --- the normal form ------------------------------------------------------------------------------------


def test_moments_give_the_closed_form_of_a_linear_model(made):
    beliefs, slope, _ = made
    left, information = closed(PLACES, SIGMA)
    m = of(beliefs, slope, at(PLACES))
    assert m.variance - np.cumsum(in_turn(m, [0, 1, 2])) == pytest.approx(left, rel=1e-9)
    everything = of(beliefs, slope, at(PLACES), everything=True)
    assert np.cumsum(in_turn(everything, [0, 1, 2])) == pytest.approx(information, rel=1e-9)


# --- nested Monte Carlo ---------------------------------------------------------------------------------


def test_reweighting_agrees_with_the_closed_form_within_its_error(made):
    _, _, s = made
    left, information = closed(PLACES, SIGMA)
    root = np.sqrt(len(s.which))
    assert s.believed.all()
    assert (abs(s.left.mean(axis=0) - left) < 4 * s.left.std(axis=0) / root + 0.01 * left).all()
    error = np.hypot(s.information.std(axis=0) / root, s.gap)
    assert (abs(s.information.mean(axis=0) - information) < 4 * error).all()
    assert (s.gap < 0.1).all()


def test_heavy_tails_teach_less_than_a_normal_of_their_scale():
    """A Student-t of 3 degrees says less than a normal of its scale, and more than nothing."""
    heavy, plain = (joined([toy(SIGMA, noise=n, nu=3.0)]) for n in ("student_t", "normal"))
    left = {}
    for name, beliefs in (("heavy", heavy), ("plain", plain)):
        s = study(beliefs, beliefs.members[0].values["b"][:, None], at([2.0]), worlds=600)
        left[name] = s.left.mean(), s.left.std() / np.sqrt(600)
    assert left["heavy"][0] > left["plain"][0] + 2 * np.hypot(left["heavy"][1], left["plain"][1])
    assert left["heavy"][0] < SPREAD[1] ** 2


def test_more_noise_teaches_less():
    found = []
    for sigma in (0.01, 0.03, 0.1):
        beliefs = joined([toy(sigma)])
        slope = beliefs.members[0].values["b"][:, None]
        m = of(beliefs, slope, at([2.0]))
        s = study(beliefs, slope, at([2.0]), worlds=200)
        found.append((total(m, [0]), m.variance - s.left.mean(), s.information.mean()))
    assert np.all(np.diff(np.array(found), axis=0) < 0)


def test_gains_are_not_negative(made):
    beliefs, slope, s = made
    assert (added(of(beliefs, slope, at(np.linspace(-3, 3, 40))), [3, 20]) >= 0).all()
    steps = -np.diff(s.left, axis=1, prepend=SPREAD[1] ** 2)
    assert (steps.mean(axis=0) > -3 * steps.std(axis=0) / np.sqrt(len(steps))).all()


def test_pareto_smoothing_is_that_of_arviz():
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(3)
    raw = rng.standard_normal((12, 1600)) * np.linspace(0.3, 3.0, 12)[:, None]
    weights, k = smoothed(raw)
    for i in range(len(raw)):
        theirs, their_k = array_stats.psislw(-raw[i])
        # 3 sqrt(1600) is whole: elsewhere ArviZ rounds the length of the tail down where the paper rounds up.
        assert k[i] == pytest.approx(float(their_k), abs=1e-6)
        assert weights[i] == pytest.approx(np.exp(theirs), rel=1e-5, abs=1e-12)


def test_equal_weights_and_none_are_left_alone():
    raw = np.zeros((2, 500))
    raw[1, :100] = -np.inf
    weights, k = smoothed(raw)
    assert weights[0] == pytest.approx(1 / 500)
    assert weights[1, 100:] == pytest.approx(1 / 400)
    assert (weights[1, :100] == 0).all()
    assert (k < 0.5).all()


def test_weights_that_few_draws_carry_are_not_believed():
    raw = np.full((1, 500), -np.inf)
    raw[0, :12] = np.linspace(-3, 0, 12)
    weights, k = smoothed(raw)
    assert k[0] == np.inf
    assert weights[0, :12] == pytest.approx(np.exp(raw[0, :12]) / np.exp(raw[0, :12]).sum())


def test_information_on_the_law_is_the_integral():
    """Two laws that foretell normals with the same spread: their mutual information with one run, by quadrature."""
    beliefs = joined([toy(0.02, seed=1), toy(0.02, seed=2, shift=0.12, law=line("other"))], [0.7, 0.3])
    where = at([1.0])
    s = study(beliefs, quantity_of(beliefs, "law", 1e24), where, worlds=600, random_seed=4)
    sd = float(np.sqrt(SPREAD @ SPREAD + 0.02**2))

    def integrand(y):
        density = np.array([0.7 * stats.norm.pdf(y, 0, sd), 0.3 * stats.norm.pdf(y, 0.12, sd)])
        return density.sum() * entropy(density / density.sum())

    left = quad(integrand, -0.5, 0.6)[0]
    error = s.law_entropy.std() / np.sqrt(600)
    assert abs(s.law_entropy.mean() - left) < 4 * error + 0.005
    assert abs(normal_law_entropy(beliefs, where, s.seen).mean() - left) < 4 * error + 0.005


# --- batches --------------------------------------------------------------------------------------------


def test_the_batch_is_the_best_there_is():
    beliefs = joined([toy(0.02)])
    where = at(np.linspace(-2, 2, 12))
    m = of(beliefs, beliefs.members[0].values["b"][:, None], where)
    for budget in (2.5 * where.flops.max(), 0.3 * where.flops.max(), 4 * where.flops.min()):
        best = batches(m, where.flops, 3, budget)[0]
        every = [
            total(m, b)
            for b in itertools.combinations_with_replacement(range(12), 3)
            if where.flops[list(b)].sum() <= budget
        ]
        assert where.flops[list(best)].sum() <= budget * (1 + 1e-9)
        assert total(m, best) >= 0.97 * max(every)


def test_two_runs_for_a_slope_stand_at_opposite_ends_and_runs_are_not_repeated_for_nothing():
    wide = joined([toy(0.02)])
    where = at(np.linspace(-2, 2, 9))
    m = of(wide, wide.members[0].values["b"][:, None], where)
    assert set(batches(m, where.flops, 2, 10 * where.flops.max())[0]) == {0, 8}
    # Two runs that say the same: as many of one as of the other.
    same = Candidates(*(np.repeat(v, 2) for v in (where.params, where.tokens, where.flops)))
    m = of(wide, wide.members[0].values["b"][:, None], same)
    assert len(set(batches(m, same.flops, 4, 10 * same.flops.max())[0])) == 4


def test_per_flop_takes_the_most_for_its_cost_first():
    beliefs = joined([toy(0.02)])
    where = at(np.linspace(-2, 2, 9))
    m = of(beliefs, beliefs.members[0].values["b"][:, None], where)
    chosen = per_flop(m, where.flops, 3, where.flops.sum())
    assert chosen[0] == int(np.argmax(added(m, ()) / where.flops))
    assert len(per_flop(m, where.flops, 4, 2.5 * where.flops.min())) == 2


def test_candidates_keep_to_their_limits():
    box = Box((1e8, 5e9), (1e9, 1e11), (5.0, 100.0))
    c = candidates(box, 1e21)
    assert len(c) > 100
    assert c.flops.max() <= 1e21 * (1 + 1e-9)
    assert c.flops == pytest.approx(6 * c.params * c.tokens)
    for values, ends in ((c.params, box.params), (c.tokens, box.tokens), (c.tokens / c.params, box.ratio)):
        assert ends[0] * (1 - 1e-6) <= values.min()
        assert values.max() <= ends[1] * (1 + 1e-6)
    n, d = box.cheapest
    assert len(candidates(box, 6 * n * d)) == 1
    assert len(candidates(box, 5 * n * d)) == 0


def test_weights_that_fail_give_way_to_the_normal_form():
    """Runs far more exact than the draws are many: no draw is near the truth."""
    beliefs = joined([toy(1e-5, draws=400)])
    slope = beliefs.members[0].values["b"][:, None]
    choice = best_batch(beliefs, slope, Box((1e8, 1e10), (1e9, 1e12), (20.0, 20.0)), 2, 1e21)
    assert not choice.study.believed[-1]
    assert np.isnan(choice.errors[-1])
    assert choice.gains.sum() == pytest.approx(SPREAD[1] ** 2, rel=0.01)


# --- value of information -------------------------------------------------------------------------------


def test_value_of_information_is_that_of_brute_force():
    """One unknown, the best log N: posterior by quadrature in each world of a fine grid."""
    bowl = line("bowl", lambda p, x: 2 + 0.05 * (log(x.n) - p.a) ** 2 + 0 * p.b)
    draws, spread, sigma = 4000, 0.6, 0.02
    u = stats.norm.ppf((np.arange(draws) + 0.5) / draws) * spread
    values = {"a": u, "b": np.zeros(draws), "sigma": np.full(draws, sigma)}
    beliefs = joined([LawDraws(bowl, get_noise("normal"), values)])
    run, budget = at([2.0]), 120e18
    s = study(beliefs, u[:, None], run, worlds=1000, random_seed=2)
    found = worth(beliefs, budget, run, s, price_per_flop=1e-18)
    assert found.perfect.loss == pytest.approx(0.05 * spread**2, rel=0.02)

    grid = np.linspace(-4, 4, 401) * spread
    prior = stats.norm.pdf(grid, 0, spread)
    prior /= prior.sum()
    mean = np.log(2 + 0.05 * (2 - grid) ** 2)
    y = np.linspace(mean.min() - 5 * sigma, mean.max() + 5 * sigma, 1500)
    joint = prior * stats.norm.pdf(y[:, None], mean, sigma)
    density = joint.sum(axis=1)
    left = ((joint @ grid**2) / density - ((joint @ grid) / density) ** 2) @ density * (y[1] - y[0])
    saved = 0.05 * (spread**2 - left)
    assert abs(found.study.loss - saved) < 4 * found.study.loss_error + 0.01 * saved
    assert 0 < found.study.loss < found.perfect.loss
    assert found.study.money == pytest.approx(found.study.flops * 1e-18)


# --- suggest and the command ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tiny_runs):
    return fit(tiny_runs, "chinchilla", draws=300, chains=2)


def test_suggest_holds_together(fitted):
    result = suggest(fitted, budget=1e23, runs_budget=2e21, n_runs=3, worlds=100)
    body = result.to_dict()
    json.dumps(body)
    assert body["command"] == "next"
    assert len(body["suggestions"]) == 3
    for row in body["suggestions"]:
        assert row["flops"] == pytest.approx(6 * row["params"] * row["tokens"])
        assert row["gain_per_flop"] == pytest.approx(row["gain"] / row["flops"])
        assert result.box.ratio[0] * 0.999 <= row["tokens_per_param"] <= result.box.ratio[1] * 1.001
    assert result.flops <= 2e21 * (1 + 1e-9)
    assert 0 < result.after < result.before
    assert result.before == pytest.approx(np.std(np.log(_optimum(fitted, 1e23))), rel=1e-6)
    gain = [row["gain_per_flop"] for row in body["per_flop"]]
    assert gain == sorted(gain, reverse=True)
    assert "params" in repr(result)
    assert "<table" in result._repr_html_()
    again = suggest(fitted, budget=1e23, runs_budget=2e21, n_runs=3, worlds=100)
    assert again.rows() == result.rows()


def _optimum(one, budget):
    from bayes_scaling.prediction.optimum import optimal_params

    return optimal_params(one.law, one.draws(*one.law.parameters), np.array([budget]))[:, 0]


@pytest.mark.parametrize("target", ["loss", "target-loss", "information"])
def test_other_targets(fitted, target):
    middle = 1.0
    if target == "target-loss":
        middle = float(suggest(fitted, budget=1e23, n_runs=1, target="loss", worlds=50).now["loss"]["median"])
    asked = middle if target == "target-loss" else None
    result = suggest(fitted, budget=1e23, n_runs=2, target=target, target_loss=asked, worlds=100)
    assert sum(s.gain for s in result.suggestions) > 0
    if target == "target-loss":
        assert result.probability == pytest.approx(0.5, abs=0.02)
        assert result.before == pytest.approx(0.5, abs=0.01)
    if target == "information":
        assert result.before is None
        assert result.suggestions[0].gain == pytest.approx(result.suggestions[0].information)


def test_between_laws(tiny_runs, fitted):
    other = fit(tiny_runs, "kaplan_floor", draws=300, chains=2)
    alone, both = (suggest(f, budget=1e24, worlds=50) for f in (fitted, [fitted, other]))
    logs = [np.log(_optimum(f, 1e24)) for f in (fitted, other)]
    assert both.before**2 == pytest.approx(
        np.mean([v.var() for v in logs]) + np.var([v.mean() for v in logs]), rel=0.02
    )  # every other draw of each law
    assert alone.before == pytest.approx(logs[0].std(), rel=1e-6)
    law = suggest([fitted, other], budget=1e24, target="law", worlds=100)
    assert law.before == pytest.approx(np.log(2))
    assert 0 <= law.after < law.before
    with pytest.raises(DataError, match="Only one law"):
        suggest(fitted, budget=1e24, target="law")


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"budget": 0.0}, DataError, "above 0"),
        ({"budget": 1e23, "runs_budget": 1e10}, DataError, "cheapest"),
        ({"budget": 1e23, "runs_budget": -1.0}, DataError, "above 0"),
        ({"budget": 1e23, "target": "lost"}, UsageError, "Did you mean"),
        ({"budget": 1e23, "target": "target-loss"}, UsageError, "target loss"),
        ({"budget": 1e23, "target": "target-loss", "target_loss": 0.01}, DataError, "never reaches"),
        ({"budget": 1e23, "price_per_flop": -1.0}, DataError, "price"),
        ({"budget": 1e23, "n_runs": 0}, UsageError, "at least one"),
        ({"budget": 1e23, "params": (2e9, 1e9)}, UsageError, "smaller first"),
        ({"budget": 1e23, "params": (1e6, 2e6), "tokens": (1e12, 1e13)}, DataError, "Widen"),
    ],
)
def test_what_cannot_be_met_is_said(fitted, words, error, says):
    with pytest.raises(error, match=says):
        suggest(fitted, **words)


def test_the_command(fitted, tmp_path, capsys):
    path = save_fit(fitted, tmp_path / "fit.nc")
    words = ["next", str(path), "--budget", "1e23", "--runs", "2", "--tokens-per-param", "2:500", "--allow-bad-fit"]
    assert main([*words, "--json", "--price-per-flop", "2e-18"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["suggestions"][0].keys() >= {"params", "tokens", "flops", "gain", "gain_per_flop"}
    assert body["limits"]["ratio"] == [2, 500]
    assert body["value"]["perfect"]["money"] > 0
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "Runs to make next" in text
    assert "saves" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--budget", "0"], 3, "above 0"),
        (["--budget", "-1e20"], 3, "above 0"),
        (["--budget", "much"], 2, "--budget"),
        (["--budget", "1e23", "--runs-budget", "1e10"], 3, "cheapest"),
        (["--budget", "1e23", "--params", "7B"], 2, "colon"),
        (["--budget", "1e23", "--params", "7B:1B"], 2, "smaller"),
        (["--budget", "1e23", "--price-per-flop", "-1"], 3, "price"),
    ],
)
def test_bad_command_lines(fitted, tmp_path, capsys, words, code, says):
    path = save_fit(fitted, tmp_path / "fit.nc")
    joined_words = [f"{a}={b}" for a, b in zip(words[::2], words[1::2], strict=True)]
    assert main(["next", str(path), *joined_words]) == code
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err
