"""`compare(runs, laws)`: which hypothesis the runs support, by how much, and with what error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporter, reporting
from bayes_scaling.base.provenance import Stopwatch
from bayes_scaling.base.settings import Settings, seeded
from bayes_scaling.engine.backend import parallel
from bayes_scaling.evidence.bridge import LogEvidence, log_evidence
from bayes_scaling.evidence.exponents import Exponents, exponents
from bayes_scaling.evidence.loo import loo, stacking_weights
from bayes_scaling.evidence.nested import nested_log_evidence
from bayes_scaling.evidence.result import Evidence
from bayes_scaling.evidence.sensitivity import sensitivity as sensitivity_of
from bayes_scaling.evidence.verdicts import bayes_factors
from bayes_scaling.inference.fitting import fit, fit_laws
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.prior_predictive import prior_predictive
from bayes_scaling.laws.priors import Prior
from bayes_scaling.prediction.ensemble import Ensemble, ensemble

if TYPE_CHECKING:
    pass


@keywords(passes_to=fit)
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
    settings: Settings | None = None,
    progressbar: bool = False,
    **sampling: Any,
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
        Those of the sampler as one `Settings`, in place of the keywords.
    sampling
        `draws`, `chains`, `warmup`, `target_accept`, `method`, `cache`: as in `fit`.

    Raises
    ------
    UsageError, DataError
        As `fit`.
    """
    watch = Stopwatch()
    with reporting(progressbar):
        with watch("fits"):
            how = seeded(settings, random_seed)
            fits = fit_laws(runs, laws, noise=noise, priors=priors, ci_prob=ci_prob, **how, **sampling)
        found = weigh(
            fits,
            nested=nested,
            sensitivity=sensitivity,
            noise_models=noise_models,
            random_seed=fits[0].settings.random_seed,
            ci_prob=ci_prob,
        )
    return replace(found, seconds={**found.seconds, **watch.seconds})


@keywords()
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
