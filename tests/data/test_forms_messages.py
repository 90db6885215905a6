"""Messages of chat, ShareGPT and Alpaca rows: tools, calls, reasoning, parts, earlier turns, and the fast way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier import plugins
from luthier.data.detect import FORMS, detect
from luthier.data.fields import Fields
from luthier.data.messages import plain, read_messages
from luthier.flow import Conversation, Message, Place, ToolCall

PLACE = Place("rows.jsonl", 7)
USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}
HUMAN, GPT = {"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}
U, A = Message("user", "hi"), Message("assistant", "hello")


def conversation(form: str, values: Mapping[str, Any]) -> Conversation:
    parsed = plugins.load(FORMS, form).parse(values, PLACE)
    assert parsed.conversation is not None, parsed.problems
    assert parsed.problems == ()
    found: Conversation = parsed.conversation
    return found


def chat(*messages: Mapping[str, Any], **fields: Any) -> Conversation:
    return conversation("chat", {"messages": list(messages), **fields})


def checks(form: str, values: Mapping[str, Any]) -> list[str]:
    return [problem.check for problem in plugins.load(FORMS, form).parse(values, PLACE).problems]


# ------------------------------------------------------------------------------------------------------- tool calls

FUNCTION = {"name": "find", "description": "Finds it.", "parameters": {"type": "object"}}


@pytest.mark.parametrize("arguments", ['{"what": "it", "n": 2}', {"what": "it", "n": 2}])
def test_a_calls_arguments_are_json_or_an_object(arguments: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": arguments}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    reply = {"role": "tool", "content": "", "tool_call_id": "c1", "name": "find"}
    row = chat(USER, asked, reply, ANSWER, tools=[{"type": "function", "function": FUNCTION}])
    assert row.messages == (
        U,
        Message("assistant", "", tool_calls=(ToolCall("find", {"what": "it", "n": 2}, "c1"),)),
        Message("tool", "", name="find", tool_call_id="c1"),
        A,
    )
    assert row.tools == ({"type": "function", "function": FUNCTION},)


@pytest.mark.parametrize("nothing", ["", " ", None, "{}", {}])
def test_a_call_without_arguments_has_none(nothing: Any) -> None:
    row = chat(USER, {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": nothing}}]})
    assert row.messages[1] == Message("assistant", "", tool_calls=(ToolCall("find", {}),))


def test_a_call_may_be_the_last_answer_and_text_may_stand_beside_it() -> None:
    row = chat(USER, {**ANSWER, "tool_calls": [{"name": "find", "arguments": {}}, {"name": "look"}]})
    assert row.messages[1] == Message("assistant", "hello", tool_calls=(ToolCall("find", {}), ToolCall("look", {})))


def test_the_older_function_calls_are_read_as_calls_and_functions_as_tools() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"n": 2}'}}
    row = chat(USER, called, {"role": "function", "name": "find", "content": "4"}, ANSWER, functions=[FUNCTION])
    assert row.messages[1].tool_calls == (ToolCall("find", {"n": 2}),)
    assert row.messages[2] == Message("tool", "4", name="find")
    assert row.tools == ({"type": "function", "function": FUNCTION},)


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": FUNCTION}],
        [{"type": "function", **FUNCTION}],
        [FUNCTION],
        json.dumps([FUNCTION]),
        json.dumps([{"type": "function", "function": FUNCTION}]),
    ],
)
def test_tools_are_described_in_one_way(tools: Any) -> None:
    assert chat(USER, ANSWER, tools=tools).tools == ({"type": "function", "function": FUNCTION},)


@pytest.mark.parametrize("nothing", [[], "", "[]", None])
def test_no_tools_are_none(nothing: Any) -> None:
    assert chat(USER, ANSWER, tools=nothing).tools == ()


@pytest.mark.parametrize(
    "arguments", ["[1]", "{x: 1}", "7", "null", 7, ["a"], '{"a": "\\ud83d"}', "[" * 100_000, "9" * 5000]
)
def test_arguments_that_are_no_object_are_a_problem(arguments: Any) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    assert checks("chat", {"messages": [USER, called]}) == ["tool_call"]


def test_a_reply_may_follow_a_call_that_stands_in_the_text_and_other_replies() -> None:
    written = {"role": "assistant", "content": '<tool_call>{"name": "f"}</tool_call>'}
    reply = {"role": "tool", "content": "4"}
    assert [m.role for m in chat(USER, written, reply, reply, ANSWER).messages][2:4] == ["tool", "tool"]
    assert checks("chat", {"messages": [USER, written, USER, reply, ANSWER]}) == ["order"]


# ---------------------------------------------------------------------------------------------- reasoning and parts


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_stands_apart_from_the_answer(name: str) -> None:
    assert chat(USER, {**ANSWER, name: "hm"}).messages[1] == Message("assistant", "hello", reasoning="hm")


def test_marks_of_thinking_inside_a_text_are_left_alone() -> None:
    text = "<think>\nhm\n</think>\n\nhello"
    assert chat(USER, {"role": "assistant", "content": text}).messages[1] == Message("assistant", text)


def test_reasoning_alone_is_no_answer() -> None:
    assert checks("chat", {"messages": [USER, {"role": "assistant", "content": "", "reasoning": "a"}]}) == [
        "empty_answer"
    ]


def test_text_parts_are_joined_as_they_are() -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "input_text", "text": "b"}, {"type": "text", "value": "\nc"}]
    assert chat({"role": "user", "content": parts}, ANSWER).messages[0].content == "a b\nc"


def test_parts_of_reasoning_and_calls_are_read() -> None:
    parts = [
        {"type": "reasoning", "value": "hm"},
        {"type": "text", "value": "I look."},
        {"type": "tool_call", "value": '{"name": "look", "arguments": {"n": 1}}'},
        {"type": "tool_call", "value": {"name": "find"}},
    ]
    calls = (ToolCall("look", {"n": 1}), ToolCall("find", {}))
    answer = chat(USER, {"role": "assistant", "content": parts}).messages[1]
    assert answer == Message("assistant", "I look.", reasoning="hm", tool_calls=calls)


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "refusal", "video"])
def test_a_part_that_is_no_text_is_refused_by_name(kind: str) -> None:
    parsed = plugins.load(FORMS, "chat").parse({"messages": [{"role": "user", "content": [{"type": kind}]}]}, PLACE)
    assert [problem.check for problem in parsed.problems] == ["media"]
    assert repr(kind) in parsed.problems[0].message


@pytest.mark.parametrize("field", ["images", "videos", "audios"])
@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("chat", {"messages": [USER, ANSWER]}),
        ("sharegpt", {"conversations": [HUMAN, GPT]}),
        ("instruction", {"instruction": "a", "output": "b"}),
        ("preference", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ],
)
def test_pictures_films_and_sounds_beside_the_texts_are_refused_and_an_empty_list_is_not(
    form: str, row: dict[str, Any], field: str
) -> None:
    assert checks(form, {**row, field: ["a"]}) == ["media"]
    assert checks(form, {**row, field: []}) == []


def test_a_developers_message_is_the_system_message_and_that_is_said_once() -> None:
    developer = {"role": "developer", "content": "be brief"}
    assert chat(developer, USER, ANSWER).messages[0] == Message("system", "be brief")
    found = detect([{"messages": [developer, USER, ANSWER]}] * 3)
    assert found is not None
    assert found.reason == "3 of the first 3 rows have `messages`; the role developer is read as system"


def test_names_are_kept_and_fields_that_are_null_are_not_there() -> None:
    nothing = {"tool_calls": None, "function_call": None, "refusal": None, "weight": None, "name": None}
    parsed = plugins.load(FORMS, "chat").parse({"messages": [{**USER, "name": "Ann"}, {**ANSWER, **nothing}]}, PLACE)
    assert parsed.conversation is not None
    assert parsed.conversation.messages == (Message("user", "hi", name="Ann"), A)
    assert parsed.unused == ()


def test_what_is_not_read_inside_a_message_is_named() -> None:
    parsed = plugins.load(FORMS, "chat").parse({"messages": [USER, {**ANSWER, "refusal": "no"}]}, PLACE)
    assert parsed.unused == ("messages.refusal",)


# ------------------------------------------------------------------------------------------------- ShareGPT, Alpaca


def test_sharegpt_rows_are_chat_rows() -> None:
    called = {"from": "function_call", "value": '{"name": "find", "arguments": {"n": 2}}'}
    both = {"from": "function_call", "value": '[{"name": "find"}, {"name": "look", "id": "c2"}]'}
    turns = [HUMAN, called, {"from": "observation", "value": "4"}, both, {"from": "tool", "value": "5"}, GPT]
    row = conversation("sharegpt", {"conversations": turns, "system": "be brief", "tools": json.dumps([FUNCTION])})
    assert row.form == "chat"
    assert row.messages == (
        Message("system", "be brief"),
        U,
        Message("assistant", "", tool_calls=(ToolCall("find", {"n": 2}),)),
        Message("tool", "4"),
        Message("assistant", "", tool_calls=(ToolCall("find", {}), ToolCall("look", {}, "c2"))),
        Message("tool", "5"),
        A,
    )
    assert row.tools == ({"type": "function", "function": FUNCTION},)


def test_a_system_field_and_the_same_system_message_are_one() -> None:
    turns = [{"from": "system", "value": "be brief"}, HUMAN, GPT]
    assert len(conversation("sharegpt", {"conversations": turns, "system": "be brief"}).messages) == 3
    assert checks("sharegpt", {"conversations": turns, "system": "be long"}) == ["two_fields"]
    assert len(conversation("sharegpt", {"conversations": turns, "system": ""}).messages) == 3


def test_each_message_may_have_either_words() -> None:
    assert conversation("sharegpt", {"conversations": [USER, ANSWER]}).messages == (U, A)
    assert conversation("chat", {"messages": [HUMAN, GPT]}).messages == (U, A)


def test_an_alpaca_rows_history_comes_first_and_is_trained_on() -> None:
    row = {"instruction": "c", "input": "i", "output": "d", "system": "s", "history": [["a", "b"]]}
    assert conversation("instruction", row).messages == (
        Message("system", "s"),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c\n\ni"),
        Message("assistant", "d"),
    )
    assert len(conversation("instruction", {**row, "system": None, "history": []}).messages) == 2


# ------------------------------------------------------------------------------------------------------ the fast way

TEXTS = st.sampled_from(["", " ", "hi", "hello"])
WEIGHTS = st.sampled_from([0, 1, 0.5, -1, True, None, float("nan"), 10**400, "1"])
ROUGH = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer", "x"]), "content": TEXTS},
        optional={"weight": WEIGHTS, "name": TEXTS, "from": st.just("gpt")},
    ),
    max_size=5,
)


@given(ROUGH)
def test_the_fast_way_gives_what_the_slow_way_gives_and_takes_no_row_with_a_fault(messages: list[Any]) -> None:
    fast = plain({"messages": messages})
    parsed = plugins.load(FORMS, "chat").parse({"messages": messages}, PLACE)
    if fast is not None:
        row = Fields({}, PLACE)
        assert list(fast) == read_messages(messages, "messages", row)
        assert not row.problems
        assert not row.unused
        assert parsed.conversation is not None
        assert parsed.conversation.messages == fast
        assert parsed.problems == ()


def test_plain_rows_go_the_fast_way() -> None:
    assert plain({"messages": [{"role": "system", "content": "s"}, USER, ANSWER]}) is not None
    assert plain({"messages": [USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 2}]}) is not None
