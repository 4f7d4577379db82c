"""`fit(runs, law)`: the posterior of one law on one table, with its verdict, as a `Fit`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.intervals import DEFAULT_CI
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import beside_others, reporter, reporting
from bayes_scaling.base.provenance import Stopwatch, versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.backend import parallel
from bayes_scaling.engine.fingerprint import fit_key, priors_of
from bayes_scaling.engine.model import OBSERVED, columns, specify, specify_all
from bayes_scaling.engine.program import program_for, program_of
from bayes_scaling.engine.tables import Table
from bayes_scaling.inference.cache import cache_key, find, keep
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.idata import Later, given, tree_of
from bayes_scaling.inference.result import Fit
from bayes_scaling.inference.sampling import Draws, sample_tables
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import laws_or_standard
from bayes_scaling.runs.loading import as_runs
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    import pymc as pm
    from xarray import DataTree


@keywords()
def fit(
    runs: Any,
    law: str | ScalingLaw = "chinchilla",
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 300,
    target_accept: float = 0.9,
    random_seed: int = 0,
    ci_prob: float = DEFAULT_CI,
    method: str = "nuts",
    settings: Settings | None = None,
    cache: bool = True,
    progressbar: bool = False,
) -> Fit:
    """Sample the posterior of `law` on `runs`.

    Parameters
    ----------
    runs
        `Runs`, a path, the name of a known data set, or a DataFrame.
    law
        A law or its name; `priors` override its priors, and the noise's, by parameter name.
    draws, chains, warmup, target_accept, random_seed
        As in ArviZ and PyMC. The warm-up is short because NUTS runs in whitened coordinates.
    method
        "nuts"; "auto", which takes a fast approximation where its Pareto k allows and NUTS where not; or "laplace",
        the approximation in any case. `diagnostics` say which made the draws, and how well it fitted.
    settings
        Those of the sampler as one `Settings`, in place of the keywords.
    cache
        Whether to take up, and to keep, the posterior in the user's cache directory: see `cache`. One that
        was taken up is the same to the last digit and has `cached` set.

    Raises
    ------
    FitFailedError
        Under method "laplace", if there is no mode to approximate about.
    UsageError
        For an unknown law, noise, method or parameter, or settings that cannot be diagnosed.
    DataError
        If the runs cannot be used.
    """
    runs = as_runs(runs)
    settings = settings or Settings(draws, chains, warmup, target_accept, random_seed, method=method)
    spec, noise_spec = specify(law, noise, priors)
    watch = Stopwatch()
    with reporting(progressbar):
        with watch("model"):
            reporter().stage(f"{spec.title}: building and compiling")
            frame = columns(spec, noise_spec, runs)
            key = cache_key(runs, spec, noise_spec, settings) if cache else None
        if key:
            with watch("cache"):
                found = find(key, runs, spec, noise_spec, settings)
            if found is not None:
                reporter().stage(f"{spec.title}: from the cache, sampled before (--no-cache samples it again)")
                return replace(found, idata=given(found), ci_prob=ci_prob, seconds=watch.seconds)
        with watch("model"):
            program = program_for(spec, noise_spec, frame)
        with watch("sampling"):
            reporter().stage(f"{spec.title}: sampling", total=1 + settings.chains)
            drawn = sample_tables(program, [Table.padded(frame)], settings, [settings.random_seed])[0]
        with watch("collecting"):
            reported = {name: drawn.values[name] for name in reported_names(spec, noise_spec)}
            make = partial(collect, drawn, spec, noise_spec, runs, frame, program.density.names, settings)
            idata: Any = Later(reported, make)
    made = Fit(spec, noise_spec, runs, idata, drawn.diagnostics, settings, ci_prob, watch.seconds)
    if key:
        keep(key, made)
    return made


def fit_together(tasks: Sequence[Callable[[], Fit]]) -> list[Fit]:
    """Several fits at once, one a core: while one law is being traced another samples."""
    reporter().stage(f"Fitting {len(tasks)} laws" if len(tasks) > 1 else "Fitting", total=0)

    def alone(task: Callable[[], Fit]) -> Fit:
        with beside_others():
            return task()

    found: dict[int, Fit] = dict(parallel([partial(alone, task) for task in tasks]))
    return [found[i] for i in range(len(tasks))]


@keywords(passes_to=fit)
def fit_laws(
    runs: Any,
    laws: Sequence[str | ScalingLaw] | None = None,
    *,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    **sampling: Any,
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
    tasks = [partial(fit, runs, law, noise=own_noise, **sampling) for law, own_noise in chosen]
    return tuple(fit_together(tasks))


def reported_names(law: ScalingLaw, noise: Noise) -> list[str]:
    """Free parameters, derived constants, then those of the noise."""
    return [*law.parameters, *law.derived, *noise.parameters]


def collect(
    drawn: Draws,
    law: ScalingLaw,
    noise: Noise,
    runs: Runs,
    frame: Mapping[str, np.ndarray],
    unknowns: tuple[str, ...],
    asked: Settings,
) -> DataTree:
    """The draws as a `DataTree` with named dims, and what it takes to load it again in its attributes.

    `asked` are the settings of the request; a retry may have used others, which are not part of the key.
    """
    labels = runs.run.astype(object)
    inputs = {k: v for k, v in frame.items() if k != "log_loss"}
    tree = tree_of(
        drawn,
        unknowns,
        {name: drawn.values[name] for name in reported_names(law, noise)},
        {OBSERVED: frame["log_loss"]},
        inputs,
        labels,
    )
    tree.attrs["bayes_scaling"] = json.dumps(
        {
            "format": 1,
            "law": law.name,
            "scale": asdict(law.scale),
            "noise": noise.name,
            "priors": priors_of(law, noise),
            "settings": asdict(asked),
            "diagnostics": drawn.diagnostics.to_dict(),
            "key": fit_key(runs, law, noise, asked),
            "versions": versions(),
            "runs": {
                "name": runs.name,
                "source": runs.source,
                "sha256": runs.sha256,
                "loss_unit": runs.loss_unit,
                "flops_factor": runs.flops_factor,
            },
        }
    )
    return tree


@keywords()
def sample(
    model: pm.Model,
    *,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 300,
    target_accept: float = 0.9,
    random_seed: int = 0,
    settings: Settings | None = None,
    progressbar: bool = False,
) -> tuple[DataTree, Diagnostics]:
    """Sample any PyMC model with this engine: modes, whitening, NUTS, verdict.

    Parameters
    ----------
    model
        Any, for instance one that extends what `build` gives; it needs a gradient, so all unknowns are continuous.
    draws, chains, warmup, target_accept, random_seed, settings
        As in `fit`.

    Returns
    -------
    The DataTree (groups `posterior`, with dims (chain, draw, ...), `sample_stats`, `log_likelihood`), and the verdict.

    Raises
    ------
    UsageError
        For settings that cannot be diagnosed.
    """
    settings = settings or Settings(draws, chains, warmup, target_accept, random_seed)
    with reporting(progressbar):
        program, table = program_of(model)
        reporter().stage("Sampling", total=1 + settings.chains)
        drawn = sample_tables(program, [table], settings, [settings.random_seed])[0]
    labels = [str(i) for i in range(table.n)]
    tree = tree_of(drawn, _unknown_labels(program), drawn.values, {}, {}, labels)
    return tree, drawn.diagnostics


def _unknown_labels(program: Any) -> tuple[str, ...]:
    labels = []
    for name, shape in zip(program.density.names, program.density.shapes, strict=True):
        labels += [f"{name}{list(i) if i else ''}" for i in np.ndindex(*shape)]
    return tuple(labels)
