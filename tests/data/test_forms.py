"""Row forms: what is detected, what a row becomes, what is refused, and the account of every row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier import plugins
from luthier.data.check import Rows, load_rows
from luthier.data.detect import FORMS
from luthier.data.fields import Parsed
from luthier.errors import UserError
from luthier.flow import Message, Place

PLACE = Place("rows.jsonl", 7)
ANSWER = {"role": "assistant", "content": "hello"}
USER = {"role": "user", "content": "hi"}


def parse(form: str, values: Mapping[str, Any]) -> Parsed:
    parsed: Parsed = plugins.load(FORMS, form).parse(values, PLACE)
    return parsed


def checks(form: str, values: Mapping[str, Any]) -> list[str]:
    parsed = parse(form, values)
    assert (parsed.conversation is None) == any(problem.severity == "error" for problem in parsed.problems)
    return [problem.check for problem in parsed.problems]


def texts(form: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    conversation = parse(form, values).conversation
    assert conversation is not None
    assert (conversation.form, conversation.place) == (form, PLACE)
    return [(message.role, message.content) for message in conversation.messages]


def write(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(path: Path, **how: Any) -> Rows:
    return load_rows([(path, 1.0)], **how)


# ------------------------------------------------------------------------------------------ instruction, completion


@pytest.mark.parametrize("answer", ["response", "output"])
def test_an_instruction_has_its_input_under_an_empty_line(answer: str) -> None:
    values = {"instruction": "Translate.", "input": "Hund", answer: "dog"}
    assert texts("instruction", values) == [("user", "Translate.\n\nHund"), ("assistant", "dog")]


@pytest.mark.parametrize("nothing", [{}, {"input": ""}, {"input": None}, {"input": " \n"}])
def test_an_instruction_without_input_stands_alone(nothing: dict[str, Any]) -> None:
    values = {"instruction": " Say hi. ", "response": " hi\n", **nothing}
    assert texts("instruction", values) == [("user", " Say hi. "), ("assistant", " hi\n")]


@pytest.mark.parametrize("names", [("input", "output"), ("prompt", "completion"), ("input", "completion")])
def test_a_completion_is_what_is_given_and_what_follows(names: tuple[str, str]) -> None:
    assert texts("completion", {names[0]: "2+2=", names[1]: "4"}) == [("user", "2+2="), ("assistant", "4")]


@pytest.mark.parametrize(
    ("form", "values", "wanted"),
    [
        ("instruction", {"instruction": "a"}, ["missing_field"]),
        ("instruction", {"response": "a"}, ["missing_field"]),
        ("instruction", {"instruction": "a", "response": ""}, ["empty_answer"]),
        ("instruction", {"instruction": "a", "response": " \n\t"}, ["empty_answer"]),
        ("instruction", {"instruction": "", "response": ""}, ["empty_prompt", "empty_answer"]),
        ("instruction", {"instruction": "a", "response": "b", "output": "b"}, ["two_fields"]),
        ("instruction", {"instruction": "a", "response": "b", "output": None}, []),
        ("instruction", {"instruction": "a", "response": 4}, ["type"]),
        ("instruction", {"instruction": "a", "response": True}, ["type"]),
        ("instruction", {"instruction": ["a"], "input": {}, "response": float("nan")}, ["type"] * 3),
        ("instruction", {"instruction": "a", "response": None}, ["missing_field"]),
        ("completion", {"input": "a", "output": ""}, ["empty_answer"]),
        ("completion", {"input": "", "output": "b"}, ["empty_prompt"]),
        ("completion", {"input": "a", "prompt": "a", "output": "b"}, ["two_fields"]),
        ("completion", {}, ["missing_field", "missing_field"]),
    ],
)
def test_a_row_with_a_fault_gives_every_problem(form: str, values: dict[str, Any], wanted: list[str]) -> None:
    assert checks(form, values) == wanted


@pytest.mark.parametrize(
    ("values", "category"),
    [
        ({"category": "billing"}, "billing"),
        ({"label": "billing"}, "billing"),
        ({"category": "a", "label": "b"}, "a"),
        ({"category": "", "label": "b"}, "b"),
        ({"label": 3}, "3"),
        ({"label": 0}, "0"),
        ({"label": 1.5}, "1.5"),
        ({"label": True}, "true"),
        ({"label": 2**70}, "1180591620717411303424"),
        ({"category": None}, None),
        ({"category": " "}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("form", ["completion", "chat"])
def test_a_category_is_a_text_and_numbers_become_one(form: str, values: dict[str, Any], category: str | None) -> None:
    row = {"input": "a", "output": "b"} if form == "completion" else {"messages": [USER, ANSWER]}
    conversation = parse(form, {**row, **values}).conversation
    assert conversation is not None
    assert conversation.category == category


@pytest.mark.parametrize("value", [["a"], {"a": 1}, float("nan"), float("inf")])
def test_a_category_of_another_kind_is_a_problem(value: Any) -> None:
    assert checks("completion", {"input": "a", "output": "b", "category": value}) == ["type"]


# -------------------------------------------------------------------------------------------------------- chat


def test_a_chat_row_keeps_its_messages_and_their_weights() -> None:
    system = {"role": "system", "content": "be brief", "weight": 0}
    rows = [
        system,
        USER,
        {**ANSWER, "weight": 0},
        USER,
        {**ANSWER, "weight": 0.5},
        USER,
        ANSWER,
        USER,
        {**ANSWER, "weight": 1},
    ]
    conversation = parse("chat", {"messages": rows}).conversation
    assert conversation is not None
    assert [message.weight for message in conversation.messages if message.role == "assistant"] == [0, 0.5, 1, 1]
    assert conversation.messages[0].content == "be brief"
    assert isinstance(conversation.messages[4].weight, float)


def test_two_messages_of_one_role_in_a_row_are_kept() -> None:
    rows = [USER, USER, ANSWER, ANSWER]
    assert [role for role, _ in texts("chat", {"messages": rows})] == ["user", "user", "assistant", "assistant"]


def test_what_stands_after_the_last_answer_is_left_out_with_a_warning() -> None:
    parsed = parse("chat", {"messages": [USER, ANSWER, USER, USER]})
    assert parsed.conversation is not None
    assert parsed.conversation.messages == (Message("user", "hi"), Message("assistant", "hello"))
    (warning,) = parsed.problems
    assert (warning.check, warning.severity) == ("after_answer", "warning")
    assert "2 of 4 messages" in warning.message


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        (None, ["missing_field"]),
        ([], ["type"]),
        ("hi", ["type"]),
        ({"role": "user"}, ["type"]),
        (["hi", ANSWER], ["type"]),
        ([USER], ["no_answer"]),
        ([ANSWER], ["order"]),
        ([ANSWER, USER, ANSWER], ["order"]),
        ([{"role": "system", "content": "a"}, ANSWER], ["order"]),
        ([USER, ANSWER, {"role": "system", "content": "a"}, USER, ANSWER], ["order"]),
        ([{"role": "system", "content": "a"}] * 2 + [USER, ANSWER], ["order"]),
        ([USER, {**ANSWER, "weight": 0}], ["no_answer"]),
        ([USER, {**ANSWER, "weight": -1}], ["weight"]),
        ([USER, {**ANSWER, "weight": "1"}], ["weight"]),
        ([USER, {**ANSWER, "weight": True}], ["weight"]),
        ([USER, {**ANSWER, "weight": float("nan")}], ["weight"]),
        ([USER, {**ANSWER, "weight": 10**400}], ["weight"]),
        ([{**USER, "weight": 1}, ANSWER], ["weight"]),
        ([{**USER, "weight": 0}, ANSWER], []),
        ([{"role": "human", "content": "a"}, {"role": "gpt", "content": "a"}], ["role", "role"]),
        ([{"role": ["user"], "content": "a"}, ANSWER], ["role"]),
        ([{"content": "a"}, ANSWER], ["role"]),
        ([{"role": "user"}, ANSWER], ["type"]),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}, ANSWER], []),
        ([{"role": "user", "content": " "}, {"role": "assistant", "content": ""}], ["empty_message", "empty_answer"]),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [{}]}], ["tool_call"]),
        ([USER, {**ANSWER, "tool_calls": []}], []),
        ([USER, ANSWER, {"role": "tool", "content": "a"}, ANSWER], []),
        ([USER, {"role": "tool", "content": "a"}, ANSWER], ["order"]),
    ],
)
def test_messages_with_a_fault_give_every_problem(messages: Any, wanted: list[str]) -> None:
    assert checks("chat", {"messages": messages}) == wanted


# ---------------------------------------------------------------------------------------------------- detection


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"instruction": "a", "response": "b"}, "instruction"),
        ({"instruction": "a", "input": "c", "output": "b"}, "instruction"),
        ({"instruction": None, "input": "c", "output": "b"}, "completion"),
        ({"input": "a", "output": "b"}, "completion"),
        ({"prompt": "a", "completion": "b"}, "completion"),
        ({"messages": [USER, ANSWER]}, "chat"),
        ({"messages": [USER, ANSWER], "label": "x", "id": 4}, "chat"),
        ({"messages": [USER, ANSWER], "text": "hi hello"}, "chat"),
        ({"text": "a", "url": "b"}, "text"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference"),
        ({"instruction": "a", "input": "", "chosen": "b", "rejected": "c"}, "preference"),
        ({"messages": [USER], "chosen": "b", "rejected": "c"}, "preference"),
        ({"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": "c"}, "preference"),
    ],
)
def test_the_fields_tell_the_form(tmp_path: Path, row: dict[str, Any], form: str) -> None:
    path = write(tmp_path, [row])
    rows = load(path)
    assert rows.conversations[0].form == form
    assert rows.forms[str(path)].form == form
    assert rows.forms[str(path)].reason.startswith("1 of the first 1 rows have `")


def test_a_file_has_the_form_of_most_of_its_rows_so_a_misspelt_field_changes_none(tmp_path: Path) -> None:
    good, misspelt = {"instruction": "a", "input": "b", "output": "c"}, {"instrction": "a", "input": "b", "output": "c"}
    with pytest.raises(UserError, match=r"rows.jsonl:1: no `instruction`"):
        load(write(tmp_path, [misspelt, good, good]))


def test_each_file_has_its_own_form(tmp_path: Path) -> None:
    first = write(tmp_path, [{"messages": [USER, ANSWER]}], "a.jsonl")
    second = write(tmp_path, [{"input": "a", "output": "b"}], "b.jsonl")
    rows = load_rows([(first, 1), (second, 1)])
    assert [row.form for row in rows.conversations] == ["chat", "completion"]


def test_the_form_is_found_though_the_first_hundred_rows_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("7\n" * 250 + '{"input": "a", "output": "b"}\n')
    rows = load(path, bad_rows="drop")
    assert len(rows.conversations) == 1
    assert rows.account.total.dropped == {"row_type": 250}


def test_a_written_format_is_not_overruled(tmp_path: Path) -> None:
    path = write(tmp_path, [{"instruction": "a", "input": "b", "output": "c"}])
    rows = load(path, format="completion")
    assert rows.conversations[0].messages == (Message("user", "b"), Message("assistant", "c"))
    assert [problem.message for problem in rows.problems] == ["`instruction` is in 1 row and is not used"]
    with pytest.raises(UserError, match="no `messages`"):
        load(path, format="chat")


# ------------------------------------------------------------------------------------------------------- columns


def test_columns_name_our_fields_in_their_words(tmp_path: Path) -> None:
    path = write(tmp_path, [{"question": "1+1?", "answer": "2", "topic": "sums"}, {"question": "2+2?", "answer": "4"}])
    rows = load(path, columns={"input": "question", "output": "answer", "category": "topic"})
    assert [row.messages[1].content for row in rows.conversations] == ["2", "4"]
    assert [row.category for row in rows.conversations] == ["sums", None]
    assert rows.problems == ()


def test_a_category_used_as_the_answer_stays_the_category(tmp_path: Path) -> None:
    path = write(tmp_path, [{"text": "where is it", "category": "card"}])
    (row,) = load(path, columns={"input": "text", "output": "category"}).conversations
    assert (row.messages[1].content, row.category) == ("card", "card")


def test_a_column_taken_under_another_name_is_no_second_answer(tmp_path: Path) -> None:
    path = write(tmp_path, [{"input": "a", "completion": "b"}])
    assert len(load(path, columns={"output": "completion"}).conversations) == 1


def test_fields_that_are_not_used_are_counted_and_named_once(tmp_path: Path) -> None:
    rows = [{"input": "a", "output": "b", "id": 1}, {"input": "a", "output": "b", "catgory": "x"}]
    problems = load(write(tmp_path, [*rows, rows[0]])).problems
    assert [(p.severity, p.place.line, p.message, p.remedy) for p in problems] == [
        ("warning", 2, "`catgory` is in 1 row and is not used", "did you mean `category`?"),
        ("warning", 1, "`id` is in 2 rows and is not used", "nothing to do where that is meant"),
    ]


def test_fields_inside_messages_that_are_not_used_are_counted_by_rows(tmp_path: Path) -> None:
    path = write(tmp_path, [{"messages": [{**USER, "mood": "glad"}, {**ANSWER, "mood": "calm"}]}])
    assert [p.message for p in load(path).problems] == ["`messages.mood` is in 1 row and is not used"]


# ----------------------------------------------------------------------------------------- stop, drop, limit, weight

MIXED = [
    {"input": "a", "output": "b", "category": "x"},
    {"input": "a", "output": ""},
    {"input": "a"},
    [1],
    {"input": "c", "output": "d"},
    {"input": "", "output": " "},
]


def test_bad_rows_stop_with_all_their_problems_in_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, MIXED))
    places = [Path(mistake.where).name for mistake in caught.value.mistakes]
    assert places == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4", "rows.jsonl:6", "rows.jsonl:6", ""]
    assert caught.value.mistakes[-1].message == "4 of 6 rows cannot be used"


def test_bad_rows_that_are_dropped_are_listed_and_counted(tmp_path: Path) -> None:
    rows = load(write(tmp_path, MIXED), bad_rows="drop")
    total = rows.account.total
    assert (total.read, total.kept) == (6, 2)
    assert total.dropped == {"empty_answer": 1, "empty_prompt": 1, "missing_field": 1, "row_type": 1}
    assert [problem.place.line for problem in rows.problems] == [2, 3, 4, 6, 6]
    assert rows.account.categories()["x"].kept == 1


def test_an_error_lists_twenty_problems_and_counts_the_others(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, [{"input": "a", "output": ""}] * 23 + [MIXED[0]]))
    assert len(caught.value.mistakes) == 21
    assert caught.value.mistakes[-1].message == "23 of 24 rows cannot be used; 3 more problems are not listed here"


def test_the_problems_of_all_files_come_in_one_error(tmp_path: Path) -> None:
    bad = write(tmp_path, [{"input": "a", "output": ""}], "bad.jsonl")
    empty = write(tmp_path, [], "empty.jsonl")
    with pytest.raises(UserError) as caught:
        load_rows([(tmp_path / "none.jsonl", 1), (empty, 1), (bad, 1)])
    places = [Path(mistake.where).name for mistake in caught.value.mistakes]
    assert places == ["none.jsonl", "empty.jsonl", "bad.jsonl:1", ""]


def test_no_row_left_is_an_error_though_bad_rows_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row is left"):
        load(write(tmp_path, [{"input": "a", "output": ""}]), bad_rows="drop")
    with pytest.raises(UserError, match="none of the 1 can be used"):
        load(write(tmp_path, [[]]), bad_rows="drop")


def test_a_limit_keeps_that_many_rows_of_all_classes_and_counts_the_others(tmp_path: Path) -> None:
    by_class = [{"input": f"{name} {n}", "output": name} for name in ("a", "b", "c", "d") for n in range(50)]
    rows = load(write(tmp_path, by_class), limit=40)
    assert len(rows.conversations) == 40
    assert {row.messages[1].content for row in rows.conversations} == {"a", "b", "c", "d"}
    lines = [row.place.line for row in rows.conversations]
    assert lines == sorted(lines)
    assert rows.account.total.dropped == {"limit": 160}
    assert rows.account.total.kept == 40


def test_a_files_weight_multiplies_the_weight_of_its_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path, [{"messages": [USER, {**ANSWER, "weight": 0.5}, USER, {**ANSWER, "weight": 0}, USER, ANSWER]}]
    )
    (row,) = load_rows([(path, 3)]).conversations
    assert [message.weight for message in row.messages] == [1, 1.5, 1, 0, 1, 3]


# --------------------------------------------------------------------------------------------------- any rows at all

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", " ", "hi", "user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "weight", "tool_calls", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "human", "tool"]), "content": st.just("hi") | ANY},
        optional={"weight": ANY, "tool_calls": ANY, "name": ANY, "from": st.sampled_from(["gpt", "function_call"])},
    ),
    max_size=5,
)
NAMES = ["instruction", "input", "response", "output", "prompt", "completion", "category", "label", "tools", "text"]
NAMES += ["messages", "conversations", "chosen", "rejected", "system", "history", "functions", "images"]
ANY_ROW = ANY | st.dictionaries(st.sampled_from(NAMES), ANY | MESSAGES, max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.lists(ANY_ROW, max_size=4), st.sampled_from(["auto", *plugins.names(FORMS)]))
def test_no_rows_crash_the_check_and_read_is_kept_and_dropped(tmp_path: Path, written: list[Any], format: str) -> None:
    good = {"instruction": "a", "input": "b", "output": "c", "messages": [USER, ANSWER], "text": "d"}
    good |= {"conversations": [USER, ANSWER]}
    if format == "preference":
        good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    path = write(tmp_path, [good, *written, good])
    try:
        rows = load(path, format=format, bad_rows="drop")
    except UserError as error:
        mistakes = error.mistakes
    else:
        mistakes = ()
        check_rows(rows, len(written) + 2)
    assert all(mistake.message and mistake.remedy for mistake in mistakes)


def check_rows(rows: Rows, read: int) -> None:
    total = rows.account.total
    assert total.read == read
    assert total.kept == len(rows.conversations)
    assert total.read == total.kept + sum(total.dropped.values())
    dropped = {problem.place.line for problem in rows.problems if problem.severity == "error"}
    assert dropped.isdisjoint(row.place.line for row in rows.conversations)
    for row in rows.conversations:
        assert row.messages[-1].role == "assistant"
        assert all(message.content.strip() or message.tool_calls or message.role == "tool" for message in row.messages)


# ----------------------------------------------------------------------------------------------------- real files


def test_real_files_are_read_whole(real_data: Path) -> None:
    alpaca = load(real_data / "llama_factory" / "alpaca_en_demo.json")
    assert (len(alpaca.conversations), alpaca.conversations[0].form, alpaca.problems) == (999, "instruction", ())
    sums = load(real_data / "gsm8k" / "train.jsonl", columns={"input": "question", "output": "answer"})
    assert (len(sums.conversations), sums.conversations[0].form, sums.problems) == (7473, "completion", ())
    banking = load(real_data / "banking77" / "train.csv", columns={"input": "text", "output": "category"})
    assert len(banking.conversations) == 10_003
    assert len(banking.account.categories()) == 77


def test_a_real_document_of_several_lists_is_refused_by_name(real_data: Path) -> None:
    with pytest.raises(UserError, match="holds 4 lists: oos_val, val, train, oos_train"):
        load(real_data / "clinc150" / "data_small_train_val.json")
