"""Numbers read as people write them."""

from __future__ import annotations

from math import inf, nan

import pytest

from luthier.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.3214, "4.32"),
        (0.213, "0.213"),
        (0.01234, "0.0123"),
        (91.04, "91.0"),
        (12345.6, "12,346"),
        (0.0, "0.00"),
        (-4.4, "−4.40"),
        (inf, "∞"),
        (nan, "not a number"),
        (None, "–"),
    ],
)
def test_a_number_shows_three_digits(value: float | None, text: str) -> None:
    assert numbers.number(value) == text


def test_a_share_and_its_interval_read_as_percentages() -> None:
    assert numbers.measured(0.91, share=True) == "91.0%"
    assert numbers.interval(0.91, 0.851, 0.948, share=True) == "[85.1, 94.8]"


def test_an_interval_has_the_decimals_of_its_value() -> None:
    assert numbers.interval(1.237, 1.16, 10.5, share=False) == "[1.16, 10.50]"


def test_a_value_without_an_interval_shows_none() -> None:
    assert numbers.interval(0.4, None, None, share=False) == ""


@pytest.mark.parametrize(
    ("rate", "text"), [(2e-4, "2e-4"), (1.23e-4, "1.23e-4"), (1e-10, "1e-10"), (0.5, "5e-1"), (0.0, "0")]
)
def test_a_learning_rate_is_written_in_powers_of_ten(rate: float, text: str) -> None:
    assert numbers.rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.24, "4.2 s"), (59.6, "1 min"), (112.0, "1 min 52 s"), (3599.9, "1 h 0 min"), (5025.0, "1 h 24 min")],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("memory_bytes", "text"), [(2_710_000_000, "2.7 GB"), (13_400_000, "13.4 MB"), (1_000, "1.0 kB"), (7, "7 bytes")]
)
def test_a_size_is_in_decimal_units(memory_bytes: int, text: str) -> None:
    assert numbers.size(memory_bytes) == text


def test_one_thing_is_not_many() -> None:
    assert (numbers.count(1, "row"), numbers.count(0, "row"), numbers.count(1200, "row")) == (
        "1 row",
        "0 rows",
        "1,200 rows",
    )


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.816, 0.3149, 1.327), "+0.82 [0.31, 1.33]"),
        ((-1.5, -2.0, -1.0), "−1.50 [−2.00, −1.00]"),
        ((-1e-17, -0.665229, 0.665229), "0.00 [−0.67, 0.67]"),
        ((0.0, None, None), numbers.DASH),
    ],
)
def test_log_odds_have_a_sign_and_two_decimals(ends: tuple[float | None, ...], text: str) -> None:
    assert numbers.log_odds(*ends) == text


def test_wins_are_whole_or_half() -> None:
    assert [numbers.halves(wins) for wins in (12.0, 20.5, 1204.0)] == ["12", "20.5", "1,204"]
