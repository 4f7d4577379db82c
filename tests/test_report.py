"""The report: what its folder holds, that it is safe to open, that it can be rebuilt and resumed."""

from __future__ import annotations

import base64
import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayes_scaling as bs
from bayes_scaling.base.errors import DataError, Notice, UsageError
from bayes_scaling.inference.storage import load_fit
from bayes_scaling.reporting import Report, advice, rebuild, report
from bayes_scaling.reporting import sections as section_list
from bayes_scaling.reporting import words as w
from bayes_scaling.reporting.blocks import plain
from bayes_scaling.reporting.page import command, json_for_script, make, to_csv
from bayes_scaling.reporting.status import status
from bayes_scaling.reporting.study import _averaged, default_budgets, grid_of, largest_first

HOSTILE = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(A1)"
TURNED = "run \u202e\u2066gnorw\u2069 \x1b[31m\x07"
LAWS = ["kaplan", "chinchilla"]
FIGURES = {"posterior", "residuals", "prior_posterior", "loss_compute", "forecast_by_law", "frontier"}
FIGURES |= {"exponents", "evidence", "backtest_forecasts", "backtest_coverage", "backtest_weights", "next_runs"}
FIGURES |= {"bayes_factor_moves", "prior_predictive", "exponent_claims", "decide_fan", "decide_flat"}
SMALL = {"draws": 200, "chains": 2}


@pytest.fixture(scope="module")
def hostile() -> bs.Runs:
    """The pile with names, groups and a column that try to be more than text."""
    frame = bs.load_runs("pile").to_frame()
    frame.loc[0, "run"] = HOSTILE
    frame.loc[1, "run"] = "</script><img src=x onerror=alert(2)>\u2028 & 'quoted\""
    frame.loc[2:4, "run"] = [FORMULA, TURNED, "x" * 5000]
    frame["group"] = np.where(np.arange(len(frame)) % 2 == 0, HOSTILE, "plain & simple" + "y" * 5000)
    frame[HOSTILE] = HOSTILE
    frame["@SUM(A1)"] = "+2.50"
    return bs.load_runs(frame, name=f"pile {HOSTILE}")


