"""People's preference as a metric: of the items on which most raters chose one of two answers, the share that went to
the run's. `evaluation.review` measures it."""

from __future__ import annotations

from typing import Final

from luthier.statistics import clopper_pearson, rows_needed_for_share

__all__ = ["direction", "needs", "range", "rows_needed"]

direction: Final = "higher"
range: Final[tuple[float, float]] = (0.0, 1.0)
needs: Final = "votes"
_MOST: Final = 10_000_000


def rows_needed(n: int, value: float, near_end: float, target: float) -> int | None:
    """About how many decided items bring the exact interval's near end past `target`, if the share stays.

    Where 18 of 20 prefer the run, the interval begins at 68.3%; with 72 of 80 it begins at 81.2%.
    """
    del near_end
    wilsons = rows_needed_for_share(value, target)
    if wilsons is None:
        return None
    many = max(n, wilsons)
    while many < _MOST:
        ends = clopper_pearson(round(value * many), many)
        if ends.low > target if value > target else ends.high < target:
            return many
        many += max(1, many // 100)
    return None
