"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# No test may find what a user's, or another test's, fit has left; those about the cache make one of their own. Set
# here, before anything is imported, so that the processes that tests start have it too.
os.environ["BAYES_SCALING_CACHE_LIMIT"] = "0"

from by_hand import BESIROGLU, POINTS, by_hand
from command import QUICK
from hypothesis import settings

from bayes_scaling.base.errors import DataError
from bayes_scaling.cli.main import main
from bayes_scaling.laws.registry import get_law
from bayes_scaling.prediction.ensemble import validated
from bayes_scaling.prediction.weights import Averaging
from bayes_scaling.runs.datasets import fetch, load_table
from bayes_scaling.runs.loading import load_runs
from bayes_scaling.runs.runs import Runs

# How long a case takes says nothing on a machine that others use as well.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def local_data() -> Path:
    """A folder of larger public tables, named by BAYES_SCALING_LOCAL_DATA; tests that need it skip without
    it."""
    named = os.environ.get("BAYES_SCALING_LOCAL_DATA")
    if not named:
        pytest.skip("BAYES_SCALING_LOCAL_DATA is not set: it names a folder of public tables that are not shipped")
    return Path(named)


@pytest.fixture(scope="session")
def epoch_table(tmp_path_factory) -> pd.DataFrame:
    """The digitised Chinchilla runs by the registry's adapter, which verifies them: from a local copy of their source,
    from the user's cache, or downloaded. Tests skip only where none of these is possible."""
    name = "chinchilla_epoch"
    copy = Path(os.environ.get("BAYES_SCALING_LOCAL_DATA", "")) / f"{name}.raw.csv"
    if copy.is_file():
        folder = tmp_path_factory.mktemp("known")
        shutil.copyfile(copy, folder / f"{name}.csv")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BAYES_SCALING_CACHE", str(folder))
            return load_table(name)
    try:
        fetch(name)
    except DataError as error:
        pytest.skip(str(error))
    return load_table(name)


def design(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray, name: str) -> Runs:
    return load_runs(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}), name=name)


@pytest.fixture(scope="session")
def tiny_runs() -> Runs:
    """Twelve noisy runs from known Chinchilla constants, on a 4 x 3 grid."""
    law = get_law("chinchilla")
    rng = np.random.default_rng(20)
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 6e10, 3)))
    loss = law.loss(law.published[0].values, {"params": n, "tokens": d}) * np.exp(0.005 * rng.standard_normal(n.size))
    return design(n, d, loss, "tiny")


@pytest.fixture
def cloud(tiny_runs):
    """A Chinchilla posterior by hand, wide enough for the rules to differ."""
    return by_hand(tiny_runs, BESIROGLU, spread=0.05, draws=2000, sigma=0.01)


@pytest.fixture
def blend(tiny_runs):
    """Two laws blended under a rule with a discrepancy."""
    fits = [
        by_hand(tiny_runs, BESIROGLU, spread=0.03, draws=1000, seed=1),
        by_hand(tiny_runs, POINTS["coupled"], law="coupled", spread=0.03, draws=800, seed=2),
    ]
    rule = Averaging(
        {"chinchilla": 0.3, "coupled": 0.7}, np.array([0.005, 0.02]), np.array([0.5, 0.5]), 8.0, 4, {}, "t"
    )
    return validated(fits, rule)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A saved fit, and what `fit --json` printed."""
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["fit", "pile", "--law", "chinchilla", "--out", str(path), "--json", *QUICK])
    assert code == 0, err.getvalue()
    return path, json.loads(out.getvalue()), err.getvalue()