@pytest.fixture(scope="module")
def made(hostile: bs.Runs, tmp_path_factory: pytest.TempPathFactory) -> Report:
    out = tmp_path_factory.mktemp("report") / "out"
    return report(hostile, laws=LAWS, out=out, budgets=["1e24", 1e25], target_loss=1.4, **SMALL)


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without their still pictures, which take seconds and are tested elsewhere."""
    monkeypatch.setattr("bayes_scaling.reporting.page.still", lambda figure: "<svg/>")


@pytest.fixture(scope="module")
def page(made: Report) -> str:
    return made.page.read_text(encoding="utf-8")


def test_the_folder_holds_page_numbers_tables_figures_and_fits(made: Report) -> None:
    assert {p.name for p in made.path.iterdir()} == {"index.html", "report.json", "tables", "figures", "fits"}
    assert {p.name for p in (made.path / "fits").iterdir()} == {"kaplan.nc", "chinchilla.nc"}
    assert {p.stem for p in (made.path / "figures").iterdir()} == FIGURES
    tables = {p.stem for p in (made.path / "tables").iterdir()}
    assert tables >= {
        "runs",
        "parameters",
        "forecast",
        "frontier",
        "evidence",
        "bayes_factors",
        "bayes_factor_moves",
        "noise_models",
        "peer_priors",
        "prior_distances",
        "prior_predictive",
        "exponent_claims",
        "diagnostics",
        "backtest",
        "backtest_by_decade",
        "backtest_cuts",
        "backtest_forecasts",
        "backtest_weights",
        "decide_rules",
        "decide_fan",
        "decide_flat",
    }
    for path in (made.path / "figures").iterdir():
        assert path.read_text(encoding="utf-8").startswith("<svg")
    for path in (made.path / "tables").iterdir():
        rows = list(csv.reader(path.open(encoding="utf-8")))
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1, path


def test_report_json_has_the_keys_of_the_contract(made: Report) -> None:
    data = json.loads((made.path / "report.json").read_text(encoding="utf-8"))
    envelope = {
        "schema_version",
        "command",
        "ci_prob",
        "ci_kind",
        "seconds",
        "provenance",
        "warnings",
        "path",
    }
    assert envelope <= set(data)
    assert (data["schema_version"], data["command"]) == (1, "report")
    assert data["failures"] == {}
    assert set(data["fit"]) == set(LAWS)
    assert {"mean", "sd", "median", "lower", "upper", "ess_bulk", "ess_tail", "rhat"} <= set(
        data["fit"]["chinchilla"]["parameters"]["E"]
    )
    assert [f["budget"] for f in data["forecast"]["forecasts"]] == [1e25, 1e24]
    for row in data["forecast"]["forecasts"]:
        assert row["lower"] < row["inner"]["lower"] < row["median"] < row["inner"]["upper"] < row["upper"]
        assert 0 <= row["p_target"] <= 1
    assert data["forecast"]["forecasts"][1]["p_target"] < data["forecast"]["forecasts"][0]["p_target"]
    assert [f["flops"] for f in data["frontier"]["frontier"]] == [1e25, 1e24]
    weighed = data["compare"]
    assert {"laws", "bayes_factors"} <= set(weighed)
    for b in weighed["bayes_factors"]:
        counted = [m["log_bf"] for m in b["moves"] if m["counted"]]
        assert b["range"] == [min(counted), max(counted)]
    assert [n["noise"] for n in weighed["noise_models"]] == ["normal", "laplace", "student_t_growing"]
    assert [p["peer"] for p in weighed["peer_priors"]] == ["mixle"]
    assert [e["law"] for e in weighed["exponents"]] == [*LAWS, "average"]
    assert len(weighed["prior_match"]["distances"]) == 1
    tested = data["backtest"]
    assert tested["coverage"].keys() == {"0.5", "0.8", "0.9", "0.95"}
    assert len(tested["forecasts"]) == tested["n_forecasts"] == sum(r["n_forecasts"] for r in tested["by_decade"])
    weights = {r["law"]: r["weight"] for r in tested["laws"]}
    assert data["forecast"]["law_weights"] == data["frontier"]["law_weights"] == pytest.approx(weights)
    assert data["forecast"]["weights_from"] == tested["weights_from"]
    assert {r["law"]: r["forward_score"] for r in data["compare"]["laws"]} == {
        r["law"]: r["forward_score"] for r in tested["laws"]
    }
    inside = [r["lower"] <= r["observed"] <= r["upper"] for r in tested["forecasts"]]
    assert inside == [r["inside"] for r in tested["forecasts"]]
    assert data["decide"]["decisions"][0]["rule"] == "expected"
    assert data["decide"]["decisions"][0]["flops"] == pytest.approx(1e25)
    assert data["decide"]["target_loss"] == 1.4 or "cannot be reached" in data["decide"]["unattainable"]
    assert made.to_dict()["forecast"] == data["forecast"]


def test_one_quantity_has_one_value_in_every_section(made: Report) -> None:
    front, decided, suggested = (made.data[k] for k in ("frontier", "decide", "next"))
    for name in ("params", "loss"):
        assert front["frontier"][0][name] == decided["optimum"][name] == suggested["now"][name], name
    assert decided["budget"]["amount"] == suggested["budget"] == front["frontier"][0]["flops"]
    assert decided["worth"]["knowing"] == pytest.approx(suggested["worth"]["knowing"])
    assert 0 <= suggested["worth"]["study"] <= suggested["worth"]["knowing"]
    claims, average = front["claims"]["exponent_params"], front["exponent_average"]
    assert claims == pytest.approx({k: average[k] for k in claims})
    for section in ("forecast", "compare"):
        told = made.data[section]["weights"]
        assert {r["law"]: pytest.approx(r["final"]) for r in told} == made.data["forecast"]["law_weights"]
        assert sum(r["prior"] for r in told) == pytest.approx(1)


def test_every_section_was_made(page: str) -> None:
    assert "could not be made" not in page
    assert "could not be drawn" not in page
    for anchor in (
        "answer",
        "runs",
        "fit",
        "forecast",
        "backtest",
        "frontier",
        "decide",
        "next",
        "compare",
        "diagnostics",
        "reproduce",
        "glossary",
    ):
        assert f'id="{anchor}"' in page


def test_a_section_is_one_file_and_one_line_of_the_list() -> None:
    files = {p.stem for p in Path(section_list.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(section_list.ORDER) == files
    found = section_list.sections()
    assert len({s.key for s in found}) == len(found)
    before: set[str] = set()
    for section in found:
        assert not section.within or section.within in before
        before.add(section.key)


def test_what_to_run_next_is_told_with_its_worth(made: Report, page: str) -> None:
    body = made.data["next"]
    assert body["suggestions"][0].keys() >= {"params", "tokens", "flops", "gain", "gain_per_flop"}
    assert body["budget"] == 1e25
    assert sum(r["flops"] for r in body["suggestions"]) <= body["runs_budget"] * (1 + 1e-9)
    assert len(body["considered"]) == body["candidates"]
    assert "would teach most about the best model size" in page
    net, error = body["value"]["net_flops"], body["value"]["study"]["flops_error"]
    assert ("earn more than they cost" in page) is (net > 2 * error)
    assert ("cost more than they earn" in page) is (net < -2 * error)


def test_how_far_to_trust_it_follows_the_loss_and_stands_at_the_top(page: str) -> None:
    order = re.findall(r'<section id="([a-z]+)"', page)
    assert order.index("backtest") == order.index("forecast") + 1
    assert "intervals made from smaller runs held" in page.split('<nav class="contents"')[0]
    assert "The forecast blends the laws" in page
    assert "forward validation at" in page
    assert "averages over the laws, weighted" not in page


def _advised(data: dict[str, Any], **changes: Any) -> str:
    body = {**data["backtest"], **changes}
    return plain(advice.verdict({**data, "backtest": body}).text)


def test_the_advice_follows_from_the_numbers(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    levels = {"0.5": 0.5, "0.8": 0.8, "0.95": 0.95}
    data["backtest"]["folds"] = data["backtest"]["folds"][1:]  # no cut stands out for its few runs
    near = {"coverage": {**levels, "0.9": 0.88}, "n_cells": 20}
    far = {"decades_from": 0.9, "decades_to": 1.2, "n_cells": 2}
    assert "about what it says" in _advised(data, **near)
    assert "weak test" not in _advised(data, **near)
    assert "too narrow" in _advised(data, coverage={**levels, "0.9": 0.3})
    assert "one of about 70\u00a0%" in _advised(data, coverage={**levels, "0.9": 0.72})
    assert "weak test" in _advised(data, **{**near, "n_cells": 3})
    assert "3.1\u00a0% too high" in _advised(data, by_decade=[{**far, "bias": 3.1}])
    assert "3.1\u00a0% too low" in _advised(data, by_decade=[{**far, "bias": -3.1}])
    folds = [
        {**data["backtest"]["folds"][0], "n_train": n, "n_cells": 4, "coverage": {**levels, "0.9": held}}
        for n, held in ((10, 0.4), (90, 0.9))
    ]
    uneven = _advised(data, coverage={**levels, "0.9": 0.65}, folds=folds)
    assert "only 10 runs below it held 40\u00a0%; the later ones" in uneven
    assert "one of about 80\u00a0%" in uneven
    assert "leaned neither way" in _advised(data, by_decade=[{**far, "bias": 0.1}])


def test_later_cuts_move_the_advice_either_way(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    levels = {"0.5": 0.5, "0.8": 0.8, "0.95": 0.95}

    def advised(first: float, later: float) -> str:
        folds = [
            {**data["backtest"]["folds"][0], "n_train": n, "n_cells": 10, "coverage": {**levels, "0.9": held}}
            for n, held in ((10, first), (90, later))
        ]
        return _advised(data, coverage={**levels, "0.9": (first + later) / 2}, n_cells=20, folds=folds)

    assert "one of about 80\u00a0%" in advised(0.4, 0.9)
    assert "as about what it says" in advised(0.75, 0.95)
    assert "one of about 70\u00a0%" in advised(1.0, 0.6)
    assert "too narrow" in advised(0.9, 0.3)


def _lines(data: dict[str, Any]) -> tuple[str, str]:
    found = status(data)
    return found["level"], " ".join([found["line"], *(f"{c.what}: {c.outcome} {c.detail}" for c in found["checks"])])


def test_the_line_on_checks_says_what_failed_and_what_passed(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    data["ok"], data["warnings"] = True, []
    for row in data["diagnostics"]["fits"]:
        row["verdict"] = "ok"
    for row in data["compare"]["laws"]:
        row["pareto_k_max"] = 0.4
    for fold in data["backtest"]["folds"]:
        fold["verdicts"] = dict.fromkeys(fold["verdicts"], "ok")
    level, text = _lines(data)
    assert level == "ok"
    assert text == "All checks passed: fits, evidence estimates, fits of the back-test and leave-one-out."
    data["compare"]["laws"][0]["pareto_k_max"] = 0.93
    level, text = _lines(data)
    assert level == "warning"
    assert "Of 4 checks, 1 failed" in text
    assert "leave-one-out: failed Pareto k above 0.7 for Kaplan (0.93)" in text
    assert "fits of the back-test: passed" in text
    data["backtest"]["folds"][0]["verdicts"]["chinchilla"] = "failed"
    data["diagnostics"]["fits"][0]["verdict"] = "warning"
    level, text = _lines(data)
    assert level == "warning"
    assert "2 failed and 1 passed with a warning" in text
    assert "Chinchilla below" in text
    data["ok"], data["diagnostics"]["fits"][0]["verdict"] = False, "failed"
    level, text = _lines(data)
    assert level == "failed"
    assert text.startswith("Not to be relied on: the fit of Kaplan failed its checks; leave-one-out failed")


def test_the_first_screen_holds_question_figure_numbers_and_sentences(made: Report, page: str) -> None:
    top = page.split('<nav class="contents"')[0]
    assert "What loss will a training run of 1e25 FLOP reach, how likely is a loss of at most 1.4, and" in top
    assert 'id="figure-loss_compute"' in top
    values = re.findall(r'<span class="big">([^<]*)</span>.*?<span class="interval">90\u00a0%: ([^<]*)</span>', top)
    assert len(values) == 3
    row, size = made.data["forecast"]["forecasts"][0], made.data["frontier"]["frontier"][0]
    assert float(values[0][0]) == pytest.approx(row["median"], abs=6e-4)
    assert [float(v) for v in values[0][1].split(" to ")] == pytest.approx([row["lower"], row["upper"]], abs=6e-4)
    assert values[1][0] == w.count(size["params"]["median"])
    held = re.findall(r'<span class="held[^>]*>([^<]*)</span>', top)
    share, cells = w.percent(made.data["backtest"]["coverage"]["0.9"]), made.data["backtest"]["n_cells"]
    assert held[0].startswith(
        f"Such 90\u00a0% intervals held {share} of the larger runs here ({w.plural(cells, 'cell')}"
    )
    assert "These runs cannot test it" in held[1]
    sentences = top.split('<ul class="sentences">')[1].split("</ul>")[0]
    assert sentences.count("<li>") == 3
    quote = top.split('<blockquote id="quote"')[1].split(">", 1)[1].split("</blockquote>")[0]
    assert "<" not in quote
    for text in (w.loss(row), w.loss_range(row), values[1][0], share, "seed 0"):
        assert text in quote
    spec = json.dumps(
        json.loads(re.findall(r'<script type="application/json">(.*?)</script>', top, flags=re.DOTALL)[0])
    )
    assert "GPT-3 175B" in spec
    assert "target 1.4" in spec


@pytest.mark.usefixtures("unpainted")
def test_a_first_screen_without_a_forecast_still_stands(made: Report) -> None:
    data = dict(made.data) | {"forecast": None, "frontier": None, "backtest": None, "next": None, "compare": None}
    data |= {"decide": None, "ok": False, "failures": {"forecast": "RuntimeError: none today"}}
    top = make(data).page.split('<nav class="contents"')[0]
    assert "What loss will a training run of 1e25 FLOP reach" in top
    assert "figure-loss_compute" not in top
    assert "<blockquote" not in top


@pytest.mark.usefixtures("unpainted")
def test_a_misfit_and_an_impossible_back_test_are_said_at_the_top(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    data["backtest"]["misfit"] = "no single law foretold the larger runs"
    top = make(data).page.split('<nav class="contents"')[0]
    assert "<b>Misfit</b>: no single law foretold" in top
    none = dict.fromkeys(("coverage", "pinball", "half_width", "bias", "misfit"))
    data["backtest"] |= {**none, "n_forecasts": 0, "n_cells": 0, "folds": [], "by_decade": [], "forecasts": []}
    for law in data["backtest"]["laws"]:
        law |= {"forward_score": None, "by_decade": []}
    text = make(data).page
    assert "could not be drawn" not in text
    assert "These runs cannot test the intervals" in text.split('<nav class="contents"')[0]
    assert 'id="figure-backtest_weights"' in text


def test_a_back_test_that_breaks_leaves_forecasts_by_experience(
    monkeypatch: pytest.MonkeyPatch, made: Report, hostile: bs.Runs
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no folds today")

    monkeypatch.setattr("bayes_scaling.reporting.study.validated_average", broken)
    notices: list[Notice] = []
    fits = [load_fit(p) for p in sorted((made.path / "fits").iterdir())]
    group, tested = _averaged([replace(f, runs=hostile) for f in fits], 0, notices)
    assert tested is None
    assert group is not None
    assert "other tables" in group.basis
    assert [n.code for n in notices] == ["section_failed"]


def test_every_number_of_a_sentence_has_its_table(page: str) -> None:
    linked = set(re.findall(r'class="source" href="#table-([a-z_]+)"', page))
    assert linked
    for name in linked:
        assert f'id="table-{name}"' in page


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href|action|srcset)\s*=\s*["']?\s*(?:https?:)?//""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert "default-src 'none'" in page
    assert "<link" not in markup
    for source in re.findall(r'src="([^"]*)"', markup):
        assert source.startswith("data:image/svg+xml;base64,")
        svg = base64.b64decode(source.split(",", 1)[1]).decode()
        assert not re.findall(r"""(?:href|src)\s*=\s*["'](?!#)""", svg)


