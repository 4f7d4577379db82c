"""Compute models: how many FLOP a run of N parameters on D tokens costs, and what a budget buys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
        Whether it is the plain 6 N D, for which laws have closed-form optima.
    """

    name: str
    title: str
    flops: Callable[[Any, Any], Any]
    tokens: Callable[[Any, Any], Any]
    six_nd: bool = False


SIZES = ("params", "tokens")
"""The inputs that a compute model counts, and that a budget is divided between."""

SIX_ND = ComputeModel("6nd", "C = 6 N D (Kaplan et al., 2020, section 2.1)", _six_nd, _six_nd_tokens, True)
