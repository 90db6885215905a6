"""LLaMA-Factory's files: what `dataset_info.json` says about the rows beside it, and its own examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.check import Rows, load_rows
from luthier.data.llama_factory import files, named
from luthier.errors import UserError
from luthier.flow import Message, ToolCall

S, U, A = Message("system", "be brief"), Message("user", "hi"), Message("assistant", "hello")


def described(folder: Path, entry: dict[str, Any], *rows: Any) -> Path:
    """A file of rows with an entry of `dataset_info.json` beside it."""
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "rows.json", **entry}}))
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    return path


def load(path: Path, **how: Any) -> Rows:
    return load_rows([(path, 1.0)], **how)


def test_the_columns_of_an_alpaca_entry_are_used_and_said(tmp_path: Path) -> None:
    columns = {"prompt": "q", "query": "about", "response": "a", "system": "role", "history": "before"}
    row = {"q": "hi", "about": "it", "a": "hello", "role": "be brief", "before": [["a", "b"]]}
    path = described(tmp_path, {"columns": columns}, row)
    rows = load(path)
    assert rows.conversations[0].messages == (
        S,
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "hi\n\nit"),
        A,
    )
    assert rows.problems == ()
    assert rows.forms[str(path)].form == "instruction"
    assert rows.forms[str(path)].reason == "dataset_info.json beside it says alpaca of mine"


def test_the_tags_of_a_sharegpt_entry_are_used(tmp_path: Path) -> None:
    entry = {
        "formatting": "sharegpt",
        "columns": {"messages": "turns", "system": "role", "tools": "functions"},
        "tags": {
            "role_tag": "who",
            "content_tag": "says",
            "user_tag": "customer",
            "assistant_tag": "clerk",
            "function_tag": "does",
            "observation_tag": "sees",
        },
    }
    turns = [
        {"who": "customer", "says": "hi"},
        {"who": "does", "says": '{"name": "find", "arguments": {}}'},
        {"who": "sees", "says": "4"},
        {"who": "clerk", "says": "hello"},
    ]
    path = described(tmp_path, entry, {"turns": turns, "role": "be brief", "functions": '[{"name": "find"}]'})
    (row,) = load(path).conversations
    called = Message("assistant", "", tool_calls=(ToolCall("find", {}),))
    assert row.messages == (S, U, called, Message("tool", "4"), A)
    assert row.tools == ({"type": "function", "function": {"name": "find"}},)


def test_a_roles_name_alone_may_be_another(tmp_path: Path) -> None:
    turns = [{"from": "customer", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    entry = {"formatting": "sharegpt", "tags": {"user_tag": "customer"}}
    assert load(described(tmp_path, entry, {"conversations": turns})).conversations[0].messages == (U, A)


def test_a_ranking_of_sharegpt_is_a_preference_in_its_own_words(tmp_path: Path) -> None:
    entry = {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "turns", "chosen": "good", "rejected": "bad"},
        "tags": {"role_tag": "who", "content_tag": "says", "user_tag": "customer", "assistant_tag": "clerk"},
    }
    sides = {"good": {"who": "clerk", "says": "hello"}, "bad": {"who": "clerk", "says": "no"}}
    (row,) = load(described(tmp_path, entry, {"turns": [{"who": "customer", "says": "hi"}], **sides})).conversations
    assert row.messages == (U, A)
    assert row.rejected == (U, Message("assistant", "no"))


def test_an_entry_with_a_prompt_alone_is_text(tmp_path: Path) -> None:
    (row,) = load(described(tmp_path, {"columns": {"prompt": "content"}}, {"content": "once"})).conversations
    assert (row.form, row.messages) == ("text", (Message("assistant", "once"),))


def test_the_users_own_columns_and_format_win(tmp_path: Path) -> None:
    row = {"q": "hi", "a": "hello"}
    path = described(tmp_path, {"columns": {"prompt": "q", "response": "a"}}, row)
    swapped = load(path, columns={"input": "a", "output": "q"})
    assert swapped.conversations[0].messages == (Message("user", "hello"), Message("assistant", "hi"))
    with pytest.raises(UserError, match="no `input` or `prompt`"):
        load(path, format="completion")
    assert load(path, format="instruction").conversations[0].messages == (U, A)


def test_an_entry_of_a_hub_or_of_another_file_says_nothing(tmp_path: Path) -> None:
    row = {"prompt": "hi", "completion": "hello"}
    for entry in ({"hf_hub_url": "a/b", "columns": {"prompt": "x"}}, {"file_name": "other.json", "ranking": True}):
        path = described(tmp_path, entry, row)
        assert load(path).forms[str(path)].form == "completion"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"formatting": "vicuna"}, "the formatting 'vicuna' is not read"),
        ({"columns": {"prompt": "a", "response": "b", "kto_tag": "good"}}, "`good` is true or false: these are KTO"),
        ({"columns": {"prompt": "a", "response": "b", "images": "pictures"}}, "its rows have `images`"),
        ({"num_samples": 100}, "`num_samples` is not read\n  take it out, and write under `data`: limit: 100"),
        ({"columns": ["a"]}, "`columns` is no object of texts"),
        ({"formatting": "sharegpt", "tags": {"role_tag": 4}}, "`tags` is no object of texts"),
        ({"columns": {"prompt": "x", "response": "output"}}, "no row has the column 'x'"),
    ],
)
def test_what_an_entry_asks_for_and_is_not_done_is_an_error(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        load(described(tmp_path, entry, {"a": "hi", "output": "hello"}))
    assert said in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\xff"])
def test_a_broken_dataset_info_is_an_error_with_its_place(tmp_path: Path, content: str) -> None:
    path = described(tmp_path, {}, {"prompt": "hi", "completion": "hello"})
    (tmp_path / "dataset_info.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"dataset_info\.json"):
        load(path)


def test_its_files_are_those_beside_it_and_a_name_stands_for_its_file(tmp_path: Path) -> None:
    path = described(tmp_path, {}, {"prompt": "hi", "completion": "hello"})
    entries = {"mine": {"file_name": "rows.json"}, "gone": {"file_name": "gone.json"}, "far": {"hf_hub_url": "a/b"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    assert files(tmp_path / "dataset_info.json") == ([path], ["gone", "far"])
    assert named(tmp_path / "mine") == path
    assert named(tmp_path / "far") is None
    assert named(tmp_path / "other" / "mine") is None


def test_the_users_own_columns_reach_inside_messages(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    turns = [{"speaker": "customer", "text": "hi"}, {"speaker": "assistant", "text": "hello"}]
    path.write_text(json.dumps({"turns": turns}))
    columns = {
        "messages": "turns",
        "messages.role": "speaker",
        "messages.content": "text",
        "messages.role.user": "customer",
    }
    rows = load(path, columns=columns)
    assert rows.conversations[0].messages == (U, A)
    assert rows.problems == ()
    with pytest.raises(UserError, match=r"no row has the column 'spaeker' of data.columns.messages.role\n.*did you"):
        load(path, columns={**columns, "messages.role": "spaeker"}, bad_rows="drop")


# What every example of LLaMA-Factory holds: rows read, and the form, with and without its dataset_info.json.
EXAMPLES = {
    "alpaca_en_demo.json": (999, "instruction"),
    "alpaca_zh_demo.json": (1000, "instruction"),
    "identity.json": (91, "instruction"),
    "c4_demo.jsonl": (300, "text"),
    "wiki_demo.txt": (30, "text"),
    "dpo_en_demo.json": (299, "preference"),
    "dpo_zh_demo.json": (300, "preference"),
    "v1_dpo_demo.jsonl": (10, "preference"),
    "glaive_toolcall_en_demo.json": (300, "sharegpt"),
    "reason_tool_use_demo_50.jsonl": (50, "chat"),
    "v1_sft_demo.jsonl": (500, "chat"),
}


@pytest.mark.parametrize("alone", [False, True], ids=["beside dataset_info.json", "alone"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_real_example_is_read_whole_in_its_form(real_data: Path, tmp_path: Path, name: str, alone: bool) -> None:
    path = real_data / "llama_factory" / name
    if alone:
        (tmp_path / name).symlink_to(path.absolute())
        path = tmp_path / name
    rows = load(path)
    assert (len(rows.conversations), rows.forms[str(path)].form) == EXAMPLES[name]
    assert rows.problems == ()


def test_the_real_examples_keep_their_calls_reasoning_and_worse_answers(real_data: Path) -> None:
    folder = real_data / "llama_factory"
    called = load(folder / "glaive_toolcall_en_demo.json").conversations
    assert sum(len(m.tool_calls) for row in called for m in row.messages) == 211
    assert sum(bool(row.tools) for row in called) == 191
    thought = load(folder / "reason_tool_use_demo_50.jsonl").conversations
    assert sum(m.reasoning is not None for row in thought for m in row.messages) == 112
    assert sum(len(m.tool_calls) for row in thought for m in row.messages) == 68
    preferred = load(folder / "dpo_en_demo.json").conversations
    assert all(row.rejected and row.rejected[:-1] == row.messages[:-1] for row in preferred)


def test_the_real_kto_example_is_refused_with_what_to_type(real_data: Path) -> None:
    with pytest.raises(UserError, match="`label` is true or false: these are KTO rows") as caught:
        load(real_data / "llama_factory" / "kto_en_demo.json")
    assert "jq '[.[] | select(.label) | del(.label)]' <" in caught.value.mistakes[0].remedy
