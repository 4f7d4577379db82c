"""The handful of functions a law may use besides operators: one formula runs on NumPy, JAX and PyTensor.

Dispatch looks at the type's home module, so that none of the three is imported unless a value of it is passed.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"jax": "jax.numpy", "jaxlib": "jax.numpy", "pytensor": "pytensor.tensor", "pymc": "pytensor.tensor"}


def namespace(*values: Any) -> Any:
    """The array module that serves all `values`: PyTensor before JAX before NumPy."""
    homes = set()
    for value in values:
        for cls in type(value).__mro__:
            home = _HOMES.get(cls.__module__.partition(".")[0])
            if home:
                homes.add(home)
    for home in ("pytensor.tensor", "jax.numpy"):
        if home in homes:
            return importlib.import_module(home)
    return importlib.import_module("numpy")


def exp(x: Any) -> Any:
    """e to the x, elementwise."""
    return namespace(x).exp(x)


def log(x: Any) -> Any:
    """Natural logarithm, elementwise."""
    return namespace(x).log(x)


def power(x: Any, exponent: Any) -> Any:
    """x ** exponent for positive x: as exp and log it is several times cheaper than `pow`, and log(x) is hoisted."""
    return exp(exponent * log(x))


def log1p(x: Any) -> Any:
    """log(1 + x), exact for small x."""
    return namespace(x).log1p(x)


def gammaln(x: Any) -> Any:
    """Logarithm of the gamma function."""
    home = namespace(x).__name__
    if home == "pytensor.tensor":
        return importlib.import_module(home).gammaln(x)
    return importlib.import_module("jax.scipy.special" if home == "jax.numpy" else "scipy.special").gammaln(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1, exact for small x."""
    return namespace(x).expm1(x)


def sqrt(x: Any) -> Any:
    """Square root, elementwise."""
    return namespace(x).sqrt(x)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of x and y, elementwise."""
    return namespace(x, y).minimum(x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger of x and y, elementwise."""
    return namespace(x, y).maximum(x, y)


def logaddexp(x: Any, y: Any) -> Any:
    """log(e^x + e^y) without overflow: inner exponents of coupled laws reach the hundreds of nats."""
    return namespace(x, y).logaddexp(x, y)


def balance(log_a: Any, alpha: Any, log_b: Any, beta: Any, log_c: Any) -> Any:
    """log n that minimises a n^-alpha + b d^-beta subject to n d = c: eq. 4 of Hoffmann et al. (2022)."""
    return (log(alpha) + log_a - log(beta) - log_b + beta * log_c) / (alpha + beta)
