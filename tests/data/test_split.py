"""The split: no prompt on both sides, every class on both, the same rows whatever their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from luthier.data.check import load_rows
from luthier.data.split import content_hash, hold_back, overlap, prompt_hash, prompt_key, sample
from luthier.errors import UserError
from luthier.flow import Conversation, Message, Place


def row(prompt: str, answer: str = "yes", category: str | None = None, system: str = "", line: int = 1) -> Conversation:
    messages = [Message("user", prompt), Message("assistant", answer)]
    if system:
        messages.insert(0, Message("system", system))
    return Conversation("chat", tuple(messages), Place("rows.jsonl", line), category)


def many(count: int, category: str | None = None, word: str = "question") -> list[Conversation]:
    return [row(f"{word} {number}", category=category, line=number + 1) for number in range(count)]


@dataclass(frozen=True)
class Split:
    train: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    groups: int
    grouped_rows: int
    note: str


def split(rows: Sequence[Conversation], share: float, seed: int) -> Split:
    """Both sides of `hold_back` as conversations."""
    names, categories = np.unique([row.category or "" for row in rows] or [""], return_inverse=True)
    held = hold_back(hashes(rows), categories[: len(rows)], names.tolist(), share, seed)
    train = tuple(row for row, back in zip(rows, held.rows, strict=True) if not back)
    return Split(train, tuple(compress(rows, held.rows)), held.groups, held.grouped_rows, held.note)


def hashes(rows: Sequence[Conversation]) -> NDArray[np.uint64]:
    return np.array([prompt_hash(row) for row in rows], np.uint64)


def test_a_tenth_of_a_hundred_rows_is_ten_and_order_is_kept() -> None:
    rows = many(100)
    found = split(rows, 0.1, seed=0)
    assert (len(found.train), len(found.validation)) == (90, 10)
    lines = [conversation.place.line for conversation in found.train]
    assert lines == sorted(lines)
    assert sorted([*found.train, *found.validation], key=lambda one: one.place.line) == rows


def test_rows_of_one_prompt_stay_on_one_side_whatever_their_case_spaces_and_answers() -> None:
    rows = [copy for number in range(50) for copy in (row(f"Is {number} odd?"), row(f"  is\n{number}  ODD?", "no"))]
    found = split(rows, 0.2, seed=3)
    assert not {prompt_key(one) for one in found.train} & {prompt_key(one) for one in found.validation}
    assert len(found.validation) == 20
    assert (found.groups, found.grouped_rows) == (50, 100)


def test_the_system_message_and_the_answers_are_no_part_of_the_key() -> None:
    assert prompt_key(row("Hi  there", "a", system="be brief")) == prompt_key(row("hi there", "b")) == "hi there"
    assert prompt_key(row("hi")) != prompt_key(row("ho"))


def test_every_class_has_its_share_and_none_is_held_back_whole() -> None:
    rows = many(60, "a", "alpha") + many(30, "b", "beta") + many(10, "c", "gamma") + many(2, "d", "delta")
    found = split(rows, 0.1, seed=1)
    held = Counter(conversation.category for conversation in found.validation)
    assert held == {"a": 6, "b": 3, "c": 1}
    assert Counter(conversation.category for conversation in split(rows, 0.9, seed=1).train)["d"] >= 1


def test_the_number_of_held_rows_is_right_though_every_class_is_too_small_for_one() -> None:
    rows = [row(f"{name} {number}", category=str(name)) for name in range(100) for number in range(2)]
    found = split(rows, 0.1, seed=0)
    assert len(found.validation) == 20
    assert max(Counter(one.category for one in found.validation).values()) == 1


def test_classes_of_one_row_are_taken_together() -> None:
    rows = [row(f"question {number}", category=f"class {number}") for number in range(100)]
    assert len(split(rows, 0.1, seed=0).validation) == 10


def test_the_sides_do_not_depend_on_the_order_of_the_rows() -> None:
    rows = many(200, "a", "alpha") + many(100, "b", "beta")
    forward, backward = split(rows, 0.1, seed=5), split(rows[::-1], 0.1, seed=5)
    assert set(forward.validation) == set(backward.validation)
    assert set(split(rows, 0.1, seed=6).validation) != set(forward.validation)


def test_added_rows_move_few_others() -> None:
    before = set(split(many(1000), 0.1, seed=0).validation)
    after = set(split(many(1010), 0.1, seed=0).validation)
    assert len(before - after) <= 10


@pytest.mark.parametrize(("count", "held"), [(1, 0), (9, 0), (10, 1), (14, 1), (16, 2)])
def test_from_ten_rows_on_at_least_one_is_held_back(count: int, held: int) -> None:
    found = split(many(count), 0.1, seed=0)
    assert len(found.validation) == held
    assert bool(found.note) == (held == 0)


def test_one_is_held_back_of_ten_though_the_share_is_tiny_and_none_for_a_share_of_zero() -> None:
    assert len(split(many(10), 0.001, seed=0).validation) == 1
    found = split(many(100), 0.0, seed=0)
    assert (found.validation, found.note) == ((), "")


def test_rows_that_all_ask_the_same_are_not_split_and_that_is_said() -> None:
    found = split([row("hi", str(number)) for number in range(30)], 0.1, seed=0)
    assert len(found.train) == 30
    assert "same prompt" in found.note


def test_a_group_larger_than_the_share_stays_in_training_where_a_smaller_one_is_there() -> None:
    rows = [row("hi", str(number)) for number in range(90)] + many(10)
    found = split(rows, 0.1, seed=0)
    assert Counter(prompt_key(one) == "hi" for one in found.train)[True] == 90
    assert len(found.validation) == 10 - len([one for one in found.train if prompt_key(one) != "hi"])
    assert found.validation


def test_where_no_group_fits_the_share_the_smallest_is_held_back_whole() -> None:
    rows = [row("hi", str(number)) for number in range(7)] + [row("ho", str(number)) for number in range(5)]
    found = split(rows, 0.1, seed=0)
    assert [one.messages[0].content for one in found.validation] == ["ho"] * 5
    assert len(found.train) == 7


@pytest.mark.parametrize("share", [1.0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UserError, match="from 0 to below 1"):
        split(many(20), share, seed=0)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefghijklmn"), st.sampled_from(["x", "y", "z", None])), max_size=60),
    st.floats(0.01, 0.9),
    st.integers(0, 5),
)
def test_a_split_never_leaks_loses_or_empties(pairs: list[tuple[str, str | None]], share: float, seed: int) -> None:
    rows = [row(prompt, category=category, line=line) for line, (prompt, category) in enumerate(pairs, 1)]
    found = split(rows, share, seed)
    assert sorted(one.place.line for one in (*found.train, *found.validation)) == list(range(1, len(rows) + 1))
    assert not overlap(hashes(found.train), found.validation)
    if rows:
        assert found.train
    if len(rows) >= 10:
        assert bool(found.validation) != bool(found.note)


def test_test_rows_whose_prompt_stands_in_training_are_named() -> None:
    known, unknown = row("What is IT?", "another answer"), row("what is that?")
    assert overlap(hashes([row("what is  it?")]), [known, unknown]) == [known]


def test_a_sample_is_the_same_whatever_the_order() -> None:
    rows = many(50)
    contents = np.array([content_hash(one) for one in rows], np.uint64)
    kept = sample(contents, 20)
    assert kept.sum() == 20
    assert (sample(contents[::-1], 20)[::-1] == kept).all()


def test_the_real_banking_rows_are_split_by_class_with_their_repeated_questions_together(real_data: Path) -> None:
    path = real_data / "banking77" / "train.csv"
    rows = load_rows([(path, 1.0)], columns={"input": "text", "output": "category"}).conversations
    found = split(rows, 0.1, seed=0)
    assert len(found.validation) == 1000
    assert not overlap(hashes(found.train), found.validation)
    sizes, held = Counter(one.category for one in rows), Counter(one.category for one in found.validation)
    assert all(abs(held[name] - sizes[name] / 10) <= 1 for name in sizes)
