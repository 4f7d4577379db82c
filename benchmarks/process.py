"""A process that stays alive and answers questions in JSON: what is timed beside us must not share our caches."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any


class Process:
    """`words` run in a process of their own; lines of its standard output that begin with a brace are answers.

    Parameters
    ----------
    name
        For messages and for tables.
    environment
        Instead of ours, where given.
    """

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def ask(self, question: Any) -> dict[str, Any]:
        """The answer to a question; both are one line of JSON.

        Raises
        ------
        RuntimeError
            If the process ends without one, with what it had to say.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self._errors.seek(0)
        raise RuntimeError(f"{self.name} ended without an answer:\n{self._errors.read()}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._errors.close()
