"""`luthier check --write`: rows in another form, those left out beside them; and LLaMA-Factory's names of datasets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
ROWS = [
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}], "category": "x"},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}] * 2},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_rows_are_written_in_another_form_and_a_row_left_out_is_code_1(folder: Path, luthier_command: Command) -> None:
    done = luthier_command("check", "rows.jsonl", "--write", "new.jsonl", "--format", "completion")
    assert done.code == 1
    assert done.out.startswith("rows.jsonl:2: a completion row holds one question and one answer\n")
    assert "2 rows read = 1 kept + 1 dropped (form)" in done.out
    assert "1 completion row written into new.jsonl, 1 left out in new.quarantine.jsonl" in done.err
    assert json.loads((folder / "new.jsonl").read_text()) == {"prompt": "hi", "completion": "hello", "category": "x"}
    document = luthier_command("check", "rows.jsonl", "--write", "new.jsonl", "--format", "completion", "--json").json
    assert (document["read"], document["kept"], document["dropped"]) == (2, 1, {"form": 1})
    assert document["written"] == {
        "path": "new.jsonl",
        "format": "completion",
        "rows": 1,
        "quarantine": "new.quarantine.jsonl",
        "repaired": None,
    }


def test_rows_that_all_fit_are_code_0_and_the_next_step_trains_on_them(folder: Path, luthier_command: Command) -> None:
    done = luthier_command("check", "rows.jsonl", "--write", "new.json", "--format", "sharegpt")
    assert done.code == 0, done.err
    assert "luthier train new.json" in done.out
    assert not (folder / "new.quarantine.jsonl").exists()
    assert luthier_command("check", "rows.jsonl", "--json").json["written"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rows.jsonl", "--format", "chat"], "name the file to write: --write G"),
        (["rows.jsonl", "--write", "new.jsonl", "--format", "alpaca"], "one of: chat, completion, instruction"),
        (["rows.jsonl", "--write", "rows.jsonl"], "this is one of the files to read"),
        (["run.yaml", "--write", "new.jsonl"], "--write takes files of rows alone"),
    ],
)
def test_a_mistake_is_code_2_with_what_to_type(
    folder: Path, luthier_command: Command, words: list[str], said: str
) -> None:
    done = luthier_command("check", *words)
    assert done.code == 2
    assert said in done.err
    assert {path.name for path in folder.iterdir()} == {"rows.jsonl"}


def test_dataset_info_stands_for_its_files_and_a_name_in_it_for_its_file(
    folder: Path, luthier_command: Command
) -> None:
    entries = {"mine": {"file_name": "rows.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}}}
    (folder / "dataset_info.json").write_text(json.dumps({**entries, "far": {"hf_hub_url": "a/b"}}))
    done = luthier_command("check", "dataset_info.json")
    assert done.code == 0, done.err
    assert "rows.jsonl: sharegpt rows (dataset_info.json beside it says sharegpt of mine)" in done.err
    assert "1 dataset not beside it: far" in done.err
    assert luthier_command("check", "mine", "--json").json["kept"] == 2


def test_the_checklist_has_six_lines_and_json_says_for_each_whether_it_passed(
    folder: Path, luthier_command: Command
) -> None:
    twice = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    (folder / "twice.jsonl").write_text(f"{json.dumps(twice)}\n" * 2)
    done = luthier_command("check", "twice.jsonl")
    assert [line[:3] for line in done.out.splitlines() if line.startswith("[")][:5] == ["[ ]", *["[x]"] * 4]
    assert "exact duplicates: 1 row" in done.out
    document = luthier_command("check", "twice.jsonl", "--json").json
    assert {name: criterion["passed"] for name, criterion in document["criteria"].items()} == {
        "no_duplicate_examples": False,
        "consistent_formatting": True,
        "diverse_examples": True,
        "balanced_categories": True,
        "high_quality_outputs": True,
        "no_harmful_content": True,
    }
    assert (document["verdict"], document["changes"][0]["check"]) == ("ready with warnings", "exact_duplicates")
    [problem] = document["problems"]
    assert (problem["check"], problem["line"]) == ("exact_duplicates", 2)
    skipped = luthier_command("check", "twice.jsonl", "--json", "--skip", "exact_duplicates").json
    assert skipped["verdict"] == "ready"


def test_rows_are_mended_or_quarantined_by_named_rules_and_all_of_them_can_be_had_back(
    folder: Path, luthier_command: Command
) -> None:
    lines = [
        '{"instruction": "How do I boil an egg?",   "response": "For seven minutes."}',
        '{"instruction": "How do I boil an egg", "response": "for seven minutes"}',
        '{"instruction": "Who are you?", "response": "I am {{name}}."}',
        '{"instruction": "Where do we meet?", "response": "In the cafÃ© on the corner."}',
        '{"instruction": "What is missing here?", "response": ""}',
    ]
    (folder / "raw.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    luthier_command("check", "raw.jsonl", "--write", "kept.jsonl")
    kept = (folder / "kept.jsonl").read_text(encoding="utf-8").splitlines()
    assert kept[0] == lines[0], "what nobody mends stays as it stands, its spaces too"
    assert [json.loads(line)["response"] for line in kept[1:]] == ["In the café on the corner."]
    quarantine = [json.loads(line) for line in (folder / "kept.quarantine.jsonl").read_text("utf-8").splitlines()]
    assert [(row["line"], row["reason"].partition(":")[0]) for row in quarantine] == [
        (2, "exact_duplicates"),
        (3, "placeholders"),
        (5, "`response` is empty"),
    ]
    [repaired] = [json.loads(line) for line in (folder / "kept.repaired.jsonl").read_text("utf-8").splitlines()]
    assert repaired["rules"] == ["encoding_damage"]
    back = {row["line"]: row["raw"] for row in [*quarantine, repaired]} | {1: kept[0]}
    assert [back[line] for line in range(1, 6)] == lines
    luthier_command("check", "raw.jsonl", "--write", "all.jsonl", "--skip", "placeholders", "--skip", "encoding_damage")
    assert "cafÃ©" in (folder / "all.jsonl").read_text("utf-8")
    assert "{{name}}" in (folder / "all.jsonl").read_text("utf-8")


def test_rows_that_cannot_be_used_make_the_file_not_ready_and_what_is_switched_off_is_said(
    folder: Path, luthier_command: Command
) -> None:
    (folder / "half.jsonl").write_text('{"instruction": "Say hi.", "response": "Hi there."}\n{"instruction": "cut\n')
    done = luthier_command("check", "half.jsonl", "--page", "half.html", "--skip", "few_words")
    assert done.code == 1
    assert "→ not ready\n  1. reading: 1 row: cannot be used" in done.out
    assert "switched off: few words" in done.out
    page = (folder / "half.html").read_text()
    assert 'href="#reading"' in page
    assert 'id="reading"' in page
    assert "Switched off: few_words." in page
    assert luthier_command("check", "half.jsonl", "--json", "--skip", "few_words").json["skipped"] == ["few_words"]
