"""What may come of plans: joint draws of the loss of any runs (N, D), paired so that plans can be compared.

A draw is one state of the world: parameters of each law, the proportions in which laws blend, and one discrepancy
line. Every plan meets the same states, so what is common to plans cancels in their differences. The draws are those of
`forecasting.forecast` for the same seed, and all have equal weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.prediction.blending import blend
from bayes_scaling.prediction.discrepancy import distance
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.prediction.misplacement import Misplacement
from bayes_scaling.runs.runs import Runs

REPEATS = "unique_tokens"
"""The input by which a law says that it knows of repeated data."""


@dataclass(frozen=True, eq=False)
class Member:
    """One law's part in the outcomes.

    Parameters
    ----------
    rows
        The draws it takes part in, dims (row,).
    shares
        Its proportion of the log loss in each, dims (row,).
    values, noise_values
        Its parameters and those of its noise, dims (row,).
    """

    law: ScalingLaw
    noise: Noise
    rows: np.ndarray
    shares: np.ndarray
    values: Mapping[str, np.ndarray]
    noise_values: Mapping[str, np.ndarray]

    def log_curve(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The law's log loss, dims (row, plan); inputs have dims (1, plan) or (row, plan)."""
        p = {name: v[:, None] for name, v in self.values.items()}
        return np.log(np.asarray(self.law.loss(p, inputs)))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Paired draws of what plans lead to.

    Parameters
    ----------
    members
        The laws.
    slopes
        Of the discrepancy's three lines (see `distance`), per decade of log loss, dims (draw, 3); zero for laws
        believed as they stand.
    component
        The member whose noise a draw's new run takes, dims (draw,).
    known_inputs
        Further columns that a law names, one value each.
    unique_tokens
        Distinct tokens there are, for laws of repeated data; None without a limit.
    misplacement
        How far best sizes may lie from where the laws put them; None for laws believed as they stand.
    """

    members: tuple[Member, ...]
    slopes: np.ndarray
    component: np.ndarray
    runs: Runs
    compute: ComputeModel = SIX_ND
    law_weights: Mapping[str, float] = field(default_factory=dict)
    weights_from: str = ""
    random_seed: int = 0
    notices: tuple[Notice, ...] = ()
    known_inputs: Mapping[str, float] = field(default_factory=dict)
    unique_tokens: float | None = None
    misplacement: Misplacement | None = None

    @property
    def n_draws(self) -> int:
        """Draws of all members together."""
        return len(self.component)

    @property
    def repeats(self) -> bool:
        """Whether every law knows what repeated data are worth."""
        return all(REPEATS in m.law.inputs for m in self.members)

    def log_curve(self, params: Any, tokens: Any) -> np.ndarray:
        """Log of the expected loss of runs, discrepancy included and noise not, dims (draw, plan).

        Parameters
        ----------
        params, tokens
            Counts, dims (plan,), or (draw, plan) where each draw has plans of its own.
        """
        n, d = (np.atleast_2d(np.asarray(v, float)) for v in (params, tokens))
        shape = np.broadcast_shapes(n.shape, d.shape)
        out = np.zeros((self.n_draws, shape[1]))
        for member in self.members:
            inputs = {"params": _of(n, member.rows), "tokens": _of(d, member.rows)}
            for name in set(member.law.inputs) - set(inputs):
                inputs[name] = self._further(name, inputs)
            out[member.rows] += member.shares[:, None] * member.log_curve(inputs)
        if self.slopes.any():
            size, data = np.broadcast_arrays(n, d)
            lines = distance(self.runs, size, data, self.compute).lines
            for slope, line in zip(self.slopes.T, lines, strict=True):
                if line.any():
                    out += slope[:, None] * line
        return out

    def loss(self, params: Any, tokens: Any) -> np.ndarray:
        """Expected loss of runs, nats per token, as `log_curve`, dims (draw, plan)."""
        return np.exp(self.log_curve(params, tokens))

    def _further(self, name: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if name == REPEATS:
            return np.asarray(
                np.minimum(inputs["tokens"], np.inf if self.unique_tokens is None else self.unique_tokens)
            )
        return np.full((1, 1), float(self.known_inputs[name]))

    def p_below(self, target: float, log_curve: np.ndarray, flops: Any) -> tuple[np.ndarray, np.ndarray]:
        """Probability that the run which will be seen, noise included, ends at or below `target`, and that it does not.

        Parameters
        ----------
        target
            Nats per token.
        log_curve, flops
            Of the plans, dims (draw, plan) and (plan,) or (draw, plan).

        Returns
        -------
        Two arrays, dims (draw, plan), each exact where it is small.
        """
        gap = np.log(target) - log_curve
        hit, miss = np.empty_like(gap), np.empty_like(gap)
        for rows, noise, p, scale in self._noises(flops):
            z = gap[rows] / scale
            hit[rows], miss[rows] = noise.cdf(z, p), noise.cdf(-z, p)  # every noise model is symmetric
        return hit, miss

    def p_reached(self, target: float, log_curve: np.ndarray, flops: Any) -> np.ndarray:
        """The first of what `p_below` gives, at half its price."""
        gap, hit = np.log(target) - log_curve, np.empty_like(log_curve)
        for rows, noise, p, scale in self._noises(flops):
            hit[rows] = noise.cdf(gap[rows] / scale, p)
        return hit

    def log_density(self, log_loss: Any, log_curve: np.ndarray, flops: Any) -> np.ndarray:
        """Log density of an observed log loss under each draw, noise included, dims (draw, plan)."""
        residual = np.broadcast_to(log_loss, log_curve.shape) - log_curve
        out = np.empty_like(log_curve)
        for rows, noise, p, scale in self._noises(flops):
            out[rows] = noise.logpdf(residual[rows] / scale, p) - np.log(scale)
        return out

    def new_run(self, log_curve: np.ndarray, flops: Any, seed: int = 0) -> np.ndarray:
        """Losses of runs that would be seen, nats per token, dims (draw, plan); plans share a draw's luck."""
        out = np.empty_like(log_curve)
        for rows, noise, p, scale in self._noises(flops):
            rng = np.random.default_rng([self.random_seed, 307, seed, int(rows[0])])
            luck = noise.draw(rng, p, (len(rows), 1))
            # A heavy tail may throw e^700: capped where it cannot change a quantile anybody reads.
            out[rows] = np.exp(log_curve[rows] + np.clip(scale * luck, -50, 50))
        return out

    def _noises(self, flops: Any) -> list[tuple[np.ndarray, Noise, dict[str, np.ndarray], np.ndarray]]:
        """For each member: the draws that take its noise, the noise, its parameters and its scale, dims (row, plan)."""
        c = np.atleast_2d(np.asarray(flops, float))
        decades = np.log10(c) - np.log10(self.runs.flops).mean()
        found = []
        for i, member in enumerate(self.members):
            mine = self.component[member.rows] == i
            rows = member.rows[mine]
            if len(rows):
                p = {name: v[mine][:, None] for name, v in member.noise_values.items()}
                scale = np.broadcast_to(member.noise.scale(p, _of(decades, rows)), (len(rows), c.shape[1]))
                found.append((rows, member.noise, p, scale))
        return found

    def take(self, rows: np.ndarray) -> Outcomes:
        """The outcomes of some draws, in that order."""
        place = np.full(self.n_draws, -1)
        members = []
        for m in self.members:
            place[:] = -1
            place[m.rows] = np.arange(len(m.rows))
            kept = np.flatnonzero(place[rows] >= 0)
            where = place[rows][kept]
            members.append(
                replace(
                    m,
                    rows=kept,
                    shares=m.shares[where],
                    values={k: v[where] for k, v in m.values.items()},
                    noise_values={k: v[where] for k, v in m.noise_values.items()},
                )
            )
        return replace(self, members=tuple(members), slopes=self.slopes[rows], component=self.component[rows])

    def thinned(self, most: int) -> Outcomes:
        """At most that many draws, evenly spaced."""
        if self.n_draws <= most:
            return self
        return self.take(np.linspace(0, self.n_draws - 1, most).round().astype(int))

    def of_law(self, i: int) -> Outcomes:
        """The outcomes if the i-th member alone were true, with the same discrepancy in each draw."""
        m = self.members[i]
        alone = replace(m, rows=np.arange(len(m.rows)), shares=np.ones(len(m.rows)))
        component = np.zeros(len(m.rows), int)
        return replace(self, members=(alone,), slopes=self.slopes[m.rows], component=component)


