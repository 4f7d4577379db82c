"""Sums over the rows of a large table, and their gradients, in one pass of a few thousand rows at a time.

Reverse differentiation of one sum over a million rows would write out every intermediate of every row and read it
back. Here each block's terms and their gradient are worked out together while the block is in the processor's cache
and only sums are kept: time is linear in the rows, and memory does not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

# Rows at once on a processor: a block's intermediates fit its second-level cache. An accelerator wants all it can get.
BLOCK = 4096
BLOCK_ON_DEVICE = 2**20
# Smaller ones cost more in bookkeeping than they save.
SMALLEST = 512


def block_of(rows: int, on_device: bool) -> int:
    """Rows of a block for a table padded to `rows`: the largest power of two that divides them, up to a limit; all of
    them where they are few, or where that would be too small."""
    most = BLOCK_ON_DEVICE if on_device else BLOCK
    block = math.gcd(rows, most)
    return rows if rows <= most or block < SMALLEST else block


def blocked_sum(
    pointwise: Callable[[Any, Mapping[str, Any]], Any], x: Any, data: Mapping[str, Any], mask: Any, block: int
) -> Any:
    """Sum of `pointwise(x, data)` over the rows where `mask` is positive, in blocks of `block` rows.

    Parameters
    ----------
    pointwise
        Gives one term a row, dims (row,), each from its own row of `data` alone.
    x
        dims (unknown,). The gradient is with respect to it; `data` are constants.
    data, mask
        dims (row,), a multiple of `block`; of `data`, also scalars, which hold for every row.
    """
    import jax
    import jax.numpy as jnp

    def term(x: Any, part: Mapping[str, Any], keep: Any) -> Any:
        # `where`, not a product: a padded row may be -inf, and 0 * inf is nan.
        return jnp.sum(jnp.where(keep > 0, pointwise(x, part), 0.0))

    if mask.shape[0] == block:
        return term(x, data, mask)

    def cut(v: Any) -> Any:
        return v.reshape(-1, block)

    each = {name: cut(v) for name, v in data.items() if jnp.ndim(v)}, cut(mask)
    common = {name: v for name, v in data.items() if not jnp.ndim(v)}

    # The gradient is found beside the value instead of on a second pass: it needs no memory of the first.
    @jax.custom_vjp
    def total(x: Any, each: Any, common: Any) -> Any:
        return jax.lax.scan(lambda s, b: (s + term(x, b[0] | common, b[1]), None), jnp.zeros((), x.dtype), each)[0]

    def forward(x: Any, each: Any, common: Any) -> tuple[Any, Any]:
        def step(carry: Any, b: Any) -> tuple[Any, None]:
            value, gradient = jax.value_and_grad(term)(x, b[0] | common, b[1])
            return (carry[0] + value, carry[1] + gradient), None

        (value, gradient), _ = jax.lax.scan(step, (jnp.zeros((), x.dtype), jnp.zeros_like(x)), each)
        return value, (gradient, each, common)

    def backward(kept: Any, cotangent: Any) -> tuple[Any, ...]:
        gradient, *constants = kept
        return cotangent * gradient, *jax.tree.map(jnp.zeros_like, constants)

    total.defvjp(forward, backward)
    return total(x, each, common)
