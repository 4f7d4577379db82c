"""An interrupt that strikes where Python cannot raise it leaves no traceback; other faults there are still seen."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from bayes_scaling.cli import interrupt
interrupt.watch()
def struck(*_):
    raise {error}
gc.callbacks.append(struck)
gc.collect()
gc.callbacks.remove(struck)
"""


@pytest.mark.parametrize(("error", "seen"), [("KeyboardInterrupt", False), ("ValueError('a fault')", True)])
def test_an_interrupt_inside_a_collector_callback(error, seen):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(error=error)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert ("Traceback" in done.stderr) == seen
