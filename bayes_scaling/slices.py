"""One compiled block of nested slice sampling, as a pure function of key and state (BlackJAX).

Yallup, Kroupa and Handley (2026), arXiv:2601.23252; Skilling (2006), doi:10.1214/06-BA127.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Points replaced at a time: several run in lock step, and each then waits for the slowest (20 took twice as
# long).
REPLACED = 1
# Points that die in one call of the compiled program; between calls it is decided whether to go on.
DEATHS = 500
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


def steps(log_prior: Callable[[Any], Any], log_likelihood: Callable[[Any], Any], unknowns: int) -> Callable[..., Any]:
    """A pure function `(key, state) -> (state, deaths)` of `DEATHS` deaths; for the state see `State`.

    Parameters
    ----------
    log_prior, log_likelihood
        Of the unconstrained vector x, dims (unknown,).

    Returns
    -------
    The function; `deaths` are log likelihood at death and at birth, each with dims (death,).
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
            return state, (info.particles.loglikelihood, info.particles.loglikelihood_birth)

        keys = jax.random.split(key, DEATHS // REPLACED)
        state, (death, birth) = jax.lax.scan(one, _to_blackjax(state), keys)
        return _from_blackjax(state), (death.ravel(), birth.ravel())

    return block
