"""JAX's random keys, worked out without a compilation: Threefry-2x32-20 of Salmon et al. (2011),
doi:10.1145/2063384.2063405.

`jax.random.key`, `split` and `fold_in` each compile a small program in every process, half a second together before
the first draw. These give the same numbers; `jax.random.wrap_key_data` makes them typed keys inside a program.
"""

from __future__ import annotations

from typing import Any

import numpy as np

IMPLEMENTATION = "threefry2x32"
_WORD = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def key_of(seed: int) -> np.ndarray:
    """What `jax.random.key(seed)` holds, uint32, dims (word,): two words."""
    return np.array([seed >> 32 & _WORD, seed & _WORD], np.uint32)


def fold(key: np.ndarray, number: int) -> np.ndarray:
    """What `jax.random.fold_in(key, number)` holds, and `jax.random.split(key, n)[number]`; uint32, dims (word,)."""
    k = [int(word) for word in key]
    k.append(k[0] ^ k[1] ^ _PARITY)
    x, y = k[0], (number + k[1]) & _WORD
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = (x + y) & _WORD
            y = ((y << rotation | y >> (32 - rotation)) & _WORD) ^ x
        x = (x + k[(group + 1) % 3]) & _WORD
        y = (y + k[(group + 2) % 3] + group + 1) & _WORD
    return np.array([x, y], np.uint32)


def typed(key: Any) -> Any:
    """`key` as JAX's random functions take it; inside a program."""
    import jax

    return jax.random.wrap_key_data(key, impl=IMPLEMENTATION)
