"""One density for a law under every prior and every noise model, which are inputs of it.

A model's priors and noise are constants of its compiled program, so that a law under twenty priors and four noise
models would cost two dozen compilations. Here the arguments of every prior, its family, and the noise model are data.
The unknowns are those of the richest noise model: what a simpler one does not use keeps its prior, which integrates
to one, so that the evidence is that of the simpler model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.engine.backend import jax_ready
from bayes_scaling.engine.density import Data, Density
from bayes_scaling.engine.fingerprint import computation, fingerprint
from bayes_scaling.engine.model import columns
from bayes_scaling.engine.program import Program
from bayes_scaling.engine.tables import Table
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import Parameter, Scale, ScalingLaw
from bayes_scaling.laws.noise import NOISES, Noise
from bayes_scaling.laws.ops import exp
from bayes_scaling.laws.prior_draws import parameters_of, unconstrained
from bayes_scaling.laws.priors import Prior

# Families whose support does not move with their arguments: under the others the coordinates themselves change.
FIXED_SUPPORT = ("lognormal", "normal", "halfnormal", "gamma", "beta", "truncnormal")
PRIORS, SHIFTS, NOISE = "variation_priors", "variation_shifts", "variation_noise"
# Amplitudes, and the exponents that carry them from one reference scale to another.
CARRIED = {"gap_params": "alpha", "gap_tokens": "beta"}
NOISE_NAMES = tuple(NOISES)


@dataclass(frozen=True)
class Variation:
    """What a law is judged under.

    Parameters
    ----------
    priors
        By parameter name, the law's and those of the richest noise model.
    noise
        The noise model, by name.
    scale
        Where the amplitudes' priors are stated.
    """

    priors: Mapping[str, Prior]
    noise: str
    scale: Scale


@dataclass(frozen=True, eq=False)
class Varied(Density):
    """A density whose priors are data: all of it stands under `log_likelihood`, and `log_prior` is nil."""

    whole: Callable[[Any, Data, Any], Any]

    def log_likelihood(self, x: Any, data: Data, mask: Any) -> Any:
        """Log prior (with the Jacobian) plus log likelihood, scalar."""
        return self.whole(x, data, mask)


def log_pdf(family: str, value: Any, a: Any, b: Any) -> Any:
    """Log density, in JAX, of a family of `FIXED_SUPPORT` with its first and second argument `a` and `b`."""
    import jax.numpy as jnp
    from jax.scipy.special import betaln, gammaln, log_ndtr

    half_log_tau = 0.5 * np.log(2 * np.pi)
    if family == "lognormal":
        return -0.5 * ((jnp.log(value) - jnp.log(a)) / b) ** 2 - jnp.log(b) - jnp.log(value) - half_log_tau
    if family == "normal":
        return -0.5 * ((value - a) / b) ** 2 - jnp.log(b) - half_log_tau
    if family == "halfnormal":
        return -0.5 * (value / a) ** 2 - jnp.log(a) - half_log_tau + np.log(2)
    if family == "truncnormal":
        return -0.5 * ((value - a) / b) ** 2 - jnp.log(b) - half_log_tau - log_ndtr(a / b)
    if family == "gamma":
        return a * jnp.log(b) - gammaln(a) + (a - 1) * jnp.log(value) - b * value
    if family == "beta":
        return (a - 1) * jnp.log(value) + (b - 1) * jnp.log1p(-value) - betaln(a, b)
    raise ValueError(f"Prior family '{family}' has a support that moves with its arguments.")


def richest(noise: Noise) -> dict[str, Parameter]:
    """The parameters of every noise model, with the priors of `noise` where it has them."""
    everything: dict[str, Parameter] = {}
    for other in NOISES.values():
        everything |= dict(other.parameters)
    return everything | dict(noise.parameters)


def as_fitted(fit: Fit) -> Variation:
    """What the fit was made under."""
    specs = {**fit.law.parameters, **richest(fit.noise)}
    return Variation({name: spec.prior for name, spec in specs.items()}, fit.noise.name, fit.law.scale)


def can_vary(fit: Fit, to: Variation) -> bool:
    """Whether the law can be put under `to` in the coordinates of the fit."""
    own = as_fitted(fit).priors
    carried = to.scale == fit.law.scale or set(CARRIED) | set(CARRIED.values()) <= set(own)
    return (
        carried
        and fit.noise.name in NOISES
        and all(p.family in FIXED_SUPPORT and p.support == own[name].support for name, p in to.priors.items())
    )


_PROGRAMS: dict[str, Program] = {}
_LOCK = threading.Lock()


def varied_program(fit: Fit) -> Program:
    """The program of a fit's law under any variation: one in a process, whichever thread asks first. Of a law that
    cannot be told, made each time."""
    supports = {name: p.support for name, p in as_fitted(fit).priors.items()}
    jax_ready()
    key = fingerprint(*(computation(fit.law, noise) for noise in NOISES.values()), "varied", list(supports.items()))
    if key is None:
        return Program(_density(fit.law, supports))
    with _LOCK:
        if key not in _PROGRAMS:
            _PROGRAMS[key] = Program(_density(fit.law, supports), key)
        return _PROGRAMS[key]


def varied_table(fit: Fit, to: Variation) -> Table:
    """The fit's runs and the variation, as the program takes them."""
    plain = Table.padded(columns(fit.law, fit.noise, fit.runs))
    own = fit.law.scale
    moved = {"gap_params": np.log(to.scale.params / own.params), "gap_tokens": np.log(to.scale.tokens / own.tokens)}
    extra = {
        PRIORS: np.array([_row(p) for p in to.priors.values()]),
        SHIFTS: np.array([moved.get(name, 0.0) for name in to.priors]),
        NOISE: np.array(NOISE_NAMES.index(to.noise)),
    }
    return Table({**plain.data, **extra}, plain.mask, plain.n)


