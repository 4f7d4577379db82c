"""`average(runs)`: the standard laws fitted, validated forward, and weighed: what a forecast rests on by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporting
from bayes_scaling.base.settings import Settings, seeded
from bayes_scaling.inference.fitting import fit, fit_laws
from bayes_scaling.inference.result import Fit
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.prediction.ensemble import Ensemble, ensemble, validated
from bayes_scaling.validation.forward import Validation, validate_forward
from bayes_scaling.validation.learning import learn
from bayes_scaling.validation.misfits import law_scores, validation_notices


@keywords(passes_to=fit)
def average(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    random_seed: int = 0,
    settings: Settings | None = None,
    progressbar: bool = False,
    **sampling: Any,
) -> Ensemble:
    """Fit the laws, validate them forward on the table's own runs, and weigh them.

    Parameters
    ----------
    runs
        `Runs`, a path, the name of a known data set, or a DataFrame.
    laws
        Laws or their names; the standard set where None.
    settings
        Those of the sampler as one `Settings`, in place of the keywords.
    sampling
        `draws`, `chains`, `warmup`, `target_accept`, `method`, `cache`, `ci_prob`: as in `fit`.

    Raises
    ------
    UsageError, DataError
        As `fit`.
    """
    with reporting(progressbar):
        how = seeded(settings, random_seed)
        fits = fit_laws(runs, laws, noise=noise, priors=priors, **how, **sampling)
        return validated_average(fits, random_seed=fits[0].settings.random_seed)[0]


def validated_average(fits: Sequence[Fit], *, random_seed: int = 0) -> tuple[Ensemble, Validation]:
    """The ensemble of fits of one table, weighed by forward validation, and the validation itself."""
    laws = [f.law for f in fits]
    validation = validate_forward(fits[0].runs, laws, noise=fits[0].noise, random_seed=random_seed)
    told = validation_notices(validation, law_scores(validation))
    return validated(fits, learn(validation, laws), told), validation


def weighed(source: Any, *, random_seed: int = 0, progressbar: bool = False) -> Ensemble:
    """What a decision rests on, from whatever there is.

    Parameters
    ----------
    source
        A `Fit` (believed as it stands), several, an `Ensemble`, an `Evidence`, or runs in any form `average` takes.
        Runs, and the fits of an `Evidence`, are averaged as forecasts are: weighed by forward validation, with a
        discrepancy. Evidence says which law the runs support, not which law foretells larger ones; pass
        `evidence.ensemble()` to weigh by evidence alone.
    """
    if isinstance(source, Fit | Ensemble):
        return ensemble(source)
    if isinstance(getattr(source, "fits", None), tuple):
        return validated_average(source.fits, random_seed=random_seed)[0]
    if isinstance(source, list | tuple) and source and all(isinstance(f, Fit) for f in source):
        return ensemble(source)
    return average(source, random_seed=random_seed, progressbar=progressbar)
