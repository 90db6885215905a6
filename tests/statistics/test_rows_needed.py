"""How many rows settle a target: the fewest, found by trying them all."""

from __future__ import annotations

import pytest

from luthier.statistics import rows_needed, rows_needed_for_share, wilson


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