def _row(prior: Prior) -> list[float]:
    # The second argument of a family with one is never read; one keeps its logarithm finite.
    return [float(FIXED_SUPPORT.index(prior.family)), *[*(v for _, v in prior.arguments), 1.0][:2]]


def varied_draws(fit: Fit, rng: np.random.Generator) -> np.ndarray:
    """The fit's draws in the coordinates of its variations, dims (draw, unknown): from the prior what it lacks."""
    mine, specs = fit.draws(*parameters_of(fit.law, fit.noise)), as_fitted(fit).priors
    drawn = [
        mine[name] if name in mine else np.asarray(prior.dist.rvs(size=fit.n_draws, random_state=rng))
        for name, prior in specs.items()
    ]
    return np.column_stack([unconstrained(p, v) for p, v in zip(specs.values(), drawn, strict=True)])


def _density(law: ScalingLaw, supports: Mapping[str, tuple[float, float]]) -> Varied:
    names = tuple(supports)
    index = {name: i for i, name in enumerate(names)}

    def whole(x: Any, data: Data, mask: Any) -> Any:
        values, log_jacobian = _constrained(x, supports)
        log_prior = log_jacobian
        for name, i in index.items():
            value, carried = values[name], 0.0
            if name in CARRIED and CARRIED[name] in values:
                # At another reference scale the amplitude is gap (n'/n)^-alpha.
                carried = -data[SHIFTS][i] * values[CARRIED[name]]
                value = value * exp(carried)
            log_prior += _any_pdf(supports[name], value, data[PRIORS][i]) + carried
        return log_prior + _log_likelihood(law, values, data, mask)

    return Varied(
        names=names,
        shapes=((),) * len(names),
        size=len(names),
        log_prior=lambda x: 0.0 * x[0],
        pointwise=lambda x, data: x[:1],
        constrain=lambda x: _constrained(x, supports)[0],
        data={},
        initial=np.zeros(len(names)),
        whole=whole,
    )


def _constrained(x: Any, supports: Mapping[str, tuple[float, float]]) -> tuple[dict[str, Any], Any]:
    """Parameters in their units, and the log Jacobian; the inverse of `prior_draws.unconstrained`."""
    import jax
    import jax.numpy as jnp

    values: dict[str, Any] = {}
    total: Any = 0.0
    for i, (name, (low, high)) in enumerate(supports.items()):
        if np.isinf(low):
            values[name] = x[i]
        elif np.isinf(high):
            values[name] = low + jnp.exp(x[i])
            total += x[i]
        else:
            share = jax.nn.sigmoid(x[i])
            values[name] = low + (high - low) * share
            total += jnp.log(high - low) + jax.nn.log_sigmoid(x[i]) + jax.nn.log_sigmoid(-x[i])
    return values, total


def _any_pdf(support: tuple[float, float], value: Any, row: Any) -> Any:
    """Log density of whichever family of that support the row names."""
    import jax.numpy as jnp

    from bayes_scaling.laws.priors import FAMILIES

    known = [f for f in FIXED_SUPPORT if FAMILIES[f].support == support]
    choices = [log_pdf(f, value, row[1], row[2]) for f in known]
    return jnp.select([row[0] == FIXED_SUPPORT.index(f) for f in known], choices)


def _log_likelihood(law: ScalingLaw, values: Mapping[str, Any], data: Data, mask: Any) -> Any:
    """Summed over runs, under the noise model that the data name; the others are not computed."""
    import jax
    import jax.numpy as jnp

    curve = law.loss({k: values[k] for k in law.parameters}, {k: data[k] for k in law.inputs})
    residual = data["log_loss"] - jnp.log(curve)

    def under(noise: Noise) -> Callable[[Any], Any]:
        def total(given: tuple[Any, Any]) -> Any:
            own, gap = given
            scale = jnp.sqrt(noise.scale({k: own[k] for k in noise.parameters}, data["decades"]) ** 2 + spread**2)
            each = noise.logpdf(gap / scale, own) - jnp.log(scale)
            return jnp.sum(jnp.where(mask > 0, each, 0.0))

        return total

    spread = data["log_loss_sd"]
    own = {k: v for k, v in values.items() if k not in law.parameters}
    return jax.lax.switch(data[NOISE], [under(noise) for noise in NOISES.values()], (own, residual))
