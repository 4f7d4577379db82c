"""The functions a law's formula may use: kept under this name for the law files that other people have.

The definitions live in `bayes_scaling.laws.ops`.
"""

from bayes_scaling.laws.ops import balance, exp, expm1, gammaln, log, log1p, logaddexp, maximum, minimum, power, sqrt

__all__ = ["balance", "exp", "expm1", "gammaln", "log", "log1p", "logaddexp", "maximum", "minimum", "power", "sqrt"]
