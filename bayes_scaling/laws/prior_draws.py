"""Exact independent draws from priors, in their own units and in the engine's unconstrained coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior

if TYPE_CHECKING:
    import pymc as pm


def prior_values(law: ScalingLaw, noise: Noise | None, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws of every free parameter of the law, then of the noise where given, each with dims (draw,).

    Laws that share a parameter under the same prior do not share its draws: each takes the generator's next
    numbers.
    """
    specs = {**law.parameters, **(noise.parameters if noise else {})}
    return {name: np.asarray(spec.prior.dist.rvs(size=draws, random_state=rng)) for name, spec in specs.items()}


def unconstrained(prior: Prior, values: np.ndarray) -> np.ndarray:
    """`values` where the sampler works: PyMC's default transform for the support of `prior`.

    Logarithm on the half line, log odds on an interval, nothing on the real line. A value that rounding put
    on a bound is moved inside it.
    """
    low, high = prior.support
    tiny = np.finfo(float).tiny
    if np.isinf(low) and np.isinf(high):
        return np.asarray(values, float)
    if np.isinf(high):
        return np.log(np.maximum(values - low, tiny))
    return np.log(np.maximum(values - low, tiny)) - np.log(np.maximum(high - values, tiny))


def prior_points(law: ScalingLaw, noise: Noise, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Prior draws in unconstrained coordinates, dims (draw, unknown), in the order of `build`'s model."""
    specs = {**law.parameters, **noise.parameters}
    values = prior_values(law, noise, draws, rng)
    return np.column_stack([unconstrained(spec.prior, values[name]) for name, spec in specs.items()])


def model_prior_points(model: pm.Model, draws: int, random_seed: int) -> np.ndarray:
    """Prior draws of any PyMC model in unconstrained coordinates, dims (draw, unknown).

    Every free variable goes through the transform that PyMC itself gave it, jointly with its parents, so that
    hierarchical priors are drawn as they are.
    """
    import pymc as pm

    points = []
    for variable in model.free_RVs:
        transform = model.rvs_to_transforms[variable]
        value = variable if transform is None else transform.forward(variable, *variable.owner.inputs)
        points.append(value.ravel())
    drawn = pm.draw(points, draws=draws, random_seed=random_seed)
    return np.column_stack([np.asarray(v).reshape(draws, -1) for v in drawn])


def parameters_of(law: ScalingLaw, noise: Noise) -> Mapping[str, Any]:
    """Every free parameter by name, the law's first."""
    return {**law.parameters, **noise.parameters}
