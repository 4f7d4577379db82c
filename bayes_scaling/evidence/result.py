"""What `compare` gives: `Evidence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.provenance import envelope
from bayes_scaling.evidence.bridge import LogEvidence
from bayes_scaling.evidence.exponents import Exponents
from bayes_scaling.evidence.loo import Loo
from bayes_scaling.evidence.peer_priors import PEERS
from bayes_scaling.evidence.sensitivity import Sensitivity
from bayes_scaling.evidence.verdicts import BayesFactor, agreeing, restated, withheld
from bayes_scaling.inference.result import Fit, cached_laws
from bayes_scaling.laws.noise import NOISES
from bayes_scaling.laws.prior_predictive import PriorPredictive
from bayes_scaling.prediction.ensemble import Ensemble, ensemble
from bayes_scaling.runs.runs import Runs

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
        """Name of the law of the largest posterior probability."""
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
        """What the runs, the fits, the estimates and the verdicts have to say."""
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
        """`laws[]` of the JSON: estimates, probability, scores and weights, one entry a law."""
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
