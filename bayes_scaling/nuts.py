"""One chain of NumPyro's NUTS in whitened coordinates, as a pure function of key, start, coordinates and data.

The posterior is ill-conditioned in natural coordinates and nearly Gaussian once whitened by the Hessian at the
mode; there NUTS needs some 7-9 gradients a draw and a short warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def chain(
    log_density: Callable[[Any], Any],
    key: Any,
    start: Any,
    coordinates: Callable[[Any], Any],
    *,
    warmup: int,
    draws: int,
    target_accept: float,
    thin: int = 1,
    max_tree_depth: int = 10,
) -> tuple[Any, dict[str, Any]]:
    """Sample one chain.

    Parameters
    ----------
    log_density
        Of the unconstrained vector x, dims (unknown,).
    start
        Starting point in whitened coordinates z, dims (unknown,).
    coordinates
        x of z, with a constant Jacobian.

    Returns
    -------
    x, stats
        Draws of x, dims (draw, unknown); and `diverging`, `n_steps`, `energy`, `lp`, `acceptance_rate`,
        `step_size`, dims (draw,), with `gradients`, all that were spent, a scalar. `diverging` says whether any of
        the `thin` transitions behind a draw diverged.
    """
    import jax
    import jax.numpy as jnp
    from numpyro.infer.hmc import hmc

    def potential(z: Any) -> Any:
        energy = -log_density(coordinates(z))
        return jnp.where(jnp.isnan(energy), jnp.inf, energy)

    init, kernel = hmc(potential, algo="NUTS")
    state = init(
        start,
        warmup,
        step_size=0.5,
        adapt_mass_matrix=True,
        dense_mass=True,
        target_accept_prob=target_accept,
        max_tree_depth=max_tree_depth,
        rng_key=key,
    )

    # Warm-up and draws in one scan: the kernel is compiled once, which halves the wait on a cold start.
    def step(state: Any, _: Any) -> tuple[Any, Any]:
        state = kernel(state)
        stats = {
            "diverging": state.diverging,
            "n_steps": state.num_steps,
            "energy": state.energy,
            "lp": -state.potential_energy,
            "acceptance_rate": state.accept_prob,
            "step_size": state.adapt_state.step_size,
        }
        return state, (coordinates(state.z), stats)

    _, (x, stats) = jax.lax.scan(step, state, None, length=warmup + draws * thin)
    kept = {name: value[warmup:][thin - 1 :: thin] for name, value in stats.items()}
    kept["diverging"] = stats["diverging"][warmup:].reshape(draws, thin).any(axis=1)
    return x[warmup:][thin - 1 :: thin], kept | {"gradients": jnp.sum(stats["n_steps"])}
