"""Compute models: how many FLOP a run of N parameters on D tokens costs, and what a budget buys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bayes_scaling.runs.runs import Runs


def _six_nd(params: Any, tokens: Any) -> Any:
    return 6.0 * params * tokens


def _six_nd_tokens(params: Any, flops: Any) -> Any:
    return flops / (6.0 * params)


@dataclass(frozen=True)
class ComputeModel:
    """Training cost of a run, in FLOP.

    Parameters
    ----------
    flops
        `flops(params, tokens)`.
    tokens
        Its inverse: `tokens(params, flops)`, the tokens a budget buys for a model of that size.
    six_nd
        Whether it is 6 N D times `factor`, for which laws have closed-form optima.
    """

    name: str
    title: str
    flops: Callable[[Any, Any], Any]
    tokens: Callable[[Any, Any], Any]
    six_nd: bool = False
    factor: float = 1.0


SIZES = ("params", "tokens")
"""The inputs that a compute model counts, and that a budget is divided between."""

SIX_ND = ComputeModel("6nd", "C = 6 N D (Kaplan et al., 2020, section 2.1)", _six_nd, _six_nd_tokens, True)


def as_counted(compute: ComputeModel, runs: Runs) -> ComputeModel:
    """`compute` as a table counts it: 6 N D times the median ratio of the table's flops to it (`Runs.flops_factor`).

    So a run that nobody has made, and has no flops given, is counted as the runs are, and a budget buys what it bought
    them. A model other than 6 N D stays as it is.
    """
    if not compute.six_nd or compute.factor == runs.flops_factor:
        return compute
    factor = runs.flops_factor
    if factor == 1:
        return SIX_ND
    return replace(
        compute,
        title=f"C = {factor:.4g} times 6 N D (the median ratio of the flops given)",
        flops=partial(_times, factor),
        tokens=partial(_tokens_of, factor),
        factor=factor,
    )


def _times(factor: float, params: Any, tokens: Any) -> Any:
    return factor * _six_nd(params, tokens)


def _tokens_of(factor: float, params: Any, flops: Any) -> Any:
    return _six_nd_tokens(params, flops / factor)
