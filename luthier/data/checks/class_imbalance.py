"""Whether one class has many times the rows of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from luthier.data.checks import Judged, Threshold, Whole
from luthier.data.checks._classes import Labels, classes, gather_labels
from luthier.flow import Problem

RATIO: Final = 10
FEWEST: Final = 50

criterion = "balanced_categories"
what = "Classes of which the largest has more than 10 times the rows of the smallest."
why = "A model that always answers with the common class is right so often that it need not learn the rare ones."
remedy = "add rows of the small classes, leave out some of the large ones, or write under `data`: balance: true"
leaves_out = False
thresholds = (
    Threshold(RATIO, "times the rows of the smallest class stand in the largest", "where always answering with the "
              "larger of two classes is right for 91% of rows: as accurate as the target asks for"),
    Threshold(FEWEST, "rows at least", "below that every class is small"),
)  # fmt: skip

gather = gather_labels


def judge(parts: Sequence[Labels], whole: Whole) -> Judged:
    found = classes(parts, whole)
    total, count = sum(found.sizes.values()), len(found.sizes)
    if count < 2 or total < FEWEST:
        reason = (
            "the rows have no category, and their answers are no labels"
            if not count
            else f"{count} class, {total} rows"
        )
        return Judged(numbers={"by": found.by, "classes": found.sizes}, reason=reason)
    (largest, most), (smallest, least) = next(iter(found.sizes.items())), next(reversed(found.sizes.items()))
    numbers: dict[str, Any] = {
        "by": found.by,
        "ratio": round(most / least, 2),
        "classes": found.sizes,
        "weights": {name: round(total / (count * rows), 4) for name, rows in found.sizes.items()},
        "rows_to_add": {name: most // RATIO - rows for name, rows in found.sizes.items() if rows * RATIO < most},
    }
    if most <= RATIO * least:
        return Judged(numbers=numbers)
    message = f"`{largest}` has {most:,} rows, {most / least:.0f} times those of `{smallest}` ({least:,})"
    short = numbers["rows_to_add"]
    name, rows = next(reversed(short.items())) if short else (smallest, 1)
    more = f" and {len(short) - 1} other classes likewise" if len(short) > 1 else ""
    mend = f"add {max(1, rows):,} rows of `{name}`{more}, or write under `data`: balance: true"
    return Judged(problems=[Problem("class_imbalance", "warning", whole.first(), message, mend)], numbers=numbers)


def _rows(sizes: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Message {n} about {name}", "response": f"It is number {n}.", "category": name}
        for name, count in sizes.items()
        for n in range(count)
    ]


def faulty() -> list[dict[str, Any]]:
    return _rows({"sport": 120, "weather": 11})


def clean() -> list[dict[str, Any]]:
    return _rows({"sport": 120, "weather": 60, "film": 12})
