"""Preference rows as TRL, OpenAI and LLaMA-Factory write them: one prompt, a better and a worse answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from luthier import plugins
from luthier.data.detect import FORMS
from luthier.data.fields import Parsed
from luthier.flow import Conversation, Message, Place

PLACE = Place("rows.jsonl", 7)
USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}
GOOD, BAD = {"role": "assistant", "content": "yes"}, {"role": "assistant", "content": "no"}
HUMAN, GPT = {"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}
S, U = Message("system", "be brief"), Message("user", "hi")
G, B = Message("assistant", "yes"), Message("assistant", "no")
READ = Message("assistant", "well", weight=0)
"""An earlier answer of the prompt, which is only read."""
WELL = {"role": "assistant", "content": "well"}


def parse(values: Mapping[str, Any]) -> Parsed:
    parsed: Parsed = plugins.load(FORMS, "preference").parse(values, PLACE)
    return parsed


def both(values: Mapping[str, Any]) -> Conversation:
    parsed = parse(values)
    assert parsed.problems == ()
    assert parsed.conversation is not None
    assert parsed.conversation.form == "preference"
    return parsed.conversation


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "hi", "chosen": "yes", "rejected": "no"},
        {"input": "hi", "chosen": "yes", "rejected": "no"},
        {"prompt": "hi", "chosen": [GOOD], "rejected": BAD},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"messages": [USER], "preferred_output": "yes", "non_preferred_output": "no"},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "hi", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "hi", "messages": [USER, GOOD], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"input": {"messages": [USER]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
        {"instruction": "hi", "input": "", "chosen": "yes", "rejected": "no"},
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "no"}},
        {"chosen_messages": [{**USER, "loss_weight": 0.0}, GOOD], "rejected_messages": [USER, BAD]},
    ],
)
def test_one_question_and_two_answers_are_the_same_in_every_dialect(values: dict[str, Any]) -> None:
    row = both(values)
    assert row.messages == (U, G)
    assert row.rejected == (U, B)


def test_a_system_message_and_earlier_turns_stand_on_both_sides_and_are_only_read() -> None:
    wanted = (S, U, READ, U)
    for values in (
        {"prompt": [SYSTEM, USER, WELL, USER], "chosen": "yes", "rejected": "no"},
        {"chosen": [SYSTEM, USER, WELL, USER, GOOD], "rejected": [SYSTEM, USER, WELL, USER, BAD]},
        {"system": "be brief", "chosen": [USER, WELL, USER, GOOD], "rejected": [USER, WELL, USER, BAD]},
        {"system": "be brief", "history": [["hi", "well"]], "instruction": "hi", "chosen": "yes", "rejected": "no"},
    ):
        row = both(values)
        assert row.messages == (*wanted, G)
        assert row.rejected == (*wanted, B)


def test_two_texts_part_before_the_word_in_which_they_differ() -> None:
    row = both({"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert row.messages == (Message("user", "The sky is"), Message("assistant", " blue."))
    assert row.rejected == (Message("user", "The sky is"), Message("assistant", " green."))


def test_openais_tools_are_read_and_what_else_stands_beside_them_is_named() -> None:
    asked = {"messages": [USER], "tools": [{"name": "find"}], "parallel_tool_calls": True, "seed": 1}
    parsed = parse({"input": asked, "preferred_output": [GOOD], "non_preferred_output": [BAD]})
    assert parsed.conversation is not None
    assert parsed.conversation.tools == ({"type": "function", "function": {"name": "find"}},)
    assert parsed.unused == ("input.seed",)


def test_sides_of_several_turns_part_at_the_first_answer_that_differs() -> None:
    chosen, rejected = [USER, WELL, USER, GOOD], [USER, WELL, USER, BAD, USER, GOOD]
    row = both({"chosen": chosen, "rejected": rejected})
    assert row.messages == (U, READ, U, G)
    assert row.rejected == (U, READ, U, B, U, G)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"prompt": "hi", "rejected": "no"}, ["missing_field"]),
        ({"prompt": "hi", "chosen": "yes", "preferred_output": "yes", "rejected": "no"}, ["two_fields"]),
        ({"prompt": " ", "chosen": "yes", "rejected": "no"}, ["empty_prompt"]),
        ({"prompt": 4, "chosen": "yes", "rejected": "no"}, ["type"]),
        ({"prompt": "hi", "chosen": "yes", "rejected": "yes"}, ["same_answer"]),
        ({"chosen": "yes", "rejected": "yes"}, ["order"]),
        ({"chosen": "yes", "rejected": "no"}, ["missing_field"]),
        ({"prompt": "hi", "chosen": [USER], "rejected": [BAD]}, ["prompt"]),
        ({"chosen": [USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, ["prompt"]),
        ({"prompt": [SYSTEM], "chosen": "yes", "rejected": "no"}, ["missing_field"]),
        ({"prompt": "hi", "chosen": [{**GOOD, "weight": 0}], "rejected": "no"}, ["no_answer"]),
        ({"prompt": "hi", "chosen": [], "rejected": "no"}, ["type"]),
        ({"prompt": "hi", "chosen": {"role": "user", "content": "yes"}, "rejected": "no"}, ["two_fields"]),
        ({"prompt": "hi", "instruction": "hi", "chosen": "yes", "rejected": "no"}, ["two_fields"]),
    ],
)
def test_rows_with_a_fault_give_every_problem(values: dict[str, Any], wanted: list[str]) -> None:
    parsed = parse(values)
    assert [problem.check for problem in parsed.problems] == wanted
    assert parsed.conversation is None
