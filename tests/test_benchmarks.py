"""Benchmarks on a few rows: that they run and lose none, not how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.prepare import write_rows
from luthier.models import Source

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
