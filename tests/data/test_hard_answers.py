"""The model's own view of answers: which losses are named, which are let pass, and that real models tell them apart."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.swapped_answers import as_pairs, found_in, planted
from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.checks import Whole
from luthier.data.quality import Quality, Result, measure
from luthier.flow import Event, result_of
from luthier.models import Source
from luthier.workflow.answer_losses import spread


def judged(folder: Path, losses: list[float], alone: list[float], tokens: list[int] | None = None) -> Result:
    """What the check says of rows with these losses."""
    path = folder / "rows.jsonl"
    rows = [{"instruction": f"Number {number}?", "response": f"It is {number}."} for number in range(len(losses))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")

    def fill(whole: Whole) -> Generator[Event, None, Mapping[str, Any]]:
        yield from ()
        counts = np.array(tokens or [20] * len(losses))
        return {"answer_loss": np.array(losses), "answer_loss_alone": np.array(alone), "answer_tokens": counts}

    quality: Quality = result_of(measure(Gathered(*look([(path, 1.0)])), [checks.load("hard_answers")], fill=fill))
    [result] = quality.results
    return result


GOOD = [1.0 + 0.05 * number for number in range(30)]
ALONE = [loss + 1 for loss in GOOD]


def test_each_kind_is_named_with_its_numbers(tmp_path: Path) -> None:
    result = judged(tmp_path, [*GOOD, 2.0, 6.0, 0.02], [*ALONE, 1.9, 8.0, 1.5])
    assert np.flatnonzero(result.rows).tolist() == [30, 31, 32]
    told = [problem.message for problem in result.problems.listed]
    assert told[0] == "its prompt makes the answer no likelier: 2.00 nats a token with it, 1.90 without"
    assert told[1].startswith("its answer has a loss of 6.00 nats a token, where half of the others have at most 1.75")
    assert told[2] == "the model knows the answer by heart: 0.020 nats a token"
    assert {name: result.numbers[name] for name in ("no_likelier", "unlikely", "known")} == {
        "no_likelier": 1,
        "unlikely": 1,
        "known": 1,
    }


def test_short_answers_and_rows_that_no_model_read_are_let_pass(tmp_path: Path) -> None:
    nothing = float("nan")
    result = judged(tmp_path, [*GOOD, 9.0, nothing], [*ALONE, 1.0, nothing], [*[20] * 30, 7, 0])
    assert result.count == 0
    assert result.of == 30
    assert result.passed is True


def test_a_model_that_prompts_do_not_help_judges_nothing(tmp_path: Path) -> None:
    result = judged(tmp_path, ALONE, GOOD)
    assert result.passed is None
    assert "cannot tell" in result.reason
    assert judged(tmp_path, [1.0] * 5, [2.0] * 5).reason.startswith("5 answers")


def test_rows_are_looked_at_evenly() -> None:
    assert spread(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert spread(np.arange(3), 4).tolist() == [0, 1, 2]


@pytest.mark.long
def test_swapped_answers_are_found_and_others_are_not_blamed(packaged_model: Source, real_data: Path) -> None:
    rows = as_pairs(real_data / "llama_factory" / "alpaca_en_demo.json")[:200]
    found = found_in(planted(rows, seed=1), packaged_model.name)
    print(found)
    assert found["swapped"]["named"] >= 0.75 * found["swapped"]["of"] > 10
    assert found["garbled"]["named"] >= 3
    assert found["as they were"]["named"] <= 0.02 * found["as they were"]["of"]
