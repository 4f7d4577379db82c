"""The compute-optimal allocation of one law, draw by draw: the lowest loss along a curve of equal compute."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from bayes_scaling.engine.fingerprint import computation
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.law import ScalingLaw

# The search runs over log N between a thousand parameters and a thousand tokens; nobody trains outside that.
SMALLEST_PARAMS, SMALLEST_TOKENS = 1e3, 1e3
BISECTIONS = 60
# By what share of the loss it must rise that factor of size either side of a minimum.
LEAST_RISE, FACTOR = 1e-9, 3.0


def optimal_params(
    law: ScalingLaw,
    values: Mapping[str, np.ndarray],
    budgets: np.ndarray,
    compute: ComputeModel = SIX_ND,
    method: str = "auto",
) -> np.ndarray:
    """N* of each draw at each budget.

    Parameters
    ----------
    values
        Free parameters, dims (draw,).
    budgets
        FLOP, dims (budget,).
    method
        "closed" (the law's own formula, under C = 6 N D only), "numeric" (bisection on the derivative along the
        isoFLOP curve), or "auto": closed where there is one.

    Returns
    -------
    dims (draw, budget). NaN where the loss has no interior minimum along the curve.
    """
    budgets = np.atleast_1d(np.asarray(budgets, float))
    if compute.six_nd:  # a factor to 6 N D is one to the budget: one search, and one formula, serve every table
        budgets, compute = budgets / compute.factor, SIX_ND
    closed = law.optimum is not None and compute.six_nd
    if method == "closed" or (method == "auto" and closed):
        assert law.optimum is not None
        p = SimpleNamespace(**{k: np.asarray(values[k], float)[:, None] for k in law.parameters})
        return np.asarray(law.optimum(p, law.scale, budgets[None, :]))
    search = _search(law, compute)
    draws = {k: np.asarray(values[k], float) for k in law.parameters}
    low = np.full_like(budgets, np.log(SMALLEST_PARAMS))
    high = np.log(compute.tokens(SMALLEST_TOKENS, budgets))  # 6 N D is symmetric: the N that leaves that many tokens
    found = np.asarray(search(draws, budgets, low, high))
    return np.where(_rises(law, draws, found, budgets, compute), found, np.nan)


def _rises(
    law: ScalingLaw, values: Mapping[str, np.ndarray], params: np.ndarray, budgets: np.ndarray, compute: ComputeModel
) -> np.ndarray:
    """Whether the loss rises either side: a law of N·D alone is flat, and its search ends anywhere."""
    known = np.where(np.isnan(params), SMALLEST_PARAMS, params)
    column = {k: v[:, None] for k, v in values.items()}
    low, at, high = (
        np.asarray(law.loss(column, {"params": n, "tokens": compute.tokens(n, budgets[None, :])}))
        for n in (known / FACTOR, known, known * FACTOR)
    )
    return np.asarray(np.minimum(low, high) - at > LEAST_RISE * at)


_SEARCHES: dict[str, Any] = {}


def _search(law: ScalingLaw, compute: ComputeModel) -> Any:
    """The compiled search of one law, kept for the life of the process; of one that cannot be told, made each time."""
    key = computation(law, compute=compute)
    if key is None:
        return _compile_search(law, compute)
    return _SEARCHES.setdefault(key, _SEARCHES.get(key) or _compile_search(law, compute))


def _compile_search(law: ScalingLaw, compute: ComputeModel) -> Any:
    from bayes_scaling.engine.backend import jax_ready

    jax = jax_ready()
    jnp = jax.numpy

    def slope(u: Any, p: dict[str, Any], budget: Any) -> Any:
        def loss(u: Any) -> Any:
            n = jnp.exp(u)
            return law.loss(p, {"params": n, "tokens": compute.tokens(n, budget)})

        return jax.grad(loss)(u)

    def one(p: dict[str, Any], budget: Any, low: Any, high: Any) -> Any:
        def halve(_: int, ends: tuple[Any, Any]) -> tuple[Any, Any]:
            middle = 0.5 * (ends[0] + ends[1])
            falling = slope(middle, p, budget) < 0
            return jnp.where(falling, middle, ends[0]), jnp.where(falling, ends[1], middle)

        a, b = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
        middle = 0.5 * (a + b)
        inside = (middle - low > 1e-6) & (high - middle > 1e-6)
        return jnp.where(inside, jnp.exp(middle), jnp.nan)

    over_budgets = jax.vmap(one, in_axes=(None, 0, 0, 0))
    return jax.jit(jax.vmap(over_budgets, in_axes=(0, None, None, None)))
