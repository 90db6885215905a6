"""Checks that look at many rows at once find there what they find row by row, hit for hit."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from luthier import plugins
from luthier.data import checks
from luthier.data.check import load_rows
from luthier.data.checks import CHECKS, Check, Row, Rows, prompt_injection, secrets
from luthier.data.checks._harmful import HATED, STEMS
from luthier.data.checks._harmful import PATTERNS as PATTERNS_OF_HARM
from luthier.flow import Conversation, Message, Place, ToolCall
from tests.data.personal_texts import texts
from tests.data.planted_faults import planted

AT_ONCE = [check for check in map(checks.load, plugins.names(CHECKS)) if check.look_in is not None]

of_each = pytest.mark.parametrize("check", AT_ONCE, ids=lambda check: check.name)


def compared(check: Check, conversations: list[Conversation]) -> int:
    """How many hits there are, in both ways; in blocks, as they come from files."""
    assert check.look is not None
    assert check.look_in is not None
    hits = 0
    for start in range(0, len(conversations), 2_000):
        rows = Rows([Row(conversation) for conversation in conversations[start : start + 2_000]])
        one_by_one = [(number, hit) for number, row in enumerate(rows) for hit in check.look(row)]
        assert list(check.look_in(rows)) == one_by_one
        hits += len(one_by_one)
    return hits


def read(rows: list[dict[str, Any]], folder: Path) -> list[Conversation]:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return list(load_rows([(path, 1.0)], bad_rows="drop").conversations)


def said(*messages: Message, rejected: tuple[Message, ...] = ()) -> Conversation:
    return Conversation("chat", messages, Place("rows.jsonl", 1), rejected=rejected)


def test_some_checks_look_at_many_rows_at_once() -> None:
    names = {check.name for check in AT_ONCE}
    assert names >= {"harmful_content", "prompt_injection", "secrets", "personal_data"}


@of_each
def test_they_find_the_same_in_the_rows_of_all_checks(check: Check, tmp_path: Path) -> None:
    modules = [plugins.load(CHECKS, name) for name in plugins.names(CHECKS)]
    rows = [row for module in modules for row in (*module.faulty(), *module.clean()) if "response" in row]
    assert compared(check, read(rows, tmp_path)) >= 3


@of_each
def test_they_find_the_same_in_the_planted_faults(check: Check, tmp_path: Path) -> None:
    found = 0
    for number, file in enumerate([*planted("development"), *planted("test")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found += compared(check, read([*file.rows, *file.held_out], folder))
    assert found >= 1


@of_each
def test_they_find_the_same_wherever_a_text_stands(check: Check) -> None:
    """In messages, thinking, calls of tools and rejected answers, in any case, beside letters that lower case changes
    and halves of surrogate pairs, with every stem once."""
    faulty = [row[key] for row in plugins.load(CHECKS, check.name).faulty() for key in ("instruction", "response")]
    stems = [word for words in (*STEMS.values(), HATED) for word in words]
    odd = ["", " ", "İİ", "\ud800", "ﬀ", "İ" + "sterilİ"]
    conversations = []
    for text in [*faulty, *map(str.upper, faulty), *(f"\ud800 {text} İ" for text in faulty), *stems, *odd]:
        call = ToolCall("find", {"words": [text, {"more": text}], "count": 3})
        conversations += [
            said(Message("user", text), Message("assistant", "Well.")),
            said(Message("system", text), Message("user", "Hm?"), Message("assistant", text, reasoning=text)),
            said(Message("user", "Hm?"), Message("assistant", "", tool_calls=(call,)), Message("assistant", "Done.")),
            said(Message("user", "Hm?"), Message("assistant", "Yes."), rejected=(Message("assistant", text),)),
        ]
    assert compared(check, conversations) >= 3 * len(plugins.load(CHECKS, check.name).faulty())


PATTERNS = {
    "harmful_content": [pattern for patterns in PATTERNS_OF_HARM.values() for pattern in patterns],
    "prompt_injection": [pattern for patterns in prompt_injection._COMPILED.values() for pattern in patterns],
    "secrets": [pattern for _, _, pattern in secrets._PATTERNS],
}


@pytest.mark.parametrize("name", PATTERNS)
def test_they_find_the_same_in_texts_made_of_their_patterns(name: str) -> None:
    """30 texts a pattern, each written by a walk through it at random, so that every alternative has its turn."""
    chance = random.Random(0)
    rows = []
    for pattern in PATTERNS[name]:
        for _ in range(30):
            text = written(re._parser.parse(pattern.pattern, pattern.flags), chance)  # type: ignore[attr-defined]
            rows.append(said(Message("user", f"Hm? {text} "), Message("assistant", text.upper())))
    assert compared(checks.load(name), rows) >= 5 * len(PATTERNS[name])


def written(parsed: Sequence[Any], chance: random.Random) -> str:
    """A text that a parsed pattern mostly matches: what it asks of the signs beside it is left to luck."""
    made = []
    for code, value in parsed:
        match str(code):
            case "LITERAL":
                made.append(chr(value))
            case "NOT_LITERAL" | "ANY" | "CATEGORY":
                made.append("a")
            case "IN":
                made.append(_one_of(value, chance))
            case "BRANCH":
                made.append(written(chance.choice(value[1]), chance))
            case "SUBPATTERN":
                made.append(written(value[-1], chance))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inner = value
                times = chance.randint(least, least + min(int(most) - least, 2))
                made += [written(inner, chance) for _ in range(times)]
    return "".join(made)


def _one_of(signs: Sequence[Any], chance: random.Random) -> str:
    if str(signs[0][0]) == "NEGATE":
        return chance.choice("aB7")
    code, value = chance.choice(signs)
    if str(code) == "RANGE":
        return chr(chance.randint(*value))
    return chr(value) if str(code) == "LITERAL" else chance.choice("aB7" if "WORD" in str(value) else " 7")


def test_personal_data_is_the_same_in_the_generated_texts() -> None:
    rows = [
        said(Message("user", "Hm?"), Message("assistant", text.content))
        for text in texts(seed=7, each=100, nothing=600)
    ]
    assert compared(checks.load("personal_data"), rows) >= 500


def real_files(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    names = ("alpaca_en_demo", "alpaca_zh_demo", "identity", "glaive_toolcall_en_demo", "dpo_en_demo")
    for name in names:
        yield folder / "llama_factory" / f"{name}.json", {}
    yield folder / "llama_factory" / "c4_demo.jsonl", {}
    yield folder / "gsm8k" / "train.jsonl", {"input": "question", "output": "answer"}
    yield folder / "banking77" / "train.csv", {"input": "text", "output": "category"}


@pytest.mark.long
def test_they_find_the_same_in_real_files(real_data: Path) -> None:
    read = hits = 0
    for path, columns in real_files(real_data):
        rows = list(load_rows([(path, 1.0)], columns=columns or None, bad_rows="drop").conversations)
        read += len(rows)
        hits += sum(compared(check, rows) for check in AT_ONCE)
    assert read > 20_000
    assert hits >= 10
