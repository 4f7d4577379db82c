"""What may be trained: limits on the model and the tokens, and the plans that a budget leaves within them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, UsageError
from bayes_scaling.base.units import format_count, format_flop
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.prediction.optimum import SMALLEST_PARAMS, SMALLEST_TOKENS
from bayes_scaling.prediction.search import CLOSE

CORNER = 1e-4
SERVING_FLOP = 2.0
"""FLOP a parameter for each token served: one forward pass (Kaplan et al., 2020, section 2.1)."""


@dataclass(frozen=True)
class Limits:
    """Limits on a plan.

    Parameters
    ----------
    min_params, max_params
        Smallest and largest model that can be trained or served, a count; None without a limit.
    max_tokens
        Distinct training tokens there are, a count. A law of repeated data decides what seeing them again is worth;
        other laws know nothing of repeats, and for them no plan has more.
    sizes
        The model sizes on offer; empty for any size.

    Raises
    ------
    UsageError
        For a limit that is not a positive, finite count.
    InfeasibleError
        Where no size meets them all.
    """

    min_params: float | None = None
    max_params: float | None = None
    max_tokens: float | None = None
    sizes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(sorted({float(s) for s in self.sizes})))
        for name in ("min_params", "max_params", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UsageError(f"{name} {value} is no limit: give a positive count, such as 7e9.")
        if any(not (np.isfinite(s) and s > 0) for s in self.sizes):
            raise UsageError("Every size on offer must be a positive count of parameters, such as 7e9.")
        low, high = self.min_params or 0.0, self.max_params or np.inf
        if low > high:
            raise InfeasibleError(
                f"No model meets the limits: at least {format_count(low)} and at most {format_count(high)} "
                "parameters were asked for. Raise the one or lower the other."
            )
        if self.sizes and not self.offered:
            offer = ", ".join(format_count(s) for s in self.sizes)
            raise InfeasibleError(
                f"No size on offer ({offer}) lies within the limits on parameters: {_between(low, high)}."
            )

    @property
    def offered(self) -> tuple[float, ...]:
        """The sizes on offer that meet the other limits."""
        return tuple(s for s in self.sizes if (self.min_params or 0) <= s <= (self.max_params or np.inf))

    def to_dict(self) -> dict[str, Any]:
        """`limits` of the JSON of `decide`."""
        return {
            "min_params": self.min_params,
            "max_params": self.max_params,
            "max_tokens": self.max_tokens,
            "sizes": list(self.sizes) or None,
        }


NO_LIMITS = Limits()


def _between(low: float, high: float) -> str:
    if np.isinf(high):
        return f"at least {format_count(low)}"
    return f"at most {format_count(high)}" if low == 0 else f"from {format_count(low)} to {format_count(high)}"


@dataclass(frozen=True, eq=False)
class Allocations:
    """The plans that a budget leaves: a model size each, with as many tokens as can then be paid for.

    Training comes first. Where tokens will be served, the plan trains on what the median budget leaves once they are
    paid for, whatever the budget then turns out to buy; where it buys less, serving runs out of money before training
    is cut.

    Parameters
    ----------
    flops
        Compute of training and serving together, FLOP: dims (), or (draw,) where what a budget buys is uncertain.
    serving_tokens
        Tokens that will be served over the model's life, the mean of what is expected, a count.
    capped
        Whether tokens beyond `limits.max_tokens` are out of reach (no law knows of repeats).
    """

    flops: np.ndarray
    limits: Limits = NO_LIMITS
    serving_tokens: float = 0.0
    compute: ComputeModel = SIX_ND
    capped: bool = True

    @property
    def typical(self) -> float:
        """Median compute, FLOP."""
        return float(np.median(self.flops))

    def tokens(self, params: Any) -> np.ndarray:
        """Training tokens of plans with `params` dims (plan,) or (draw, plan): the same dims, or (draw, plan) where
        compute is uncertain."""
        n = np.asarray(params, float)
        total = np.asarray(self.flops, float)
        c = total if total.ndim == 0 else total[:, None]
        d = np.asarray(self.compute.tokens(n, c))
        if self.serving_tokens:
            planned = np.maximum(self.typical - SERVING_FLOP * n * self.serving_tokens, 0.0)
            d = np.minimum(d, self.compute.tokens(n, planned))
        if self.capped and self.limits.max_tokens is not None:
            d = np.minimum(d, self.limits.max_tokens)
        return np.maximum(d, 1.0)  # nothing left to train on: a plan no rule takes, but one with a loss

    @property
    def unlimited(self) -> bool:
        """Whether neither limits nor serving restrict what a plan may be."""
        cap = self.capped and self.limits.max_tokens is not None
        given = self.limits.sizes or self.limits.min_params or self.limits.max_params
        return not (cap or given or self.serving_tokens)

    @property
    def close(self) -> float:
        """How finely log N is to be searched: a limit on tokens, and serving paid from an uncertain budget, make
        corners in the loss that no polynomial has."""
        cap = self.capped and self.limits.max_tokens is not None
        return CORNER if cap or (self.serving_tokens and np.ndim(self.flops)) else CLOSE

    @property
    def free(self) -> bool:
        """Whether nothing but a known amount of compute decides what a plan may be."""
        return self.unlimited and np.ndim(self.flops) == 0

    def p_short(self, params: float, tokens: Any, served: np.ndarray | None) -> float | None:
        """Probability that the budget is spent before all tokens are served; None where nothing is uncertain.

        Parameters
        ----------
        tokens
            Trained on, a number or dims (draw,).
        served
            Tokens that will be served, dims (draw,); None where none are.
        """
        if served is None or (np.ndim(self.flops) == 0 and np.ptp(served) == 0):
            return None
        whole = self.training_flops(params, tokens) + SERVING_FLOP * params * served
        return float(np.mean(whole > np.asarray(self.flops) * (1 + 1e-9)))

    def training_flops(self, params: Any, tokens: Any) -> np.ndarray:
        """Training FLOP of runs of that size and data, in their dims."""
        return np.asarray(self.compute.flops(np.asarray(params, float), np.asarray(tokens, float)))

    @property
    def menu(self) -> np.ndarray | None:
        """Log of the sizes to choose from, or None where any size will do."""
        return self.offer if self.limits.sizes else None

    @property
    def offer(self) -> np.ndarray:
        """Log of the sizes on offer that the budget can train.

        Raises
        ------
        InfeasibleError
            If it can train none.
        """
        low, high = self._ends(None)
        sizes = np.array([s for s in self.limits.offered if np.log(s) <= high and np.log(s) >= low])
        if not len(sizes):
            offer = ", ".join(format_count(s) for s in self.limits.offered)
            raise InfeasibleError(
                f"{format_flop(self.typical)} FLOP train none of the sizes on offer ({offer}): the largest model that "
                f"leaves {format_count(SMALLEST_TOKENS)} tokens has {format_count(np.exp(high))} parameters."
            )
        return np.log(sizes)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest log N.

        Raises
        ------
        InfeasibleError
            Where no model within the limits leaves tokens to train on.
        """
        low, high = self._ends(self.limits)
        if low > high:
            serving = f" after serving {format_count(self.serving_tokens)} tokens" if self.serving_tokens else ""
            raise InfeasibleError(
                f"The budget of {format_flop(self.typical)} FLOP binds: it cannot train a model of "
                f"{format_count(np.exp(low))} parameters{serving}; at most {format_count(np.exp(high))} are feasible."
            )
        return low, high

    def _ends(self, limits: Limits | None) -> tuple[float, float]:
        least = self.typical
        # 6 N D is symmetric: the N that leaves that many tokens; served tokens come on top.
        per_param = least / float(self.compute.tokens(SMALLEST_TOKENS, least)) + SERVING_FLOP * self.serving_tokens
        low, high = np.log(SMALLEST_PARAMS), np.log(least / per_param)
        if limits is not None:
            low = max(low, np.log(limits.min_params)) if limits.min_params else low
            high = min(high, np.log(limits.max_params)) if limits.max_params else high
            low = low if low > high else max(low, min(high, self._all_tokens()))
        return float(low), float(high)

    def _all_tokens(self) -> float:
        """Log of the smallest model that uses the budget up on all the tokens there are: a smaller one leaves money."""
        cap = self.limits.max_tokens
        if not self.capped or cap is None:
            return -np.inf
        least = float(np.min(self.flops))

        def left(u: float) -> float:
            n = np.exp(u)
            return float(least - float(self.compute.flops(n, cap)) - SERVING_FLOP * n * self.serving_tokens)

        low, high = np.log(1e-3), np.log(least)
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if left(middle) > 0 else (low, middle)
        return float(0.5 * (low + high))

    def grid(self, step: float = 0.4) -> np.ndarray:
        """Log N from end to end, or the menu, dims (point,)."""
        if self.menu is not None:
            return self.menu
        low, high = self.range
        return np.linspace(low, high, max(2, int(np.ceil((high - low) / step)) + 1))
