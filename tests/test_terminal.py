"""What a person sees: nothing cut, nothing broken inside a word, nothing that moves the cursor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from bayes_scaling.base.progress import Count, Lines, duration
from bayes_scaling.base.text import harmless, json_harmless, printable
from bayes_scaling.cli import layout, markdown
from bayes_scaling.cli.layout import Table, paragraph, width
from bayes_scaling.cli.main import main
from bayes_scaling.cli.parser import all_commands
from bayes_scaling.runs.datasets import card, known_names

WIDE = Table(
    ["params", "tokens", "loss", "", "90 % interval", "decades beyond"],
    [["70.0B", "1.40T", "1.4912", "[1.4512, 1.5312]", "[1.4102, 1.5990]", "2.31"]] * 2,
    left=0,
)


def test_a_table_that_fits_is_a_table():
    text = WIDE.text(100)
    assert [len(line) for line in text.splitlines()[1:2]] == [max(map(len, text.splitlines()))]
    assert WIDE.text(None).splitlines()[1].split() == WIDE.text(100).splitlines()[2].split()


@pytest.mark.parametrize("room", [20, 30, 40, 60])
def test_a_table_too_wide_becomes_a_list_and_no_number_is_cut(room):
    text = WIDE.text(room)
    numbers = re.findall(r"[\d.]+[BT]?", text)
    assert numbers == ["70.0B", "1.40T", "1.4912", "1.4512", "1.5312", "90", "1.4102", "1.5990", "2.31"] * 2
    if room >= 50:
        assert "1.4912 [1.4512, 1.5312]" in text  # an interval stays with its value
    assert max(map(len, text.splitlines())) <= max(room, 26)
    assert text.count("decades beyond") == 2


def test_many_rows_become_several_tables():
    rows = [[f"name{k}", f"{k}.1234", f"[{k}.1, {k}.9]", f"{k}.5678", f"[{k}.2, {k}.8]", "1.001"] for k in range(5)]
    text = Table(["parameter", "median", "", "mean", "", "R-hat"], rows).text(45)
    assert max(map(len, text.splitlines())) <= 45
    assert text.count("parameter") == text.count("name3") == 2
    for row in rows:
        for cell in row:
            assert cell in text
        assert f"{row[1]}  {row[2]}" in text


def test_words_are_broken_between_words_and_numbers_not_at_all():
    table = Table(["parameter", "reason", "sd"], [["alpha", "what a finite model costs " * 4, "0.1234"]], left=2)
    text = table.text(60)
    assert max(map(width, text.splitlines())) <= 60
    assert "0.1234" in text
    words = set(" ".join(text.split()).split())
    assert {"what", "finite", "costs"} <= words
    assert not {"fini", "cos"} & words


def test_paragraphs_keep_their_indentation():
    text = paragraph("Warning: " + "word " * 40, 40, hang="  ")
    assert all(len(line) <= 40 for line in text.splitlines())
    assert all(line.startswith("  word") for line in text.splitlines()[1:])
    assert paragraph("- " + "item " * 20, 30).splitlines()[1].startswith("  item")
    assert paragraph("as it is " * 50, None) == "as it is " * 50


def test_a_space_that_does_not_break_is_a_space():
    assert printable("90\u00a0% of\u202fit") == "90 % of it"


def test_widths_of_other_scripts():
    assert width("abc") == 3
    assert width("模型") == 4
    assert width("e\u0301") == 1


HOSTILE = [
    "\x1b[31mred",
    "\x9b31m",
    "a\rb",
    "\u202egpj",
    "\u2066x",
    "nul\0",
    "\ud800",
    "bell\a",
    "line\u2028end",
    "\x7f",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_text_from_elsewhere_is_harmless(name):
    assert printable(name).isprintable()
    assert harmless(f"one\n{name}").replace("\n", "").isprintable()
    assert Table([name], [[name]]).text(40).replace("\n", "").isprintable()
    body = {"name": name, "more": ["é", 1.5]}
    text = json_harmless(json.dumps(body, ensure_ascii=False, indent=1))
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == body


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_in_a_table_are_printed_harmlessly(capsys, tmp_path, name):
    rows = [
        {"params": 1e9 * k, "tokens": 2e10 * k, "loss": 3 - 0.1 * k, "group": f"{name}{k}", name: k, "run": name}
        for k in range(1, 6)
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    for more in ([], ["--json"], ["--map", f"loss={name}x"], ["--group", f"{name}x"]):
        code = main(["validate", str(path), *more])
        said = capsys.readouterr()
        assert code == (3 if "x" in "".join(more[1:]) else 0), said.err
        assert (said.out + said.err).replace("\n", "").isprintable()
    for words in (
        ["laws", name],
        ["data", name],
        [name],
        ["validate", f"{name}.csv"],
        ["validate", str(path), f"--{name}"],
        ["forecast", str(path), "--at", f"{name}=1"],
        ["fit", str(path), "--law", name],
        ["fit", str(path), "--law", "kaplan", "--prior", name],
        ["fit", str(path), "--law", "kaplan", "--out", f"{tmp_path}/no/{name}/x" if "\0" not in name else ""],
    ):
        if words[-1] == "" or (words[0] == "fit" and "--out" in words):
            continue
        assert main(words) in (2, 3), words
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("Error: ")
        assert said.err.replace("\n", "").isprintable(), said.err


@pytest.mark.parametrize("columns", ["80", "90", "200"])
def test_help_keeps_to_the_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for words in ([], *([c.name] for c in all_commands())):
        assert main([*words, "--help"]) == 0
        text = capsys.readouterr().out
        long = [line for line in text.splitlines() if len(line) > min(int(columns), 100)]
        assert not long


def test_a_bare_call_is_a_quick_start(capsys):
    assert main([]) == 0
    said = capsys.readouterr()
    assert "bayes-scaling report" in said.out
    assert said.err == ""
    assert max(map(len, said.out.splitlines())) < 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(capsys, shell):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for command in all_commands():
        assert command.name in text


@pytest.mark.skipif(os.name != "posix", reason="bash")
def test_completion_is_a_script_that_bash_reads(tmp_path):
    (tmp_path / "complete.sh").write_bytes(
        subprocess.run(
            [sys.executable, "-m", "bayes_scaling", "completion", "bash"], capture_output=True, check=True
        ).stdout
    )
    subprocess.run(["bash", "-n", str(tmp_path / "complete.sh")], check=True)


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["validate", "pil"], "pile"),
        (["data", "Pile"], "pile"),
        (["forcast"], "forecast"),
        (["laws", "chinchila"], "chinchilla"),
        (["validate", "pile", "--losunit", "bits"], "--loss-unit"),
        (["validate", "pile", "--loss-unit", "bit"], "bits"),
        (["forecast", "pile", "--at", "param=1B,tokens=1B"], "params"),
        (["forecast", "pile", "--at", "params=1B,tokens=1B", "--kind", "new"], "new-run"),
        (["fit", "pile", "--law", "kaplan", "--noise", "studentt"], "student_t"),
        (["fit", "pile", "--law", "kaplan", "--prior", "alpha=log_normal(median=1, sigma=1)"], "lognormal"),
        (["fleet", "pile", "--by", "groop", "--law", "kaplan"], "group"),
        (["decide", "pile", "--budget", "1e22", "--rule", "expect"], "expected"),
        (["decide", "pile", "--budget", "1e22", "--device", "H10"], "H100"),
    ],
)
def test_a_misspelt_name_is_told_the_nearest(capsys, words, guess):
    assert main(words) in (2, 3)
    assert f"Did you mean {guess}?" in capsys.readouterr().err.replace("'", "")


def test_progress_ends_at_all_of_it():
    count = Count(25)
    count.tick(0)
    assert count.share() == ""  # nothing is known yet
    for _ in range(27):
        count.tick(1)
    assert count.share() == "100 %"
    count.more(3)
    assert count.share().startswith("90 %")
    assert Count(0).share() == Count(None).share() == ""
    assert [duration(s) for s in (5, 89, 600, 9000)] == ["5 s", "89 s", "10 min", "2.5 h"]


def test_a_share_that_was_told_ends_at_100(capsys):
    lines = Lines(heartbeat=0.1)
    lines.stage("first", total=4)
    lines.tick()
    import time

    time.sleep(1.2)
    lines.stage("second")
    lines.close()
    said = capsys.readouterr().err
    assert "first: 25 %" in said
    assert "first: 100 %" in said
    assert "second: 100 %" not in said


@pytest.mark.parametrize("name", known_names())
def test_cards_have_no_marks(name):
    text = "\n".join(b.text(78) if isinstance(b, Table) else paragraph(b, 78) for b in markdown.blocks(card(name)))
    assert "`" not in text
    assert "|" not in text
    assert "**" not in text
    assert not any(line.startswith("#") for line in text.splitlines())
    assert max(width(line) for line in text.splitlines() if "http" not in line) <= 78


def test_columns_of_what_is_no_terminal():
    assert layout.columns(sys.stdout) is None
    assert layout.columns(None) is None


BROKEN = {
    "syntax.py": "LAW = (",
    "raises.py": "raise ValueError('\\x1b[31mno')",
    "leaves.py": "import sys; sys.exit(3)",
    "nothing.py": "X = 1",
}


def test_one_bad_file_in_models_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    import shutil

    from bayes_scaling import models
    from bayes_scaling.base.locate import folder
    from bayes_scaling.laws import registry

    shelf = tmp_path / "models"
    shutil.copytree(folder("models"), shelf, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in BROKEN.items():
        (shelf / name).write_text(text)
    monkeypatch.setattr(registry, "folder", lambda _: shelf)
    monkeypatch.setattr(models, "__path__", [str(shelf)])
    registry._scanned.cache_clear()
    try:
        assert main(["laws"]) == 0
        said = capsys.readouterr()
        assert "chinchilla" in said.out
        for name in BROKEN:
            assert f"models/{name}" in said.err
        assert "\x1b" not in said.err
        assert main(["laws", "chinchilla"]) == 0
        assert main(["laws", "raises"]) == 2
        assert "models/raises.py cannot be used" in capsys.readouterr().err
        assert main(["laws", "--json"]) == 0
        body = json.loads(capsys.readouterr().out)
        assert [w["code"] for w in body["warnings"]] == ["law_broken"] * 4
    finally:
        registry._scanned.cache_clear()
        for name in BROKEN:
            sys.modules.pop(f"bayes_scaling.models.{name.removesuffix('.py')}", None)
