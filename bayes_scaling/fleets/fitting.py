"""`fleet(datasets, laws)`: a posterior for every data set and law, by a handful of compiled programs, as a `Fleet`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import DataError
from bayes_scaling.base.intervals import DEFAULT_CI
from bayes_scaling.base.keywords import keywords
from bayes_scaling.base.progress import reporter, reporting
from bayes_scaling.base.provenance import Stopwatch, versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import columns, specify_all
from bayes_scaling.fleets.chunks import CHUNK, INTERVAL, STATS, Chunk, seed_of
from bayes_scaling.fleets.dispatch import dispatched, forget
from bayes_scaling.fleets.result import EACH, NUMBERS, Fleet
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import NOISES, Noise, get_noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.laws.registry import all_laws, get_law
from bayes_scaling.runs.gathering import gather
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    from xarray import DataTree

DRAWS = 500


@keywords(passes_to=load_runs)
def fleet(
    datasets: Any,
    laws: str | ScalingLaw | Sequence[str | ScalingLaw] = "chinchilla",
    *,
    by: str | None = None,
    noise: str | Noise = "student_t",
    priors: Mapping[str, Prior] | None = None,
    draws: int = DRAWS,
    chains: int = 4,
    random_seed: int = 0,
    settings: Settings | None = None,
    executor: Any = None,
    evidence: bool = False,
    keep_draws: bool = True,
    checkpoint: Path | str | None = None,
    ci_prob: float = DEFAULT_CI,
    progressbar: bool = False,
    **reading: Any,
) -> Fleet:
    """Sample the posterior of every law on every data set.

    The numbers of a member depend on its data, its name and `random_seed` alone: not on the other members, their
    order, the executor or how many workers it has (processors of different kinds may differ in the last digit).

    Parameters
    ----------
    datasets
        A mapping of names to `Runs`, paths, names of known data sets or DataFrames; a sequence of those; or one of
        them, cut into data sets by the values of the column `by`.
    laws
        A law, or several; by name or by definition. `priors` override priors by parameter name in every law that has
        the parameter.
    draws, chains, random_seed
        As in ArviZ and PyMC.
    settings
        Those of the sampler as one `Settings`, in place of the keywords.
    executor
        Where to compute: anything with `submit`, such as a `ProcessPoolExecutor` (with spawned processes) or what
        `clusters.cluster` opens on Dask; this process by default.
    evidence
        Estimate each member's log evidence by bridge sampling, too.
    keep_draws
        False keeps interval values and diagnostics only: for fleets whose draws would not fit in memory.
    checkpoint
        A folder in which finished parts are kept until all are there; the same call goes on from them.
    reading
        Further arguments of `load_runs`: `columns`, `group`, `loss_unit`.

    Raises
    ------
    UsageError
        For an unknown law, noise or parameter, or settings that cannot be diagnosed.
    DataError
        If `by` names no column, or no member at all can be used; one that cannot is in `Fleet.failed`.
    """
    several = [laws] if isinstance(laws, str | ScalingLaw) else list(laws)
    settings = settings or Settings(draws, chains, random_seed=random_seed)
    specs = specify_all(several, noise, priors)
    folder = Path(checkpoint) if checkpoint is not None else None
    watch = Stopwatch()
    with reporting(progressbar):
        with watch("reading"):
            found = gather(datasets, by, **reading)
            unusable = {(name, law.name): text for name, text in found.unusable.items() for law, _ in specs}
            how = {"ci_prob": ci_prob, "evidence": evidence, "keep_draws": keep_draws}
            plan: list[tuple[int, Chunk]] = []
            for k, (base, spec) in enumerate(zip(several, specs, strict=True)):
                frames = _frames(found.runs, spec, unusable)
                plan += [(k, c) for c in _chunks(base, noise, priors or {}, spec, frames, settings, how)]
        if not plan:
            raise DataError(_nothing_left(unusable))
        chunks = [chunk for _, chunk in plan]
        parts: dict[int, dict[str, np.ndarray]] = {}
        with watch("sampling"):
            titles = ", ".join(law.title for law, _ in specs)
            count = sum(len(chunk.names) for chunk in chunks)
            reporter().stage(f"{titles}: {count} posteriors", total=count)
            for i, result in dispatched(chunks, executor, folder):
                parts[i] = result
                reporter().tick(len(chunks[i].names))
        with watch("collecting"):
            groups = {}
            for k, (law, _) in enumerate(specs):
                mine = [i for i, (which, _) in enumerate(plan) if which == k]
                if mine:
                    names = [name for i in mine for name in chunks[i].names]
                    groups[law.name] = _joined([parts.pop(i) for i in mine], names)
            idata = _tree(groups)
            idata.attrs["versions"] = json.dumps(versions())
    if folder:
        forget(folder, chunks)
    hypotheses = tuple(law for law, _ in specs), tuple(own for _, own in specs)
    return Fleet(*hypotheses, found.runs, unusable, idata, settings, ci_prob, watch.seconds)


def _nothing_left(unusable: Mapping[tuple[str, str], str]) -> str:
    (name, _), first = next(iter(unusable.items()))
    return f"None of the data sets can be used. The first, {name}: {first}"


def _frames(
    runs: Mapping[str, Runs], spec: tuple[ScalingLaw, Noise], unusable: dict[tuple[str, str], str]
) -> dict[str, dict[str, np.ndarray]]:
    """The model's columns of each data set; those that lack what the law needs are added to `unusable`."""
    found = {}
    for name, table in runs.items():
        try:
            found[name] = columns(*spec, table)
        except DataError as error:
            unusable[name, spec[0].name] = str(error)
    return found


