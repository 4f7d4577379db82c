"""What the runs say of a = d log N* / d log C, and of the values that were claimed for it.

Hypotheses: parameters and tokens grow equally (a = 0.5), Kaplan's 0.73 (Kaplan et al. 2020, arXiv:2001.08361,
table 6) and Chinchilla's 0.46 to 0.50 (Hoffmann et al. 2022, arXiv:2203.15556, table 2). Two answers to each:
the posterior mass within a region of practical equivalence, and the Bayes factor for the hypothesis against
the rest of the law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice, UsageError
from bayes_scaling.base.intervals import DEFAULT_CI, interval_value
from bayes_scaling.base.keywords import keywords
from bayes_scaling.evidence.savage_dickey import PointEvidence, Sample, savage_dickey
from bayes_scaling.inference.diagnostics import ess_and_rhat
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.prior_draws import prior_values
from bayes_scaling.prediction.best_sizes import best_sizes, exponents_at
from bayes_scaling.prediction.discrepancy import outside
from bayes_scaling.prediction.drawing import predictive
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.prediction.optimum import optimal_params

if TYPE_CHECKING:
    import pandas as pd

ROPE = 0.02
PRIOR_DRAWS = 10_000
# Where there is no closed form: the slope between budgets this many e-folds on either side.
HALF_STEP = 0.1
# An exponent outside 0 to 1, which a misplacement may bring about, counts as this near to the end.
LEAST = 1e-4


@dataclass(frozen=True)
class Hypothesis:
    """A claim about a: the interval [lower, upper], which is a point where both are the same."""

    name: str
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0 < self.lower <= self.upper < 1:
            raise UsageError(
                f"Hypothesis '{self.name}': [{self.lower:g}, {self.upper:g}] must lie between 0 and 1, the lower first."
            )


HYPOTHESES = (
    Hypothesis("N and D grow equally", 0.5, 0.5),
    Hypothesis("Kaplan's 0.73", 0.73, 0.73),
    Hypothesis("Chinchilla's 0.46 to 0.50", 0.46, 0.50),
)


@dataclass(frozen=True)
class Claim:
    """One hypothesis weighed.

    Parameters
    ----------
    region
        Values of a that are as good as the hypothesis: it, and `rope` on either side.
    mass, mass_sd
        Posterior probability of the region, with its Monte-Carlo error.
    prior_mass
        Its probability beforehand.
    log_bf, log_bf_sd
        Log Bayes factor for the hypothesis against the rest of the law, nats: Savage-Dickey for a point,
        posterior over prior odds for an interval.
    bound
        "upper" where the draws do not reach the hypothesis: `log_bf` is then the most that they leave room
        for; "lower" where they hardly leave it.
    """

    hypothesis: Hypothesis
    region: tuple[float, float]
    mass: float
    mass_sd: float
    prior_mass: float
    log_bf: float
    log_bf_sd: float
    bound: str | None


@dataclass(frozen=True, eq=False, repr=False)
class Exponents:
    """The posterior of a, and the claims about it.

    Parameters
    ----------
    name
        The law, or "average".
    draws, weights
        a and its weight, dims (draw,); draws without an inner optimum are left out and counted in `missing`,
        the posterior share that they have.
    prior_draws
        a under the priors, dims (draw,).
    flops
        Where a was taken for laws whose exponent changes with compute, FLOP; None where every law has a
        closed form.
    rope
        Half-width of the region of practical equivalence.
    """

    name: str
    draws: np.ndarray
    weights: np.ndarray
    prior_draws: np.ndarray
    claims: tuple[Claim, ...]
    flops: float | None
    missing: float
    rope: float
    ci_prob: float
    notices: tuple[Notice, ...] = ()

    @property
    def interval(self) -> dict[str, float | None]:
        """Interval value of a."""
        alike = np.ptp(self.weights) <= 1e-12 * self.weights.max()
        return interval_value(self.draws, self.ci_prob, None if alike else self.weights)

    def to_frame(self) -> pd.DataFrame:
        """One row a hypothesis."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def to_dict(self) -> dict[str, Any]:
        """`exponent` (interval value), its `prior`, and `claims[]`."""
        return {
            "law": self.name,
            "exponent_params": self.interval,
            "prior": interval_value(self.prior_draws, self.ci_prob),
            "flops": self.flops,
            "missing": self.missing,
            "rope": self.rope,
            "claims": self._rows(),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "hypothesis": c.hypothesis.name,
                "lower": c.hypothesis.lower,
                "upper": c.hypothesis.upper,
                "region_lower": c.region[0],
                "region_upper": c.region[1],
                "mass": c.mass,
                "mass_sd": c.mass_sd,
                "prior_mass": c.prior_mass,
                "log_bf": c.log_bf,
                "log_bf_sd": c.log_bf_sd if np.isfinite(c.log_bf_sd) else None,
                "bound": c.bound,
            }
            for c in self.claims
        ]

    def __repr__(self) -> str:
        a = self.interval
        head = f"a = d log N* / d log C, {self.name}: {a['median']:.3f} ({a['lower']:.3f} to {a['upper']:.3f})"
        return f"{head}\n{self.to_frame().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def exponent_of(law: ScalingLaw, values: Mapping[str, np.ndarray], flops: float | None = None) -> np.ndarray:
    """a of each draw, dims (draw,): in closed form where the law has it, else the slope of log N* at `flops`
    FLOP.

    NaN where the loss has no inner minimum along the curve of equal compute.

    Raises
    ------
    UsageError
        If the law has no closed form and no `flops` is given, or needs more than params and tokens.
    """
    if law.optimum_exponent is not None:
        return np.asarray(law.optimum_exponent(SimpleNamespace(**{k: values[k] for k in law.parameters})))
    if flops is None:
        raise UsageError(f"The exponent of '{law.name}' changes with compute: say where, flops=1e24.")
    if not set(law.inputs) <= {"params", "tokens"}:
        raise UsageError(f"Law '{law.name}' needs {', '.join(law.inputs)}: it has no allocation of compute.")
    n = optimal_params(law, values, np.array([flops * np.exp(-HALF_STEP), flops * np.exp(HALF_STEP)]))
    return np.asarray(np.log(n[:, 1] / n[:, 0]) / (2 * HALF_STEP))


