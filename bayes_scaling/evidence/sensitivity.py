"""How far the evidence moves under other priors and other noise.

Each law's log evidence is worked out under priors half and twice as wide, all of the law's own at once and
each parameter alone; under the priors that other tools build in; and under the other noise models. Three means,
each tried where the one before it is not to be believed: the posterior draws at hand are reweighted (Z'/Z is the
posterior mean of the ratio of the new prior to the old, its largest weights steadied by Pareto smoothing, whose k
says whether to believe them: Vehtari et al. 2024, arXiv:1507.02646); importance sampling that starts from those
draws; the posterior sampled anew, and a bridge. Other noise models start at the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.progress import reporter
from bayes_scaling.engine.backend import parallel
from bayes_scaling.evidence.bridge import LogEvidence, log_evidence
from bayes_scaling.evidence.importance import importance_evidence
from bayes_scaling.evidence.peer_priors import PEERS, PeerPriors
from bayes_scaling.evidence.variations import Variation, as_fitted, can_vary, varied_draws, varied_program, varied_table
from bayes_scaling.inference.fitting import fit
from bayes_scaling.inference.psis import k_limit
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.noise import NOISES
from bayes_scaling.laws.prior_draws import parameters_of
from bayes_scaling.laws.priors import Prior

if TYPE_CHECKING:
    import pandas as pd

FACTORS = (0.5, 2.0)
# Every prior of the law itself at once. Those of the noise are changed one by one, for all laws alike.
TOGETHER = "all"
NOISE = "noise"
PEER = "peer"
# A noise model whose evidence is lower than the default's by this much under both laws is ruled out: odds of 150 to
# one, "very strong" in the words used here.
RULED_OUT = -5.0
# From here on a better noise model is worth a warning: "strong".
BETTER_NOISE = 3.0


@dataclass(frozen=True)
class Variant:
    """One law under one change.

    Parameters
    ----------
    law
        Its name.
    changed
        "all" (every prior of the law), the name of one parameter, "noise", or "peer:NAME" (the priors of that tool).
    factor
        New width over the old; None where something else changed.
    noise
        The noise model, by name.
    log_evidence, sd
        Nats.
    shift
        Log evidence less that under the default, nats; `shift_sd` is its own error, in which that of the
        default has no part where draws were reweighted.
    pareto_k
        Of the weights; above 0.7 (or less, with few draws) they are not believed. None where there were none.
    refitted
        Whether the draws at hand did not do.
    method
        "reweighted", "importance" or "bridge".
    ok
        Whether the estimate passed its checks.
    """

    law: str
    changed: str
    factor: float | None
    noise: str
    log_evidence: float
    sd: float
    shift: float
    shift_sd: float
    pareto_k: float | None
    refitted: bool
    ok: bool
    method: str = "reweighted"


@dataclass(frozen=True)
class Move:
    """What one change makes of a log Bayes factor, nats.

    Parameters
    ----------
    change
        "default", "priors", "noise_prior", "noise" or "peer".
    factor
        New width of the priors over the old, where that is the change.
    of
        Whose priors changed: "both" laws', one law's, or those of a parameter of the noise; or the noise model, or the
        tool, by name.
    counted
        Whether it has a part in the range.
    """

    change: str
    factor: float | None
    of: str
    log_bf: float
    counted: bool


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """Log evidence of each law under each change, and the ranges of Bayes factors that follow.

    Parameters
    ----------
    default
        Log evidence as it was asked for, by law, nats.
    variants
        One for each law and change.
    noise_parameters
        Names of the noise's own parameters: a change of theirs is one of all laws at once.
    """

    default: Mapping[str, LogEvidence]
    variants: tuple[Variant, ...]
    noise_parameters: tuple[str, ...]

    def range(self, numerator: str, denominator: str) -> tuple[float, float]:
        """Lowest and highest log Bayes factor, nats, over the moves that count."""
        found = [m.log_bf for m in self.moves(numerator, denominator) if m.counted]
        finite = [v for v in found if np.isfinite(v)]
        return min(finite), max(finite)

    def moves(self, numerator: str, denominator: str) -> list[Move]:
        """The log Bayes factor under each change.

        Those that count: the default; the priors of both laws, of the numerator alone and of the denominator alone
        half and twice as wide; each noise prior half and twice as wide in both; each other noise model in both, but
        for those that the runs rule out under both laws: what a noise model 200 nats down says of them is no cause
        for doubt. Another tool's priors are told, and do not count.
        """
        top, bottom = self.default[numerator].value, self.default[denominator].value
        found = [Move("default", None, "both", top - bottom, True)]
        mine, others = self._of(numerator), self._of(denominator)
        for change in [c for c in mine if c in others]:
            what, factor, noise = change
            a, b = mine[change].log_evidence, others[change].log_evidence
            if what == TOGETHER:
                found.append(Move("priors", factor, "both", a - b, True))
                found.append(Move("priors", factor, numerator, a - bottom, True))
                found.append(Move("priors", factor, denominator, top - b, True))
            elif what in self.noise_parameters:
                found.append(Move("noise_prior", factor, what, a - b, True))
            elif what == NOISE:
                found.append(Move("noise", None, noise, a - b, max(a - top, b - bottom) > RULED_OUT))
            elif what.startswith(f"{PEER}:"):
                found.append(Move("peer", None, what.removeprefix(f"{PEER}:"), a - b, False))
        return found

    def under_peer(self, peer: str) -> dict[str, LogEvidence]:
        """Log evidence of each law under a tool's priors, nats; empty where that was not worked out."""
        rows = [v for v in self.variants if v.changed == f"{PEER}:{peer}"]
        return {v.law: LogEvidence(v.log_evidence, v.sd, v.method, v.ok) for v in rows}

    def under_noise(self, noise: str) -> dict[str, LogEvidence]:
        """Log evidence of each law under another noise model, nats; empty where that was not worked out."""
        rows = [v for v in self.variants if v.changed == NOISE and v.noise == noise]
        return {v.law: LogEvidence(v.log_evidence, v.sd, v.method, v.ok) for v in rows}

    def ruled_out(self, noise: str, laws: Sequence[str]) -> bool:
        """Whether the runs rule out a noise model under each of these laws."""
        found = self.under_noise(noise)
        return all(found[law].value - self.default[law].value <= RULED_OUT for law in laws)

    def _of(self, law: str) -> dict[tuple[str, float | None, str], Variant]:
        return {(v.changed, v.factor, v.noise): v for v in self.variants if v.law == law}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Estimates that cannot be relied on, and a noise model that the runs prefer to the one taken."""
        own = []
        for law in sorted({v.law for v in self.variants if not v.ok}):
            text = f"{law}: its evidence under some other priors or noise is not reliable; see the sensitivity table."
            own.append(Notice("sensitivity_unreliable", text))
        best = max(self.default, key=lambda law: self.default[law].value)
        noises = [v for v in self._of(best).values() if v.changed == NOISE and v.ok]
        better = max(noises, key=lambda v: v.shift, default=None)
        if better and better.shift > BETTER_NOISE:
            text = (
                f"The runs prefer '{better.noise}' noise by {better.shift:.1f} nats under the best law, {best}; "
                f"try --noise {better.noise}."
            )
            own.append(Notice("noise_model", text))
        return tuple(own)

    def to_frame(self) -> pd.DataFrame:
        """One row a law and change."""
        import pandas as pd

        return pd.DataFrame([vars(v) for v in self.variants])

    def to_dict(self) -> dict[str, Any]:
        """`default` by law, and `variants[]`."""
        base = {law: {"log_evidence": z.value, "log_evidence_sd": z.sd} for law, z in self.default.items()}
        return {"default": base, "variants": [dict(vars(v)) for v in self.variants]}

    def __repr__(self) -> str:
        return f"Log evidence under other priors and noise, nats\n{self.to_frame().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def reweighted(log_ratio: np.ndarray) -> tuple[float, float, float]:
    """Log mean of importance ratios over posterior draws, its standard error, and Pareto k.

    Parameters
    ----------
    log_ratio
        Log ratio of the new density to the old at each draw, dims (chain, draw); minus infinity where the new
        one is nil.
    """
    from arviz_stats.base import array_stats

    flat = log_ratio.ravel()
    if np.ptp(flat) < 1e-12:
        return float(flat[0]), 0.0, 0.0
    if np.isfinite(flat).mean() < 0.3:
        return float(logsumexp(flat) - np.log(flat.size)), np.inf, np.inf
    raw = np.exp(log_ratio - flat.max())
    r_eff = min(1.0, float(array_stats.ess(raw, chain_axis=0, draw_axis=1, method="mean")) / flat.size)
    floor = np.where(np.isfinite(flat), flat, flat[np.isfinite(flat)].min() - 100.0)
    smoothed, k = array_stats.psislw(-floor, r_eff=r_eff)
    # ArviZ returns weights that sum to one; below the tail they are untouched but for that constant, which is
    # Z'/Z.
    bulk = int(np.argsort(flat)[3 * len(flat) // 4])
    total = float(flat[bulk] - smoothed[bulk])
    weights = np.exp(smoothed)
    effective = flat.size * r_eff
    sd = float(np.sqrt(np.sum((weights - 1 / flat.size) ** 2) * flat.size / effective))
    return total - float(np.log(flat.size)), sd, float(k)


def prior_ratio(fit: Fit, new: Mapping[str, Prior]) -> np.ndarray:
    """Log ratio of the new priors to those of the fit at its draws, dims (chain, draw)."""
    old = parameters_of(fit.law, fit.noise)
    shape = fit.shape
    total = np.zeros(shape)
    for name, prior in new.items():
        values = fit.draws(name)[name].reshape(shape)
        total += prior.dist.logpdf(values) - old[name].prior.dist.logpdf(values)
    return total


def changes_of(fit: Fit) -> list[tuple[str, float, dict[str, Prior]]]:
    """What is changed, by which factor, and the new priors: all of the law's at once, then each alone."""
    specs = parameters_of(fit.law, fit.noise)
    groups = {TOGETHER: tuple(fit.law.parameters), **{name: (name,) for name in specs}}
    return [
        (what, factor, {name: specs[name].prior.widen(factor) for name in names})
        for what, names in groups.items()
        for factor in FACTORS
    ]


