"""The command line held to the contract: commands, JSON keys, quick start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import QUICK

from bayes_scaling import __version__
from bayes_scaling.cli.main import main
from bayes_scaling.runs.loading import load_runs

FITTING = ("report", "fit", "fleet", "forecast", "frontier", "compare", "backtest", "decide", "next")
COMMANDS = (*FITTING, "laws", "data", "validate", "cache", "completion")

# The contract's keys. More may be added; these stay.
ENVELOPE = {"schema_version", "command", "ci_prob", "ci_kind", "seconds", "provenance", "warnings"}
PROVENANCE = {"versions", "platform", "device", "seed", "runs_sha256", "command_line"}
INTERVAL = {"mean", "sd", "median", "lower", "upper"}
DIAGNOSTICS = {
    "verdict", "rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "ebfmi_min", "messages"
}  # fmt: skip
LAW_ROW = {
    "law", "log_evidence", "log_evidence_sd", "estimators", "agree", "probability", "elpd_loo", "elpd_loo_se",
    "pareto_k_max", "stacking_weight", "forward_score",
}  # fmt: skip
FACTOR = {"numerator", "denominator", "log_bf", "log_bf_sd", "range", "verdict"}


def answer(capsys, *words):
    """The JSON object of a command that must succeed."""
    code = main([*words, "--json"])
    out = capsys.readouterr().out
    assert code == 0
    body = json.loads(out)
    assert body.keys() >= ENVELOPE
    assert body["schema_version"] == 1
    assert body["command"] == words[0]
    assert body["provenance"].keys() >= PROVENANCE
    assert body["seconds"]["total"] >= 0
    assert all(w.keys() == {"code", "message"} for w in body["warnings"])
    return body


def numbers(value):
    return value.keys() >= INTERVAL and value["lower"] <= value["median"] <= value["upper"]


# --- help and start -------------------------------------------------------------------------------------


def test_help_lists_what_there_is_and_nothing_else(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("    ") and line[4] != " "]
    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(capsys, command):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "--json" in text
    if command in FITTING:
        for option in (
            "--seed",
            "--chains",
            "--draws",
            "--ci",
            "--quiet",
            "--allow-bad-fit",
            "--prior",
            "--noise",
        ):
            assert option in text
        assert text.count("default:") >= 5


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bayes-scaling {__version__}\n"


@pytest.mark.parametrize(
    ("words", "light"),
    [
        (["--help"], True),
        (["--version"], True),
        (["laws"], True),
        (["laws", "coupled"], True),
        (["data"], True),
        (["validate", "pile"], False),
        (["validate", "runs.csv", "--json"], False),
    ],
)
def test_quick_commands_import_nothing_heavy(tmp_path, words, light):
    (tmp_path / "runs.csv").write_text("N,D,L\n1e9,2e10,2.5\n2e9,4e10,2.3\n1e10,1e11,2.1\n")
    code = (
        "import sys; from bayes_scaling.cli.main import main; code = main(sys.argv[1:]); "
        "print(' '.join(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    heavy = {
        "pymc",
        "pytensor",
        "jax",
        "jaxlib",
        "numpyro",
        "arviz",
        "arviz_stats",
        "scipy",
        "xarray",
        "altair",
    }
    assert not loaded & heavy
    if light:
        assert not loaded & {"pandas", "numpy", "pyarrow", "requests"}


# --- JSON -----------------------------------------------------------------------------------------------


def test_fit_json(saved):
    path, body, err = saved
    assert path.is_file()
    assert body.keys() >= ENVELOPE | {"law", "runs", "parameters", "derived", "diagnostics"}
    assert (body["command"], body["law"], body["runs"]["n"]) == ("fit", "chinchilla", 30)
    assert body["parameters"].keys() >= {"E", "A", "B", "alpha", "beta", "sigma", "nu"}
    for value in body["parameters"].values():
        assert numbers(value)
        assert value.keys() >= {"ess_bulk", "ess_tail", "rhat"}
    assert body["derived"].keys() >= {"exponent_params", "exponent_tokens"}
    assert body["diagnostics"].keys() >= DIAGNOSTICS
    assert "sampling" in err  # progress, and it did not mix with the data


def test_forecast_json(capsys, saved):
    body = answer(
        capsys, "forecast", str(saved[0]), "--at", "params=70B,tokens=1.4T", "--at", "flops=1e24,tokens=1e12",
        "--ci", "0.5",
    )  # fmt: skip
    first, second = body["forecasts"]
    for row in (first, second):
        assert numbers(row)
        assert row.keys() >= {"params", "tokens", "flops", "kind", "decades_beyond", "law_weights"}
        assert row["decades_beyond"].keys() == {"flops", "params", "tokens"}
    assert first["params"] == 70e9
    assert first["kind"] == "new-run"
    assert first["mean"] is None  # Student-t noise has none
    factor = load_runs("pile").flops_factor  # its flops are given, and its own ratio counts a query's
    assert second["params"] * second["tokens"] * 6 * factor == pytest.approx(1e24)
    assert body["ci_prob"] == 0.5
    assert [w["code"] for w in body["warnings"]].count("one_law") == 1
    curve = answer(capsys, "forecast", str(saved[0]), "--at", "params=70B,tokens=1.4T", "--kind", "curve")
    assert curve["forecasts"][0]["mean"] == pytest.approx(first["median"], abs=0.1)


def test_frontier_json(capsys, saved):
    body = answer(capsys, "frontier", str(saved[0]), "--budget", "1e22", "--budget", "100PF-days")
    assert [row["flops"] for row in body["frontier"]] == [1e22, pytest.approx(8.64e21)]
    for row in body["frontier"]:
        assert all(numbers(row[name]) for name in ("params", "tokens", "tokens_per_param", "loss"))
    assert len(body["decades_beyond"]) == 2
    assert all(numbers(body["exponents"][name]) for name in ("params", "tokens"))


def test_decide_json(capsys, saved):
    path = str(saved[0])
    body = answer(
        capsys, "decide", path, "--budget", "1e22", "--target-loss", "1.75", "--inference-tokens", "1T",
        "--device", "H100", "--price", "2.5", "--devices-count", "512", "--deadline", "12weeks",
        "--plan", "params=7B,tokens=200B,name=small", "--plan", "params=13B,tokens=100B,price=1e5",
    )  # fmt: skip
    assert [row["rule"] for row in body["decisions"]] == [
        "expected", "quantile", "cvar", "target", "regret", "minimax"
    ]  # fmt: skip
    for row in body["decisions"]:
        assert row.keys() >= {"rule", "params", "tokens", "flops", "cost", "loss", "cvar", "regret", "p_target"}
        assert numbers(row["loss"])
        assert numbers(row["cost"])
        assert row["flops"] < 1e22  # serving takes its part
    assert body["assurance"].keys() >= {"target_loss", "probability", "flops"}
    assert (body["cost_model"]["unit"], body["cost_model"]["devices"]) == ("USD", 512)
    assert [p["name"] for p in body["plans"]] == ["small", "13B on 100B"]
    assert body["serving"]["at_budget"]["params"]["median"] < body["serving"]["training_only"]["params"]["median"]
    assert "one_law" in [w["code"] for w in body["warnings"]]
    assert main(["decide", path, "--budget", "1e22", "--sizes", "7B,13B", "--rule", "cvar", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("With 1e22 FLOP, train ")
    assert "Law: chinchilla" in text


def test_a_decision_that_cannot_be_had(capsys, saved):
    path = str(saved[0])
    for words, says in [
        (["--budget", "1e24", "--device", "H100", "--devices-count", "8", "--deadline", "1"], "FLOP by then"),
        (["--budget", "1e20", "--min-params", "1e17"], "are feasible"),
    ]:
        assert main(["decide", path, *words, "--quiet"]) == 3
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("Error: ")
        assert says in captured.err
        assert len(captured.err.splitlines()) == 1
    # An unreachable target has its plan, and its probability, all the same.
    assert main(["decide", path, "--target-loss", "0.2", "--quiet", "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: No budget makes it safe")
    assert len(captured.err.splitlines()) == 1
    body = json.loads(captured.out)
    assert body["assurance"]["flops"] is None
    assert body["decisions"][0]["p_target"] < 0.01
    assert body["unattainable"] in captured.err


def once(monkeypatch, module, name):
    """From now on, `module.name` gives again what it gave first."""
    kept, made = [], getattr(module, name)

    def again(*args, **kwargs):
        kept.append(kept[0] if kept else made(*args, **kwargs))
        return kept[0]

    monkeypatch.setattr(module, name, again)


def test_compare_backtest_and_the_average(capsys, monkeypatch):
    """One comparison and one validation serve: their JSON, and a forecast that rests on them."""
    from bayes_scaling.evidence import comparing
    from bayes_scaling.validation import averaging, backtesting

    once(monkeypatch, comparing, "compare")
    once(monkeypatch, averaging, "validate_forward")
    monkeypatch.setattr(backtesting, "validate_forward", lambda *a, **k: averaging.validate_forward(*a, **k))
    chosen = ["--laws", "kaplan_floor,chinchilla", *QUICK, "--quiet"]
    body = answer(capsys, "compare", "pile", *chosen)
    assert {row["law"] for row in body["laws"]} == {"kaplan_floor", "chinchilla"}
    for row in body["laws"]:
        assert row.keys() >= LAW_ROW
        assert row["estimators"].keys() >= {"bridge", "nested"}
    assert body["bayes_factors"][0].keys() >= FACTOR
    assert {n["noise"] for n in body["noise_models"]} == {"normal", "laplace", "student_t_growing"}
    assert body["peer_priors"][0]["source"].startswith("mixle")
    assert [e["law"] for e in body["exponents"]][-1] == "average"
    assert body["prior_match"]["distances"][0].keys() >= {"first", "second", "mean", "spread"}
    assert sum(row["probability"] for row in body["laws"]) == pytest.approx(1)
    evidence = comparing.compare()
    monkeypatch.setattr(comparing, "fit_laws", lambda *a, **k: evidence.fits)
    averaged = answer(capsys, "forecast", "pile", "--law", "average", "--at", "params=7B,tokens=1T", *chosen)
    weights = averaged["forecasts"][0]["law_weights"]
    assert weights == {row["law"]: pytest.approx(row["forward_weight"]) for row in body["laws"]}
    assert averaged["weights_from"] == body["weights_from"]
    assert averaged["seconds"].keys() >= {"fits", "validation", "forecast"}
    assert "one_law" not in [w["code"] for w in averaged["warnings"]]
    tested = answer(capsys, "backtest", "pile", *chosen)
    assert tested["coverage"].keys() == {"0.5", "0.8", "0.9", "0.95"}
    assert {r["law"]: r["forward_score"] for r in tested["laws"]} == {
        r["law"]: r["forward_score"] for r in body["laws"]
    }
    assert tested["by_decade"]
    assert all(fold["laws"].keys() == weights.keys() for fold in tested["folds"])
    assert "no_effect" in [w["code"] for w in tested["warnings"]]
    assert main(["backtest", "pile", *chosen]) == 0
    text = capsys.readouterr().out
    assert "The average, by decades beyond the cut" in text
    assert "Weights for forecasts, from forward validation" in text
    assert main(["forecast", "pile", "--at", "params=7B,tokens=1T", *chosen]) == 0
    assert "Laws averaged, weights from forward validation" in capsys.readouterr().out
    assert main(["compare", "pile", *chosen]) == 0
    text = capsys.readouterr()
    assert "Bayes factors" in text.out
    assert "forward weight" in text.out
    assert text.err == ""


def test_laws_data_and_validate_json(capsys):
    laws = answer(capsys, "laws")["laws"]
    assert [law["name"] for law in laws][:4] == ["kaplan", "kaplan_floor", "chinchilla", "coupled"]
    one = answer(capsys, "laws", "chinchilla")["laws"][0]
    assert one["parameters"]["alpha"]["reason"]
    assert one["published"][0]["values"]["E"] == 1.69
    assert "pile" in [entry["name"] for entry in answer(capsys, "data")["data_sets"]]
    assert "Licence" in answer(capsys, "data", "pile")["data_set"]["card"]
    checked = answer(capsys, "validate", "pile")
    assert checked["runs"]["n"] == 30
    assert checked["warnings"][0]["code"] == "flops_differ"
    assert checked["provenance"]["runs_sha256"]


def test_text_of_the_quick_commands(capsys):
    for words, says in [
        (["laws", "chinchilla"], ["482.01", "Besiroglu", "lognormal", "in place of gap_params"]),
        (["data"], ["pile", "bundled", "to fetch"]),
        (["validate", "pile"], ["30 runs", "5 groups", "20.6B", "Warning: "]),
        (["validate", "pile", "--map", "flops="], ["The table can be used."]),
    ]:
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(part in out for part in says), out


def test_report_is_asked_for_what_was_said(capsys, monkeypatch, tmp_path):
    from bayes_scaling.base import provenance

    calls = []

    class Answer(SimpleNamespace):
        def __init__(self, body):
            super().__init__(to_dict=lambda: body)

        def __repr__(self):
            return f"Report: {self.to_dict()['path']}"

    def report(runs, **options):
        calls.append((runs, options))
        body = provenance.envelope("report", {"path": str(options["out"])}, ci_prob=options["ci_prob"])
        return Answer(body)

    monkeypatch.setitem(sys.modules, "bayes_scaling.reporting", SimpleNamespace(report=report))
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 0
    assert capsys.readouterr().out.strip().endswith(str(Path("reports", "pile")))
    runs, options = calls[0]
    assert runs.n == 30
    assert options["laws"] is None
    assert options["budgets"] is None
    body = answer(
        capsys, "report", "pile", "--budget", "1e24", "--target-loss", "1.6", "--out", "here",
        "--law", "kaplan", "--prior", "alpha=normal(mu=0.1, sigma=1)", "--draws", "60", "--quiet",
    )  # fmt: skip
    assert body["path"] == "here"
    options = calls[1][1]
    assert options["budgets"] == ["1e24"]  # in any unit: the report reads it, with the runs at hand
    assert options["target_loss"] == 1.6
    assert options["laws"] == ("kaplan",)
    assert str(options["priors"]["alpha"]) == "normal(mu=0.1, sigma=1)"
    assert options["draws"] == 60
    assert options["progressbar"] is False
