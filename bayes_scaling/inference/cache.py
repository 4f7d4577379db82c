"""Finished posteriors in the user's cache directory, so that no two commands sample the same one.

A posterior is known by everything that determines it: law, priors, noise, data, settings, versions, source. Files are
the netCDF of `storage`, sealed with a checksum and moved into place when whole, so that two processes never see half
of one; what is damaged is made again. The files used longest ago go first when all together outgrow
`BAYES_SCALING_CACHE_LIMIT`, in megabytes (default 1000; 0 keeps and uses none).
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bayes_scaling.base import caches
from bayes_scaling.base.caches import cache_folder
from bayes_scaling.base.errors import DataError
from bayes_scaling.base.platforms import asked
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.fingerprint import fingerprint, fit_key
from bayes_scaling.inference.cache_contents import POSTERIORS, limit
from bayes_scaling.inference.idata import given
from bayes_scaling.inference.result import Fit
from bayes_scaling.inference.storage import load_fit, save_fit, saved_key
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.runs.runs import Runs

_WRITER = ThreadPoolExecutor(1, thread_name_prefix="bayes-scaling-cache")
_PENDING: dict[str, Future[None]] = {}
_LOCK = threading.Lock()


def cache_key(runs: Runs, law: ScalingLaw, noise: Noise, settings: Settings) -> str | None:
    """A hash of everything that the draws depend on; None where it cannot be told, or nothing is to be kept."""
    if limit() == 0:
        return None
    return fingerprint(fit_key(runs, law, noise, settings), asked())


def find(key: str, runs: Runs, law: ScalingLaw, noise: Noise, settings: Settings) -> Fit | None:
    """The posterior kept under `key`, or None where there is none, or what there is cannot be read."""
    with _LOCK:
        pending = _PENDING.get(key)
    if pending is not None:
        pending.result()
    path = _path(key)
    if saved_key(path) != fit_key(runs, law, noise, settings):
        return None
    try:
        found = load_fit(path, law)
    except DataError:  # truncated or damaged: sampled again, and the file replaced
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # those used longest ago go first
    return replace(found, idata=given(found), runs=runs, law=law, noise=noise, settings=settings, cached=True)


def keep(key: str, fit: Fit) -> None:
    """Write `fit` under `key`, beside whatever comes next: a result does not wait for it, only the end of the process.

    Where it cannot be written, nothing is kept.
    """
    with _LOCK:
        _PENDING[key] = _WRITER.submit(_write, key, fit)


def flush() -> None:
    """Wait until everything is written."""
    with _LOCK:
        pending = list(_PENDING.values())
    for future in pending:
        future.result()


def _write(key: str, fit: Fit) -> None:
    try:
        # A disk that is full or read-only is not the user's concern here.
        with contextlib.suppress(DataError, OSError):
            save_fit(fit, _path(key), durable=False)
            prune()
    finally:
        with _LOCK:
            _PENDING.pop(key, None)


def prune() -> None:
    """Delete the files used longest ago until the rest keep to the limit, and what killed processes left."""
    caches.prune(cache_folder(POSTERIORS), limit())


def _path(key: str) -> Path:
    return cache_folder(POSTERIORS) / f"{key}.nc"