@keywords()
def exponents(
    fits: Fit | Ensemble | Sequence[Fit],
    *,
    hypotheses: Sequence[Hypothesis] = HYPOTHESES,
    rope: float = ROPE,
    flops: float | None = None,
    ci_prob: float = DEFAULT_CI,
    random_seed: int = 0,
) -> Exponents:
    """The posterior of a = d log N* / d log C and what it says of the hypotheses.

    Parameters
    ----------
    fits
        One law, several (equally weighted), or an ensemble; of one validated forward a is that of the frontier,
        misplacement included. The prior of an average gives each of its laws the same weight, so its Bayes factors are
        meant for weights by evidence.
    hypotheses
        Claims about a, each an interval or a point.
    rope
        Half-width of the region of practical equivalence.
    flops
        Where to take a for laws whose exponent changes with compute; the largest run's compute where None.

    Raises
    ------
    UsageError
        As `exponent_of`, or for a rope that is not between 0 and 0.5.
    """
    if not 0 < rope < 0.5:
        raise UsageError(f"rope={rope:g} must lie between 0 and 0.5.")
    group = ensemble(fits)
    at = flops if flops is not None else float(group.fits[0].runs.counted.max())
    rng = np.random.default_rng([random_seed, 41])
    parts = [exponent_of(f.law, f.draws(*f.law.parameters), at) for f in group.fits]
    share = PRIOR_DRAWS // len(group.fits)
    before = np.concatenate([exponent_of(f.law, prior_values(f.law, None, share, rng), at) for f in group.fits])
    if group.averaging is None:
        a, weights = np.concatenate(parts), group.draw_weights
    else:
        a, more = _averaged(group, at, len(before))
        before, weights = before + more, np.full(len(a), 1 / len(a))
    near, before = np.clip(a, LEAST, 1 - LEAST), np.clip(before, LEAST, 1 - LEAST)
    kept = np.isfinite(a) & (weights > 0)
    missing = float(weights[~kept].sum())
    if not kept.any():
        raise UsageError("No draw has an optimum along the curve of equal compute, so there is no exponent.")
    effective = _effective(group, parts)
    posterior = Sample.of(_logit(near[kept]), weights[kept], effective)
    prior = Sample.of(_logit(before))
    claims = tuple(_weigh(h, posterior, prior, rope, rng) for h in hypotheses)
    closed = all(f.law.optimum_exponent is not None for f in group.fits)
    return Exponents(
        name=group.name,
        draws=a[kept],
        weights=posterior.weights,
        prior_draws=_expit(prior.u),
        claims=claims,
        flops=None if closed else at,
        missing=missing,
        rope=rope,
        ci_prob=ci_prob,
        notices=group.notices,
    )


