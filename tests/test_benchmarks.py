"""Benchmarks on a few rows: that they run and lose none, not how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import varied_rows, votes_to_settle
from benchmarks.prepare import write_rows
from benchmarks.tasks import SCORED, TASKS, Task, write
from benchmarks.trec6 import tour
from luthier.data.check import load_rows
from luthier.models import Source
from tests.workflow.conftest import write_rows as write_colours

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("side", ["read", "luthier"])
def test_our_sides_of_the_preparation_benchmark_give_every_row(
    side: str, packaged_model: Source, real_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, 60)
    command = [sys.executable, "-m", "benchmarks.prepare", "--side", side, "--file", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["rows"] == 60


@pytest.mark.long
def test_both_sides_of_the_generation_benchmark_answer_the_same(
    packaged_model: Source, real_data: Path, tmp_path: Path
) -> None:
    answers = []
    for batch in (0, 2):
        file = tmp_path / f"{batch}.json"
        task = {"work": "mixed", "questions": 3, "most_tokens": 6, "batch": batch, "file": str(file)}
        command = [sys.executable, "-m", "benchmarks.generate", "--one", json.dumps(task)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout.splitlines()[-1])["tokens"] > 0
        answers.append(json.loads(file.read_text(encoding="utf-8")))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 3


def test_the_varied_rows_are_always_the_same_of_the_length_that_is_said_and_of_every_kind(
    real_data: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        varied_rows.write(path, 3_000, seed)
    content = [path.read_bytes() for path in paths]
    assert content[0] == content[1] != content[2]
    assert 300 <= len(content[0]) / 3_000 <= 400
    rows = load_rows([(paths[0], 1.0)], bad_rows="drop").conversations
    assert len(rows) >= 2_997
    said = [" ".join(message.content for message in row.messages) for row in rows]
    assert 0.95 <= len(set(said)) / len(said) < 1, "few are repeated wholly"
    for kind in ("name[", "是", "@posteo.de", "worthless idiot"):
        assert any(kind in text for text in said), kind
    assert any(message.tool_calls for row in rows for message in row.messages)
    assert any(len(row.messages) > 4 for row in rows)


def test_the_benchmark_of_the_check_reads_every_row_and_says_what_it_found(real_data: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.check_rows", "--one", json.dumps({"rows": 400, "workers": 2})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["read"] == 400
    assert found["peak_memory_bytes"] > 10e6
    assert found["seconds"] > 0 < found["processor_seconds"]
    assert found["found"]["near_duplicates"] > 0


@pytest.mark.parametrize("task", TASKS, ids=[task.name for task in TASKS])
def test_every_task_has_its_scored_rows_and_no_question_stands_on_two_sides(
    task: Task, real_data: Path, tmp_path: Path
) -> None:
    write(task, tmp_path)
    asked = {}
    for side in ("train", "validation", "test"):
        rows = [json.loads(line) for line in (tmp_path / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()]
        asked[side] = [(row["instruction"], row.get("input")) for row in rows]
    assert len(asked["test"]) == len(set(asked["test"])) == SCORED
    assert len(asked["validation"]) == len(set(asked["validation"])) == task.validated
    assert len(asked["train"]) >= 400
    assert not set(asked["test"]) & set(asked["train"])
    assert not set(asked["validation"]) & (set(asked["test"]) | set(asked["train"]))


def test_the_tour_trains_evaluates_and_tells_every_verdict(tiny_model: Source, tmp_path: Path) -> None:
    write_colours(tmp_path / "train.jsonl", 40)
    write_colours(tmp_path / "test.jsonl", 12)
    (tmp_path / "run.yaml").write_text(
        f"model: {tiny_model.folder}\ndata: {{train: train.jsonl, test: test.jsonl}}\n"
        'targets: {accuracy: "> 86%", forgetting: "< 0.1"}\n',
        encoding="utf-8",
    )
    trained = tour.measured_here(tour.Task("train", str(tmp_path), "trec", steps=3))
    again = tour.measured_here(tour.Task("train", str(tmp_path), "trec", steps=3))  # as after a kill: it goes on
    assert (trained["steps"], again["steps"], again["train_loss"]) == (3, 3, trained["train_loss"])
    report = tour.measured_here(tour.Task("evaluate", str(tmp_path), "trec", questions=8))
    assert json.loads(json.dumps(report))["rows"] == 8
    lines = list(tour.table(trained, report))
    assert lines[0] == "| 8 held-back questions | untouched model | tuned | target | verdict |"
    for target in report["targets"]:
        name = target["metric"].replace("_", " ")
        assert any(line.startswith(f"| {name} |") and target["verdict"].replace("_", " ") in line for line in lines)
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert tables[:4] == [6] * 4
    assert any(line.startswith("| typos |") and line.count("|") == 5 for line in lines)
    assert any("gaps, nats a token" in line for line in lines)


def test_a_simulated_review_stops_where_its_votes_are_enough_and_is_called_false_on_the_wrong_side() -> None:
    # the mean of (1 + f / 4) ** k over f is 4 (1.25 ** (k + 1) - 1) / (k + 1): 35.1 after 23 wins, 42.2 after 24
    sure = votes_to_settle.simulate(votes_to_settle.Case(1.0), reviews=5)
    assert (sure.median, sure.nine_of_ten, sure.settled, sure.falsely) == (24, 24, 1.0, 0.0)
    assert sure.fixed == 17  # 0.025 ** (1 / 17) = 0.805
    never = votes_to_settle.simulate(votes_to_settle.Case(0.8), reviews=2, seed=1)
    assert (never.median, never.fixed) == (None, None)
