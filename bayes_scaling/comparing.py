"""`compare(runs, laws)`: which hypothesis the runs support, by how much, and with what error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from bayes_scaling.bridge import LogEvidence, log_evidence
from bayes_scaling.engine import parallel
from bayes_scaling.ensemble import Ensemble, ensemble
from bayes_scaling.errors import Notice, UsageError
from bayes_scaling.fitting import Fit, as_runs, fit
from bayes_scaling.law import ScalingLaw
from bayes_scaling.laws import STANDARD, get_law
from bayes_scaling.loo import Loo, loo, stacking_weights
from bayes_scaling.noise import Noise
from bayes_scaling.prior import Prior
from bayes_scaling.progress import reporter, reporting
from bayes_scaling.provenance import Stopwatch, envelope
from bayes_scaling.runs import Runs

if TYPE_CHECKING:
    import pandas as pd

# Kass and Raftery (1995), table of section 3.2, in nats: 1, 3 and 5 are odds of 2.7, 20 and 150 to one.
WORDS = ((5.0, "very strong"), (3.0, "strong"), (1.0, "positive"))


@dataclass(frozen=True)
class BayesFactor:
    """Log Bayes factor of one law over another, nats, and what it says in a word.

    `range` spans what it would be under other priors and noise models, where that was computed.
    """

    numerator: str
    denominator: str
    log_bf: float
    log_bf_sd: float
    range: tuple[float, float] | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "numerator": self.numerator,
            "denominator": self.denominator,
            "log_bf": self.log_bf,
            "log_bf_sd": self.log_bf_sd,
            "range": list(self.range) if self.range else None,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """The comparison of several laws on one table.

    Parameters
    ----------
    fits
        The posteriors.
    bridge
        Log evidence of each law, by name.
    loo, stacking
        Leave-one-out score and stacking weight of each law, by name.
    probability
        Posterior probability of each law, all laws equally likely beforehand.
    bayes_factors
        Every pair, the better law as numerator.
    """

    runs: Runs
    fits: tuple[Fit, ...]
    bridge: Mapping[str, LogEvidence]
    loo: Mapping[str, Loo]
    stacking: Mapping[str, float]
    probability: Mapping[str, float]
    bayes_factors: tuple[BayesFactor, ...]
    ci_prob: float = 0.9
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> str:
        return max(self.probability, key=lambda name: self.probability[name])

    @property
    def ok(self) -> bool:
        return all(f.ok for f in self.fits) and all(z.ok for z in self.bridge.values())

    def ensemble(self) -> Ensemble:
        """The laws weighted by their posterior probability."""
        return ensemble(self.fits, self.probability, "evidence")

    @property
    def notices(self) -> tuple[Notice, ...]:
        own = []
        for name, z in self.bridge.items():
            if not z.ok:
                own.append(Notice("evidence_failed", f"{get_title(self.fits, name)}: {z.message}"))
        for name, result in self.loo.items():
            if result.pareto_k_max > 0.7:
                text = (
                    f"{get_title(self.fits, name)}: leave-one-out is unreliable for at least one run (Pareto k "
                    f"{result.pareto_k_max:.2f}, should be below 0.7); evidence does not depend on it."
                )
                own.append(Notice("loo_pareto_k", text))
        return (*(n for f in self.fits for n in f.notices), *own)

    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "law": f.law.name,
                "log_evidence": self.bridge[f.law.name].value,
                "log_evidence_sd": self.bridge[f.law.name].sd,
                "estimators": {"bridge": self.bridge[f.law.name].value, "nested": None},
                "agree": None,
                "probability": self.probability[f.law.name],
                "elpd_loo": self.loo[f.law.name].elpd,
                "elpd_loo_se": self.loo[f.law.name].se,
                "pareto_k_max": self.loo[f.law.name].pareto_k_max,
                "stacking_weight": self.stacking[f.law.name],
                "forward_score": None,
                "verdict": f.diagnostics.verdict,
            }
            for f in self.fits
        ]

    def to_frame(self) -> pd.DataFrame:
        """One row a law."""
        import pandas as pd

        return pd.DataFrame(self.rows()).drop(columns=["estimators"]).dropna(axis=1, how="all")

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `compare`."""
        return envelope(
            "compare",
            {"laws": self.rows(), "bayes_factors": [b.to_dict() for b in self.bayes_factors]},
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.fits[0].settings.random_seed,
            runs_sha256=self.runs.sha256,
            warnings=self.notices,
        )

    def __repr__(self) -> str:
        table = self.to_frame().map(lambda v: f"{v:.4g}" if isinstance(v, float) else v)
        lines = [f"Evidence on {self.runs.n} runs of {self.runs.name}", table.to_string(index=False)]
        lines += [
            f"  {b.numerator} over {b.denominator}: {b.log_bf:.2f} ± {b.log_bf_sd:.2f} nats, {b.verdict}"
            for b in self.bayes_factors
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def get_title(fits: Sequence[Fit], name: str) -> str:
    return next(f.law.title for f in fits if f.law.name == name)


def word(log_bf: float) -> str:
    """How strong a log Bayes factor in favour of the numerator is, in a word."""
    for limit, text in WORDS:
        if log_bf >= limit:
            return text
    return "not worth more than a bare mention"


def laws_or_standard(laws: Sequence[str | ScalingLaw] | None) -> list[ScalingLaw]:
    """The laws asked for, each once, or the standard set.

    Raises
    ------
    UsageError
        If a law is unknown or named twice.
    """
    chosen = [get_law(law) for law in (laws or STANDARD)]
    names = [law.name for law in chosen]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"Law '{twice[0]}' is named twice; name each law once.")
    return chosen


