"""Large tables: sums in blocks are the sums, and nothing of the size of draws times runs is made."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import design

from bayes_scaling import fit
from bayes_scaling.engine import modes
from bayes_scaling.engine import program as programs
from bayes_scaling.engine.backend import jax_ready
from bayes_scaling.engine.density import density
from bayes_scaling.engine.model import build, build_columns, columns, specify
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.rowsum import BLOCK, SMALLEST, block_of, blocked_sum
from bayes_scaling.engine.tables import Table, padded_length
from bayes_scaling.evidence.loo import loo, stacking_weights
from bayes_scaling.inference.storage import load_fit, save_fit
from bayes_scaling.laws.registry import STANDARD, get_law


def simulated(n: int, seed: int):
    law = get_law("chinchilla")
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(9, 12, n)
    loss = law.loss(law.published[0].values, {"params": params, "tokens": tokens})
    return design(params, tokens, loss * np.exp(0.02 * rng.standard_normal(n)), f"simulated {seed}")


def _half(function, x):
    return 0.5 * function(x)


def test_a_sum_in_blocks_is_the_sum_with_its_gradient():
    jax_ready()
    rng = np.random.default_rng(1)
    data, mask = {"a": rng.standard_normal(64)}, (rng.random(64) < 0.8).astype(float)
    data["a"][mask == 0] = np.inf  # what is padding may be anything
    pointwise = lambda x, d: jnp.sin(x[0] * d["a"]) * x[1] - d["a"] ** 2 * x[1] ** 3  # noqa: E731
    x = np.array([0.7, -1.3])
    kept = data["a"][mask > 0]
    value = np.sum(np.sin(x[0] * kept) * x[1] - kept**2 * x[1] ** 3)
    gradient = [
        np.sum(kept * np.cos(x[0] * kept) * x[1]),
        np.sum(np.sin(x[0] * kept) - 3 * kept**2 * x[1] ** 2),
    ]
    data["a"][mask == 0] = 1.0
    for block in (8, 32, 64):
        total = partial(blocked_sum, pointwise, data=data, mask=mask, block=block)
        mine, slope = jax.jit(jax.value_and_grad(total))(x)
        assert mine == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(slope, gradient, rtol=1e-12)
        assert total(x) == pytest.approx(value, rel=1e-12)
        # Under a map, as in the mode search, and scaled, as under a tempered density.
        many = jax.vmap(jax.grad(partial(_half, total)))(jnp.stack([x, x + 1]))
        np.testing.assert_allclose(many[0], np.array(gradient) / 2, rtol=1e-12)


def test_padding_of_large_tables_is_at_most_an_eighth_and_divides_into_blocks():
    for n in [4097, 5000, 8192, 8193, 32769, 100_000, 999_999, 1_000_000, 2**20, 2**20 + 1]:
        length = padded_length(n)
        assert n <= length <= n * 9 / 8 + 1
        block = block_of(length, False)
        assert length % block == 0
        assert SMALLEST <= block <= BLOCK
    assert padded_length(4096) == 4096
    assert len({padded_length(n) for n in range(4097, 2**20, 97)}) == 64


def test_the_model_does_not_depend_on_the_rows_it_was_built_from():
    """A program is built from a few rows; its density of a whole table is that of a model of the whole table."""
    law, noise = specify("chinchilla")
    runs = simulated(300, 2)
    frame = columns(law, noise, runs)
    program, table = program_for(law, noise, frame), Table.padded(frame)
    whole = density(build(law, runs, noise))
    x = program.density.initial + 0.1
    expected = float(np.sum(whole.pointwise(x, whole.data)))
    assert float(program.density.log_likelihood(x, table.data, table.mask)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("law_name", STANDARD)
@pytest.mark.parametrize("errors", [False, True])
def test_a_table_in_blocks_has_the_density_that_pymc_gives(law_name, errors):
    """Whether its logarithms are taken beforehand, its rows go in blocks, or its standard errors are one zero."""
    law, noise = specify(law_name, "student_t_growing")
    runs = simulated(5000, 5)
    runs = replace(runs, loss_sd=0.01 * runs.loss) if errors else runs
    frame = columns(law, noise, runs)
    table = Table.padded(frame)
    assert np.ndim(table.data["log_loss_sd"]) == int(errors)
    assert block_of(len(table.mask), False) < len(table.mask)
    program = program_for(law, noise, frame)
    model = build(law, runs, noise)
    x = program.density.initial + 0.1
    point = dict(zip(program.density.names, x, strict=True))
    expected = float(model.compile_logp(vars=model.observed_RVs)(point))
    assert float(program.density.log_likelihood(x, table.data, table.mask)) == pytest.approx(expected, rel=1e-10)
    assert np.sum(program.log_densities(x[None], table)[1]) == pytest.approx(expected, rel=1e-10)
    terms = program.describe(x[None], table)[1]
    assert terms.shape == (1, runs.n)
    assert terms.sum() == pytest.approx(expected, rel=1e-10)


def test_logarithms_of_the_data_are_taken_beforehand():
    law, noise = specify("chinchilla")
    frame = columns(law, noise, simulated(4, 6))
    made = density(build_columns(law, noise, frame, list("abcd")), rowwise=True)
    more = made.prepare(made.data)
    columns_of = [np.asarray(v) for name, v in more.items() if name not in made.data]
    for expected in (np.log(frame["params"] / law.scale.params), np.log(frame["tokens"] / law.scale.tokens)):
        assert any(np.allclose(column, expected) for column in columns_of)
    logs = [str(jax.make_jaxpr(made.pointwise)(made.initial, d)).count("f64[4] = log ") for d in (made.data, more)]
    assert logs == [4, 2]  # those of the curve and of the noise's scale are left


def test_modes_of_a_large_table_are_those_of_all_its_rows(monkeypatch):
    law, noise = specify("chinchilla")
    frame = columns(law, noise, simulated(2000, 3))
    program, table = program_for(law, noise, frame), Table.padded(frame)
    slow = program.locate(1, table)
    monkeypatch.setattr(programs, "LARGE_TABLE", 1000)
    monkeypatch.setattr(programs, "THINNED", 256)
    quick = program.locate(1, table)
    assert slow is not None
    assert quick is not None
    gap = quick.points[0] - slow.points[0]
    assert gap @ slow.hessians[0] @ gap < modes.SAME_MODE**2
    assert quick.log_mass[0] == pytest.approx(slow.log_mass[0], abs=0.01)


def test_what_grows_with_draws_times_runs_is_left_out_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "POINTWISE_CELLS", 1000)
    made = fit(simulated(60, 4), "chinchilla", draws=200, chains=2, warmup=150, method="auto")
    assert "log_likelihood" not in made.idata.children
    assert any(n.code == "large_table" and "leave-one-out" in n.message for n in made.notices)
    assert np.isnan(loo(made).elpd)
    assert np.isnan(stacking_weights(["a", "b"], [loo(made), loo(made)])["a"])
    again = load_fit(save_fit(made, tmp_path / "fit.nc"))
    assert again.diagnostics == made.diagnostics or np.isnan(made.diagnostics.ebfmi_min)
    np.testing.assert_array_equal(again.draws("alpha")["alpha"], made.draws("alpha")["alpha"])
