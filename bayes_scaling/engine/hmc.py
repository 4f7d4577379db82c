"""Hamiltonian Monte Carlo whose chains go in step: a few gradients a draw where the posterior is nearly normal.

In coordinates whitened at the mode a quarter of a turn, a path of about pi / 2, forgets where it began. NUTS finds
that out again for every draw, by doubling until it has turned back; here the length is known beforehand, so a draw
costs three gradients instead of seven, and the chains of one table share each length and go through one loop together.
Paths are of different lengths, because one length resonates with some direction, and are made of the two-stage steps
of Blanes, Casas and Sanz-Serna (2014), arXiv:1405.3153, sec. 4, which err less for each gradient than leapfrog.

What it cannot do is a posterior that is far from normal. R-hat and ESS say so, and NUTS takes over: see `batches`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bayes_scaling.engine.nuts import potential

# Mean length of a path in whitened coordinates; paths are spread over 0.2 to 1.8 times that.
PATH, SPREAD = 1.6, 0.8
# Steps are adapted to this acceptance. Above it gradients are wasted, below it the tails are.
TARGET = 0.9
FIRST_STEP = 1.7
# The longest path in two-stage steps: what needs more is a matter for NUTS.
MOST_STEPS = 8
# Coefficient of the two-stage step with the smallest error (Blanes et al., eq. 5.3: (3 - sqrt 3) / 6).
OUTER = 0.21132486540518713
GOLDEN = 0.6180339887498949
GRADIENTS_PER_STEP = 2
DIVERGENT = 1000.0


def chains(
    log_density: Callable[[Any], Any],
    key: Any,
    start: Any,
    coordinates: Callable[[Any], Any],
    *,
    warmup: int,
    draws: int,
    thin: int = 1,
) -> tuple[Any, dict[str, Any]]:
    """Sample the chains of one table.

    Parameters
    ----------
    log_density
        Of the unconstrained vector x, dims (unknown,).
    start
        Starting points in whitened coordinates z, dims (chain, unknown).
    coordinates
        x of z, with a constant Jacobian.
    warmup, draws
        Transitions that adapt the step, and draws after them.
    thin
        Transitions from one draw to the next.

    Returns
    -------
    x, stats
        Draws after warm-up, dims (chain, draw, unknown); `diverging`, `energy`, `lp`, `acceptance_rate`, `step_size`,
        `n_steps` (gradients), dims (chain, draw); `gradients`, warm-up included, dims (chain,).
    """
    import jax
    import jax.numpy as jnp

    count, size = start.shape
    total = warmup + draws * thin
    both = jax.vmap(jax.value_and_grad(potential(log_density, coordinates)))

    def energy_and_slope(z: Any) -> tuple[Any, Any]:
        u, g = both(z)
        return u, jnp.where(jnp.isfinite(g), g, 0.0)

    def path(z: Any, p: Any, g: Any, step: Any, steps: Any) -> tuple[Any, Any, Any, Any]:
        # One copy of the gradient, in the body of one loop over half steps: compiling it twice would cost seconds.
        def half(state: tuple[Any, ...]) -> tuple[Any, ...]:
            z, p, _, g, i = state
            p = p - step * jnp.where(i % 2 == 0, OUTER, 1 - 2 * OUTER) * g
            z = z + 0.5 * step * p
            u, g = energy_and_slope(z)
            p = p - jnp.where(i % 2 == 1, step * OUTER, 0.0) * g
            return z, p, u, g, i + 1

        first = (z, p, jnp.zeros(count), g, jnp.zeros((), int))
        z, p, u, g, _ = jax.lax.while_loop(lambda s: s[4] < GRADIENTS_PER_STEP * steps, half, first)
        return z, p, u, g

    def transition(carry: tuple[Any, ...], given: tuple[Any, ...]) -> tuple[Any, Any]:
        z, u, g, adapting = carry
        momentum, threshold, length, warming = given
        log_step = jnp.where(warming, adapting[0], adapting[1])
        step = jnp.exp(log_step)
        steps = jnp.clip(jnp.round(length / step), 1, MOST_STEPS).astype(int)
        z_new, p_new, u_new, g_new = path(z, momentum, g, step, steps)
        before = u + 0.5 * jnp.sum(momentum**2, axis=1)
        gain = before - u_new - 0.5 * jnp.sum(p_new**2, axis=1)
        gain = jnp.where(jnp.isnan(gain), -jnp.inf, gain)
        chance = jnp.minimum(1.0, jnp.exp(gain))
        taken = threshold < chance
        z, g = (jnp.where(taken[:, None], new, old) for new, old in ((z_new, z), (g_new, g)))
        after = jnp.where(taken, u_new - u, 0.0) + u
        adapted = adapt(adapting, jnp.mean(chance))
        adapting = tuple(jnp.where(warming, new, old) for new, old in zip(adapted, adapting, strict=True))
        seen = (z, -after, before, gain < -DIVERGENT, chance, step, GRADIENTS_PER_STEP * steps)
        return (z, after, g, adapting), seen

    index = jnp.arange(total)
    # Lengths by the golden ratio: as even as can be over any stretch of transitions, and the same for every table.
    lengths = PATH * (1 + SPREAD * (2 * (((index + 1) * GOLDEN) % 1.0) - 1))
    for_momenta, for_thresholds = jax.random.split(key)
    momenta = jax.random.normal(for_momenta, (total, count, size))
    thresholds = jax.random.uniform(for_thresholds, (total, count))
    u, g = energy_and_slope(start)
    zero, first = jnp.zeros(()), jnp.log(jnp.asarray(FIRST_STEP))
    begin = (start, u, g, (first, first, zero, zero))
    _, seen = jax.lax.scan(transition, begin, (momenta, thresholds, lengths, index < warmup))
    z, lp, energy, diverging, chance, step, gradients = seen

    def kept(v: Any) -> Any:
        return v[warmup:][thin - 1 :: thin]

    def wide(v: Any) -> Any:
        return jnp.broadcast_to(kept(v)[:, None], (draws, count)).T

    x = jax.vmap(jax.vmap(coordinates))(kept(z))
    stats = {
        "diverging": diverging[warmup:].reshape(draws, thin, count).any(axis=1).T,
        "n_steps": wide(gradients),
        "energy": kept(energy).T,
        "lp": kept(lp).T,
        "acceptance_rate": kept(chance).T,
        "step_size": wide(step),
        "gradients": jnp.full(count, jnp.sum(gradients) + 1),
    }
    return jnp.swapaxes(x, 0, 1), stats


def adapt(state: tuple[Any, ...], acceptance: Any) -> tuple[Any, ...]:
    """One step of dual averaging: Hoffman and Gelman (2014), arXiv:1111.4246, eq. 6; all chains adapt one step size.

    The state is (log step now, its average, shortfall of acceptance, transitions so far).
    """
    import jax.numpy as jnp

    _, average, shortfall, t = state
    t = t + 1
    weight = 1 / (t + 10)
    shortfall = (1 - weight) * shortfall + weight * (TARGET - acceptance)
    now = jnp.log(2 * FIRST_STEP) - jnp.sqrt(t) / 0.1 * shortfall
    share = t**-0.75
    return now, share * now + (1 - share) * average, shortfall, t
