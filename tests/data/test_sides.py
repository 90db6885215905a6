"""The sides of a run's files are found again as training held them back, and only what is judged is kept."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from luthier.data.check import load_rows
from luthier.data.sides import sides
from luthier.data.split import hold_back, prompt_hash
from luthier.errors import UserError
from luthier.flow import result_of


def write_rows(path: Path, count: int, words: int = 1) -> Path:
    """Rows of which every third asks what the one before asks; of every seventh the answer is missing."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            asked = number - (number % 3 == 2)
            row = {"instruction": f"question {asked} of {path.name}", "output": f"{number} " * words}
            if number % 7 == 3:
                del row["output"]
            file.write(json.dumps(row | {"category": "abc"[number % 3]}) + "\n")
    return path


@pytest.mark.parametrize("limit", [None, 2000])
def test_the_sides_are_those_of_all_rows_in_memory(limit: int | None, tmp_path: Path) -> None:
    files = [(write_rows(tmp_path / "one.jsonl", 5000), 2.0), (write_rows(tmp_path / "two.jsonl", 300), 1.0)]
    every = load_rows(files, bad_rows="drop", limit=limit).conversations
    prompts = np.array([prompt_hash(row) for row in every], np.uint64)
    names, categories = np.unique([row.category for row in every], return_inverse=True)
    held = hold_back(prompts, categories, names.tolist(), 0.1, 3).rows
    found = result_of(sides(files, "auto", {}, limit, 0.1, 3))
    assert len(found.held_back) == held.sum() == len(every) // 10
    assert found.held_back == tuple(row for row, back in zip(every, held, strict=True) if back)
    assert found.prompts.tolist() == prompts[~held].tolist()
    assert {row.place.file for row in found.held_back} == {str(path) for path, _ in files}


def test_rows_that_are_not_judged_take_no_memory(tmp_path: Path) -> None:
    peaks = []
    for count in (3000, 12_000):
        path = write_rows(tmp_path / f"{count}.jsonl", count, words=200)
        tracemalloc.start()
        found = result_of(sides([(path, 1.0)], "auto", {}, None, 10 / count, 0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found.held_back) == 9
    assert peaks[1] < 1.3 * peaks[0]


def test_a_file_without_a_row_that_can_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"instruction": "what?"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="no row is left"):
        result_of(sides([(path, 1.0)], "instruction", {}, None, 0.1, 0))
