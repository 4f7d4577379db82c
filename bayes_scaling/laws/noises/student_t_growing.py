"""Student-t scatter whose scale changes with compute, by a constant factor per decade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bayes_scaling.laws.law import Parameter
from bayes_scaling.laws.noises import student_t
from bayes_scaling.laws.ops import exp
from bayes_scaling.laws.priors import normal

GROWTH = Parameter(normal(mu=0, sigma=0.2), "change of log scatter per decade of compute; no change is the centre")


def scaling(p: Mapping[str, Any], decades: Any) -> Any:
    """sigma exp(growth · decades)."""
    return p["sigma"] * exp(p["growth"] * decades)


NOISE = replace(
    student_t.NOISE,
    name="student_t_growing",
    title="Student-t, scale changing with compute",
    parameters={**student_t.NOISE.parameters, "growth": GROWTH},
    scaling=scaling,
)
