"""A posterior with its verdict: `Fit`, and what makes two of them the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import Notice
from bayes_scaling.base.intervals import DEFAULT_CI, interval_value
from bayes_scaling.base.provenance import envelope
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.fingerprint import priors_of
from bayes_scaling.engine.model import build
from bayes_scaling.engine.program import keeps_terms
from bayes_scaling.inference.diagnostics import Diagnostics, ess_and_rhat
from bayes_scaling.inference.idata import Lazy, given, posterior_of, simulated
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    import pandas as pd
    import pymc as pm
    from xarray import DataTree


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A posterior.

    Parameters
    ----------
    law, noise
        The hypothesis, with the priors that were used.
    runs
        What it was learned from.
    idata
        ArviZ `DataTree`: `posterior` (free parameters, derived constants and noise, in their units; dims chain,
        draw), `unconstrained_posterior` (`x`: dims chain, draw, unknown), `sample_stats`, `log_likelihood`,
        `observed_data`, `constant_data`; and simulated when it is first read, with a seed of its own, `prior`,
        `prior_predictive` and `posterior_predictive`. The observed variable is `log_loss`, as in `model`. Of the
        largest tables neither `log_likelihood` nor simulated losses are kept.
    diagnostics
        The verdict.
    settings
        How it was sampled.
    seconds
        Wall time by part.
    cached
        Whether it was sampled by an earlier call, and read.
    """

    law: ScalingLaw
    noise: Noise
    runs: Runs
    idata: DataTree
    diagnostics: Diagnostics
    settings: Settings
    ci_prob: float = DEFAULT_CI
    seconds: Mapping[str, float] = field(default_factory=dict)
    cached: bool = False

    @property
    def model(self) -> pm.Model:
        """The PyMC model, built anew."""
        return build(self.law, self.runs, self.noise)

    @property
    def ok(self) -> bool:
        """Whether the diagnostics did not fail; a warning is still ok."""
        return self.diagnostics.verdict != "failed"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chains, and of draws in each."""
        chains, draws = next(iter(posterior_of(self).values())).shape[:2]
        return chains, draws

    @property
    def n_draws(self) -> int:
        """Draws of all chains together."""
        return int(np.prod(self.shape))

    def draws(self, *names: str) -> dict[str, np.ndarray]:
        """Posterior draws by name, chains joined, dims (draw,); every scalar where no name is given."""
        posterior = posterior_of(self)
        return {name: posterior[name].reshape(self.n_draws) for name in names or posterior}

    @property
    def derived(self) -> dict[str, np.ndarray]:
        """Exponents of the compute-optimal frontier where the law has them in closed form, dims (draw,)."""
        if self.law.optimum_exponent is None:
            return {}
        from types import SimpleNamespace

        a = self.law.optimum_exponent(SimpleNamespace(**self.draws(*self.law.parameters)))
        return {"exponent_params": a, "exponent_tokens": 1 - a}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the runs, the diagnostics and the size of the table have to say."""
        code = {"warning": "fit_warning", "failed": "fit_failed"}.get(self.diagnostics.verdict, "")
        own = [Notice(code, f"{self.law.title}: {m}") for m in self.diagnostics.messages]
        if not keeps_terms(self.n_draws, self.runs.n):
            size = self.n_draws * self.runs.n * 8 / 1e9
            text = f"the log likelihood of each run and draw, {size:.0f} GB, is not kept, so there is no leave-one-out."
            own.append(Notice("large_table", f"{self.law.title}: {text}"))
        return (*self.runs.notices, *own)

    def summary(self, ci_prob: float | None = None) -> dict[str, dict[str, Any]]:
        """Interval value, ESS and R-hat of every free, derived and noise parameter."""
        prob = ci_prob or self.ci_prob
        out = {}
        # Draws resampled by weight are worth no more than the weights are.
        worth = self.diagnostics.importance_ess if self.diagnostics.method == "laplace" else None
        for name, values in posterior_of(self).items():
            bulk, tail, rhat = ess_and_rhat(values)
            if worth is not None:
                bulk, tail = min(bulk, worth), min(tail, worth)
            diagnostics = {"ess_bulk": bulk, "ess_tail": tail, "rhat": rhat}
            out[name] = {**interval_value(values, prob), **diagnostics}
        return out

    def to_frame(self) -> pd.DataFrame:
        """One row a parameter: mean, sd, median, interval, ESS, R-hat."""
        import pandas as pd

        return pd.DataFrame(self.summary()).T.rename_axis("parameter")

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON object for `fit`."""
        body = {
            "law": self.law.name,
            "noise": self.noise.name,
            "equation": self.law.equation,
            "runs": {"n": self.runs.n, "name": self.runs.name, "loss_unit": self.runs.loss_unit},
            "priors": priors_of(self.law, self.noise),
            "parameters": self.summary(),
            "derived": {k: interval_value(v, self.ci_prob) for k, v in self.derived.items()},
            "diagnostics": self.diagnostics.to_dict(),
        }
        return envelope(
            "fit",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.settings.random_seed,
            runs_sha256=self.runs.sha256,
            warnings=self.notices,
            cached=cached_laws([self]),
        )

    def __repr__(self) -> str:
        table = self.to_frame().map(lambda v: f"{v:.4g}")
        head = f"Fit of {self.law.title} ({self.law.equation}) to {self.runs.n} runs of {self.runs.name}"
        return f"{head}\n{table.to_string()}\n{self.diagnostics}"

    def _repr_html_(self) -> str:
        table = self.to_frame().map(lambda v: f"{v:.4g}").to_html()
        head = f"{escape(self.law.title)} on {escape(self.runs.name)} ({self.runs.n} runs)"
        return f"<b>{head}</b>{table}<pre>{escape(str(self.diagnostics))}</pre>"


Fit.idata = Lazy("_idata", simulated)  # type: ignore[assignment]


def cached_laws(fits: Iterable[Fit]) -> tuple[str, ...]:
    """Names of the laws whose posterior was not sampled anew, for the provenance of what is made of it."""
    return tuple(f.law.name for f in fits if f.cached)


def with_ci(fit: Fit, ci_prob: float) -> Fit:
    """The same fit, its intervals stated at probability `ci_prob`."""
    return replace(fit, idata=given(fit), ci_prob=ci_prob)
