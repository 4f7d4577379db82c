"""How to sample: the one place that checks it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bayes_scaling.base.errors import UsageError, unknown

METHODS = ("nuts", "auto", "laplace")
"""NUTS; the fast approximation where its Pareto k allows it and else NUTS; the approximation whatever its k."""


@dataclass(frozen=True)
class Settings:
    """How to sample. `warmup` is short because the coordinates are whitened at the mode; `thin` transitions make one
    kept draw. A chain gives up after `budget` gradients. `method` is one of `METHODS`."""

    draws: int = 1000
    chains: int = 4
    warmup: int = 300
    target_accept: float = 0.9
    random_seed: int = 0
    thin: int = 1
    budget: int = 2**62
    method: str = "nuts"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS, "'auto' is the fast one where it can be trusted.")
        if self.draws < 50 or self.chains < 2 or self.warmup < 50:
            raise UsageError(
                f"draws={self.draws}, chains={self.chains}, warmup={self.warmup}: take at least 50 draws, 2 chains and "
                "50 warm-up draws; fewer cannot be diagnosed."
            )
        if not 0.5 <= self.target_accept < 1:
            raise UsageError(f"target_accept={self.target_accept} must lie in [0.5, 1).")

    def brief(self) -> Settings:
        """For the first attempts: a chain that needs more than some forty gradients a transition is better taught
        other coordinates than waited for."""
        return replace(self, budget=40 * (self.warmup + self.draws * self.thin))

    def careful(self) -> Settings:
        """For the retry of a fit that failed: smaller steps, a longer warm-up, and four transitions a draw."""
        return replace(
            self, warmup=max(1000, self.warmup), target_accept=max(0.98, self.target_accept), thin=4 * self.thin
        )


def seeded(settings: Settings | None, random_seed: int) -> dict[str, Any]:
    """What to hand on to `fit`: the settings where they are given, which have a seed of their own, else the seed."""
    return {"random_seed": random_seed} if settings is None else {"settings": settings}
