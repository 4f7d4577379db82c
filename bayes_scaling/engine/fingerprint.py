"""What a traced program depends on, as one hash: two models share it only if their traces are the same.

A formula is known by what it computes, not by its name: it is traced on its own by JAX, which takes milliseconds, and
the code that comes out is hashed. So a helper it calls, or a constant it closes over, counts as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bayes_scaling.base.locate import PACKAGE
from bayes_scaling.base.provenance import versions
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.model import columns
from bayes_scaling.laws.law import Direct, ScalingLaw
from bayes_scaling.laws.noise import NOISES, Noise
from bayes_scaling.laws.priors import Prior
from bayes_scaling.runs.runs import Runs

# What prints and draws traces nothing; laws count by what they compute.
_OUTSIDE = ("cli", "models", "reporting")
# Their constants are baked into traces.
_ENGINE = ("coordinates", "hmc", "modes", "nuts", "program", "rowsum", "slices")


def identity(law: ScalingLaw, noise: Noise) -> str | None:
    """A hash of everything that determines the programs of a law under a noise model, but for the shapes of tables.

    That is: formula and derived constants, reference scale, priors to the last digit, the noise model, this package's
    own source, versions of what traces, and precision. None where it cannot be told (a law or noise model
    that is more than its fields, a formula that JAX cannot run): such programs are not kept.
    """
    if not _plain(law, noise):
        return None
    try:
        meaning = _meaning(law, noise)
    except Exception:  # a formula is anyone's code: one that runs on PyTensor only is allowed
        return None
    priors = [
        (name, p.prior.family, p.prior.arguments) for name, p in [*law.parameters.items(), *noise.parameters.items()]
    ]
    parts = [repr(priors), repr(law.inputs), noise.name, meaning, *_files(law), *_surroundings(), *_changeable()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def priors_of(law: ScalingLaw, noise: Noise) -> dict[str, str]:
    """Every prior as text, law's first."""
    return {k: str(v.prior) for k, v in {**law.parameters, **noise.parameters}.items()}


def fit_key(runs: Runs, law: ScalingLaw, noise: Noise, settings: Settings) -> str:
    """A hash that two fits share exactly when they are the same computation."""
    parts = {
        "runs": runs.sha256,
        "inputs": {
            k: hashlib.sha256(np.asarray(v).tobytes()).hexdigest() for k, v in columns(law, noise, runs).items()
        },
        "law": law.signature,
        "noise": noise.name,
        "priors": priors_of(law, noise),
        "settings": asdict(settings),
        "versions": {k: versions().get(k) for k in ("bayes_scaling", "jax", "numpyro")},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _plain(law: ScalingLaw, noise: Noise) -> bool:
    """Whether law and noise are no more than the fields looked at here."""
    known = NOISES.get(noise.name)
    if type(law) is not ScalingLaw or type(noise) is not Noise or known is None:
        return False
    if known.likelihood is not noise.likelihood or list(known.parameters) != list(noise.parameters):
        return False
    return all(type(p.prior) is Prior for p in [*law.parameters.values(), *noise.parameters.values()])


def _meaning(law: ScalingLaw, noise: Noise) -> str:
    """The curve, the derived constants and the scale of the noise, as lowered code."""
    import jax
    import jax.numpy as jnp

    number = jax.ShapeDtypeStruct((), jnp.float64)
    column = jax.ShapeDtypeStruct((3,), jnp.float64)

    def parts(p: Any, x: Any, q: Any, decades: Any) -> Any:
        return law.loss(p, x), law.derived_values(p), noise.scale(q, decades)

    arguments = (
        dict.fromkeys(law.parameters, number),
        dict.fromkeys(law.inputs, column),
        dict.fromkeys(noise.parameters, number),
        column,
    )
    return str(jax.jit(parts).lower(*arguments).as_text())


def _files(law: ScalingLaw) -> Iterator[str]:
    """The files that the law's functions are written in: a formula may do otherwise on PyTensor than on JAX."""
    pending: list[Any] = [law.formula, *law.derived.values()]
    homes = set()
    while pending:
        item = pending.pop()
        homes.add(str(getattr(item, "__module__", "")))
        inner = [
            getattr(item, name, None) for name in ("formula", "function", "rule", "inverse", "func", "__wrapped__")
        ]
        pending += [v for v in inner if callable(v) or isinstance(v, Direct)]
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
        values = vars(sys.modules[f"bayes_scaling.engine.{name}"]).items()
        yield repr(sorted((k, v) for k, v in values if k.isupper() and isinstance(v, int | float)))
