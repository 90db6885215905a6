"""Every mistake in a file of rows, with the text that the user reads: error_texts.txt holds them all.

After a change of words: LUTHIER_REGENERATE=1 pytest tests/data/test_forms_error_texts.py, and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from luthier.data.check import load_rows
from luthier.errors import UserError

GOLDEN = Path(__file__).parent / "error_texts.txt"
GOOD = {"instruction": "Say hi.", "response": "hi"}
USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def chat(*messages: Any, **fields: Any) -> str:
    return lines({"messages": [USER, ANSWER]}, {"messages": list(messages), **fields})


# What is wrong: the file's name, its content (None: no such file), how it is loaded.
CASES: dict[str, tuple[str, str | bytes | None, dict[str, Any]]] = {
    # the file
    "no such file": ("tickts.jsonl", None, {}),
    "no such file and none like it": ("9.json", None, {}),
    "no such folder": ("none/rows.jsonl", None, {}),
    "a folder": ("folder", None, {}),
    "a folder with rows": ("folder_with_rows", None, {}),
    "an empty file": ("rows.jsonl", "", {}),
    "nothing but blank lines": ("rows.jsonl", "\n \n\n", {}),
    "an empty array": ("rows.json", "[]", {}),
    "a header alone": ("rows.csv", "instruction,response\n", {}),
    "an unknown ending": ("rows.xlsx", "x", {}),
    "no ending": ("rows", "x", {}),
    "a zip file": ("rows.csv", b"PK\x03\x04\x14\x00", {}),
    "a gzip file": ("rows.jsonl", b"\x1f\x8b\x08\x00", {}),
    "a binary file": ("rows.jsonl", b'{"instruction"\x00\x01', {}),
    "a UTF-16 file": ("rows.csv", "instruction,response\nhi,ho\n".encode("utf-16"), {}),
    "a Latin-1 line": ("rows.jsonl", lines(GOOD).encode() + b'{"instruction": "caf\xe9", "response": "x"}\n', {}),
    "a Windows line": ("my rows.csv", b"instruction,response\nhi,\x93ho\x94\n", {}),
    "a Latin-1 document": ("rows.json", b'[\n{"instruction": "a", "response": "\xfc"}]', {}),
    "line ends of an old Mac": ("rows.csv", "instruction,response\rhi,ho\r", {}),
    # lines of JSON
    "single quotes": ("rows.jsonl", lines(GOOD) + "{'instruction': 'a'}\n", {}),
    "a comma too many": ("rows.jsonl", lines(GOOD) + '{"instruction": "a", }\n', {}),
    "a cut line": ("rows.jsonl", lines(GOOD) + '{"instruction": "a", "response": "b\n', {}),
    "a cut object": ("rows.jsonl", lines(GOOD) + '{"instruction": "a"\n', {}),
    "a bare double quote": ("rows.jsonl", lines(GOOD) + '{"instruction": "say "hi"", "response": "b"}\n', {}),
    "two rows on a line": ("rows.jsonl", lines(GOOD) + lines(GOOD).strip() * 2 + "\n", {}),
    "a tab in a text": ("rows.jsonl", lines(GOOD) + '{"instruction": "a\tb"}\n', {}),
    "a lone backslash": ("rows.jsonl", lines(GOOD) + '{"instruction": "C:\\data"}\n', {}),
    "nested too deeply": ("rows.jsonl", lines(GOOD) + "[" * 100_000 + "\n", {}),
    "half a character": ("rows.jsonl", lines(GOOD) + '{"instruction": "a\\ud83d", "response": "b"}\n', {}),
    "a list as a row": ("rows.jsonl", lines(GOOD, ["a", "b"]), {}),
    "a number as a row": ("rows.jsonl", lines(GOOD, 7), {}),
    "null as a row": ("rows.jsonl", lines(GOOD, None), {}),
    "an array over many lines": ("rows.jsonl", json.dumps([GOOD], indent=2), {}),
    "an array on one line": ("rows.jsonl", json.dumps([GOOD]), {}),
    # JSON documents
    "JSON lines in a document": ("rows.json", lines(GOOD, GOOD), {}),
    "a cut document": ("rows.json", json.dumps([GOOD, GOOD], indent=1)[:-3], {}),
    "a document cut between rows": ("rows.json", '[\n{"instruction": "a", "response": "b"}\n', {}),
    "a comma before the bracket": ("rows.json", '[\n{"instruction": "a", "response": "b"},\n]', {}),
    "a comma missing": ("rows.json", '[\n{"instruction": "a", "response": "b"}\n{"instruction": "c"}]', {}),
    "text after the array": ("rows.json", "[" + json.dumps(GOOD) + "]\nend", {}),
    "a bare text": ("rows.json", '"rows"', {}),
    "one object": ("rows.json", json.dumps(GOOD), {}),
    "several lists": ("rows.json", json.dumps({"train": [GOOD], "test": [GOOD]}), {}),
    "an object with a name that is a number": ("rows.json", "{1: []}", {}),
    # CSV
    "a value too many": ("rows.csv", "instruction,response\nhi,well, hello\n", {}),
    "a value too few": ("rows.csv", "instruction,response\nhi\n", {}),
    "a quote that never closes": ("rows.csv", 'instruction,response\nhi,"ho\nhi,ho\nhi,ho\n', {}),
    "a quote inside a quoted text": ("rows.csv", 'instruction,response\nhi,"say "ho" now"\n', {}),
    "a carriage return without quotes": ("rows.csv", "instruction,response\nhi,a\rb\n", {}),
    "two columns of one name": ("rows.csv", "instruction,response,response\nhi,a,b\n", {}),
    "spaces in the header": ("rows.csv", "instruction, response\nhi,ho\n", {}),
    "semicolons": ("rows.csv", "instruction;response\nhi;ho\n", {}),
    # forms
    "fields of no form": ("rows.jsonl", lines({"colour": "red", "size": 4}), {}),
    "no fields": ("rows.jsonl", lines({}), {}),
    "a form without its answer": ("rows.jsonl", lines({"instruction": "a"}), {}),
    "well-known fields": ("rows.jsonl", lines({"question": "a", "answer": "b"}), {}),
    "a text and its class": ("rows.csv", "text,category\nhi,greeting\n", {}),
    "KTO rows": ("rows.jsonl", lines({"prompt": "a", "completion": "b", "label": False}), {}),
    "KTO rows of LLaMA-Factory": ("rows.json", json.dumps([{"messages": [USER, ANSWER], "kto_tag": True}]), {}),
    "an unknown format": ("rows.jsonl", lines(GOOD), {"format": "alpaca"}),
    "a misspelt field of ours": ("rows.jsonl", lines(GOOD), {"columns": {"ouput": "response"}}),
    "an unknown field of ours": ("rows.jsonl", lines(GOOD), {"columns": {"zzz": "response"}, "format": "completion"}),
    "a misspelt column": ("rows.jsonl", lines({"question": "a", "answer": "b"}), {"columns": {"input": "qestion"}}),
    "a column that is not there": ("rows.jsonl", lines(GOOD), {"columns": {"category": "topic"}}),
    "a weight of nothing": ("rows.jsonl", lines(GOOD), {"weight": 0}),
    # instruction and completion rows
    "a missing field": ("rows.jsonl", lines(GOOD, {"instruction": "a"}), {}),
    "an empty answer": ("rows.jsonl", lines(GOOD, {"instruction": "a", "response": " "}), {}),
    "an empty question": ("rows.jsonl", lines(GOOD, {"instruction": "", "response": "b"}), {}),
    "a number as an answer": ("rows.jsonl", lines(GOOD, {"instruction": "a", "response": 4.5}), {}),
    "a list as an answer": ("rows.jsonl", lines(GOOD, {"instruction": "a", "response": ["b"]}), {}),
    "NaN as an answer": ("rows.jsonl", lines(GOOD) + '{"instruction": "a", "response": NaN}\n', {}),
    "an object as an input": ("rows.jsonl", lines(GOOD, {"instruction": "a", "input": {}, "response": "b"}), {}),
    "two answers": ("rows.jsonl", lines(GOOD, {"instruction": "a", "response": "b", "output": "c"}), {}),
    "a list as a category": ("rows.jsonl", lines(GOOD, {**GOOD, "category": ["a"]}), {}),
    # chat rows
    "no messages": ("rows.jsonl", chat() + lines({"label": "x"}), {}),
    "messages that are a text": ("rows.jsonl", lines({"messages": "hi"}), {}),
    "a message that is a text": ("rows.jsonl", chat("hi"), {}),
    "unknown roles": ("rows.jsonl", chat({**USER, "role": "human"}, {**ANSWER, "role": "asistant"}), {}),
    "a role like none": ("rows.jsonl", chat({**USER, "role": "narrator"}, ANSWER), {}),
    "no role": ("rows.jsonl", chat({"content": "hi"}, ANSWER), {}),
    "a number as a role": ("rows.jsonl", chat({**USER, "role": 1}, ANSWER), {}),
    "no content": ("rows.jsonl", chat({"role": "user"}, ANSWER), {}),
    "a picture in the content": ("rows.jsonl", chat({**USER, "content": [{"type": "image_url"}]}, ANSWER), {}),
    "a sound and a file": (
        "rows.jsonl",
        chat({**USER, "content": [{"type": "input_audio"}, {"type": "file"}]}, ANSWER),
        {},
    ),
    "parts that are none": ("rows.jsonl", chat({**USER, "content": ["hi", {"type": "text", "text": 4}]}, ANSWER), {}),
    "parts out of order": (
        "rows.jsonl",
        chat(USER, {**ANSWER, "content": [{"type": "text", "text": "a"}, {"type": "reasoning", "value": "b"}]}),
        {},
    ),
    "pictures beside the messages": ("rows.jsonl", chat(USER, ANSWER, images=["a.png"]), {}),
    "empty messages": ("rows.jsonl", chat({**USER, "content": ""}, {**ANSWER, "content": " "}), {}),
    "a negative weight": ("rows.jsonl", chat(USER, {**ANSWER, "weight": -1}), {}),
    "a text as a weight": ("rows.jsonl", chat(USER, {**ANSWER, "weight": "high"}), {}),
    "a weight on the user": ("rows.jsonl", chat({**USER, "weight": 1}, ANSWER), {}),
    "no assistant": ("rows.jsonl", chat(USER, USER), {}),
    "an answer first": ("rows.jsonl", chat(ANSWER, USER, ANSWER), {}),
    "a late system message": ("rows.jsonl", chat(USER, {"role": "system", "content": "x"}, ANSWER), {}),
    "no weight left": ("rows.jsonl", chat(USER, {**ANSWER, "weight": 0}), {}),
    "a call without a name": ("rows.jsonl", chat(USER, {**ANSWER, "tool_calls": [{"id": "1"}]}), {}),
    "arguments that are no object": (
        "rows.jsonl",
        chat(
            USER,
            {**ANSWER, "tool_calls": [{"function": {"name": "f", "arguments": "{x: 1}"}}]},
            {"role": "tool", "content": "1"},
            {**ANSWER, "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]},
        ),
        {},
    ),
    "a call's number": ("rows.jsonl", chat(USER, {**ANSWER, "tool_calls": [{"id": 1, "name": "f"}]}), {}),
    "a user that calls": ("rows.jsonl", chat({**USER, "tool_calls": [{"name": "f"}]}, ANSWER), {}),
    "a user that thinks": ("rows.jsonl", chat({**USER, "reasoning": "hm"}, ANSWER), {}),
    "reasoning that is no text": ("rows.jsonl", chat(USER, {**ANSWER, "reasoning": {"effort": 1}}), {}),
    "reasoning said twice": ("rows.jsonl", chat(USER, {**ANSWER, "reasoning": "a", "thinking": "b"}), {}),
    "a reply with no call": ("rows.jsonl", chat(USER, {"role": "tool", "content": "4"}, ANSWER), {}),
    "a reply of nothing": ("rows.jsonl", chat(USER, ANSWER, {"role": "tool", "content": None}, ANSWER), {}),
    "a call that a user replies to": ("rows.jsonl", chat({**USER, "tool_call_id": "1"}, ANSWER), {}),
    "tools that are no list": ("rows.jsonl", chat(USER, ANSWER, tools="find"), {}),
    "a tool without a name": ("rows.jsonl", chat(USER, ANSWER, tools=[{"type": "function"}]), {}),
    "tools under two names": ("rows.jsonl", chat(USER, ANSWER, tools=[{"name": "f"}], functions=[{"name": "f"}]), {}),
    # ShareGPT rows
    "an unknown speaker": ("rows.jsonl", lines({"conversations": [{"from": "narrator", "value": "a"}]}), {}),
    "a speaker's slip": ("rows.jsonl", lines({"conversations": [{"from": "humn", "value": "a"}]}), {}),
    "a ShareGPT call that is no JSON": (
        "rows.jsonl",
        lines({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "find it"}]}),
        {},
    ),
    "two system messages": (
        "rows.jsonl",
        lines({"conversations": [{"from": "system", "value": "a"}, {"from": "human", "value": "a"}], "system": "b"}),
        {},
    ),
    "a ShareGPT message that is a text": ("rows.jsonl", lines({"conversations": ["hi"]}), {}),
    # instruction rows of Alpaca
    "a history that is no list": ("rows.jsonl", lines({**GOOD, "history": "hi"}), {}),
    "a history without its answers": ("rows.jsonl", lines({**GOOD, "history": [["hi"], ["a", ""]]}), {}),
    # preference rows
    "no worse answer": ("rows.jsonl", lines({"prompt": "a", "chosen": "b"}), {}),
    "no prompt": ("rows.jsonl", lines({"chosen": "yes", "rejected": "no"}), {}),
    "an empty worse answer": ("rows.jsonl", lines({"prompt": "a", "chosen": "b", "rejected": " "}), {}),
    "the same answer twice": ("rows.jsonl", lines({"prompt": "a", "chosen": "b", "rejected": "b"}), {}),
    "two prompts": ("rows.jsonl", lines({"prompt": "a", "messages": [USER], "chosen": "b", "rejected": "c"}), {}),
    "answers to two questions": (
        "rows.jsonl",
        lines({"chosen": [USER, ANSWER], "rejected": [{**USER, "content": "ho"}, ANSWER]}),
        {},
    ),
    "a prompt that the answers do not begin with": (
        "rows.jsonl",
        lines({"prompt": "what?", "chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "no"}]}),
        {},
    ),
    "a number as a better answer": ("rows.jsonl", lines({"prompt": "a", "chosen": 4, "rejected": "c"}), {}),
    # what is left
    "no row left": ("rows.jsonl", lines({**GOOD, "response": ""}), {"bad_rows": "drop"}),
    "more problems than are listed": ("rows.jsonl", lines(GOOD, *[{**GOOD, "response": ""}] * 22), {}),
}


def text_of(name: str, content: str | bytes | None, how: dict[str, Any]) -> str:
    path = Path(name)
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    how = dict(how)
    try:
        load_rows([(path, how.pop("weight", 1.0))], **how)
    except UserError as error:
        raised = error
    assert all(mistake.message and mistake.remedy for mistake in raised.mistakes)
    return str(raised)


def test_every_mistake_has_the_text_that_was_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ""
    for number, (what, (name, content, how)) in enumerate(CASES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        if content is None:
            Path("folder").mkdir()
            Path("folder_with_rows").mkdir()
            Path("folder_with_rows/tickets.jsonl").touch()
            Path("tickets.jsonl").touch()
        found += f"== {what}\n{text_of(name, content, how)}\n\n"
    if os.environ.get("LUTHIER_REGENERATE"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.symlink_to(path)
    with pytest.raises(UserError, match=r"rows\.jsonl: (no such file|cannot be read)"):
        load_rows([(path, 1.0)])
