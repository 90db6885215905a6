"""How many rows settle a target: the fewest, found by trying them all."""

from __future__ import annotations

import pytest

from luthier.statistics import clopper_pearson, rows_needed, rows_needed_for_share, votes_needed, wilson


@pytest.mark.parametrize(("share", "target"), [(1.0, 0.9), (0.93, 0.9), (0.05, 0.1), (0.5, 0.4)])
def test_it_is_the_first_number_of_rows_that_clears_the_target(share: float, target: float) -> None:
    needed = rows_needed_for_share(share, target)
    assert needed is not None

    def clears(n: int) -> bool:
        return not wilson(share * n, n).low <= target <= wilson(share * n, n).high

    assert clears(needed)
    assert not clears(needed - 1)


def test_all_right_clears_ninety_percent_with_thirty_five_rows() -> None:
    assert rows_needed_for_share(1.0, 0.9) == 35


def test_half_the_width_takes_four_times_the_rows() -> None:
    assert rows_needed(50, value=1.0, near_end=1.4, target=1.2) == 201
    assert rows_needed(50, value=1.0, near_end=0.6, target=0.8) == 201


def test_no_number_of_rows_clears_a_target_that_the_value_equals() -> None:
    assert rows_needed(50, 1.0, 1.4, 1.0) is None
    assert rows_needed_for_share(0.9, 0.9) is None


@pytest.mark.parametrize(("share", "target"), [(1.0, 0.8), (0.9, 0.8), (0.15, 0.2), (0.0, 0.1)])
def test_independent_votes_that_are_needed_are_the_first_to_clear_the_target(share: float, target: float) -> None:
    ends = clopper_pearson(share * 20, 20)
    needed = votes_needed(20, share, ends.low if share > target else ends.high, target)
    assert needed is not None

    def clears(votes: int) -> bool:
        found = clopper_pearson(share * votes, votes)
        return found.low > target if share > target else found.high < target

    assert clears(needed)
    assert not clears(needed - 1)


def test_votes_worth_half_as_much_are_needed_twice_over() -> None:
    # 17 independent ones: 0.025 ** (1 / 17) = 0.805, and 16.53 would just reach 0.8
    assert votes_needed(10, 1.0, clopper_pearson(10, 10).low, 0.8) == 17
    assert votes_needed(10, 1.0, clopper_pearson(5, 5).low, 0.8) == 34
    assert votes_needed(10, 0.8, 0.4, 0.8) is None
    assert votes_needed(100, 0.8 + 1e-9, 0.7, 0.8) is None