def under_priors(fit: Fit, default: LogEvidence, random_seed: int = 0) -> list[Variant]:
    """One law under each change of its priors."""
    limit = k_limit(fit.n_draws)
    base = as_fitted(fit)
    variants: list[Variant] = []
    for i, (what, factor, new) in enumerate(changes_of(fit)):
        shift, sd, k = reweighted(prior_ratio(fit, new))
        if any(_grows(fit, name, prior) for name, prior in new.items()):
            k = np.inf  # what lies outside the old support cannot be reached by weights
        if k <= limit:
            found = LogEvidence(default.value + shift, float(np.hypot(default.sd, sd)), "reweighted", True)
            variants.append(_variant(fit, what, factor, fit.noise.name, found, shift, sd, float(k)))
        else:
            to = replace(base, priors={**base.priors, **new})
            variants.append(_again(fit, default, what, factor, to, [random_seed, 47, i]))
    return variants


def under_noise(fit: Fit, default: LogEvidence, random_seed: int = 0) -> list[Variant]:
    """One law under each of the other noise models; a prior that the models share stays as the fit has it."""
    base = as_fitted(fit)
    others = [name for name in NOISES if name != fit.noise.name]
    return [
        _again(fit, default, NOISE, None, replace(base, noise=name), [random_seed, 53, i])
        for i, name in enumerate(others)
    ]