def fit_laws(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    **settings: Any,
) -> tuple[Fit, ...]:
    """Fit several laws to one table; a prior goes to every law (or noise model) that has a parameter of its name.

    Raises
    ------
    UsageError
        If a prior names a parameter that no chosen law has.
    """
    runs = as_runs(runs)
    chosen = laws_or_standard(laws)
    from bayes_scaling.noise import get_noise

    noise = get_noise(noise)
    known = {law.name: {*law.parameters, *law.direct, *noise.parameters} for law in chosen}
    for name in priors or {}:
        if not any(name in k for k in known.values()):
            from bayes_scaling.errors import unknown

            raise unknown("parameter", name, set().union(*known.values()), "See 'bayes-scaling laws NAME'.")
    return tuple(
        fit(
            runs,
            law,
            noise=noise,
            priors={k: v for k, v in (priors or {}).items() if k in known[law.name]},
            **settings,
        )
        for law in chosen
    )


def compare(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    random_seed: int = 0,
    ci_prob: float = 0.9,
    progressbar: bool = False,
    **settings: Any,
) -> Evidence:
    """Fit the laws and weigh the evidence between them.

    Parameters
    ----------
    runs
        `Runs`, a path, the name of a known data set, or a DataFrame.
    laws
        Laws or their names; the standard set where None.
    settings
        `draws`, `chains`, `warmup`, `target_accept`: as in `fit`.

    Raises
    ------
    UsageError, DataError
        As `fit`.
    """
    watch = Stopwatch()
    with reporting(progressbar):
        with watch("fits"):
            fits = fit_laws(
                runs, laws, noise=noise, priors=priors, random_seed=random_seed, ci_prob=ci_prob, **settings
            )
        with watch("evidence"):
            found = weigh(fits, random_seed=random_seed, ci_prob=ci_prob)
    return Evidence(**{**vars(found), "seconds": watch.seconds})


def weigh(fits: Sequence[Fit], *, random_seed: int = 0, ci_prob: float = 0.9) -> Evidence:
    """The evidence between fits of one table."""
    fits = tuple(fits)
    names = [f.law.name for f in fits]
    reporter().stage("Evidence: bridge sampling and leave-one-out", total=len(fits))
    bridge: dict[str, LogEvidence] = {}
    for i, z in parallel([partial(log_evidence, f, random_seed) for f in fits]):
        bridge[names[i]] = z
        reporter().tick()
    scores = {f.law.name: loo(f) for f in fits}
    values = np.array([bridge[n].value for n in names])
    probability = dict(zip(names, softmax(values).tolist(), strict=True))
    return Evidence(
        runs=fits[0].runs,
        fits=fits,
        bridge={n: bridge[n] for n in names},
        loo=scores,
        stacking=stacking_weights(names, [scores[n] for n in names]),
        probability=probability,
        bayes_factors=tuple(_factors(names, bridge)),
        ci_prob=ci_prob,
    )


def _factors(names: Sequence[str], bridge: Mapping[str, LogEvidence]) -> list[BayesFactor]:
    ordered = sorted(names, key=lambda n: -bridge[n].value)
    out = []
    for top, bottom in combinations(ordered, 2):
        a, b = bridge[top], bridge[bottom]
        sd = float(np.hypot(a.sd, b.sd))
        value = a.value - b.value
        verdict = word(value) if a.ok and b.ok else "withheld: an estimate failed its checks"
        out.append(BayesFactor(top, bottom, value, sd, None, verdict))
    return out
