"""Estimated peak memory beside the high-water mark of a fresh process that takes the same steps: six of the benchmark's
combinations, none of which the heap's factors were chosen by."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.estimate import COMBINATIONS, HELD, WITHIN, WITHIN_NET, Combination, one


@pytest.mark.long
@pytest.mark.parametrize("combination", HELD, ids=lambda combination: combination.name)
def test_a_fresh_process_holds_what_was_estimated(combination: Combination, tmp_path: Path) -> None:
    found = one(combination, tmp_path)
    assert found["of_held"] == pytest.approx(1, abs=WITHIN), found
    assert found["of_held_net"] == pytest.approx(1, abs=WITHIN_NET), found


def test_the_combinations_are_thirty_each_once_with_long_rows_and_every_method() -> None:
    assert len({combination.name for combination in COMBINATIONS}) == 30
    assert {one.method for one in HELD} == {one.method for one in COMBINATIONS}
    assert len({one.method for one in HELD}) == 4
    assert max(combination.row_tokens for combination in COMBINATIONS) >= 3000
    assert sum(combination.checkpointing for combination in COMBINATIONS) >= 5