def under_peer(fit: Fit, default: LogEvidence, peer: PeerPriors, random_seed: int = 0) -> Variant:
    """One law under the priors of another tool: those that its own parameters have there."""
    base = as_fitted(fit)
    to = replace(base, priors={**base.priors, **peer.of(fit.law, fit.runs)}, scale=peer.scale(fit.runs))
    return _again(fit, default, f"{PEER}:{peer.name}", None, to, [random_seed, 59])


def _again(
    fit: Fit, default: LogEvidence, what: str, factor: float | None, to: Variation, seeds: Sequence[int]
) -> Variant:
    """By importance sampling from the fit's draws, or by a fit of its own where that is not to be believed."""
    found, k = LogEvidence(np.nan, np.inf, "importance", False), None
    if can_vary(fit, to):
        rng = np.random.default_rng(seeds)
        program, table = varied_program(fit), varied_table(fit, to)
        found, k = importance_evidence(lambda x: program.log_densities(x, table)[1], varied_draws(fit, rng), rng)
    if not found.ok:
        found, k = _refit(fit, to, seeds[0]), None
    shift, sd = found.value - default.value, float(np.hypot(found.sd, default.sd))
    return _variant(fit, what, factor, to.noise, found, shift, sd, k)


def _refit(old: Fit, to: Variation, seed: int) -> LogEvidence:
    s = old.settings
    law = old.law.with_scale(params=to.scale.params, tokens=to.scale.tokens)
    noise = NOISES[to.noise] if to.noise != old.noise.name else old.noise
    new = fit(
        old.runs,
        law,
        noise=noise,
        priors={name: p for name, p in to.priors.items() if name in law.parameters or name in noise.parameters},
        draws=s.draws,
        chains=s.chains,
        warmup=s.warmup,
        target_accept=s.target_accept,
        random_seed=seed,
    )
    z = log_evidence(new, seed)
    return z if new.ok else replace(z, ok=False, message="The fit failed its checks.")


