"""What an evaluation keeps of each row comes back as it was."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import orjson

from luthier.evaluation.evaluate import Scored
from luthier.evaluation.kept import Kept, content_hash, from_lines, lines_of
from luthier.flow import Answer, Conversation, LabelScores, Message, Place, Question, RowScore

TOKENS = np.array([1, 2], dtype=np.int32)


def row(text: str, line: int = 1, file: str = "a.jsonl") -> Conversation:
    return Conversation("chat", (Message("user", text), Message("assistant", "blue")), Place(file, line))


def labels() -> LabelScores:
    return LabelScores(("blue", "red"), np.array([-0.25, -3.5]), np.array([2, 3]))


def test_what_is_kept_comes_back_through_json() -> None:
    questions = [
        Question(TOKENS, "sky?", "blue", Place("a.jsonl", 3, 2), "sky"),
        Question(TOKENS, "x", "y", Place("a.jsonl", 4)),
    ]
    tuned = Scored(
        [Answer("blue", 2, True), Answer("\ufffd", 9, False)],
        [RowScore(0.5, 2, 1), RowScore(nan, 1, 0)],
        [None, labels()],
    )
    base = Scored([None, Answer("red", 1, True)], [RowScore(1.5, 2, 0), RowScore(2.0, 1, 0)])
    lines = lines_of(Kept(questions, ["aa", "bb"], tuned, base))
    again = from_lines([orjson.loads(orjson.dumps(line)) for line in lines])
    assert [(one.place, one.wanted, one.category) for one in again.questions] == [
        (Place("a.jsonl", 3, 2), "blue", "sky"),
        (Place("a.jsonl", 4), "y", None),
    ]
    assert again.hashes == ["aa", "bb"]
    assert (again.base.answers, again.base.row_scores, again.base.label_scores) == (base.answers, base.row_scores, ())
    assert again.tuned.row_scores[0] == tuned.row_scores[0]
    assert isnan(again.tuned.row_scores[1].loss)
    assert again.tuned.answers[0] == tuned.answers[0]
    assert again.tuned.label_scores[1] is not None
    assert again.tuned.label_scores[0] is None
    assert again.tuned.label_scores[1] is not None
    assert again.tuned.label_scores[1].labels == ("blue", "red")
    assert again.tuned.label_scores[1].log_probabilities.tolist() == [-0.25, -3.5]
    assert again.tuned.label_scores[1].tokens.tolist() == [2, 3]


def test_a_row_s_hash_goes_by_what_it_says_and_not_by_where_it_stands() -> None:
    assert content_hash(row("sky?")) == content_hash(row("sky?", 7, "b.jsonl"))
    assert content_hash(row("sky?")) != content_hash(row("sky!"))
