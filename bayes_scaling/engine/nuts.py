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
    target_accept: Any,
    budget: Any,
    thin: int = 1,
    max_tree_depth: int = 10,
) -> tuple[Any, dict[str, Any], Any]:
    """Sample one chain, giving up once `budget` gradients are spent.

    A chain that gives up has still seen where the mass lies: its transitions teach better coordinates, and the same
    compiled program goes on from there.

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
    x, stats, done
        Every transition, warm-up first, dims (transition, unknown); `diverging`, `n_steps`, `energy`, `lp`,
        `acceptance_rate`, `step_size`, dims (transition,); and how many transitions were made. See `kept`.
    """
    import jax
    import jax.numpy as jnp
    from numpyro.infer.hmc import hmc

    init, kernel = hmc(potential(log_density, coordinates), algo="NUTS")
    state = init(start, warmup, **_adaptation(target_accept, max_tree_depth), rng_key=key)
    total = warmup + draws * thin

    def observed(state: Any) -> Any:
        return _observed(state, coordinates)

    # Warm-up and draws in one loop: the kernel is compiled once, which halves the wait on a cold start.
    def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        state, i, spent, kept = carry
        state = kernel(state)
        kept = jax.tree.map(lambda all_, new: all_.at[i].set(new), kept, observed(state))
        return state, i + 1, spent + state.num_steps, kept

    shapes = jax.eval_shape(observed, state)
    empty = jax.tree.map(lambda s: jnp.zeros((total, *s.shape), s.dtype), shapes)
    going = lambda carry: (carry[1] < total) & (carry[2] < budget)  # noqa: E731
    zero = jnp.zeros((), jnp.result_type(int))
    _, done, _, (x, stats) = jax.lax.while_loop(going, step, (state, zero, zero, empty))
    return x, stats, done


def in_step(
    log_density: Callable[[Any], Any],
    key: Any,
    start: Any,
    coordinates: Callable[[Any], Any],
    *,
    warmup: int,
    transitions: int,
    target_accept: Any,
    max_tree_depth: int,
) -> tuple[Any, dict[str, Any]]:
    """As `chain`, for many chains mapped over at once: every one makes all its transitions, so that none has to be
    carried along untouched, which costs a copy of all it has seen at each step.

    Returns
    -------
    x, stats
        As of `chain`.
    """
    import jax
    from numpyro.infer.hmc import hmc

    init, kernel = hmc(potential(log_density, coordinates), algo="NUTS")
    state = init(start, warmup, **_adaptation(target_accept, max_tree_depth), rng_key=key)

    def step(state: Any, _: Any) -> tuple[Any, Any]:
        state = kernel(state)
        return state, _observed(state, coordinates)

    seen: tuple[Any, dict[str, Any]] = jax.lax.scan(step, state, None, length=transitions)[1]
    return seen


def potential(log_density: Callable[[Any], Any], coordinates: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Potential energy of whitened coordinates; infinite where there is no density."""
    import jax.numpy as jnp

    def energy_of(z: Any) -> Any:
        energy = -log_density(coordinates(z))
        return jnp.where(jnp.isnan(energy), jnp.inf, energy)

    return energy_of


def _adaptation(target_accept: Any, max_tree_depth: int) -> dict[str, Any]:
    return {
        "step_size": 0.5,
        "adapt_mass_matrix": True,
        "dense_mass": True,
        "target_accept_prob": target_accept,
        "max_tree_depth": max_tree_depth,
    }


def _observed(state: Any, coordinates: Callable[[Any], Any]) -> tuple[Any, dict[str, Any]]:
    return coordinates(state.z), {
        "diverging": state.diverging,
        "n_steps": state.num_steps,
        "energy": state.energy,
        "lp": -state.potential_energy,
        "acceptance_rate": state.accept_prob,
        "step_size": state.adapt_state.step_size,
    }


def kept(x: Any, stats: dict[str, Any], done: int, *, warmup: int, draws: int, thin: int) -> tuple[Any, dict[str, Any]]:
    """The draws of a finished chain, thinned; or the later half of what one that gave up has seen.

    Returns
    -------
    x, stats
        dims (draw, unknown) and (draw,), with `gradients`, all that were spent, and whether it is `complete`,
        scalars. `diverging` says whether any of the `thin` transitions behind a draw diverged.
    """
    spent = stats["n_steps"][:done].sum()
    if done < warmup + draws * thin:
        half = slice(done // 2, done)
        return x[half], {name: value[half] for name, value in stats.items()} | {
            "gradients": spent,
            "complete": False,
        }
    thinned = {name: value[warmup:][thin - 1 :: thin] for name, value in stats.items()}
    thinned["diverging"] = stats["diverging"][warmup:].reshape(draws, thin).any(axis=1)
    return x[warmup:][thin - 1 :: thin], thinned | {"gradients": spent, "complete": True}
