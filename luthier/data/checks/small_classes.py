"""Classes of too few rows to learn and to test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from luthier.data.checks import Judged, Threshold, Whole
from luthier.data.checks._classes import Labels, classes, gather_labels
from luthier.flow import Place, Problem

FEWEST: Final = 10
ROWS: Final = 50
LISTED: Final = 20

criterion = "balanced_categories"
what = "Classes of fewer than 10 rows."
why = "One row of ten is held back for validation; of a smaller class nothing is left to test, or nothing to learn."
remedy = "add rows of these classes, or join them with others"
leaves_out = False
thresholds = (
    Threshold(
        FEWEST, "rows a class at least", "with `validation: 0.1` one of them is held back; its accuracy is then 0 or 1"
    ),
    Threshold(ROWS, "rows at least in all", "fewer rows are no data set to judge"),
)

gather = gather_labels


def judge(parts: Sequence[Labels], whole: Whole) -> Judged:
    found = classes(parts, whole)
    small = {name: rows for name, rows in found.sizes.items() if rows < FEWEST}
    numbers = {"by": found.by, "classes": len(found.sizes), "small": small}
    if not found.sizes or sum(found.sizes.values()) < ROWS:
        return Judged(numbers=numbers, reason="the rows have no category, and their answers are no labels")
    problems = [
        Problem(
            "small_classes",
            "warning",
            _place(name, found.by, whole),
            f"the class `{name}` has {rows} row{'' if rows == 1 else 's'}",
            f"add {FEWEST - rows} rows of it, or join it with another class",
        )
        for name, rows in list(small.items())[:LISTED]
    ]
    return Judged(problems=problems, numbers=numbers)


def _place(name: str, by: str, whole: Whole) -> Place:
    """The first row of a class; of all rows where classes are told by the answers."""
    if by != "category":
        return whole.first()
    return whole.place(int(np.flatnonzero(whole.category == list(whole.categories).index(name))[0]))


def _rows(sizes: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Message {n} about {name}", "response": name}
        for name, count in sizes.items()
        for n in range(count)
    ]


def faulty() -> list[dict[str, Any]]:
    return _rows({"sport": 40, "weather": 30, "film": 2})


def clean() -> list[dict[str, Any]]:
    return _rows({"sport": 40, "weather": 30, "film": 12})
