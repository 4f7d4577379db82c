"""What compute costs: amounts, devices, utilisation."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import HOFFMANN, by_hand

import bayes_scaling as bs
from bayes_scaling.base.errors import DataError, InfeasibleError, UsageError
from bayes_scaling.decisions.accelerators import all_devices, get_device
from bayes_scaling.decisions.costs import CostModel, draw_rates, parse_amount


def test_amounts_as_people_write_them():
    for text, value, unit in [
        ("1e24", 1e24, "FLOP"), ("100PF-days", 8.64e21, "FLOP"), ("$2M", 2e6, "money"), ("2M EUR", 2e6, "money"),
        ("50k GPU-hours", 5e4, "device-hours"), ("50000device-hours", 5e4, "device-hours"), ("2 weeks", 14, "days"),
        ("30days", 30, "days"), (1e23, 1e23, "FLOP"),
    ]:  # fmt: skip
        amount = parse_amount(text)
        assert (amount.value, amount.unit) == (pytest.approx(value), unit)
    assert parse_amount("2M EUR").currency == "EUR"
    for wrong in ("lots", "1e24 apples", "nan"):
        with pytest.raises(UsageError):
            parse_amount(wrong)


def test_flop_as_hours_money_and_days_by_hand():
    model = CostModel("H100", utilisation=0.4, price=2.5, devices=1024, failed=0.1)
    rates = draw_rates(model, 3)
    hours = 1e24 / (989.4e12 * 0.4 * 3600 * 0.9)
    np.testing.assert_allclose(rates.hours(1e24), hours)
    np.testing.assert_allclose(rates.cost(1e24), 2.5 * hours)
    np.testing.assert_allclose(rates.days(1e24), hours / 1024 / 24)
    for text in (f"{hours}device-hours", f"${2.5 * hours}", f"{hours / 1024 / 24} days"):
        np.testing.assert_allclose(rates.flops(parse_amount(text)), 1e24)
    with pytest.raises(UsageError, match="one currency"):
        rates.flops(parse_amount("2M EUR"))


def test_utilisation_is_uncertain_and_so_is_what_money_buys(tiny_runs):
    model = CostModel("H100", price=2.0)
    rates = draw_rates(model, 4000)
    share = rates.per_hour / (989.4e12 * 3600)
    assert share.mean() == pytest.approx(0.4, rel=1e-3)  # beta(24, 36)
    assert share.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 61), rel=0.01)
    fit = by_hand(tiny_runs, HOFFMANN, spread=0.01)
    sure = bs.decide(fit, budget=1e23, cost=model, rules=["expected"]).best
    bought = bs.decide(fit, budget="$1M", cost=model, rules=["expected"]).best
    assert sure["tokens_range"] is None
    assert sure["cost"]["lower"] < sure["cost"]["median"] < sure["cost"]["upper"]
    assert bought["tokens_range"]["lower"] < bought["tokens"] < bought["tokens_range"]["upper"]
    assert bought["cost"]["median"] == pytest.approx(1e6)


@pytest.mark.parametrize(
    "wrong",
    [{"price": 0}, {"price": -2.5}, {"devices": 0}, {"deadline_days": -1}, {"failed": 1.0}, {"utilisation": 1.5},
     {"utilisation": 0.0}],
)  # fmt: skip
def test_costs_that_cannot_be(wrong):
    with pytest.raises(InfeasibleError):
        CostModel("H100", **wrong)
    with pytest.raises(UsageError, match="--price needs a device"):
        CostModel(price=2.0)


def test_devices(tmp_path):
    assert get_device("h100").peak_flops == 9.894e14
    assert get_device("tpu v5p").peak_flops == 4.59e14
    assert get_device("H100", "fp8").peak_flops == 1.9789e15
    with pytest.raises(UsageError, match=r"Unknown device 'H1000'. Did you mean 'H100'"):
        get_device("H1000")
    with pytest.raises(UsageError, match="Known: bf16"):
        get_device("A100", "fp4")
    assert all(d.source for d in all_devices())
    own = tmp_path / "own.csv"
    own.write_text("device,precision,peak_flops\nH100,bf16,8e14\nToy,bf16,1e12\n")
    assert get_device("H100", extra=own).peak_flops == 8e14  # the user's goes first
    assert get_device("toy", extra=own).peak_flops == 1e12
    own.write_text("device,precision,peak_flops\nToy,bf16,fast\n")
    with pytest.raises(DataError, match="line 2"):
        get_device("toy", extra=own)
    with pytest.raises(DataError, match="Cannot read"):
        get_device("toy", extra=tmp_path / "none.csv")
