"""`compare(runs, laws)`: which hypothesis the runs support, by how much, and with what error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from bayes_scaling.bridge import LogEvidence, log_evidence
from bayes_scaling.engine import parallel
from bayes_scaling.ensemble import Ensemble, ensemble
from bayes_scaling.errors import Notice, UsageError
from bayes_scaling.exponents import Exponents, exponents
from bayes_scaling.fitted import Fit, as_runs, cached_laws
from bayes_scaling.fitting import fit, fit_together
from bayes_scaling.law import ScalingLaw
from bayes_scaling.laws import laws_or_standard as laws_or_standard
from bayes_scaling.loo import Loo, loo, stacking_weights
from bayes_scaling.model import specify_all
from bayes_scaling.nested import nested_log_evidence
from bayes_scaling.noise import NOISES, Noise
from bayes_scaling.peer_priors import PEERS
from bayes_scaling.prior import Prior
from bayes_scaling.prior_predictive import PriorPredictive, prior_predictive
from bayes_scaling.progress import reporter, reporting
from bayes_scaling.provenance import Stopwatch, envelope
from bayes_scaling.runs import Runs
from bayes_scaling.sensitivity import Sensitivity
from bayes_scaling.sensitivity import sensitivity as sensitivity_of
from bayes_scaling.verdicts import BayesFactor, agreeing, bayes_factors, restated, withheld

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """The comparison of several laws on one table.

    Parameters
    ----------
    fits
        The posteriors.
    bridge
        Log evidence of each law, by name, by bridge sampling: the value that is used.
    nested
        The same by nested sampling, the cross-check; empty where it was not asked for.
    sensitivity
        Evidence under other priors and noise models; None where it was not asked for.
    loo, stacking
        Leave-one-out score and stacking weight of each law, by name.
    probability
        Posterior probability of each law, all laws equally likely beforehand.
    bayes_factors
        Every pair, the better law as numerator.
    prior_match
        What the laws of params and tokens alone expect of the loss before any run; None where there are no two.
    exponents
        Of each law with an optimum, and of their average by evidence: the posterior of a = d log N* / d log C and the
        claims about it.
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
    nested: Mapping[str, LogEvidence] = field(default_factory=dict)
    sensitivity: Sensitivity | None = None
    prior_match: PriorPredictive | None = None
    exponents: tuple[Exponents, ...] = ()

    @property
    def best(self) -> str:
        return max(self.probability, key=lambda name: self.probability[name])

    @property
    def ok(self) -> bool:
        """Whether every fit and estimate holds, and no verdict is withheld."""
        sound = all(f.ok for f in self.fits) and all(z.ok for z in self.bridge.values())
        return sound and not any(withheld(b) for b in self.bayes_factors)

    def agree(self, law: str) -> bool | None:
        """Whether the two estimates of a law's evidence agree within their errors; None where one is."""
        return agreeing(self.bridge[law], self.nested[law]) if law in self.nested else None

    def ensemble(self) -> Ensemble:
        """The laws weighted by their posterior probability."""
        return ensemble(self.fits, self.probability, "evidence")

    @property
    def notices(self) -> tuple[Notice, ...]:
        own = []
        title = {f.law.name: f.law.title for f in self.fits}
        for name, z in self.bridge.items():
            if not z.ok:
                own.append(Notice("evidence_failed", f"{title[name]}: {z.message}"))
        for name in self.nested:
            if not self.agree(name):
                hurts = any(withheld(b) and name in (b.numerator, b.denominator) for b in self.bayes_factors)
                code = "evidence_failed" if hurts else "estimators_disagree"
                own.append(Notice(code, f"{title[name]}: {self._disagreement(name)}"))
        own += self.sensitivity.notices if self.sensitivity else ()
        for name, result in self.loo.items():
            if result.pareto_k_max > 0.7:
                text = (
                    f"{title[name]}: leave-one-out is unreliable for at least one run (Pareto k "
                    f"{result.pareto_k_max:.2f}, should be below 0.7); evidence does not depend on it."
                )
                own.append(Notice("loo_pareto_k", text))
        return (*(n for f in self.fits for n in f.notices), *own)

    def _disagreement(self, name: str) -> str:
        a, b = self.bridge[name], self.nested[name]
        if not b.ok:
            return f"nested sampling gave no estimate to check the bridge by. {b.message}"
        return (
            f"bridge sampling gives a log evidence of {a.value:.2f} ± {a.sd:.2f} nats, nested "
            f"sampling {b.value:.2f} ± {b.sd:.2f}: further apart than their errors allow. Verdicts "
            "whose word depends on which is right are withheld; try more draws."
        )

    def rows(self) -> list[dict[str, Any]]:
        nested = {name: z.value if np.isfinite(z.value) else None for name, z in self.nested.items()}
        return [
            {
                "law": f.law.name,
                "log_evidence": self.bridge[f.law.name].value,
                "log_evidence_sd": self.bridge[f.law.name].sd,
                "estimators": {"bridge": self.bridge[f.law.name].value, "nested": nested.get(f.law.name)},
                "agree": self.agree(f.law.name),
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

    def under_peers(self) -> list[dict[str, Any]]:
        """The evidence under each other tool's priors: `laws[]` and `bayes_factors[]`, with where they come from."""
        out = []
        for peer in PEERS if self.sensitivity else ():
            found = self.sensitivity.under_peer(peer.name) if self.sensitivity else {}
            if found:
                told: dict[str, Any] = {
                    "peer": peer.name,
                    "source": peer.source,
                    "stated": peer.stated,
                    "restated": peer.restated,
                }
                scale = peer.scale(self.runs)
                told |= {"reference_params": scale.params, "reference_tokens": scale.tokens}
                priors = {f.law.name: {k: str(p) for k, p in peer.of(f.law, self.runs).items()} for f in self.fits}
                out.append({**told, "priors": priors, **self._restated(found)})
        return out

    def under_noises(self) -> list[dict[str, Any]]:
        """The evidence under each other noise model: `laws[]`, `bayes_factors[]`, and whether the runs rule it out."""
        out = []
        for name, noise in NOISES.items() if self.sensitivity else ():
            found = self.sensitivity.under_noise(name) if self.sensitivity else {}
            if self.sensitivity and found:
                gone = self.sensitivity.ruled_out(name, list(found))
                out.append({"noise": name, "title": noise.title, "ruled_out": gone, **self._restated(found)})
        return out

    def _moves(self, factor: BayesFactor) -> list[dict[str, Any]] | None:
        if self.sensitivity is None:
            return None
        return [asdict(m) for m in self.sensitivity.moves(factor.numerator, factor.denominator)]

    def _restated(self, found: Mapping[str, LogEvidence]) -> dict[str, Any]:
        share = softmax([found[f.law.name].value for f in self.fits])
        laws = [
            {
                "law": f.law.name,
                "log_evidence": found[f.law.name].value,
                "log_evidence_sd": found[f.law.name].sd,
                "method": found[f.law.name].method,
                "ok": found[f.law.name].ok,
                "probability": float(p),
            }
            for f, p in zip(self.fits, share, strict=True)
        ]
        pairs = [{**b.to_dict(), "changed": changed} for b, changed in restated(self.bayes_factors, found)]
        return {"laws": laws, "bayes_factors": pairs}

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `compare`."""
        return envelope(
            "compare",
            {
                "laws": self.rows(),
                "bayes_factors": [b.to_dict() | {"moves": self._moves(b)} for b in self.bayes_factors],
                "peer_priors": self.under_peers(),
                "noise_models": self.under_noises(),
                "sensitivity": self.sensitivity.to_dict() if self.sensitivity else None,
                "prior_match": self.prior_match.to_dict() if self.prior_match else None,
                "exponents": [e.to_dict() for e in self.exponents],
            },
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.fits[0].settings.random_seed,
            runs_sha256=self.runs.sha256,
            warnings=self.notices,
            cached=cached_laws(self.fits),
        )

    def __repr__(self) -> str:
        table = self.to_frame().map(lambda v: f"{v:.4g}" if isinstance(v, float) else v)
        lines = [f"Evidence on {self.runs.n} runs of {self.runs.name}", table.to_string(index=False)]
        lines += [
            f"  {b.numerator} over {b.denominator}: {b.log_bf:.2f} ± {b.log_bf_sd:.2f} nats{_span(b)}, {b.verdict}"
            for b in self.bayes_factors
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def _span(factor: BayesFactor) -> str:
    return f" ({factor.range[0]:.1f} to {factor.range[1]:.1f} under other priors and noise)" if factor.range else ""


def fit_laws(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    **settings: Any,
) -> tuple[Fit, ...]:
    """Fit several laws to one table; a prior goes to every law (or noise model) that has a parameter of its
    name.

    Raises
    ------
    UsageError
        If a prior names a parameter that no chosen law has.
    """
    runs = as_runs(runs)
    chosen = specify_all(laws_or_standard(laws), noise, priors)
    tasks = [partial(fit, runs, law, noise=own_noise, **settings) for law, own_noise in chosen]
    return tuple(fit_together(tasks))


def compare(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    nested: bool = True,
    sensitivity: bool = True,
    noise_models: bool | None = None,
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
    nested, sensitivity, noise_models
        As in `weigh`.
    settings
        `draws`, `chains`, `warmup`, `target_accept`, `cache`: as in `fit`.

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
        found = weigh(
            fits,
            nested=nested,
            sensitivity=sensitivity,
            noise_models=noise_models,
            random_seed=random_seed,
            ci_prob=ci_prob,
        )
    return replace(found, seconds={**found.seconds, **watch.seconds})


def weigh(
    fits: Sequence[Fit],
    *,
    nested: bool = True,
    sensitivity: bool = True,
    noise_models: bool | None = None,
    random_seed: int = 0,
    ci_prob: float = 0.9,
) -> Evidence:
    """The evidence between fits of one table.

    Parameters
    ----------
    nested
        Whether to check each law's bridge estimate by nested sampling (some CPU seconds a law).
    sensitivity
        Whether to work out the range of each Bayes factor under priors half and twice as wide, and what other
        tools' priors would give.
    noise_models
        Whether that range also takes in the other noise models; as `sensitivity` where None.
    """
    fits = tuple(fits)
    names = [f.law.name for f in fits]
    watch = Stopwatch()
    with watch("evidence"):
        bridge, crosscheck = _estimates(fits, nested, random_seed)
        scores = {f.law.name: loo(f) for f in fits}
    moved = None
    noise_models = sensitivity if noise_models is None else noise_models
    if sensitivity or noise_models:
        with watch("sensitivity"):
            moved = sensitivity_of(fits, bridge, priors=sensitivity, noise_models=noise_models, random_seed=random_seed)
    values = np.array([bridge[n].value for n in names])
    probability = dict(zip(names, softmax(values).tolist(), strict=True))
    with watch("priors_and_exponents"):
        sized = [f for f in fits if set(f.law.inputs) <= {"params", "tokens"}]
        laws = [f.law for f in sized]
        match = prior_predictive(laws, ci_prob=ci_prob, random_seed=random_seed) if len(laws) > 1 else None
        found = _exponents(sized, probability, ci_prob, random_seed)
    return Evidence(
        runs=fits[0].runs,
        fits=fits,
        bridge=bridge,
        loo=scores,
        stacking=stacking_weights(names, [scores[n] for n in names]),
        probability=probability,
        bayes_factors=tuple(bayes_factors(names, bridge, crosscheck, moved)),
        ci_prob=ci_prob,
        seconds=watch.seconds,
        nested=crosscheck,
        sensitivity=moved,
        prior_match=match,
        exponents=found,
    )


def _exponents(
    fits: Sequence[Fit], probability: Mapping[str, float], ci_prob: float, seed: int
) -> tuple[Exponents, ...]:
    """Of each law, then of their average by evidence; a law without an inner optimum has none."""
    groups: list[Fit | Ensemble] = [*fits]
    if len(fits) > 1:
        groups.append(ensemble(fits, [probability[f.law.name] for f in fits], "evidence"))
    found = []
    for group in groups:
        with suppress(UsageError):
            found.append(exponents(group, ci_prob=ci_prob, random_seed=seed))
    return tuple(found)


def _estimates(fits: Sequence[Fit], nested: bool, seed: int) -> tuple[dict[str, LogEvidence], dict[str, LogEvidence]]:
    """Log evidence of each law by each estimator, by law."""
    doing = "bridge and nested sampling" if nested else "bridge sampling"
    # The long ones first, so that no core idles at the end.
    tasks: list[Any] = [partial(nested_log_evidence, f, seed) for f in fits] if nested else []
    tasks += [partial(log_evidence, f, seed) for f in fits]
    reporter().stage(f"Evidence: {doing}", total=len(tasks))
    done: dict[int, LogEvidence] = {}
    for i, z in parallel(tasks):
        done[i] = z
        reporter().tick()
    names = [f.law.name for f in fits]
    bridge = dict(zip(names, (done[i] for i in range(len(tasks) - len(names), len(tasks))), strict=True))
    return bridge, dict(zip(names, (done[i] for i in range(len(names))), strict=True)) if nested else {}
