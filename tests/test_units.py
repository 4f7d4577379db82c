"""Counts and budgets: what is understood, what is refused, and that formatting and parsing agree."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_scaling.base.errors import UsageError
from bayes_scaling.base.units import FLOP_PER_PF_DAY, format_count, format_flop, parse_budget, parse_count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7B", 7e9),
        ("7 bn", 7e9),
        ("7b", 7e9),
        ("410M", 410e6),
        ("1.4T", 1.4e12),
        ("300B", 300e9),
        ("1.3e9", 1.3e9),
        ("1_000", 1000),
        ("1,300,000", 1_300_000),
        (" 12k ", 12_000),
        ("2 trillion", 2e12),
        (".5B", 5e8),
        (7e9, 7e9),
        (10**30, 1e30),
    ],
)
def test_counts(text, value):
    assert parse_count(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a count"),
        ("seven", "not a count"),
        ("7Q", "not a count"),
        ("1,3", "not a count"),
        ("1__0", "not a count"),
        ("0x10", "not a count"),
        ("9" * 100_000 + "!", "not a count"),
        ("__import__('os')", "not a count"),
        ("1e9B", "suffix"),
        ("0", "zero"),
        ("-7B", "negative"),
        ("1e999", "not finite"),
        (10**400, "not finite"),
        (math.inf, "not finite"),
        (math.nan, "not a number"),
        (None, "not a number"),
    ],
)
def test_counts_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e24", 1e24),
        ("1e24FLOP", 1e24),
        ("1e24 flops", 1e24),
        ("100PF-days", 100 * FLOP_PER_PF_DAY),
        ("1 pf-day", 8.64e19),
        ("3 PFLOP/s-days", 3 * 8.64e19),
        ("2.5ZFLOP", 2.5e21),
        (5.88e23, 5.88e23),
    ],
)
def test_budgets(text, value):
    assert parse_budget(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "7B", "1e24 dollars", "1e15FLOP/s", "2Z", "-1e24", "0", "inf", "nan", None])
def test_budgets_refused(text):
    with pytest.raises(UsageError, match="Budget") as caught:
        parse_budget(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7e10, "70B"),
        (1.4e12, "1.4T"),
        (5.88e23, "5.88e23"),
        (999.9e6, "1B"),
        (111_050_496, "111M"),
        (292e12, "292T"),
        (950, "950"),
        (1500, "1.5K"),
        (0, "0"),
        (math.inf, "inf"),
    ],
)
def test_counts_for_people(value, text):
    assert format_count(value) == text


def test_flop_for_people():
    assert format_flop(5.88e23) == "5.88e23"
    assert format_flop(1e24) == "1e24"


@given(st.floats(min_value=1, max_value=1e40))
def test_what_is_printed_is_understood(value):
    assert parse_count(format_count(value)) == pytest.approx(value, rel=0.0051)
    assert parse_budget(format_flop(value)) == pytest.approx(value, rel=0.0051)


@given(st.text(max_size=30))
def test_any_text_is_a_count_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert 0 < parse_count(text) < math.inf
