"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def local_data() -> Path:
    """A folder of larger public tables, named by BAYES_SCALING_LOCAL_DATA; tests that need it skip without
    it."""
    named = os.environ.get("BAYES_SCALING_LOCAL_DATA")
    if not named:
        pytest.skip(
            "BAYES_SCALING_LOCAL_DATA is not set: it names a folder of public tables that are not shipped"
        )
    return Path(named)