def _of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`values` with dims (1, plan) or (draw, plan), for some draws."""
    return values if len(values) == 1 else values[rows]


def outcomes(
    source: Any,
    *,
    compute: ComputeModel = SIX_ND,
    unique_tokens: float | None = None,
    random_seed: int = 0,
    **inputs: float,
) -> Outcomes:
    """Paired draws from a posterior.

    Parameters
    ----------
    source
        A fit, several, or an `Ensemble`; or `Outcomes`, which are returned as they are.
    inputs
        Further columns that a law names, one value each.

    Raises
    ------
    UsageError
        If a law needs an input that is not given.
    """
    if isinstance(source, Outcomes):
        return source
    group = ensemble(source)
    for fit in group.fits:
        missing = set(fit.law.inputs) - {"params", "tokens", REPEATS, *inputs}
        if missing:
            raise UsageError(f"Law '{fit.law.name}' also needs {', '.join(sorted(missing))} for a decision.")
    members, slopes, component = _mixed(group) if group.averaging is None else _blended(group, random_seed)
    return Outcomes(
        members=members,
        slopes=slopes,
        component=component,
        runs=group.fits[0].runs,
        compute=compute,
        law_weights=group.law_weights,
        weights_from=group.basis,
        random_seed=random_seed,
        notices=group.notices,
        known_inputs=inputs,
        unique_tokens=unique_tokens,
        misplacement=None if group.averaging is None else Misplacement(),
    )


def _member(fit: Fit, rows: np.ndarray, picks: np.ndarray, shares: np.ndarray) -> Member:
    values = {k: v[picks] for k, v in fit.draws(*fit.law.parameters).items()}
    noise = {k: v[picks] for k, v in fit.draws(*fit.noise.parameters).items()}
    return Member(fit.law, fit.noise, rows, shares, values, noise)


def _blended(group: Ensemble, seed: int) -> tuple[tuple[Member, ...], np.ndarray, np.ndarray]:
    assert group.averaging is not None
    sizes = [f.n_draws for f in group.fits]
    mixed = blend(group.averaging, [f.law.name for f in group.fits], sizes, max(sizes), seed)
    rows = np.arange(max(sizes))
    members = [_member(f, rows, mixed.picks[:, i], mixed.shares[:, i]) for i, f in enumerate(group.fits)]
    return tuple(members), mixed.slopes, mixed.component


def _mixed(group: Ensemble) -> tuple[tuple[Member, ...], np.ndarray, np.ndarray]:
    """Each draw of one law alone, as many of each as its weight asks for."""
    total = max(f.n_draws for f in group.fits)
    ends = np.round(np.cumsum(group.weights) * total).astype(int)
    members: list[Member] = []
    component, begin = np.empty(total, int), 0
    for fit, end in zip(group.fits, ends, strict=True):
        if end > begin:
            picks = np.linspace(0, fit.n_draws - 1, end - begin).round().astype(int)
            component[begin:end] = len(members)
            members.append(_member(fit, np.arange(begin, end), picks, np.ones(end - begin)))
        begin = max(begin, end)
    return tuple(members), np.zeros((total, 3)), component
