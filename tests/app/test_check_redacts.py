"""`luthier check` with a page, placeholders, OpenAI's guide and a classifier of one's own: files and accounts agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
ROWS: list[tuple[str, str]] = [
    ("I am ann@posteo.de.", "Hello ann@posteo.de, write to bo@posteo.de."),
    ("What is rain?", "Rain is water that falls from clouds."),
    ("Which key?", "The key is " + "ghp_" + "k7QmZt3VxW9sLr2NcYb8HpDf5JgXa1Te6UoR"),
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    messages = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in ROWS]
    path.write_text("".join(f"{json.dumps({'messages': pair})}\n" for pair in messages), encoding="utf-8")
    return path


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_redacted_rows_are_kept_with_placeholders_and_stand_beside_as_they_were(
    luthier_command: Command, rows: Path
) -> None:
    kept = rows.with_name("kept.jsonl")
    done = luthier_command("check", str(rows), "--write", str(kept), "--redact", "all", "--skip", "off_topic", "--json")
    contents = [[message["content"] for message in row["messages"]] for row in lines(kept)]
    assert contents == [
        ["I am <EMAIL_1>.", "Hello <EMAIL_1>, write to <EMAIL_2>."],
        list(ROWS[1]),
        ["Which key?", "The key is <GITHUB_1>"],
    ]
    was = lines(rows.with_name("kept.repaired.jsonl"))
    assert [(row["line"], row["rules"], row["redacted"]) for row in was] == [
        (1, ["redact"], {"mail": 3}),
        (3, ["redact"], {"github": 1}),
    ]
    assert [row["raw"] for row in was] == [rows.read_text("utf-8").splitlines()[n] for n in (0, 2)]
    assert json.loads(done.out)["written"]["redacted"] == {"mail": 3, "github": 1}


def test_a_row_that_holds_what_is_not_redacted_is_left_out(luthier_command: Command, rows: Path) -> None:
    kept = rows.with_name("kept.jsonl")
    luthier_command("check", str(rows), "--write", str(kept), "--redact", "phone", "--json")
    assert [row["messages"][0]["content"] for row in lines(kept)] == ["What is rain?"]
    [first, second] = lines(rows.with_name("kept.quarantine.jsonl"))
    assert first["reason"].startswith("personal_data: the prompt holds a mail address")
    assert second["reason"].startswith("secrets: ")


def test_the_page_and_the_guide_stand_where_they_were_asked_for(luthier_command: Command, rows: Path) -> None:
    page = rows.with_name("check.html")
    done = luthier_command("check", str(rows), "--page", str(page), "--openai", "--json")
    assert '<mark class="fault">ann@posteo.de</mark>' in page.read_text(encoding="utf-8")
    data = json.loads(done.out)
    assert data["page"] == str(page)
    assert (data["openai"]["rows"], data["openai"]["missing_system"], data["openai"]["errors"]) == (3, 3, {})
    assert data["openai"]["epochs"] == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--redact", "all"], "--redact says what is written otherwise"),
        (["--write", "kept.jsonl", "--redact", "shoe"], "shoe is nothing that is redacted"),
        (["--page", "check.pdf"], "a page is an HTML file"),
        (["--classifier", "nowhere_at_all:f"], "cannot be imported"),
    ],
)
def test_a_mistake_is_said_before_any_row_is_read(
    luthier_command: Command, rows: Path, arguments: list[str], message: str
) -> None:
    done = luthier_command("check", str(rows), *arguments)
    assert done.code == 2
    assert message in done.err
