"""Tables as people have them: understood, or refused for the right reason with the remedy, or told what they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clean_tables import clean_table
from command import cli as run
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.runs.loading import load_runs

CODES = ("sweep", "checkpoints", "groups_differ", "not_a_loss", "units", "absurd_scatter", "unfinished_runs")


def codes(runs):
    return [notice.code for notice in runs.notices]


def told(runs, code):
    return next(notice.message for notice in runs.notices if notice.code == code)


def refused(source, *says, **options):
    with pytest.raises(DataError) as caught:
        load_runs(source, **options)
    for part in says:
        assert part in str(caught.value), str(caught.value)
    return str(caught.value)


def grid(sizes=6, seed=0, noise=0.003, **columns):
    """A factorial of a Chinchilla-like law, with further columns."""
    rng = np.random.default_rng(seed)
    n, d = (v.ravel() for v in np.meshgrid(10 ** np.linspace(8, 10, sizes), 10 ** np.linspace(9, 11, sizes)))
    loss = (1.7 + 0.4 * (n / 1e9) ** -0.34 + 0.5 * (d / 2e10) ** -0.28) * np.exp(noise * rng.standard_normal(n.size))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss} | {k: v(n.size) for k, v in columns.items()})


# --- what is in the loss column


def test_a_perplexity_is_refused_by_its_name_and_converted_when_declared(tmp_path):
    table = pd.DataFrame(
        {"params": [1.24e8, 3.5e8, 7.6e8, 1.5e9], "tokens": [1e10] * 4, "ppl": [29.1, 20.0, 15.2, 12.1]}
    )
    refused(table, "no column 'loss'", "--map loss=ppl --loss-unit ppl")
    refused(table, "perplexity", "--loss-unit ppl", "--loss-unit nats", columns={"loss": "ppl"})
    runs = load_runs(table, columns={"loss": "ppl"}, loss_unit="ppl")
    np.testing.assert_allclose(runs.loss, np.log(table.ppl))
    assert (runs.loss_unit, "not_a_loss" in codes(runs)) == ("nats", False)
    plain = load_runs(table.rename(columns={"ppl": "loss"}))
    assert "--loss-unit ppl" in told(plain, "not_a_loss")
    table.to_csv(tmp_path / "t.csv", index=False)
    done = run("validate", str(tmp_path / "t.csv"), "--map", "loss=ppl", "--loss-unit", "ppl", "--json")
    assert json.loads(done.stdout)["runs"]["loss_unit"] == "nats"


@pytest.mark.parametrize(
    ("unit", "options", "factor"),
    [
        ("bits", {}, math.log(2)),
        ("bpb", {"tokens_per_byte": 0.25}, math.log(2) / 0.25),
        ("bpc", {"tokens_per_byte": 0.2}, math.log(2) / 0.2),
        ("bpw", {"tokens_per_word": 1.3}, math.log(2) / 1.3),
    ],
)
def test_units_of_loss(unit, options, factor):
    table = grid().assign(loss_sd=0.01)
    table["loss"] /= factor
    runs = load_runs(table, loss_unit=unit, **options)
    np.testing.assert_allclose(runs.loss, grid().loss)
    np.testing.assert_allclose(runs.loss_sd, 0.01 * factor)
    assert runs.loss_unit == "nats"
    named = table.drop(columns="loss_sd").rename(columns={"loss": f"val_{unit}"})
    refused(named, f"--loss-unit {unit}", columns={"loss": f"val_{unit}"})
    if options:
        with pytest.raises(UsageError, match="needs --tokens-per-"):
            load_runs(table, loss_unit=unit)
        with pytest.raises(UsageError, match="goes with --loss-unit"):
            load_runs(table, loss_unit="nats", **options)


def test_a_perplexity_s_standard_error():
    table = grid().assign(loss_sd=0.5)
    table["loss"] = np.exp(table.loss)
    runs = load_runs(table, loss_unit="ppl")
    np.testing.assert_allclose(runs.loss_sd, 0.5 / table.loss)


def test_errors_stay_on_their_own_scale():
    table = grid().rename(columns={"loss": "top1_error"})
    table["top1_error"] /= 10
    undeclared = load_runs(table, columns={"loss": "top1_error"})
    assert "--loss-unit error" in told(undeclared, "not_a_loss")
    runs = load_runs(table, columns={"loss": "top1_error"}, loss_unit="error")
    assert (runs.loss_unit, runs.unit_words, codes(runs)) == ("error", "error", [])
    np.testing.assert_array_equal(runs.loss, table.top1_error)
    assert load_runs(
        table.assign(top1_error=table.top1_error * 400), columns={"loss": "top1_error"}, loss_unit="error"
    ).n
    assert "error" in repr(runs)
    assert runs.subset(runs.params > 1e9).loss_unit == "error"


@pytest.mark.parametrize("name", ["accuracy", "mIoU", "score"])
def test_a_score_that_rises_is_told(name):
    table = grid()
    table["loss"] = 0.9 - 0.3 * table.loss / table.loss.max()
    assert "rises with compute" in told(load_runs(table), "not_a_loss")
    by_name = load_runs(table.rename(columns={"loss": name}), columns={"loss": name})
    assert "score" in told(by_name, "not_a_loss")


def test_an_absurd_scatter_is_told_first():
    rng = np.random.default_rng(1)
    table = grid()
    table["loss"] *= np.exp(0.5 * rng.standard_normal(len(table)))
    runs = load_runs(table)
    assert "absurd_scatter" in codes(runs)
    assert "%" in told(runs, "absurd_scatter")


# --- what the rows are


def swept(seed=0):
    """Cells of size and tokens, in each a sweep over learning rate whose best place moves with size."""
    rng = np.random.default_rng(seed)
    base = grid(4, noise=0)
    table = base.loc[base.index.repeat(7)].reset_index(drop=True)
    table["lr"] = np.tile(10 ** np.linspace(-4, -2, 7), len(base))
    off = np.log(table.lr) - np.log(3e-3 * (table.params / 1e9) ** -0.3)
    table["loss"] *= 1 + 0.01 * off**2
    table["loss"] *= np.exp(0.002 * rng.standard_normal(len(table)))
    table["seed"] = rng.integers(0, 9, len(table))
    return table


def test_a_sweep_is_named_with_the_column_that_goes_with_it():
    message = told(load_runs(swept()), "sweep")
    assert "112 of 112 rows" in message
    assert "'lr'" in message
    assert "--per-cell best" in message
    assert "seed" not in message


def test_the_best_of_each_cell():
    table = swept()
    runs = load_runs(table, per_cell="best")
    best = table.groupby(["params", "tokens"]).loss.min()
    np.testing.assert_allclose(np.sort(runs.loss), np.sort(best))
    assert codes(runs) == ["rows_left_out"]
    assert "96 of 112" in told(runs, "rows_left_out")
    assert "biased low" in told(runs, "rows_left_out")
    middle = load_runs(table, per_cell="median")
    np.testing.assert_allclose(np.sort(middle.loss), np.sort(table.groupby(["params", "tokens"]).loss.median()))
    assert load_runs(table, per_cell="q25").loss.sum() == load_runs(table, per_cell=0.25).loss.sum()
    assert runs.loss.sum() < load_runs(table, per_cell="25%").loss.sum() < middle.loss.sum()
    with pytest.raises(UsageError, match="--per-cell"):
        load_runs(table, per_cell="worst")


def test_cells_keep_law_columns_and_groups_apart():
    base = grid(3, noise=0)
    table = pd.concat([base.assign(experts=e, corpus=c, loss=base.loss - e / 100) for e in (1, 8) for c in "ab"])
    assert load_runs(table, per_cell="best").n == 36
    active = pd.concat([base.assign(active_params=k, loss=base.loss - k / 1e10) for k in (1e8, 2e8)])
    runs = load_runs(active, per_cell="best")
    assert runs.n == 18
    assert "active_params" in told(runs, "unused_columns")


def test_a_hyper_parameter_beside_size_and_tokens():
    rng = np.random.default_rng(3)
    table = grid(noise=0.002)
    table["batch_size"] = rng.choice([64, 256, 1024, 4096], len(table))
    table["loss"] *= (table.batch_size / 512) ** 0.02
    assert "'batch_size'" in told(load_runs(table), "sweep")


def test_checkpoints_and_the_last_of_each_run():
    rows = [
        {"run": f"r{n:.0e}", "params": n, "tokens": d, "loss": 1.7 + 30 * n**-0.2 + 100 * d**-0.3, "note": "x"}
        for n in (1e8, 1e9, 5e9)
        for d in (1e9, 4e9, 2e10, 5e10)
    ]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0)
    runs = load_runs(table)
    assert "12 of 12 rows are checkpoints of 3 runs" in told(runs, "checkpoints")
    assert "--last-per run" in told(runs, "checkpoints")
    last = load_runs(table, last_per="run")
    assert last.tokens.tolist() == [5e10] * 3
    assert "9 of 12 rows left out by --last-per" in told(last, "rows_left_out")
    assert "checkpoints" not in codes(last)
    declared = load_runs(table.rename(columns={"run": "job"}), run="job")
    assert "--run 'job' says so" in told(declared, "checkpoints")
    refused(table, "--last-per names column 'name'", last_per="name")


def test_rows_chosen_by_condition():
    table = grid().assign(State=["finished", "crashed", "FINISHED"] * 12, lr=np.tile([1e-3, 3e-3, 1e-2], 12))
    runs = load_runs(table)
    assert "12 of 36 rows did not finish" in told(runs, "unfinished_runs")
    assert "--where State=finished" in told(runs, "unfinished_runs")
    kept = load_runs(table, where="State=finished")
    assert kept.n == 24
    assert "12 of 36 rows left out by --where 'State=finished'" in told(kept, "rows_left_out")
    assert "unfinished_runs" not in codes(kept)
    for condition, count in (("lr<=0.003", 24), ("lr > 3e-3", 12), ("State!=crashed", 24), ("params>=1B", 18)):
        assert load_runs(table, where=condition).n == count
    assert load_runs(table, where=["State=finished", "lr=0.001"]).n == 12
    refused(table, "no row meets", "finished", where="State=done")
    refused(table, "'stat'", "not there", where="stat=1")
    refused(table, "no number", where="State<b")
    with pytest.raises(UsageError, match="Cannot read"):
        load_runs(table, where="finished")
    refused(table, "holds 2 runs", where="loss<" + str(sorted(table.loss)[2]))


def test_nothing_in_a_condition_is_evaluated(tmp_path):
    refused(grid(), "not there", where=f"__import__('os').mkdir('{tmp_path / 'x'}')=1")
    refused(grid(), "not there", columns={"params": f"params*__import__('os').mkdir('{tmp_path / 'x'}')"})
    assert not (tmp_path / "x").exists()


def test_bad_rows_are_left_out_on_request():
    table = grid().astype(object)
    table.loc[3, "loss"] = float("nan")
    table.loc[7, "tokens"] = "Pile"
    refused(table, "2 cells", "row 3", "row 7")
    runs = load_runs(table, skip_bad=True)
    assert runs.n == 34
    assert "2 of 36 rows left out by --skip-bad" in told(runs, "rows_left_out")
    assert "row 3" in told(runs, "rows_left_out")


def grouped(apart=0.02, seed=0):
    table = pd.concat([grid(seed=seed), grid(seed=seed + 1)], ignore_index=True)
    table["train_data"] = ["c4"] * 36 + ["rpj"] * 36
    table.loc[36:, "loss"] *= 1 + apart
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def test_groups_that_differ_are_named_and_groups_that_do_not_are_not():
    message = told(load_runs(grouped()), "groups_differ")
    assert "'train_data'" in message
    assert "c4" in message
    assert "--group train_data" in message
    assert "groups_differ" not in codes(load_runs(grouped(apart=0)))
    assert "groups_differ" in codes(load_runs(grouped(), group="train_data"))
    assert "groups_differ" not in codes(load_runs(grouped(), where="train_data=c4"))


def test_validate_does_not_say_that_groups_are_used(tmp_path):
    for apart, says in ((0.02, "differ by group"), (0, "do not differ beyond noise")):
        grouped(apart).rename(columns={"train_data": "corpus"}).to_csv(tmp_path / "t.csv", index=False)
        done = run("validate", str(tmp_path / "t.csv"))
        assert says in done.stdout
        assert "groups can be used" not in done.stdout


def test_columns_that_no_law_uses_are_named():
    rng = np.random.default_rng(0)
    table = grid().assign(unique_tokens_B=rng.choice([1, 4], 36), n_experts=8)
    runs = load_runs(table)
    assert "unique_tokens" in told(runs, "unused_columns")
    assert "experts" not in told(runs, "unused_columns")  # always 8
    assert set(runs.extra["unique_tokens"]) == {1e9, 4e9}


# --- units

HEADERS = {
    "params": [
        "Params (M)",
        "model_mparams",
        "params_m",
        "params_millions",
        "Parameters [millions]",
        "N (M)",
        "paramsM",
    ],
    "tokens": ["tokens_B", "Tokens (B)", "tokens (billions)", "train_tokens_bn", "D (1e9)", "Tokens (10^9)", "btokens"],
}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in HEADERS.items() for name in names])
def test_units_of_headers(role, name):
    factor = {"params": 1e6, "tokens": 1e9}[role]
    table = grid()
    wanted = load_runs(table)
    table[role] /= factor
    table = table.rename(columns={role: name})
    runs = load_runs(table)
    np.testing.assert_allclose(getattr(runs, role), getattr(wanted, role))
    assert codes(runs) == []
    mapped = load_runs(table, columns={role: name})
    np.testing.assert_allclose(getattr(mapped, role), getattr(wanted, role))
    once = load_runs(table, columns={role: f"{name}*{factor:g}"})
    np.testing.assert_allclose(getattr(once, role), getattr(wanted, role))


def test_a_cell_that_names_its_unit_keeps_it(tmp_path):
    (tmp_path / "t.csv").write_text("Params (B),tokens,loss\n7B,1T,2.0\n1.3,300B,2.3\n0.4,1e11,2.6\n")
    runs = load_runs(tmp_path / "t.csv")
    np.testing.assert_allclose(runs.params, [7e9, 1.3e9, 0.4e9])


@pytest.mark.parametrize("form", ["{c}*1e6", "{c} * 1e6", "1e6*{c}", "{c}*1000000", "{c}/1e-6"])
def test_factors_in_map(form):
    table = grid().rename(columns={"params": "size in millions"})
    table["size in millions"] /= 1e6
    runs = load_runs(table, columns={"params": form.format(c="size in millions")})
    np.testing.assert_allclose(runs.params, grid().params)
    starred = table.rename(columns={"size in millions": "size*2"})
    np.testing.assert_allclose(load_runs(starred, columns={"params": "size*2*1e6"}).params, grid().params)


def test_any_scale_of_a_whole_table_is_legal():
    for scale in (1e-7, 1e-5, 1e-3, 1e3, 1e6):
        table = grid()
        table[["params", "tokens"]] *= scale
        runs = load_runs(table)
        assert runs.n == 36
        assert set(codes(runs)) <= {"units"}


TOKENS = [2.5e10, 5e10, 1.25e11]


@pytest.mark.parametrize(
    ("text", "tokens", "loss"),
    [
        ("params;tokens;loss\n1e9;2,5e10;3,64\n2e9;5e10;3,1\n4e9;1,25e11;2,87\n", TOKENS, [3.64, 3.1, 2.87]),
        ('params,tokens,loss\n1e9,"25,000,000,000","3,64"\n2e9,"50,000,000,000","3,1"\n4e9,"125,000,000,000","2,87"\n',
         TOKENS, [3.64, 3.1, 2.87]),
        ("params\ttokens\tloss\n1e9\t25B\t3,64\n2e9\t50B\t3,1\n4e9\t125B\t2,87\n", TOKENS, [3.64, 3.1, 2.87]),
        ("params;tokens;loss\n1e9;25,0B;3,645\n2e9;50,0B;3,100\n4e9;125,0B;2,870\n", TOKENS, [3.645, 3.1, 2.87]),
    ],
)  # fmt: skip
def test_decimal_commas(tmp_path, text, tokens, loss):
    (tmp_path / "t.csv").write_text(text)
    runs = load_runs(tmp_path / "t.csv")
    np.testing.assert_allclose(runs.tokens, tokens)
    np.testing.assert_allclose(runs.loss, loss)
    assert "decimal_comma" in codes(runs)


@pytest.mark.parametrize(
    ("factor", "way"),
    [(1e9, "--map flops='work*1e+09'"), (8.64e19, "--map pf_days=work"), (1e21, "--map flops='work*1e+21'")],
)
def test_flops_in_another_unit_are_refused(factor, way):
    table = grid()
    table["work"] = 1.3 * 6 * table.params * table.tokens / factor
    refused(table, "another unit", way, columns={"flops": "work"})
    role, _, column = way.removeprefix("--map ").replace("'", "").partition("=")
    np.testing.assert_allclose(load_runs(table, columns={role: column}).flops, table.work * factor)
    named = table.rename(columns={"work": "gflops"})
    if factor == 1e9:
        np.testing.assert_allclose(load_runs(named).flops, table.work * factor)
        np.testing.assert_allclose(load_runs(named, columns={"flops": "gflops"}).flops, table.work * factor)
    one = table.assign(work=6 * table.params * table.tokens)
    one.loc[5, "work"] /= 1000
    refused(one, "row 5", "0.001 times 6·params·tokens", columns={"flops": "work"})


# --- names, and what is missing

NAMES = {
    "params": ["N", "num_params", "parameter_count", "n_parameters", "config.n_params", "Model Size", "#Params"],
    "tokens": ["D", "tokens_trained", "tokens_seen", "num_tokens", "Training Tokens", "params.train_tokens"],
    "loss": ["L", "validation_loss", "eval/loss", "summary.val_loss", "metrics.final_loss", "Val Loss", "val/loss"],
    "flops": ["C", "flops_budget", "budget", "training_compute", "Total FLOPs", "Training FLOP"],
}


@settings(max_examples=60, deadline=None)
@given(
    names=st.fixed_dictionaries({role: st.sampled_from(names) for role, names in NAMES.items()}),
    leave_out=st.sampled_from(["", "params", "tokens", "flops"]),
    order=st.permutations(["params", "tokens", "loss", "flops", "extra"]),
    upper=st.booleans(),
)
def test_the_field_s_names_in_any_order(names, leave_out, order, upper):
    table = grid(3).assign(flops=lambda t: 6 * t.params * t.tokens, extra="x")
    wanted = load_runs(table)
    kept = [column for column in order if column != leave_out]
    renamed = {
        role: name.upper() if upper and len(name) > 2 and "." not in name else name for role, name in names.items()
    }
    runs = load_runs(table[kept].rename(columns=renamed))
    for role in ("params", "tokens", "loss", "flops"):
        np.testing.assert_allclose(getattr(runs, role), getattr(wanted, role), rtol=1e-12)


def test_everything_missing_is_listed_at_once():
    table = pd.DataFrame(
        {"Step": [1, 2, 3], "tokens_per_second": [5e5] * 3, "eval/c4 ppl": [20.0, 18, 17], "vocab_size": 5}
    )
    message = refused(table, "no column 'params'", "no column 'tokens'", "no column 'loss'")
    assert "--map loss='eval/c4 ppl' --loss-unit ppl" in message
    assert "--map tokens='Step*TOKENS_PER_STEP'" in message
    assert "tokens_per_second:" not in message
    assert "=tokens_per_second" not in message
    both = grid().assign(loss="?", tokens="many").drop(columns="params")
    message = refused(both, "no column 'params'", "72 cells")


def test_tier_one_names_win_over_the_field_s_other_names():
    table = grid().assign(num_params=1.0, params_total=2.0, budget=3.0, validation_loss=9.0)
    runs = load_runs(table.assign(flops=lambda t: 6 * t.params * t.tokens))
    np.testing.assert_allclose(runs.params, table.params)
    refused(grid().rename(columns={"params": "num_params"}).assign(param_count=1e9), "'num_params' and 'param_count'")


def test_validate_shows_what_it_understood(tmp_path):
    table = grid().rename(columns={"params": "Params (M)", "loss": "eval_loss"}).assign(lr=1e-3, other_loss=3.0)
    table["Params (M)"] /= 1e6
    table.to_csv(tmp_path / "t.csv", index=False)
    body = json.loads(run("validate", str(tmp_path / "t.csv"), "--json").stdout)
    rows = {row["column"]: row for row in body["understanding"]}
    assert rows["Params (M)"]["role"] == "params"
    assert rows["Params (M)"]["sure"] == "likely"
    assert "1e+06" in rows["Params (M)"]["unit"]
    assert rows["tokens"]["sure"] == "sure"
    assert rows["lr"]["role"] == ""
    assert "--map loss=other_loss" in rows["other_loss"]["why"]
    assert body["options"] == "--map params='Params (M)*1e+06' --map loss=eval_loss"
    again = load_runs(tmp_path / "t.csv", columns={"params": "Params (M)*1e+06", "loss": "eval_loss"})
    assert again.sha256 == load_runs(tmp_path / "t.csv").sha256
    text = run("validate", str(tmp_path / "t.csv")).stdout
    assert "the header says M" in text


# --- specificity


def test_clean_tables_bring_no_notice():
    """Each code fires on at most 5 % of 200 clean tables; 200 tables resolve 1.5 % at that rate."""
    fired = dict.fromkeys(CODES, 0)
    for seed in range(200):
        found = set(codes(load_runs(clean_table(seed))))
        for code in CODES:
            fired[code] += code in found
    assert max(fired.values()) <= 10, fired


# --- tables of other people


def test_three_exports_are_read_or_say_all_that_is_missing(local_data):
    folder = local_data / "exports"
    message = refused(
        folder / "IBM_MoE.csv", "no column 'loss'", "--map loss='wikitext ppl' --loss-unit ppl", "line 12", "line 58"
    )
    assert "tokens_seen" in message
    runs = load_runs(folder / "IBM_MoE.csv", columns={"loss": "wikitext ppl"}, loss_unit="ppl", skip_bad=True)
    frame = pd.read_csv(folder / "IBM_MoE.csv").dropna(subset=["wikitext ppl"])
    frame = frame[frame.tokens_seen.str.endswith(("B", "T"))]
    np.testing.assert_allclose(runs.loss, np.log(frame["wikitext ppl"]))
    assert runs.params.min() > 1e9
    assert "rows_left_out" in codes(runs)
    for path in folder.glob("wandb_export*"):
        message = refused(
            path, "chart exported by Weights & Biases", "no column 'params'", "no column 'tokens'", "no column 'loss'"
        )
        assert "--map loss=eval/" in message
        assert "Step*TOKENS_PER_STEP" in message


def test_two_corpora_of_gadre_are_named(local_data):
    table = pd.read_csv(local_data / "gadre_overtraining.csv")
    two = table[table.train_data.isin(["c4_original", "rpj"])]
    assert "'train_data'" in told(load_runs(two), "groups_differ")
    for corpus in ("c4_original", "rpj"):
        assert "groups_differ" not in codes(load_runs(two, where=f"train_data={corpus}"))


def test_a_sweep_of_experts_is_named(local_data):
    path = local_data / "steplaw_moe.csv"
    message = told(load_runs(path, columns={"params": "Na"}), "sweep")
    assert "'lr'" in message
    best = load_runs(path, columns={"params": "Na"}, per_cell="best")
    assert best.n == 16
    assert "692 of 708" in told(best, "rows_left_out")


PUBLIC = {
    "chinchilla_epoch": [],
    "clark_routing_final": ["flops_differ", "not_identified", "unused_columns", "groups_differ", "sweep"],
    "gadre_overtraining": ["groups_differ"],
    "gemstones_curves": ["checkpoints"],
    "misfitting_final": ["duplicate_rows", "sweep"],
    "muennighoff_all296": ["unused_columns"],
    "muennighoff_fit182": ["unused_columns"],
    "openeurollm_best": [],
    "porian_isoflop": ["groups_differ"],
    "steplaw_moe": ["not_identified", "unused_columns", "sweep"],
    "xlstm_isoflop": ["groups_differ"],
}
"""What docs/tables.md lists as told of public tables."""


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_told_of_public_tables(local_data, name):
    assert sorted(codes(load_runs(local_data / f"{name}.csv"))) == sorted(PUBLIC[name])
    page = (Path(__file__).parent.parent / "docs" / "tables.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| ") and name in line.split("|")[1])
    assert all(f"`{code}`" in row for code in PUBLIC[name]), row


def test_the_page_names_every_notice_of_reading():
    page = (Path(__file__).parent.parent / "docs" / "tables.md").read_text("utf-8")
    for code in (*CODES, "rows_left_out", "unused_columns", "flops_differ"):
        assert f"| `{code}` |" in page


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--loss-unit", "bpb"], 2, "needs --tokens-per-byte"),
        (["--loss-unit", "nats", "--tokens-per-word", "1.3"], 2, "goes with --loss-unit bpw"),
        (["--per-cell", "worst"], 2, "--per-cell 'worst'"),
        (["--where", "finished"], 2, "Cannot read --where"),
        (["--where", "colour=red"], 3, "is not there"),
        (["--last-per", "colour"], 3, "is not there"),
        (["--map", "params=params*0"], 2, "above 0"),
        (["--run", "a", "--map", "run=b"], 2, "given twice"),
    ],
)
def test_wrong_options_say_what_to_write(tmp_path, capsys, words, code, says):
    from bayes_scaling.cli.main import main

    grid().to_csv(tmp_path / "t.csv", index=False)
    assert main(["validate", str(tmp_path / "t.csv"), *words]) == code
    assert says in capsys.readouterr().err


def test_options_of_rows_reach_the_runs_and_the_json(tmp_path, capsys):
    from bayes_scaling.cli.main import main

    swept().assign(State="finished").to_csv(tmp_path / "t.csv", index=False)
    words = ["--where", "State=finished", "--where", "lr<=0.001", "--per-cell", "best", "--skip-bad", "--json"]
    assert main(["validate", str(tmp_path / "t.csv"), *words]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["runs"]["n"] == 16
    assert [w["code"] for w in body["warnings"]].count("rows_left_out") == 2
