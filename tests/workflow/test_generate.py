"""`generate`: stopped half-way it goes on, notices what changed since, and gives what it would have given at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.flow import Note, Progress
from luthier.workflow.generate import Generated, generate
from luthier.workflow.train import Trained
from tests.workflow.conftest import worked, write_rows

MOST_TOKENS = 6


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    return shutil.copytree(trained.folder, tmp_path / "run")


def generated(run: Path, tmp_path: Path, out: str = "answers.jsonl", **options: Any) -> tuple[Generated, list[Any]]:
    data, file = str(tmp_path / "rows.jsonl"), str(tmp_path / out)
    return worked(generate(str(run), data=data, out=file, **{"max_tokens": MOST_TOKENS} | options))


def stopped_after(run: Path, tmp_path: Path, rows: int) -> None:
    verb = generate(
        str(run), data=str(tmp_path / "rows.jsonl"), out=str(tmp_path / "answers.jsonl"), max_tokens=MOST_TOKENS
    )
    for event in verb:
        if isinstance(event, Progress) and event.done == rows:
            verb.close()
            return


def test_stopped_half_way_it_goes_on_and_asks_no_answered_row_again(run: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 10)
    whole, _ = generated(run, tmp_path, "whole.jsonl")
    stopped_after(run, tmp_path, 4)
    assert not (tmp_path / "answers.jsonl").exists()
    kept = run / "answers" / "generated-answers.jsonl"
    before = kept.read_bytes()
    with kept.open("ab") as file:  # a killed process leaves half a line
        file.write(b'{"file": "rows.jso')
    made, events = generated(run, tmp_path)
    assert (made.rows, made.asked, whole.asked) == (10, 6, 10)
    assert any("4 of 10 rows were answered before" in event.text for event in events if isinstance(event, Note))
    assert kept.read_bytes().startswith(before)
    assert len(kept.read_bytes().splitlines()) == 10
    assert (tmp_path / "answers.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").unlink()
    again, _ = generated(run, tmp_path)
    assert again.asked == 0
    assert (tmp_path / "answers.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_rows_weights_and_lengths_that_changed_since_are_refused_with_what_to_type(run: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 4)
    stopped_after(run, tmp_path, 2)
    with pytest.raises(UserError, match="the most tokens of an answer changed since 2 of 4 rows were answered"):
        generated(run, tmp_path, max_tokens=9)
    text = rows.read_text(encoding="utf-8")
    rows.write_text(text.replace("sky", "sea"), encoding="utf-8")
    with pytest.raises(UserError, match=r"the rows changed since .*answered for this file(.|\n)*--out, or delete .*"):
        generated(run, tmp_path)
    rows.write_text(text, encoding="utf-8")
    manifest = run / "weights" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="the run's weights changed since 2 of 4"):
        generated(run, tmp_path)


def test_answers_to_other_rows_leave_those_there_are(run: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 2)
    first, _ = generated(run, tmp_path)
    before = Path(first.kept).read_bytes()
    (tmp_path / "answers.jsonl").unlink()
    write_rows(tmp_path / "rows.jsonl", 3)
    second, _ = generated(run, tmp_path)
    assert (second.rows, second.asked) == (3, 3)
    assert second.kept != first.kept
    assert Path(first.kept).read_bytes() == before


def test_the_lines_are_json_with_their_places(run: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 3)
    generated(run, tmp_path, "new/folder/answers.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "new/folder/answers.jsonl").read_text("utf-8").splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert {"file", "line", "prompt", "answer", "stopped"} == set(lines[0])
