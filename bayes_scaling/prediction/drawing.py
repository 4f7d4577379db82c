"""From posteriors to a `Predictive`: laws blended under a validated rule, mixed by weights, or one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayes_scaling.base.errors import UsageError
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.compute import SIX_ND, SIZES, ComputeModel, as_counted
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise_model import Noise
from bayes_scaling.prediction.blending import Share, blend, mixture
from bayes_scaling.prediction.discrepancy import slopes
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.prediction.misplacement import USUAL, Misplacement
from bayes_scaling.prediction.predictive import REPEATS, Member, Predictive
from bayes_scaling.prediction.weights import POOLING, Averaging
from bayes_scaling.runs.runs import Runs


@dataclass(frozen=True, eq=False)
class LawDraws:
    """Posterior draws of one law; `values` has its parameters and those of its noise, dims (draw,)."""

    law: ScalingLaw
    noise: Noise
    values: Mapping[str, np.ndarray]

    @property
    def n(self) -> int:
        """How many draws there are."""
        return len(next(iter(self.values.values())))


def predictive(
    source: Predictive | Fit | Ensemble | Sequence[Fit],
    *,
    compute: ComputeModel = SIX_ND,
    unique_tokens: float | None = None,
    pooling: str | None = None,
    misplacement: Misplacement | None = USUAL,
    random_seed: int | None = None,
    needs: str = "a decision",
    inputs: Mapping[str, float] | None = None,
) -> Predictive:
    """Joint draws from posteriors.

    A fit, and laws weighed otherwise than by forward validation, are believed as they stand: each draw is one law's,
    without discrepancy or misplacement.

    Parameters
    ----------
    source
        A fit, several, or an `Ensemble`; or a `Predictive`, which is returned as it is.
    pooling
        "blend" or "mixture", under a validated average; as chosen on held-out runs (`weights.POOLING`) where None.
    misplacement
        Of best sizes, under a validated average.
    random_seed
        Of the blend, its discrepancy and the noise; that of the fits where None.
    needs, inputs
        What is to be made of it, in words; and further columns that a law names, one value each.

    Raises
    ------
    UsageError
        If a law needs an input that is not given.
    """
    if isinstance(source, Predictive):
        return source
    group = ensemble(source)
    known = dict(inputs or {})
    for fit in group.fits:
        missing = set(fit.law.inputs) - {*SIZES, REPEATS, *known}
        if missing:
            raise UsageError(f"Law '{fit.law.name}' also needs {', '.join(sorted(missing))} for {needs}.")
    laws = [LawDraws(f.law, f.noise, f.draws(*f.law.parameters, *f.noise.parameters)) for f in group.fits]
    seed = group.fits[0].settings.random_seed if random_seed is None else random_seed
    made = pooled(
        laws, group.fits[0].runs, group.averaging, weights=group.weights, pooling=pooling, misplacement=misplacement,
        random_seed=seed, compute=compute,
    )  # fmt: skip
    return replace(
        made,
        law_weights=group.law_weights,
        weights_from=group.basis,
        notices=group.notices,
        known_inputs=known,
        unique_tokens=unique_tokens,
    )


def pooled(
    laws: Sequence[LawDraws],
    runs: Runs,
    rule: Averaging | None = None,
    *,
    weights: np.ndarray | None = None,
    pooling: str | None = None,
    misplacement: Misplacement | None = USUAL,
    draws: int | None = None,
    random_seed: int = 0,
    compute: ComputeModel = SIX_ND,
) -> Predictive:
    """Joint draws of several laws fitted to `runs`: under a validated `rule`, or mixed by `weights` with dims (law,).

    As many draws as the law with the most has, unless `draws` says otherwise.
    """
    sizes = [law.n for law in laws]
    n = draws or max(sizes)
    names = [law.law.name for law in laws]
    if rule is not None and weights is None:
        weights = np.array([rule.weights[name] for name in names])
    share = np.ones(len(laws)) if weights is None else np.asarray(weights, float)
    if rule is not None and (pooling or POOLING) == "blend":
        pool = blend(rule, names, sizes, n, random_seed)
    else:
        pool = mixture(share / share.sum(), sizes, n)
    lines, moved = np.zeros((n, 3)), np.zeros((n, 2))
    if rule is not None:
        rng = np.random.default_rng([random_seed, 211])
        lines = slopes(rng.choice(rule.scales, p=rule.scale_weights, size=n), rng)
        if misplacement is not None:
            moved = misplacement.draws(n, random_seed)
    return Predictive(
        members=tuple(_member(law, part) for law, part in zip(laws, pool.parts, strict=True)),
        component=pool.component,
        slopes=lines,
        misplaced=moved,
        runs=runs,
        compute=as_counted(compute, runs),
        random_seed=random_seed,
        misplacement=misplacement if rule is not None else None,
    )


def _member(law: LawDraws, part: Share) -> Member:
    values = {k: np.asarray(law.values[k], float)[part.picks] for k in law.law.parameters}
    noise = {k: np.asarray(law.values[k], float)[part.picks] for k in law.noise.parameters}
    return Member(law.law, law.noise, part.rows, part.shares, values, noise)
