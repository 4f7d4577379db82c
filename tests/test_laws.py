"""One contract, held against every law found: adding a law adds its tests."""

from __future__ import annotations

import multiprocessing
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from bayes_scaling.base.errors import UsageError
from bayes_scaling.engine.fingerprint import identity
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import get_noise
from bayes_scaling.laws.priors import Prior, lognormal
from bayes_scaling.laws.registry import STANDARD, all_laws, get_law
from bayes_scaling.prediction.optimum import optimal_params

LAWS = list(all_laws().values())
GRID = {"params": np.geomspace(1e7, 1e12, 7)[:, None], "tokens": np.geomspace(1e9, 1e13, 6)[None, :]}


def prior_draws(law: ScalingLaw, n: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: spec.prior.dist.rvs(n, random_state=rng) for name, spec in law.parameters.items()}


def each_law(function):
    return pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)(function)


def test_the_standard_set_is_there_and_comes_first():
    assert tuple(all_laws())[: len(STANDARD)] == STANDARD


@each_law
def test_reproduces_its_published_check_point(law):
    assert law.check is not None
    loss = law.loss(law.check.values, law.check.inputs)
    assert loss == pytest.approx(law.check.loss, rel=law.check.rtol)


@each_law
def test_same_value_on_numpy_jax_and_pytensor(law):
    import pytensor
    import pytensor.tensor as pt

    from bayes_scaling.engine.backend import jax_ready

    jax = jax_ready()
    values = {name: v[0] for name, v in prior_draws(law, 1).items()}
    expected = law.loss(values, GRID)
    on_jax = jax.jit(law.loss)(values, {k: jax.numpy.asarray(v) for k, v in GRID.items()})
    symbols = {name: pt.dscalar(name) for name in values}
    inputs = {name: pt.dmatrix(name) for name in GRID}
    graph = law.loss(symbols, inputs)
    grid = {k: np.broadcast_to(v, expected.shape) for k, v in GRID.items()}
    on_pytensor = pytensor.function([*symbols.values(), *inputs.values()], graph, mode="FAST_COMPILE")(
        *values.values(), *grid.values()
    )
    np.testing.assert_allclose(on_jax, expected, rtol=1e-10)
    np.testing.assert_allclose(on_pytensor, expected, rtol=1e-10)


@each_law
def test_gradient_against_finite_differences(law):
    from bayes_scaling.engine.backend import jax_ready

    jax = jax_ready()
    values = {name: float(v[0]) for name, v in prior_draws(law, 1, seed=3).items()}
    x = {"params": 3e9, "tokens": 5e10}
    gradient = jax.grad(lambda p: law.loss(p, x))(values)
    for name, value in values.items():
        h = 1e-5 * value
        up, down = (law.loss({**values, name: value + s * h}, x) for s in (1, -1))
        assert float(gradient[name]) == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-9)


@each_law
def test_loss_never_rises_where_it_claims_not_to(law):
    p = {k: v[:, None, None] for k, v in prior_draws(law, 200).items()}
    loss = law.loss(p, {k: v[None] for k, v in GRID.items()})
    assert np.all(np.isfinite(loss))
    assert np.all(loss > 0)
    for axis, name in ((1, "params"), (2, "tokens")):
        if name in law.decreasing_in:
            assert np.all(np.diff(loss, axis=axis) <= 1e-12 * loss.max())


@each_law
def test_prior_predictive_is_plausible_to_an_expert(law):
    """A billion-parameter model on twenty billion tokens: somewhere between one and eight nats, around three."""
    loss = law.loss(prior_draws(law, 4000), {"params": 1e9, "tokens": 2e10})
    low, middle, high = np.quantile(loss, [0.05, 0.5, 0.95])
    assert 1.2 < low < 2.3
    assert 2.4 < middle < 3.6
    assert 4 < high < 8


@each_law
def test_finite_density_under_prior_draws(law, tiny_runs):
    from bayes_scaling.engine.backend import jax_ready
    from bayes_scaling.engine.density import density
    from bayes_scaling.engine.model import build

    jax_ready()
    compiled = density(build(law, tiny_runs))
    rng = np.random.default_rng(5)
    mask = np.ones(tiny_runs.n)
    for _ in range(20):
        x = compiled.initial + rng.normal(scale=0.7, size=compiled.size)
        assert np.isfinite(float(compiled.log_density(x, compiled.data, mask)))


@each_law
def test_density_is_pymcs_own(law, tiny_runs):
    """Log prior plus log likelihood, split for JAX, equals what PyMC says of the whole."""
    from bayes_scaling.engine.backend import jax_ready
    from bayes_scaling.engine.density import density
    from bayes_scaling.engine.model import build

    jax_ready()
    model = build(law, tiny_runs)
    compiled = density(model)
    point = model.initial_point()
    ours = float(compiled.log_density(compiled.initial, compiled.data, np.ones(tiny_runs.n)))
    assert ours == pytest.approx(float(model.compile_logp()(point)), rel=1e-10)


def _loss_in_child(pickled: bytes) -> float:
    law = pickle.loads(pickled)
    return float(law.loss(law.check.values, law.check.inputs))


