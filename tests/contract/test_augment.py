"""What every change of a row must keep: the answer, what its file says, and the same result for the same seed."""

from __future__ import annotations

import re
from random import Random

import pytest

from luthier.data import augment
from luthier.data.augment import augmented, question_at
from luthier.flow import Conversation

every_change = pytest.mark.parametrize("name", augment.names())


def question(row: Conversation) -> str:
    return "\n\n".join(message.content for message in row.messages[:-1])


def test_the_five_changes_are_there() -> None:
    assert {"case", "typos", "paraphrase", "example_order", "renamed_field"} <= set(augment.names())


@every_change
def test_it_changes_its_examples_and_keeps_their_answers_and_what_it_says(name: str) -> None:
    change = augment.load(name)
    assert len(change.EXAMPLES) >= 2
    for row in change.EXAMPLES:
        for seed in range(20):
            found = augmented(row, name, seed)
            assert found is not None, row
            assert question(found) != question(row)
            assert found.messages[-1] == row.messages[-1]
            assert [message.role for message in found.messages] == [message.role for message in row.messages]
            assert change.kept(question(row), question(found)), question(found)
            assert (found.place, found.category, found.form) == (row.place, row.category, row.form)


@every_change
def test_words_that_the_answer_says_stand_in_the_question_as_before(name: str) -> None:
    for row in augment.load(name).EXAMPLES:
        said = set(re.findall(r"\w+", row.messages[-1].content))
        before = set(re.findall(r"\w+", question(row)))
        for seed in range(20):
            found = augmented(row, name, seed)
            assert found is not None
            assert said & before <= set(re.findall(r"\w+", question(found)))


@every_change
def test_it_leaves_rows_alone_that_it_is_not_for(name: str) -> None:
    change = augment.load(name)
    assert change.NOT_FOR
    for row in change.NOT_FOR:
        assert augmented(row, name) is None, row


@every_change
def test_the_same_seed_gives_the_same_and_a_row_without_a_question_none(name: str) -> None:
    for row in augment.load(name).EXAMPLES:
        assert augmented(row, name, 3) == augmented(row, name, 3)
    text = Conversation("text", augment.load(name).EXAMPLES[0].messages[-1:], augment.load(name).EXAMPLES[0].place)
    assert question_at(text) is None
    assert augmented(text, name) is None


@every_change
def test_what_it_keeps_can_be_broken(name: str) -> None:
    for row in augment.load(name).EXAMPLES:
        words = question(row).split(" ")
        Random(0).shuffle(words)
        assert not augment.load(name).kept(question(row), " ".join([*words, "something", "quite", "different"]))
