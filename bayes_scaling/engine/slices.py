"""One compiled block of nested slice sampling, as a pure function of key and state (BlackJAX).

Yallup, Kroupa and Handley (2026), arXiv:2601.23252; Skilling (2006), doi:10.1214/06-BA127. The prior may be replaced by
a guide, and the likelihood by what keeps their product: Chen, Hobson, Das and Gelderblom (2019), arXiv:1803.06387.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from bayes_scaling.laws.ops import log1p, logaddexp

DEGREES = 4.0
# Points replaced at a time: several run in lock step, and each then waits for the slowest (20 took twice as
# long).
REPLACED = 1
# Points that die in one call of the compiled program; between calls it is decided whether to go on.
DEATHS = 250
# Slice moves behind each new point, for each unknown: fewer leave it correlated with the one it started from.
MOVES = 2


# The sampler's state: plain arrays by name, so that a program that takes and gives them can be kept on disk, and used
# without BlackJAX. Of the live points: `x`, dims (live, unknown), `log_prior`, `log_likelihood`, `birth` (log
# likelihood at birth; NaN for the first), dims (live,); the log volume `log_x` they lie in, the log evidence `log_z` of
# the dead and `log_z_live` of the living; `factor`, the Cholesky factor of their covariance, dims (unknown, unknown).
State = dict[str, Any]


def _to_blackjax(state: State) -> Any:
    from blackjax.ns.adaptive import AdaptiveNSState
    from blackjax.ns.base import StateWithLogLikelihood
    from blackjax.ns.integrator import NSIntegrator

    particles = StateWithLogLikelihood(*(state[name] for name in ("x", "log_prior", "log_likelihood", "birth")))
    integrator = NSIntegrator(*(state[name] for name in ("log_x", "log_z", "log_z_live")))
    return AdaptiveNSState(particles, integrator, {"covariance_factor": state["factor"]})


def _from_blackjax(state: Any) -> State:
    particles, integrator = state.particles, state.integrator
    return {
        "x": particles.position,
        "log_prior": particles.logdensity,
        "log_likelihood": particles.loglikelihood,
        "birth": particles.loglikelihood_birth,
        "log_x": integrator.logX,
        "log_z": integrator.logZ,
        "log_z_live": integrator.logZ_live,
        "factor": state.inner_kernel_params["covariance_factor"],
    }


@dataclass(frozen=True, eq=False)
class Guide:
    """Where a run starts instead of the prior: `share` of the prior and the rest of a multivariate t of `DEGREES`.

    Parameters
    ----------
    centre
        dims (unknown,).
    inverse
        Takes x - centre to the t's standard coordinates, dims (unknown, unknown).
    share
        One is the prior alone.
    """

    centre: np.ndarray
    inverse: np.ndarray
    share: float

    @classmethod
    def none(cls, unknowns: int) -> Guide:
        """The prior alone."""
        return cls(np.zeros(unknowns), np.eye(unknowns), 1.0)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """What `log_base` takes, as inputs of a compiled program."""
        size = len(self.centre)
        constant = gammaln((DEGREES + size) / 2) - gammaln(DEGREES / 2) - 0.5 * size * np.log(DEGREES * np.pi)
        with np.errstate(divide="ignore"):
            shares = np.log(np.float64(self.share)), np.log1p(-np.float64(self.share))
        return self.centre, self.inverse, constant + np.linalg.slogdet(self.inverse)[1], *shares

    def draw(self, prior: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
        """Exact draws, dims (point, unknown), given as many from the prior as may be needed."""
        of_prior = rng.binomial(points, self.share)
        size = len(self.centre)
        z = rng.standard_normal((points - of_prior, size))
        z *= np.sqrt(DEGREES / rng.chisquare(DEGREES, len(z)))[:, None]
        return np.concatenate([prior[:of_prior], self.centre + np.linalg.solve(self.inverse, z.T).T])


def log_base(log_prior: Any, x: Any, guide: tuple[Any, ...]) -> Any:
    """Log density of a guide at x, dims (unknown,), in NumPy or JAX."""
    centre, inverse, constant, log_share, log_rest = guide
    z = inverse @ (x - centre)
    log_t = constant - 0.5 * (DEGREES + len(centre)) * log1p((z @ z) / DEGREES)
    return logaddexp(log_share + log_prior, log_rest + log_t)


def steps(log_prior: Callable[[Any], Any], log_likelihood: Callable[[Any], Any], unknowns: int) -> Callable[..., Any]:
    """A pure function `(key, state) -> (state, deaths)` of `DEATHS` deaths; for the state see `State`.

    Parameters
    ----------
    log_prior, log_likelihood
        Of the unconstrained vector x, dims (unknown,).

    Returns
    -------
    The function; `deaths` are log likelihood at death and at birth, each with dims (death,), and where each died, dims
    (death, unknown).
    """
    import jax
    import jax.numpy as jnp
    from blackjax import nss

    def safe(x: Any) -> Any:
        value = log_likelihood(x)
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    algorithm = nss(log_prior, safe, num_inner_steps=max(5, MOVES * unknowns), num_delete=REPLACED)

    def block(key: Any, state: Any) -> Any:
        def one(state: Any, key: Any) -> Any:
            state, info = algorithm.step(key, state)
            dead = info.particles
            return state, (dead.loglikelihood, dead.loglikelihood_birth, dead.position)

        keys = jax.random.split(key, DEATHS // REPLACED)
        state, (death, birth, where) = jax.lax.scan(one, _to_blackjax(state), keys)
        return _from_blackjax(state), (death.ravel(), birth.ravel(), where.reshape(-1, unknowns))

    return block