def test_strangers_text_is_only_text(made: Report, page: str) -> None:
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for spec in re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL):
        assert not set("<>&\u2028\u2029") & set(spec)
        json.loads(spec)
    for path in (made.path / "figures").iterdir():
        assert "<script" not in path.read_text(encoding="utf-8")
    assert HOSTILE in (made.path / "tables" / "runs.csv").read_text(encoding="utf-8")


def test_what_cannot_be_seen_is_escaped_and_long_names_are_cut(made: Report, page: str) -> None:
    told = page.split("<body>")[1].split('<script type="module">')[0]
    svgs = [p.read_text(encoding="utf-8") for p in (made.path / "figures").iterdir()]
    for text in (told, *svgs):
        assert not set("\u202e\u2066\u2069\x1b\x07") & set(text)
        assert "x" * 100 not in text
        assert "y" * 100 not in text
    assert "run \\u202e\\u2066gnorw\\u2069 \\x1b[31m" in told
    assert "x" * 60 + "…" in told
    rows = list(csv.DictReader((made.path / "tables" / "runs.csv").open(encoding="utf-8", newline="")))
    assert rows[3]["run"] == TURNED
    assert rows[4]["run"] == "x" * 5000
    assert made.data["runs"]["run"][3:5] == [TURNED, "x" * 5000]


