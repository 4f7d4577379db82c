"""`Predictive`: joint draws of loss surfaces over a law's inputs. Whatever is said of runs not made is asked of it.

A draw is one state of the world: parameters of a law, or of several in some proportions; a discrepancy that grows with
the distance beyond the runs; and a misplacement of best sizes. All three are in the draw's own surface, so that one
quantity has one value wherever it is asked for, and plans are compared in the same worlds. Draws are equally likely,
and the same for the same seed.

With f the log loss of a draw's laws, C(N, D) what a run costs and s(C) the draw's misplacement of log N, the log loss
of a run is

    f(N exp(-s), D') + lines,    D' the tokens that C buys for N exp(-s) parameters,

so that along each curve of equal compute the laws' curve is moved by s in log N: its minimum moves, and the loss there
stays. `lines` is the discrepancy (`discrepancy.Distance.lines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.laws.compute import SIX_ND, SIZES, ComputeModel
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.prediction.discrepancy import distance, outside
from bayes_scaling.prediction.losses import Losses, Scatter, query_seeds
from bayes_scaling.prediction.misplacement import Misplacement
from bayes_scaling.runs.runs import Runs

REPEATS = "unique_tokens"
"""The input by which a law says that it knows of repeated data."""


@dataclass(frozen=True, eq=False)
class Member:
    """One law's part in the joint draws.

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
class Predictive:
    """Joint draws of loss surfaces.

    Parameters
    ----------
    members
        The laws.
    component
        The member whose noise a draw's new run takes, dims (draw,).
    slopes
        Of the discrepancy's three lines (see `discrepancy`), per decade of log loss, dims (draw, 3); zero for laws
        believed as they stand.
    misplaced
        Of log10 of the best size: an offset, and a slope a decade of compute beyond the runs, dims (draw, 2); zero
        for laws believed as they stand.
    runs
        What was learned from: distances and the growth of noise are counted from them.
    known_inputs
        Further columns that a law names, one value each.
    unique_tokens
        Distinct tokens there are, for laws of repeated data; None without a limit.
    """

    members: tuple[Member, ...]
    component: np.ndarray
    slopes: np.ndarray
    misplaced: np.ndarray
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
        """How many draws there are."""
        return len(self.component)

    @property
    def alone(self) -> bool:
        """Whether each draw is one law's: a law, or a mixture."""
        return sum(len(m.rows) for m in self.members) == self.n_draws

    @property
    def sized(self) -> bool:
        """Whether every law needs params and tokens only."""
        return all(set(m.law.inputs) <= set(SIZES) for m in self.members)

    @property
    def repeats(self) -> bool:
        """Whether every law knows what repeated data are worth."""
        return all(REPEATS in m.law.inputs for m in self.members)

    @property
    def law_of(self) -> np.ndarray:
        """Name of each draw's law, "blend" where it has several, dims (draw,)."""
        names = np.array([m.law.name for m in self.members])
        return names[self.component] if self.alone else np.full(self.n_draws, "blend")

    @cached_property
    def known_flops(self) -> np.ndarray:
        """Smallest and largest compute of the runs, FLOP, as `compute` counts it, dims (2,)."""
        counted = np.asarray(self.compute.flops(self.runs.params, self.runs.tokens))
        return np.array([counted.min(), counted.max()])

    def shift(self, flops: Any) -> np.ndarray:
        """Misplacement of log N, dims (draw, plan), at compute with dims (plan,) or (draw, plan), FLOP."""
        beyond = outside(self.known_flops, np.atleast_2d(np.asarray(flops, float)))
        return np.asarray(np.log(10) * (self.misplaced[:, :1] + self.misplaced[:, 1:] * beyond))

    def surface(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Log of the expected loss of runs, discrepancy and misplacement included and noise not, dims (draw, query).

        Parameters
        ----------
        inputs
            Columns by name, each with dims (query,), or (draw, query) where each draw has queries of its own; what a
            law names and is not here comes from `known_inputs`.
        """
        at = {name: np.atleast_2d(np.asarray(v, float)) for name, v in inputs.items()}
        out = self.laws_curve(self._displaced(at))
        if self.slopes.any():
            n, d = np.broadcast_arrays(at["params"], at["tokens"])
            for slope, line in zip(self.slopes.T, distance(self.runs, n, d, self.compute).lines, strict=True):
                if line.any():
                    out += slope[:, None] * line
        return out

    def laws_curve(self, at: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log loss of the draw's laws alone, dims (draw, query); inputs have dims (1, query) or (draw, query)."""
        shape = np.broadcast_shapes(*(v.shape for v in at.values()))
        out = np.zeros((self.n_draws, shape[1]))
        for m in self.members:
            own = {name: _of(v, m.rows) for name, v in at.items()}
            for name in set(m.law.inputs) - set(own):
                own[name] = self._further(name, own)
            out[m.rows] += m.shares[:, None] * m.log_curve(own)
        return out

    def _displaced(self, at: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Where the laws are asked for what happens at `at`: moved against the misplacement at equal compute."""
        if not self.misplaced.any() or not set(SIZES) <= set(at):
            return dict(at)
        n, d = at["params"], at["tokens"]
        flops = np.asarray(self.compute.flops(n, d))
        size = n * np.exp(-self.shift(flops))
        tokens = np.asarray(self.compute.tokens(size, flops))
        moved = {**at, "params": size, "tokens": tokens}
        unique = at.get(REPEATS)
        if unique is None and self.unique_tokens is not None:
            unique = np.minimum(d, self.unique_tokens)
        if unique is not None:  # how often data are seen stays
            moved[REPEATS] = tokens * unique / d
        return moved

    def _further(self, name: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if name == REPEATS:
            most = np.inf if self.unique_tokens is None else self.unique_tokens
            return np.asarray(np.minimum(inputs["tokens"], most))
        return np.full((1, 1), float(self.known_inputs[name]))

    def log_curve(self, params: Any, tokens: Any) -> np.ndarray:
        """`surface` of params and tokens, counts with dims (plan,) or (draw, plan)."""
        return self.surface({"params": params, "tokens": tokens})

    def loss(self, params: Any, tokens: Any) -> np.ndarray:
        """Expected loss of runs, nats per token, as `log_curve`, dims (draw, plan)."""
        return np.asarray(np.exp(self.log_curve(params, tokens)))

    def at(
        self,
        params: Any,
        tokens: Any,
        *,
        flops: Any = None,
        loss_sd: Any = 0.0,
        further: Mapping[str, Any] | None = None,
    ) -> Losses:
        """Losses of runs, and the noise that they would be seen with.

        Parameters
        ----------
        params, tokens
            Counts, dims (plan,) or (draw, plan).
        flops
            What the noise's growth with compute is counted by, as the runs' own `flops`; by `compute` where None.
        loss_sd
            Standard error with which a loss will be measured, on its logarithm, dims (plan,).
        further
            Further columns that a law names, dims (plan,) each.
        """
        columns = {"params": params, "tokens": tokens, **(further or {})}
        log_curve = self.surface(columns)
        counted = self.compute.flops(np.asarray(params, float), np.asarray(tokens, float)) if flops is None else flops
        c = np.atleast_2d(np.asarray(counted, float))
        decades = np.log10(c) - np.log10(self.runs.counted).mean()
        scatters = []
        for i, m in enumerate(self.members):
            mine = self.component[m.rows] == i
            rows = m.rows[mine]
            if len(rows):
                p = {name: v[mine][:, None] for name, v in m.noise_values.items()}
                scale = np.broadcast_to(m.noise.scale(p, _of(decades, rows)), (len(rows), log_curve.shape[1]))
                scatters.append(Scatter(rows, m.noise, p, np.sqrt(scale**2 + np.atleast_2d(loss_sd) ** 2)))
        middle = {
            k: np.broadcast_to(np.median(np.atleast_2d(v), axis=0), log_curve.shape[1:]) for k, v in columns.items()
        }
        return Losses(log_curve, tuple(scatters), query_seeds([self.random_seed, 101], middle))

    def take(self, rows: np.ndarray) -> Predictive:
        """Some of the draws, in that order."""
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
        own = {name: getattr(self, name)[rows] for name in ("component", "slopes", "misplaced")}
        return replace(self, members=tuple(members), **own)

    def thinned(self, most: int) -> Predictive:
        """At most that many draws, evenly spaced."""
        if self.n_draws <= most:
            return self
        return self.take(np.linspace(0, self.n_draws - 1, most).round().astype(int))

    def of_law(self, i: int) -> Predictive:
        """What the i-th member alone would say, with the same discrepancy and misplacement in each draw."""
        m = self.members[i]
        alone = replace(m, rows=np.arange(len(m.rows)), shares=np.ones(len(m.rows)))
        own = {name: getattr(self, name)[m.rows] for name in ("slopes", "misplaced")}
        return replace(self, members=(alone,), component=np.zeros(len(m.rows), int), **own)


def _of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`values` with dims (1, plan) or (draw, plan), for some draws."""
    return values if len(values) == 1 else values[rows]
