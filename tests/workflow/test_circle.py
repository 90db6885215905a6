"""The whole circle: tune, review, export the votes, train on them, review again. A script votes, so all of it is called
scripted; what it likes is the longer answer, which nobody else would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from luthier.flow import Choice, ReviewItem
from luthier.workflow import votes_out
from luthier.workflow.review import prepare_review
from luthier.workflow.train import Trained, train
from tests.workflow.conftest import worked
from tests.workflow.voting import voted, votes_of


def scripted(item: ReviewItem) -> Choice:
    """What the script says of an item."""
    if len(item.run) == len(item.against):
        return "both_bad"
    return "run" if len(item.run) > len(item.against) else "against"


def reviewed(run: Path, against: str, rows: Path, out: Path) -> Any:
    """A review of a run in which the script votes on every item; its votes go into a file of preference rows."""
    work = prepare_review(str(run), against=against, data=str(rows), max_tokens=6, kind="scripted")
    prepared = worked(work)[0]
    found = voted(prepared, scripted)
    if found.report.wins + found.report.losses:
        votes_out.write(prepared, votes_of(prepared), found, str(out), "trl")
    return found.report


def test_votes_on_a_run_train_it_and_the_next_review_likes_it_better(
    trained: Trained, run_file: Path, tmp_path: Path
) -> None:
    asked = run_file.parent / "test.jsonl"
    first = shutil.copytree(trained.folder, tmp_path / "runs" / "first")
    before = reviewed(first, "base", asked, tmp_path / "preferred.jsonl")
    assert before.losses > before.wins, "base talks on and on, and the script likes that"
    rows = [json.loads(line) for line in (tmp_path / "preferred.jsonl").read_text().splitlines()]
    assert len(rows) == before.wins + before.losses
    settings = ["training_config.hyperparameters.learning_rate=0.01", "training_config.hyperparameters.epochs=8"]
    second = worked(
        train(
            [str(tmp_path / "preferred.jsonl")],
            overrides=[f"model={first}", "data.validation=0", *settings],
            root=tmp_path / "runs",
        )
    )[0]
    assert second.train_loss < 0.6931, "DPO's loss begins at log 2"
    after = reviewed(second.folder, str(first), asked, tmp_path / "again.jsonl")
    assert after.wins > after.losses
    lines = [json.loads(line) for line in (second.folder / "votes.jsonl").read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"scripted"}