def _chunks(
    law: str | ScalingLaw,
    noise: str | Noise,
    priors: Mapping[str, Prior],
    spec: tuple[ScalingLaw, Noise],
    frames: Mapping[str, Mapping[str, np.ndarray]],
    settings: Settings,
    how: Mapping[str, Any],
) -> Iterator[Chunk]:
    base, own = get_law(law), get_noise(noise)
    known = {*base.parameters, *base.direct, *own.parameters}
    # By name wherever the name says it all: a worker then needs nothing but its own installation.
    told = base.name if all_laws().get(base.name) is base else base
    heard = own.name if NOISES.get(own.name) is own else own
    names = list(frames)
    for first in range(0, len(names), CHUNK):
        some = tuple(names[first : first + CHUNK])
        yield Chunk(
            law=told,
            noise=heard,
            scale=(base.scale.params, base.scale.tokens),
            priors={k: str(v) for k, v in priors.items() if k in known},
            names=some,
            seeds=tuple(seed_of(settings.random_seed, name) for name in some),
            frames=tuple(frames[name] for name in some),
            settings=settings,
            **how,
        )


def _joined(parts: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> dict[str, Any]:
    """The parts of one law as one, in the order of the data sets."""
    shared = ("parameters", "unknowns")
    whole = {k: np.concatenate([part[k] for part in parts]) for k in parts[0] if k not in shared}
    return {**whole, **{k: parts[0][k] for k in shared}, "names": np.array(names, dtype=object)}


def _tree(groups: Mapping[str, Mapping[str, Any]]) -> DataTree:
    import xarray as xr

    tree: dict[str, xr.Dataset] = {}
    for law, whole in groups.items():
        labels = {"dataset": whole["names"]}
        parameters = [str(v) for v in whole["parameters"]]
        each = {k: (("dataset", "parameter"), whole[k]) for k in EACH}
        one = {k: ("dataset", whole[k].astype(object) if whole[k].dtype.kind == "U" else whole[k]) for k in NUMBERS}
        tree[f"{law}/members"] = xr.Dataset(
            {
                **each,
                **one,
                "intervals": (("dataset", "parameter", "statistic"), whole["intervals"]),
                "log_evidence": (("dataset", "estimate"), whole["log_evidence"]),
            },
            coords={**labels, "parameter": parameters, "statistic": list(INTERVAL), "estimate": ["value", "sd"]},
        )
        if "x" not in whole:
            continue
        dims = ("dataset", "chain", "draw")
        steps = {"chain": np.arange(whole["x"].shape[1]), "draw": np.arange(whole["x"].shape[2])}
        tree[f"{law}/posterior"] = xr.Dataset(
            {name: (dims, whole["values"][..., j]) for j, name in enumerate(parameters)}, coords={**labels, **steps}
        )
        tree[f"{law}/sample_stats"] = xr.Dataset({k: (dims, whole[k]) for k in STATS}, coords={**labels, **steps})
        tree[f"{law}/unconstrained_posterior"] = xr.Dataset(
            {"x": ((*dims, "unknown"), whole["x"])},
            coords={**labels, **steps, "unknown": [str(v) for v in whole["unknowns"]]},
        )
    return xr.DataTree.from_dict(tree)
