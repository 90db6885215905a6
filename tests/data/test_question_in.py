"""The question in a row of tokens: before the last trained answer, whole or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from luthier.data.tokenize import question_in
from luthier.flow import Place, Question, Tokenized

STOP = 2


def words(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


def asked(tokens: list[int], weights: list[float]) -> Question | None:
    row = Tokenized(np.array(tokens, np.int32), np.array(weights, np.float32), Place("rows.jsonl", 7), "sums")
    return question_in(row, words, [STOP])


def test_what_stands_before_the_answer_asks_and_the_answer_without_its_end_is_wanted() -> None:
    found = asked([1, 29, 43, 29, 61, 33, 34, 2], [0, 0, 0, 0, 0, 1, 1, 1])
    assert found is not None
    assert found.tokens.tolist() == [1, 29, 43, 29, 61]
    assert (found.prompt, found.wanted) == ("1 29 43 29 61", "33 34")
    assert (found.place, found.category) == (Place("rows.jsonl", 7), "sums")


def test_of_several_answers_the_last_is_wanted_and_the_others_stand_in_the_question() -> None:
    found = asked([1, 5, 6, 2, 7, 8, 2, 9], [0, 0, 0.5, 0.5, 0, 3, 3, 0])
    assert found is not None
    assert (found.prompt, found.wanted) == ("1 5 6 2 7", "8")


def test_rows_whose_end_is_cut_off_or_whose_question_is_trained_on_too_hold_none() -> None:
    assert asked([1, 5, 6, 8], [0, 0, 1, 1]) is None
    assert asked([1, 5, 6, 2], [0, 1, 1, 1]) is None
    assert asked([1, 5, 6, 2], [0, 0, 0, 0]) is None
