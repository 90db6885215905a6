"""Whether refusals are a large share of all answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from luthier.data.checks import Judged, Rows, Threshold, Whole
from luthier.data.checks.refusals import refuses
from luthier.flow import Problem

SHARE: Final = 0.1
FEWEST: Final = 20

criterion = "balanced_categories"
what = "Data of which every tenth answer or more refuses."
why = "Refusing becomes a class of its own, and the safest guess for whatever is new to the model."
remedy = "answer the harmless ones of these questions, or leave most of them out"
leaves_out = False
thresholds = (
    Threshold(SHARE, "of the answers refuse", "Bianchi et al. 2024, Safety-tuned LLaMAs: a few percent teach safety, "
              "many more teach refusing harmless questions"),
    Threshold(FEWEST, "rows at least", "of fewer rows two are a tenth by chance"),
)  # fmt: skip


def gather(rows: Rows) -> tuple[int, int]:
    """How many answers of the block refuse, and how many there are."""
    if rows.held_out:
        return 0, 0
    return sum(refuses(row.answer) for row in rows), len(rows)


def judge(parts: Sequence[tuple[int, int]], whole: Whole) -> Judged:
    refusing, total = (sum(part[place] for part in parts) for place in range(2))
    numbers = {"refusals": refusing, "share": round(refusing / max(1, total), 4)}
    if total < FEWEST:
        return Judged(numbers=numbers, reason=f"{total} rows are fewer than {FEWEST}")
    if refusing < SHARE * total:
        return Judged(numbers=numbers)
    message = f"{refusing:,} of {total:,} answers refuse ({refusing / total:.0%})"
    return Judged(problems=[Problem("refusal_share", "warning", whole.first(), message, remedy)], numbers=numbers)


def _rows(refusals: int) -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"What is in box {n}?",
            "response": "I'm sorry, but I cannot help." if n < refusals else f"{n} nails.",
        }
        for n in range(40)
    ]


def faulty() -> list[dict[str, Any]]:
    return _rows(8)


def clean() -> list[dict[str, Any]]:
    return _rows(2)
