"""Priors for a law's parameters: kept under this name for the law files that other people have.

The definitions live in `bayes_scaling.laws.priors`.
"""

from bayes_scaling.laws.priors import Prior, gamma, halfnormal, lognormal, normal, truncnormal, uniform

__all__ = ["Prior", "gamma", "halfnormal", "lognormal", "normal", "truncnormal", "uniform"]