def _averaged(group: Ensemble, flops: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """a of each draw as the frontier has it, dims (draw,); and what the misplacement of best sizes adds to `n` draws of
    the priors: nothing is known of it beforehand that is not known after."""
    worlds, at = predictive(group, needs="an exponent"), np.array([flops])
    a = exponents_at(worlds, at, best_sizes(worlds, at))[:, 0]
    size = worlds.misplacement
    if size is None:
        return a, np.zeros(n)
    around = flops * np.exp([HALF_STEP, -HALF_STEP])
    rate = float(np.diff(outside(worlds.known_flops, around)[::-1])[0]) / (2 * HALF_STEP / np.log(10))
    return a, size.draws(n, worlds.random_seed + 1)[:, 1] * rate


def _effective(group: Ensemble, parts: Sequence[np.ndarray]) -> float:
    """How many independent draws the weighted draws of all laws are worth."""
    total = 0.0
    for fit, weight, a in zip(group.fits, group.weights, parts, strict=True):
        if weight > 0 and np.isfinite(a).all():
            bulk, tail, _ = ess_and_rhat(a.reshape(fit.shape))
            total += weight**2 / min(bulk, tail, a.size)
        elif weight > 0:
            total += weight**2 / max(1.0, fit.diagnostics.ess_bulk_min)
    return 1 / total


def _weigh(hypothesis: Hypothesis, posterior: Sample, prior: Sample, rope: float, rng: np.random.Generator) -> Claim:
    point = hypothesis.lower == hypothesis.upper
    region = (max(hypothesis.lower - rope, 1e-9), min(hypothesis.upper + rope, 1 - 1e-9))
    mass, prior_mass = _mass(posterior, *region), _mass(prior, *region)
    mass_sd = float(np.sqrt(mass * (1 - mass) / posterior.effective))
    if point:
        found = savage_dickey(posterior, prior, float(_logit(hypothesis.lower)), rng)
    else:
        found = _interval(posterior, prior, hypothesis.lower, hypothesis.upper)
    return Claim(hypothesis, region, mass, mass_sd, prior_mass, found.log_bf, found.sd, found.bound)


def _interval(posterior: Sample, prior: Sample, lower: float, upper: float) -> PointEvidence:
    """Log of posterior over prior odds; Klugkist and Hoijtink (2007), doi:10.1016/j.csda.2007.01.004."""
    after, before = _mass(posterior, lower, upper), _mass(prior, lower, upper)
    n = posterior.effective
    least = 3 / n
    bound = "upper" if after < least else "lower" if after > 1 - least else None
    p = min(max(after, least), 1 - least)
    log_bf = float(np.log(p / (1 - p)) - np.log(before / (1 - before)))
    sd = float(np.sqrt(1 / (n * p * (1 - p)) + 1 / (prior.effective * before * (1 - before))))
    return PointEvidence(log_bf, np.inf if bound else sd, bound)


def _mass(sample: Sample, lower: float, upper: float) -> float:
    return float(sample.weights @ ((sample.u >= _logit(lower)) & (sample.u <= _logit(upper))))


def _logit(a: Any) -> Any:
    a = np.asarray(a, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(a) - np.log1p(-a)


def _expit(u: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-u))
