"""Whether most long answers begin with the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from luthier.data.checks import Judged, Rows, Threshold, Whole, same
from luthier.flow import Problem

WORDS: Final = 4
LONG: Final = 12
FEWEST: Final = 50
SHARE: Final = 0.5

criterion = "diverse_examples"
what = "An opening of four words that half of the long answers have."
why = "The model begins every answer so, whatever was asked."
remedy = "rewrite or cut the opening of most of these answers"
leaves_out = False
thresholds = (
    Threshold(
        SHARE, "of the long answers begin alike", "an opening is a habit where it is more common than all others"
    ),
    Threshold(
        LONG, "words make an answer long, and 50 rows at least have one", "short answers and labels have to be alike"
    ),
)

_LISTED = 200


def gather(rows: Rows) -> tuple[Counter[str], int]:
    """The commonest openings of the block's long answers, and how many answers are long."""
    openings: Counter[str] = Counter()
    for row in rows:
        if rows.held_out or row.is_text:
            continue
        words = row.answer.split(None, LONG)
        if len(words) > LONG:
            openings[same(" ".join(words[:WORDS]))] += 1
    return Counter(dict(openings.most_common(_LISTED))), openings.total()


def judge(parts: Sequence[tuple[Counter[str], int]], whole: Whole) -> Judged:
    openings: Counter[str] = Counter()
    for found, _ in parts:
        openings.update(found)
    total = sum(count for _, count in parts)
    numbers = {"long_answers": total, "openings": [{"words": words, "rows": n} for words, n in openings.most_common(5)]}
    if total < FEWEST:
        return Judged(numbers=numbers, reason=f"{total} long answers are fewer than {FEWEST}")
    words, count = openings.most_common(1)[0]
    if count < SHARE * total:
        return Judged(numbers=numbers)
    message = f"{count / total:.0%} of the {total:,} long answers begin with `{words}`"
    return Judged(problems=[Problem("same_opening", "warning", whole.first(), message, remedy)], numbers=numbers)


def _rows(opening: str) -> list[dict[str, Any]]:
    told = "you take the {n} things that lie in box {n}, sort them by size, and put each of them back"
    return [
        {"instruction": f"What about box {n}?", "response": opening.format(n=n) + told.format(n=n)} for n in range(60)
    ]


def faulty() -> list[dict[str, Any]]:
    return _rows("Certainly, here is how: ")


def clean() -> list[dict[str, Any]]:
    return _rows("Box {n}: ")
