"""Rows that only ask, of every form, with their answer and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.prompts import prompts
from luthier.errors import UserError
from luthier.flow import Conversation, Message, Problem

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}
HUMAN, GPT = {"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"name": "find"}]}
U = Message("user", "hi")


def asked(folder: Path, *rows: Any, columns: dict[str, str] | None = None) -> list[Conversation | Problem]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(prompts(path, columns))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER]},
        {"messages": [USER, ANSWER]},
        {"conversations": [HUMAN]},
        {"conversations": [HUMAN, GPT]},
        {"instruction": "hi"},
        {"instruction": "hi", "input": "", "output": ""},
        {"instruction": "hi", "output": "hello"},
        {"prompt": "hi"},
        {"prompt": "hi", "completion": "hello"},
        {"prompt": "hi", "chosen": "hello", "rejected": "no"},
        {"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "no"}]},
        {"instruction": "hi", "chosen": "hello", "rejected": "no"},
    ],
)
def test_a_row_asks_the_same_with_its_answer_and_without(tmp_path: Path, row: dict[str, Any]) -> None:
    (conversation,) = asked(tmp_path, row)
    assert isinstance(conversation, Conversation)
    assert conversation.messages == (U,)
    assert conversation.rejected == ()


def test_a_tools_reply_asks_for_the_next_answer_and_a_call_is_an_answer(tmp_path: Path) -> None:
    reply = {"role": "tool", "content": "4"}
    first, second = asked(tmp_path, {"messages": [USER, CALL, reply]}, {"messages": [USER, CALL]})
    assert isinstance(first, Conversation)
    assert [message.role for message in first.messages] == ["user", "assistant", "tool"]
    assert isinstance(second, Conversation)
    assert second.messages == (U,)


def test_a_text_row_asks_nothing_and_a_bad_row_says_why(tmp_path: Path) -> None:
    (text,) = asked(tmp_path, {"text": "once"})
    assert isinstance(text, Problem)
    assert text.message == "a text row asks nothing"
    _, bad = asked(tmp_path, {"prompt": "hi"}, {"prompt": 4})
    assert isinstance(bad, Problem)
    assert bad.check == "type"


def test_columns_and_dataset_info_name_the_question(tmp_path: Path) -> None:
    (row,) = asked(tmp_path, {"q": "hi"}, columns={"prompt": "q"})
    assert isinstance(row, Conversation)
    assert row.messages == (U,)
    with pytest.raises(UserError, match="no row has the column 'question'"):
        asked(tmp_path, {"prompt": "hi"}, columns={"input": "question"})
    entry = {"file_name": "rows.jsonl", "columns": {"prompt": "q", "response": "a"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    (row,) = asked(tmp_path, {"q": "hi"})
    assert isinstance(row, Conversation)
    assert row.messages == (U,)