def test_no_cell_of_a_table_is_a_formula(made: Report) -> None:
    for path in (made.path / "tables").iterdir():
        for row in csv.reader(path.open(encoding="utf-8", newline="")):
            for cell in row:
                assert not cell.startswith(("=", "@", "\t", "\r"))
                assert not cell.startswith(("+", "-")) or float(cell)
    rows = list(csv.DictReader((made.path / "tables" / "runs.csv").open(encoding="utf-8", newline="")))
    assert rows[2]["run"] == f"'{FORMULA}"
    assert rows[2]["'@SUM(A1)"] in ("2.5", "+2.50")


def test_budgets_inside_the_runs_never_lead_and_all_are_answered(page: str) -> None:
    assert largest_first([1e21, 3e24, 1e25, 1e21]) == (1e25, 1e21, 3e24)
    top = page.split('<nav class="contents"')[0]
    assert "With 1e25 FLOP spent at the best allocation" in top
    table = top.split('id="table-budgets"')[1].split("</table>")[0]
    assert re.findall(r'<th scope="row" class="n">([^<]*)</th>', table) == ["1e24", "1e25"]


def test_json_for_a_script_round_trips() -> None:
    value = {"a": "</script><!-- & \u2028", "b": [1.5, float("nan")]}
    text = json_for_script(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": value["a"], "b": [1.5, None]}


def test_rebuilding_gives_the_same_page_from_the_numbers_alone(made: Report, page: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes((made.path / "report.json").read_bytes())
    again = rebuild(tmp_path)
    assert again.page.read_text(encoding="utf-8") == page
    for name in made.data["files"]:
        assert (tmp_path / name).read_bytes() == (made.path / name).read_bytes()


def test_a_report_goes_on_where_it_stopped(made: Report, hostile: bs.Runs) -> None:
    fits = {p: p.stat().st_mtime_ns for p in (made.path / "fits").iterdir()}
    (made.path / "fits" / "kaplan.nc").touch()  # a time stamp decides nothing
    fits[made.path / "fits" / "kaplan.nc"] = (made.path / "fits" / "kaplan.nc").stat().st_mtime_ns
    again = report(hostile, laws=LAWS, out=made.path, budgets=["1e24", 1e25], target_loss=1.4, **SMALL)
    assert again.data["resumed"] == LAWS
    assert {p: p.stat().st_mtime_ns for p in (made.path / "fits").iterdir()} == fits
    assert again.data["backtest"]["coverage"] == made.data["backtest"]["coverage"]
    for key in ("forecast", "frontier"):
        mine, theirs = (json.dumps(r.data[key]["exponents" if key == "frontier" else "band"]) for r in (made, again))
        assert mine == theirs


@pytest.mark.usefixtures("unpainted")
def test_tables_left_by_another_report_are_taken_away(made: Report, tmp_path: Path) -> None:
    data = dict(made.data) | {"files": [*made.data["files"], "tables/old.csv", "../kept.csv"]}
    out = tmp_path / "out"
    (out / "tables").mkdir(parents=True)
    for path in (out / "tables" / "old.csv", out / "tables" / "users.csv", tmp_path / "kept.csv"):
        path.write_text("a\n1\n")
    (out / "report.json").write_text(json.dumps(data))
    rebuild(out)
    assert not (out / "tables" / "old.csv").exists()
    assert (out / "tables" / "users.csv").exists()
    assert (tmp_path / "kept.csv").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr("bayes_scaling.reporting.study.fit", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(DataError, match="Cannot write"):
        report("pile", laws=LAWS, out=tmp_path / "file" / "report")


@pytest.mark.parametrize("wrong", [{"laws": ["chinchila"]}, {"target_loss": -1.0}, {"budgets": ["much"]}])
def test_a_wrong_request_is_refused(wrong: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bayes_scaling.reporting.study.fit", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(UsageError):
        report("pile", out=tmp_path / "r", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"command": "fit", "schema_version": 1}'])
def test_rebuilding_what_is_no_report_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match=r"report\.json"):
        rebuild(tmp_path)


@pytest.mark.usefixtures("unpainted")
def test_a_section_that_fails_says_so_in_its_place(made: Report) -> None:
    data = dict(made.data) | {
        "frontier": None,
        "failures": {"frontier": f"RuntimeError: {HOSTILE}"},
        "ok": False,
    }
    text = make(data).page
    assert "This section could not be made: RuntimeError: &lt;script&gt;" in text
    assert 'class="banner failed"' in text
    assert 'id="figure-loss_compute"' in text


@pytest.mark.usefixtures("unpainted")
def test_a_target_that_cannot_be_assured_is_said_where_the_decision_stands(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    data["decide"] |= {"assurance": None, "unattainable": "A loss of 0.1 cannot be reached, says the section"}
    text = make(data).page
    assert "could not be drawn" not in text
    assert "A loss of 0.1 cannot be reached, says the section" in text.split('<section id="decide"')[1]


@pytest.mark.usefixtures("unpainted")
def test_a_failed_fit_stands_at_the_top(made: Report) -> None:
    data = json.loads(json.dumps(dict(made.data)))
    data["diagnostics"]["fits"][0]["verdict"] = "failed"
    data["ok"] = False
    top = make(data).page.split("<h2", 1)[0]
    assert "Not to be relied on: the fit of Kaplan failed its checks" in top


def test_the_result_prints_and_tabulates(made: Report) -> None:
    text = repr(made)
    assert "nats per token" in text
    assert "<b>" not in text
    assert HOSTILE not in made._repr_html_()
    frame = made.to_frame()
    assert frame["budget"].tolist() == [1e25, 1e24]
    assert {"median", "lower", "upper", "params", "tokens"} <= set(frame.columns)


def test_the_command_names_no_path_of_this_machine(made: Report) -> None:
    text = command(made.data)
    assert text.startswith("bayes-scaling report tables/runs.csv --laws kaplan,chinchilla --seed 0")
    assert "--budget 1e25 --budget 1e24 --target-loss 1.4" in text
    again = bs.load_runs(made.path / "tables" / "runs.csv")
    assert again.sha256 == made.data["provenance"]["runs_sha256"]


def test_the_largest_run_is_counted_as_budgets_are(made: Report) -> None:
    largest = max(made.data["runs"]["flops_counted"])
    assert made.data["forecast"]["tenfold"][0]["from_flops"] == pytest.approx(largest, rel=1e-12)
    beyond = made.data["forecast"]["forecasts"][0]["decades_beyond"]["flops"]
    assert beyond == pytest.approx(np.log10(1e25 / largest), abs=1e-9)


def test_budgets_and_grid_by_default() -> None:
    runs = bs.load_runs("pile")
    low, high = default_budgets(runs)
    largest = runs.flops.max()
    assert 5 * largest < low < 20 * largest
    assert 50 * largest < high < 200 * largest
    grid = grid_of(runs, (low, 1e30))
    assert grid[0] <= runs.flops.min()
    assert grid[-1] >= 1e30
    assert np.all(np.diff(np.log(grid)) > 0)


def test_csv_keeps_numbers_whole() -> None:
    assert to_csv([{"=a": "-1e3"}, {"=a": "-x"}, {"=a": -2.5}]) == "'=a\n-1e3\n'-x\n-2.5\n"
    text = to_csv([{"a": 0.1 + 0.2, "b": {"c": None}}, {"a": 1e26, "b": {"c": "x,y"}}])
    assert text == 'a,b_c\n0.30000000000000004,\n1e+26,"x,y"\n'


@pytest.mark.usefixtures("unpainted")
def test_the_unit_of_the_loss_is_kept_on_the_whole_page(made: Report, page: str) -> None:
    """The same numbers as errors: no sentence, axis or table but the glossary's speaks of nats per token."""
    assert made.data["runs"]["loss_unit"] == "nats"
    text = make(dict(made.data) | {"runs": {**made.data["runs"], "loss_unit": "error"}}).page
    body = text[: text.index('<dl class="glossary">')]
    assert "loss, error" in body
    assert "nats per token" not in body
    assert "nats per token" in page[: page.index('<dl class="glossary">')]
