"""The one definition of "the same computation", behind every cache, resumed report and checkpoint.

A law is known by what it computes, not by its name. Its functions count twice: as the code that JAX lowers them to (so
a helper that they call, or a constant that they close over, counts as well), and as they are written (`base.written`),
which tells functions that JAX cannot run, and what others may do otherwise on PyTensor. Where neither tells, there is
no fingerprint, and nothing is reused.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bayes_scaling.base.locate import PACKAGE
from bayes_scaling.base.provenance import versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.base.written import written
from bayes_scaling.engine.backend import jax_ready
from bayes_scaling.engine.model import columns
from bayes_scaling.laws.compute import SIX_ND, ComputeModel
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import NOISES, Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.runs.runs import Runs

# What prints and draws computes nothing; laws count by what they compute.
_OUTSIDE = ("cli", "models", "reporting")
# Their constants are baked into traces.
_ENGINE = ("coordinates", "hmc", "modes", "nuts", "program", "rowsum", "slices")


def fingerprint(*parts: Any) -> str | None:
    """One hash of several parts, each of which prints as what it is; None where one of them is None: what cannot be
    told makes the whole untold."""
    if any(part is None for part in parts):
        return None
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def computation(law: ScalingLaw, noise: Noise | None = None, compute: ComputeModel = SIX_ND) -> str | None:
    """A hash of what a law computes whatever its priors: formula, derived constants, optimum, reference scale, inputs
    and names of parameters; under a noise model and a compute model; by this package's own source, with the versions
    and the precision in force.

    None where it cannot be told: of functions that JAX cannot run, and that reach what has no source.
    """
    jax_ready()  # its precision is part of what is told
    noise = noise or NOISES["student_t"]
    functions: list[Any] = [law.formula, law.derived, law.direct, law.optimum, law.optimum_exponent]
    functions += [compute.flops, compute.tokens]
    functions += [v for k, v in vars(noise).items() if k not in ("title", "parameters")]
    # A class of the user's own may compute otherwise than its fields say.
    functions += [type(v) for v in (law, noise, compute)]
    how = written(*functions)
    names = (tuple(law.parameters), tuple(noise.parameters), law.inputs, law.scale, compute.six_nd)
    told = fingerprint(how.digest, names, *_surroundings(), *_changeable())
    if not how.complete:
        lowered = _lowered(law, noise, compute)
        return fingerprint(told, lowered, *_files(functions)) if lowered else None
    if told not in _LOWERED:
        _LOWERED[told] = _lowered(law, noise, compute) or ""
    return fingerprint(told, _LOWERED[told])


# What was lowered of functions that are told in full: it takes tens of milliseconds.
_LOWERED: dict[str | None, str] = {}


def identity(law: ScalingLaw, noise: Noise) -> str | None:
    """A hash of everything that determines the programs of a law under a noise model, but for the shapes of tables:
    its `computation`, and every prior to the last digit. None where it cannot be told."""
    priors = [p.prior for p in [*law.parameters.values(), *noise.parameters.values()]]
    strange = [written(prior) for prior in priors if type(prior) is not Prior]
    if not all(found.complete for found in strange):
        return None
    told = [(prior.family, prior.arguments) for prior in priors]
    return fingerprint(computation(law, noise), told, [found.digest for found in strange])


def priors_of(law: ScalingLaw, noise: Noise) -> dict[str, str]:
    """Every prior as text, law's first."""
    return {k: str(v.prior) for k, v in {**law.parameters, **noise.parameters}.items()}


def fit_key(runs: Runs, law: ScalingLaw, noise: Noise, settings: Settings) -> str | None:
    """A hash that two fits share exactly when they are the same computation; None where that cannot be told."""
    return fingerprint(
        identity(law, noise), law.name, runs.sha256, table_key(columns(law, noise, runs)), told_settings(settings)
    )


def told_settings(settings: Settings) -> str:
    """Settings as text."""
    return json.dumps(asdict(settings), sort_keys=True)


def table_key(frame: Any) -> str:
    """A hash of a table's columns: a mapping of names to arrays of numbers, dims (run,)."""
    digest = hashlib.sha256()
    for name in sorted(frame):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(frame[name], dtype="<f8").tobytes())
    return digest.hexdigest()


def _lowered(law: ScalingLaw, noise: Noise, compute: ComputeModel) -> str | None:
    """What the functions compute, as lowered code; None where JAX does not run formula, derived constants or noise,
    or the code leads back into Python, which it does not show."""
    import jax
    import jax.numpy as jnp

    number = jax.ShapeDtypeStruct((), jnp.float64)
    column = jax.ShapeDtypeStruct((3,), jnp.float64)
    free = dict.fromkeys(law.parameters, number)

    def curve(p: Any, x: Any, q: Any, decades: Any) -> Any:
        return law.loss(p, x), law.derived_values(p), noise.scale(q, decades)

    def best(p: Any, flops: Any) -> Any:
        space = SimpleNamespace(**p)
        size = law.optimum and law.optimum(space, law.scale, flops)
        return size, law.optimum_exponent and law.optimum_exponent(space), compute.tokens(flops, flops)

    parts = [_code(curve, free, dict.fromkeys(law.inputs, column), dict.fromkeys(noise.parameters, number), column)]
    parts.append(_code(best, free, column))
    if parts[0] is None or parts[1] is None:
        return None
    return "\0".join(str(part) for part in parts)


def _code(function: Callable[..., Any], *arguments: Any) -> str | None:
    import jax

    try:
        text = str(jax.jit(function).lower(*arguments).as_text())
    except Exception:  # a formula is anyone's code: one that runs on PyTensor only is allowed
        return None
    return None if "callback" in text else text


def _files(functions: list[Any]) -> Iterator[str]:
    """The files that functions are written in, where how they are written is not all that they do."""
    pending, homes = [*functions], set()
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += item.values()
            continue
        homes.add(str(getattr(item, "__module__", "")))
        pending += [v for v in vars(item).values() if callable(v)] if hasattr(item, "__dict__") else []
    for home in sorted(homes):
        path = getattr(sys.modules.get(home), "__file__", None)
        if path and Path(path).is_file():
            yield hashlib.sha256(Path(path).read_bytes()).hexdigest()


@cache
def _surroundings() -> tuple[str, ...]:
    """Everything else: this package's source, versions, precision, and how PyTensor is set up."""
    import jax

    source = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        if place.parts[0] not in _OUTSIDE:
            source.update(place.as_posix().encode() + b"\0" + path.read_bytes())
    settings = (
        "jax_enable_x64",
        "jax_default_matmul_precision",
        "jax_threefry_partitionable",
        "jax_numpy_rank_promotion",
    )
    pytensorrc = Path(os.environ.get("PYTENSORRC") or os.path.expanduser("~/.pytensorrc"))
    return (
        source.hexdigest(),
        repr(sorted(versions().items())),
        repr([getattr(jax.config, name, None) for name in settings]),
        os.environ.get("PYTENSOR_FLAGS", ""),
        pytensorrc.read_text("utf-8", "replace") if pytensorrc.is_file() else "",
    )


def _changeable() -> Iterator[str]:
    """What a program may have changed since it began: PyTensor's precision, constants of the engine."""
    config = getattr(sys.modules.get("pytensor"), "config", None)
    yield str(getattr(config, "floatX", "float64"))
    for name in _ENGINE:
        values = vars(importlib.import_module(f"bayes_scaling.engine.{name}")).items()
        yield repr(sorted((k, v) for k, v in values if k.isupper() and isinstance(v, int | float)))
