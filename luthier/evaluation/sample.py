"""What metrics are measured on: rows, and what one model did with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from luthier.flow import Answer, LabelScores, Question, RowScore

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one model did with the rows: `answers`, `row_scores` and `label_scores` are in the order of `questions`, or
    empty where the rows were not answered, not scored, or have no fixed labels. `schema` is what JSON answers must
    keep, where one was given. `preferences` are the margins of the rows' better answers over their worse ones (nats),
    where they have such and base is another model."""

    questions: Sequence[Question]
    answers: Sequence[Answer]
    row_scores: Sequence[RowScore]
    label_scores: Sequence[LabelScores] = ()
    schema: Mapping[str, Any] | None = None
    preferences: Sequence[float] = ()

    def part(self, rows: Sequence[int]) -> Sample:
        """The same of some rows."""

        def pick(items: Sequence[Row]) -> list[Row]:
            return [items[row] for row in rows] if items else []

        return Sample(
            pick(self.questions),
            pick(self.answers),
            pick(self.row_scores),
            pick(self.label_scores),
            self.schema,
            pick(self.preferences),
        )
