"""What every noise model must keep; a new file in `laws/noises/` is tested here without being named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from bayes_scaling.laws import noises
from bayes_scaling.laws.noise import NOISES, get_noise

# Noise parameters by model: three values over each prior's central 90 %, the scale at one.
CASES = [
    pytest.param(
        noise,
        {k: float(p.prior.dist.ppf(q)) for k, p in noise.parameters.items()} | {"sigma": 1.0},
        id=f"{name}-{q}",
    )
    for name, noise in NOISES.items()
    for q in (0.05, 0.5, 0.95)
]


def whole(integrand, low, high):
    """The integral over both tails, each on its own: densities may have a corner at zero."""
    right = quad(integrand, low, high, limit=800)[0]
    return right + quad(lambda z: integrand(-z), low, high, limit=800)[0]


def test_a_file_is_a_noise_model_and_the_defaults_come_first():
    import pkgutil

    assert set(NOISES) == {info.name for info in pkgutil.iter_modules(noises.__path__)}
    assert list(NOISES)[:4] == ["student_t", "normal", "laplace", "student_t_growing"]
    assert get_noise(get_noise("normal")) is NOISES["normal"]


@pytest.mark.parametrize(("noise", "p"), CASES)
def test_density_and_probability_belong_together(noise, p):
    assert whole(lambda z: np.exp(noise.logpdf(z, p)), 0, np.inf) == pytest.approx(1, abs=1e-6)
    z = np.array([-2.0, -0.5, 0.3, 1.0])
    slope = (noise.cdf(z + 1e-5, p) - noise.cdf(z - 1e-5, p)) / 2e-5
    np.testing.assert_allclose(np.log(slope), noise.logpdf(z, p), atol=1e-5)
    assert noise.cdf(np.array(-30.0), p) > 0  # exact in the tail, not rounded to zero


@pytest.mark.parametrize(("noise", "p"), CASES)
def test_draws_have_that_probability(noise, p):
    z = np.array([-2.0, -0.5, 0.0, 1.0])
    drawn = noise.draw(np.random.default_rng(3), p, (200_000, 1))
    assert drawn.shape == (200_000, 1)
    np.testing.assert_allclose(noise.cdf(z, p), (drawn <= z).mean(axis=0), atol=5 * 0.5 / np.sqrt(200_000))


@pytest.mark.parametrize(("noise", "p"), CASES)
def test_information_is_the_integral_of_the_squared_score(noise, p):
    def score(z):
        return (noise.logpdf(z + 1e-5, p) - noise.logpdf(z - 1e-5, p)) / 2e-5

    # Without the middle two ten-thousandths, where a Laplace's score jumps.
    value = whole(lambda z: score(z) ** 2 * np.exp(noise.logpdf(z, p)), 1e-4, 60)
    assert value == pytest.approx(float(noise.information(p)), rel=2e-3)


@pytest.mark.parametrize(("noise", "p"), CASES)
def test_pymc_and_the_density_agree(noise, p):
    """Two statements of one likelihood: PyMC's variable, and `logpdf` at `scale`, which forecasts and evidence use."""
    import pymc as pm

    mu, decades = np.array([0.5, 0.8, 1.0]), np.array([-1.0, 0.0, 2.0])
    seen = np.array([0.52, 0.7, 1.3])
    q = p | {"sigma": 0.07}
    with pm.Model(coords={"run": range(3)}) as model:
        noise.likelihood("log_loss", q, mu, noise.scale(q, decades), seen, "run")
    scale = np.asarray(noise.scale(q, decades)) * np.ones(3)
    expected = noise.logpdf((seen - mu) / scale, q) - np.log(scale)
    np.testing.assert_allclose(model.compile_logp(sum=False)({})[0], expected, rtol=1e-9)


@pytest.mark.parametrize(("noise", "p"), CASES)
def test_the_scale_at_the_centre_is_sigma(noise, p):
    assert noise.scale(p | {"sigma": 0.03}, 0.0) == pytest.approx(0.03)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_tails_are_as_declared(noise):
    """`finite_mean`: whether exp(scale · z) has an expectation, at the priors' medians; the integrand decides."""
    p = {k: float(v.prior.dist.median()) for k, v in noise.parameters.items()}
    z = np.array([2e3, 4e3]) / p["sigma"]
    grows = np.diff(p["sigma"] * z + noise.logpdf(z, p))[0] > 0
    assert grows != noise.finite_mean


def test_every_parameter_says_why():
    for noise in NOISES.values():
        assert noise.title
        assert all(p.reason for p in noise.parameters.values())
