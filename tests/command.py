"""The command line as a process of its own, and quick settings for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

QUICK = ["--draws", "500", "--chains", "2", "--allow-bad-fit"]


def cli(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bayes_scaling", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
    )
