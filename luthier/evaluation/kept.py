"""What two models did with each row, as lines to keep, and back again: so that finished runs compare row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import nan
from typing import Any

import msgspec
import numpy as np

from luthier.evaluation.evaluate import Scored
from luthier.flow import Answer, Conversation, LabelScores, Place, Question, RowScore


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows of an evaluation with what each model did. `hashes` are `content_hash` of the rows.

    The questions hold no tokens and no prompt: those are the template's, and two runs may have two.
    """

    questions: Sequence[Question]
    hashes: Sequence[str]
    tuned: Scored
    base: Scored


def content_hash(conversation: Conversation) -> str:
    """The same for the same messages and tools, in whatever file they stand and whatever template sends them."""
    return sha256(msgspec.json.encode([conversation.messages, conversation.tools], order="sorted")).hexdigest()


def lines_of(kept: Kept) -> list[dict[str, Any]]:
    """One line a row: its place, its hash, and under `tuned` and `base` what each model did."""
    return [
        {
            "file": question.place.file,
            "line": question.place.line,
            "row_group": question.place.row_group,
            "sha256": digest,
            "category": question.category,
            "wanted": question.wanted,
            "tuned": _line(kept.tuned, row),
            "base": _line(kept.base, row),
        }
        for row, (question, digest) in enumerate(zip(kept.questions, kept.hashes, strict=True))
    ]


def from_lines(lines: Sequence[Mapping[str, Any]]) -> Kept:
    """What `lines_of` was given."""
    nothing = np.empty(0, dtype=np.int32)
    return Kept(
        [Question(nothing, "", line["wanted"], _place(line), line["category"]) for line in lines],
        [line["sha256"] for line in lines],
        _scored([line["tuned"] for line in lines]),
        _scored([line["base"] for line in lines]),
    )


def _place(line: Mapping[str, Any]) -> Place:
    return Place(line["file"], line["line"], line["row_group"])


def _line(scored: Scored, row: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if scored.answers and (answer := scored.answers[row]):
        found["answer"] = asdict(answer)
    if scored.row_scores:
        found["score"] = asdict(scored.row_scores[row])
    if scored.preferences and (margin := scored.preferences[row]) is not None:
        found["preference"] = margin
    if scored.label_scores and (labels := scored.label_scores[row]):
        found["labels"] = {
            "labels": labels.labels,
            "log_probabilities": labels.log_probabilities.tolist(),
            "tokens": labels.tokens.tolist(),
        }
    return found


def _scored(lines: Sequence[Mapping[str, Any]]) -> Scored:
    answers = [Answer(**line["answer"]) if "answer" in line else None for line in lines]
    labels = [_labels(line["labels"]) if "labels" in line else None for line in lines]
    margins = [line.get("preference") for line in lines]
    return Scored(
        answers if any(answers) else (),
        [RowScore(**_with_nan(line["score"])) for line in lines if "score" in line],
        labels if any(labels) else (),
        margins if any(margin is not None for margin in margins) else (),
    )


def _labels(found: Mapping[str, Any]) -> LabelScores:
    log_probabilities = np.array(found["log_probabilities"], dtype=np.float64)
    return LabelScores(tuple(found["labels"]), log_probabilities, np.array(found["tokens"], dtype=np.int64))


def _with_nan(score: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no loss that is not a finite number; it stands there as null."""
    return {name: nan if value is None else value for name, value in score.items()}
