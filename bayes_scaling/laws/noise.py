"""Finds the noise models: every file of `noises/` that holds a `NOISE`. Adding one is adding one file."""

from __future__ import annotations

import importlib
import pkgutil

from bayes_scaling.base.errors import UsageError, unknown
from bayes_scaling.laws import noises
from bayes_scaling.laws.noise_model import Noise as Noise

# In this order they are listed and numbered; others follow by name.
_FIRST = ("student_t", "normal", "laplace", "student_t_growing")


def _found() -> dict[str, Noise]:
    models: dict[str, Noise] = {}
    for info in pkgutil.iter_modules(noises.__path__):
        noise = getattr(importlib.import_module(f"{noises.__name__}.{info.name}"), "NOISE", None)
        where = f"laws/noises/{info.name}.py"
        if not isinstance(noise, Noise):
            raise UsageError(f"{where} defines no Noise called NOISE; see laws/noises/normal.py for an example.")
        if noise.name != info.name:
            raise UsageError(f"{where} defines a noise model called '{noise.name}'; name it as its file.")
        models[noise.name] = noise
    first = [name for name in _FIRST if name in models]
    return {name: models[name] for name in [*first, *sorted(models.keys() - {*first})]}


NOISES: dict[str, Noise] = _found()


def get_noise(noise: str | Noise) -> Noise:
    """The noise model of that name; where `noise` is a `Noise`, it is returned as it is.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if isinstance(noise, Noise):
        return noise
    if noise not in NOISES:
        raise unknown("noise model", noise, NOISES, "")
    return NOISES[noise]
