"""Twenty raters at once on a review of 5,000 items, at this machine's own address; a script votes.

How long they wait is measured by `make bench-review`: a clock in a test says more of the machine than of the page.
"""

from __future__ import annotations

import pytest

from benchmarks.review import BEFORE, ITEMS, RATERS, measured


@pytest.mark.long
def test_of_twenty_raters_who_vote_at_once_on_5000_items_no_vote_is_lost() -> None:
    assert (ITEMS, RATERS, BEFORE) == (5_000, 20, 4_000)
    found = measured(20)  # it counts that every vote that was answered is kept
    assert len(found) == 2
    assert all(load.raters == RATERS and load.votes > RATERS for load in found.values())
