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


def steps(log_prior: Callable[[Any], Any], log_likelihood: Callable[[Any], Any], unknowns: int) -> Callable[..., Any]:
    """A pure function `(key, state) -> (state, deaths)` of `DEATHS` deaths.

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

        state, (death, birth) = jax.lax.scan(one, state, jax.random.split(key, DEATHS // REPLACED))
        return state, (death.ravel(), birth.ravel())

    return block
