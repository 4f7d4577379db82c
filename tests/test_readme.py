"""The README says what is so: its commands exist, its example runs, its first two blocks are the two jobs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="needs a checkout")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_first_blocks_are_the_main_job_and_the_tests():
    assert [b.strip() for b in blocks("bash")] == ["./dev report", "./dev test"]


def test_python_example_runs(capsys):
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), {})
    out = capsys.readouterr().out
    assert "Chinchilla" in out
    assert "nats per token" in out


def test_every_command_shown_is_understood():
    from bayes_scaling.cli.parser import parse

    lines = [line.removeprefix("$ ") for line in README.read_text("utf-8").splitlines()]
    commands = [line.split(" | ")[0] for line in lines if line.startswith("bayes-scaling ")]
    assert len(commands) >= 5
    for command in commands:
        parse(shlex.split(command)[1:])


def test_the_table_of_commands_is_complete():
    from bayes_scaling.cli.parser import all_commands

    text = README.read_text("utf-8")
    missing = [c.name for c in all_commands() if not re.search(rf"^\|.*`{c.name}[ `]", text, re.MULTILINE)]
    assert not missing


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8")):
        if "://" not in target:
            assert (README.parent / target).exists(), target