def test_laws_pickle_into_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        results = pool.map(_loss_in_child, [pickle.dumps(law) for law in LAWS])
    for law, result in zip(LAWS, results, strict=True):
        assert result == pytest.approx(law.check.loss, rel=law.check.rtol)


@each_law
def test_numeric_optimum_agrees_with_the_closed_form(law):
    if law.optimum is None:
        assert law.optimum_exponent is None
        return
    values = prior_draws(law, 300)
    budgets = np.array([1e20, 1e23, 1e26])
    closed = optimal_params(law, values, budgets, method="closed")
    numeric = optimal_params(law, values, budgets, method="numeric")
    # Wild prior draws may put the optimum beyond a thousand parameters or tokens; there the search says NaN.
    inside = np.isfinite(numeric)
    assert inside.mean() > 0.95
    np.testing.assert_allclose(numeric[inside], closed[inside], rtol=1e-6)


def test_chinchilla_frontier_is_equation_4_of_the_paper():
    """N* = G (C/6)^a with G = (alpha A / beta B)^(1/(alpha+beta)), from the printed constants."""
    law = get_law("chinchilla")
    A, B, alpha, beta = 406.4, 410.7, 0.34, 0.28
    C = np.array([1e21, 5.76e23])
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    expected = G * (C / 6) ** (beta / (alpha + beta))
    free = law.free_values({"E": 1.69, "A": A, "B": B, "alpha": alpha, "beta": beta})
    values = {k: np.array([v]) for k, v in free.items()}
    for method in ("closed", "numeric"):
        np.testing.assert_allclose(optimal_params(law, values, C, method=method)[0], expected, rtol=1e-6)


def test_the_example_that_circulates_with_wrong_units():
    """204B parameters on 4.08T tokens under the rounded constants: 1.869, not the 1.806 of mixed units."""
    law = get_law("chinchilla")
    values = law.published[0].values
    assert law.loss(values, {"params": 204e9, "tokens": 4.08e12}) == pytest.approx(1.869, abs=5e-4)
    assert law.loss(values, {"params": 150e9, "tokens": 5.56e12}) == pytest.approx(1.865, abs=5e-4)


def test_coupled_contains_chinchilla_and_kaplan_with_a_floor():
    shared = {"E": 1.7, "gap_params": 0.4, "gap_tokens": 0.5, "alpha": 0.3, "beta": 0.35}
    coupled = get_law("coupled")
    for k, other in ((1.0, "chinchilla"), (shared["beta"], "kaplan_floor")):
        np.testing.assert_allclose(
            coupled.loss({**shared, "k": k}, GRID), get_law(other).loss(shared, GRID), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("law", "name"), [("chinchilla", "A"), ("chinchilla", "B"), ("kaplan", "N_c"), ("coupled", "R")]
)
def test_a_direct_prior_on_a_derived_constant_changes_coordinates_only(law, name):
    base = get_law(law)
    swapped = base.with_priors({name: lognormal(median=500, sigma=1)})
    values = {k: float(v[0]) for k, v in prior_draws(base, 1, seed=2).items()}
    derived = base.derived_values(values)
    direct = {k: derived.get(k, values.get(k)) for k in swapped.parameters}
    x = {"params": 2e9, "tokens": 7e10}
    assert swapped.loss(direct, x) == pytest.approx(base.loss(values, x), rel=1e-10)
    assert float(swapped.derived_values(direct)[base.direct[name].replaces]) == pytest.approx(
        values[base.direct[name].replaces], rel=1e-10
    )
    noise = get_noise("student_t")
    assert identity(pickle.loads(pickle.dumps(swapped)), noise) == identity(swapped, noise) != identity(base, noise)
    if base.optimum is not None:
        one = {k: np.array([v]) for k, v in direct.items()}
        np.testing.assert_allclose(
            optimal_params(swapped, one, np.array([1e24]), method="closed"),
            optimal_params(swapped, one, np.array([1e24]), method="numeric"),
            rtol=1e-6,
        )


def test_errors_name_the_choices():
    with pytest.raises(UsageError, match=r"Unknown law 'chinchila'. Did you mean 'chinchilla'\? Known: .*kaplan"):
        get_law("chinchila")
    with pytest.raises(UsageError, match=r"Unknown parameter of law 'chinchilla' 'gamma'.*alpha"):
        get_law("chinchilla").with_priors({"gamma": lognormal(median=1, sigma=1)})
    with pytest.raises(UsageError, match="not both"):
        get_law("chinchilla").with_priors(
            {"A": lognormal(median=400, sigma=1), "gap_params": lognormal(median=1, sigma=1)}
        )


def test_exponent_of_the_frontier_is_the_slope_of_its_optimum():
    for law in LAWS:
        if law.optimum is None:
            continue
        values = prior_draws(law, 20)
        n = optimal_params(law, values, np.array([1e22, 1e24]), method="closed")
        slope = np.log(n[:, 1] / n[:, 0]) / np.log(100)
        np.testing.assert_allclose(law.optimum_exponent(SimpleNamespace(**values)), slope, rtol=1e-9)


def test_priors_print_and_read_back():
    for spec in (p for law in LAWS for p in law.parameters.values()):
        assert Prior.parse(str(spec.prior)) == spec.prior
