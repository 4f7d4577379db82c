"""The posterior under other priors of the same families, without compiling again.

A model's priors are constants of its compiled program, so that a law under twenty priors would cost twenty
compilations. Here the ratio of the new prior to the old one multiplies the density, and the arguments of the
new prior are inputs: one further program serves every width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.bridge import LogEvidence, log_evidence_of
from bayes_scaling.density import Data, Density
from bayes_scaling.engine import Program, Table, program_for
from bayes_scaling.fitting import Fit
from bayes_scaling.model import columns
from bayes_scaling.posterior import sample_tables
from bayes_scaling.prior import Prior
from bayes_scaling.prior_draws import parameters_of

ARGUMENTS = "prior_arguments"
# Families whose support does not move with their arguments: under the others the coordinates themselves
# change.
FIXED_SUPPORT = ("lognormal", "normal", "halfnormal", "gamma", "beta")


@dataclass(frozen=True, eq=False)
class Tilted(Density):
    """A density times the ratio of two priors; `ratio(x, data)` is its logarithm."""

    ratio: Callable[[Any, Data], Any]

    def log_likelihood(self, x: Any, data: Data, mask: Any) -> Any:
        """Log likelihood plus log ratio: added to the old log prior, the density under the new one."""
        return super().log_likelihood(x, data, mask) + self.ratio(x, data)


def log_pdf(family: str, value: Any, a: Any, b: Any) -> Any:
    """Log density, in JAX, of a family of `FIXED_SUPPORT` with its first and second argument `a` and `b`."""
    import jax.numpy as jnp
    from jax.scipy.special import betaln, gammaln

    half_log_tau = 0.5 * np.log(2 * np.pi)
    if family == "lognormal":
        return -0.5 * ((jnp.log(value) - jnp.log(a)) / b) ** 2 - jnp.log(b) - jnp.log(value) - half_log_tau
    if family == "normal":
        return -0.5 * ((value - a) / b) ** 2 - jnp.log(b) - half_log_tau
    if family == "halfnormal":
        return -0.5 * (value / a) ** 2 - jnp.log(a) - half_log_tau + np.log(2)
    if family == "gamma":
        return a * jnp.log(b) - gammaln(a) + (a - 1) * jnp.log(value) - b * value
    if family == "beta":
        return (a - 1) * jnp.log(value) + (b - 1) * jnp.log1p(-value) - betaln(a, b)
    raise ValueError(f"Prior family '{family}' has a support that moves with its arguments.")


_TILTED: dict[Program, Program] = {}


def tilted(program: Program, priors: Mapping[str, Prior]) -> Program:
    """The program whose prior arguments are inputs; `priors` are those that `program` was built with."""
    if program in _TILTED:
        return _TILTED[program]
    base = program.density
    names, families = list(priors), [p.family for p in priors.values()]
    old = _arguments(priors)

    def ratio(x: Any, data: Data) -> Any:
        values, new = base.constrain(x), data[ARGUMENTS]
        return sum(
            log_pdf(family, values[name], new[i, 0], new[i, 1]) - log_pdf(family, values[name], old[i, 0], old[i, 1])
            for i, (name, family) in enumerate(zip(names, families, strict=True))
        )

    name = program.identity and f"{program.identity} tilted"
    return _TILTED.setdefault(program, Program(Tilted(**vars(base), ratio=ratio), name))


def _arguments(priors: Mapping[str, Prior]) -> np.ndarray:
    # The second argument of a family with one is never read; one keeps its logarithm finite.
    rows = [[*(value for _, value in prior.arguments), 1.0][:2] for prior in priors.values()]
    return np.array(rows, float)


def can_tilt(fit: Fit) -> bool:
    """Whether every prior of the fit is of a family that can be reweighted into its wider self."""
    return all(p.prior.family in FIXED_SUPPORT for p in parameters_of(fit.law, fit.noise).values())


def refit_evidence(fit: Fit, changes: Sequence[Mapping[str, Prior]], random_seed: int = 0) -> list[LogEvidence]:
    """Log evidence, nats, of the fit's law under each set of changed priors, by sampling anew and bridging.

    Parameters
    ----------
    changes
        New priors by parameter name, each of the family of the one that it replaces.
    """
    old = {name: spec.prior for name, spec in parameters_of(fit.law, fit.noise).items()}
    frame = columns(fit.law, fit.noise, fit.runs)
    program = tilted(program_for(fit.law, fit.noise, frame), old)
    plain = Table.padded(frame)
    tables = [Table({**plain.data, ARGUMENTS: _arguments({**old, **new})}, plain.mask, plain.n) for new in changes]
    drawn = sample_tables(program, tables, fit.settings, [random_seed] * len(tables))
    found = []
    for table, draws in zip(tables, drawn, strict=True):
        z = log_evidence_of(program, table, draws.x, draws.stats["lp"], random_seed)
        bad = draws.diagnostics.verdict == "failed"
        found.append(LogEvidence(z.value, z.sd, "bridge", False, "The fit failed its checks.") if bad else z)
    return found