def _grows(fit: Fit, name: str, new: Prior) -> bool:
    old = parameters_of(fit.law, fit.noise)[name].prior.support
    return bool(new.support[0] < old[0] or new.support[1] > old[1])


def _variant(
    fit: Fit,
    what: str,
    factor: float | None,
    noise: str,
    z: LogEvidence,
    shift: float,
    shift_sd: float,
    k: float | None,
) -> Variant:
    anew = z.method != "reweighted"
    return Variant(fit.law.name, what, factor, noise, z.value, z.sd, shift, shift_sd, k, anew, z.ok, z.method)


def sensitivity(
    fits: Sequence[Fit],
    default: Mapping[str, LogEvidence],
    *,
    priors: bool = True,
    noise_models: bool = False,
    random_seed: int = 0,
) -> Sensitivity:
    """Log evidence of each law under other priors and noise models.

    Parameters
    ----------
    fits
        Fits of one table under one noise model.
    default
        Their log evidence, by law.
    priors
        Whether to change the priors: their widths, and for those of other tools.
    noise_models
        Whether to change the noise model.
    """
    reporter().stage("Evidence under other priors and noise", total=len(fits))

    def moved(f: Fit) -> list[Variant]:
        own = default[f.law.name]
        variants: list[Variant] = []
        if priors:
            variants += under_priors(f, own, random_seed)
            variants += [under_peer(f, own, peer, random_seed) for peer in PEERS]
        if noise_models:
            variants += under_noise(f, own, random_seed)
        return variants

    found: dict[int, list[Variant]] = {}
    for i, variants in parallel([partial(moved, f) for f in fits]):
        found[i] = variants
        reporter().tick()
    everything = tuple(v for i in range(len(fits)) for v in found[i])
    return Sensitivity(dict(default), everything, tuple(fits[0].noise.parameters))
