"""A classifier of the user's own is a check like the others: it names rows with category and probability."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from luthier.data.check import Gathered, look
from luthier.data.own_classifier import check_of
from luthier.data.quality import Quality, measure
from luthier.errors import UserError
from luthier.flow import result_of

CODE = """
def shouting(texts):
    return [{"loud": sum(map(str.isupper, text)) / len(text), "calm": 0.1} for text in texts]

shouting.threshold = 0.7

def broken(texts):
    return [0.5 for text in texts]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_harm.py").write_text(CODE, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "own_harm", raising=False)
    return tmp_path


def measured(folder: Path, name: str) -> Quality:
    path = folder / "rows.jsonl"
    answers = ["quiet", "LOUDLOUD", "Mixed Words", "NOISENOISE"]
    path.write_text("".join(json.dumps({"instruction": "A", "response": a}) + "\n" for a in answers), "utf-8")
    return result_of(measure(Gathered(*look([(path, 1.0)])), [check_of(name)]))


def test_rows_over_the_functions_own_threshold_are_named_with_category_and_probability(here: Path) -> None:
    [result] = measured(here, "own_harm:shouting").results
    assert result.rows.tolist() == [False, True, False, True]
    # "A\\nLOUDLOUD": 9 of 10 letters are capitals.
    assert result.problems.listed[0].message == "loud with a probability of 0.90"
    assert result.problems.listed[0].place.line == 2
    assert result.numbers == {"categories": {"loud": 2}}
    assert result.passed is False


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_harm:broken", "other values than"),
        ("own_harm:absent", "no function 'absent'"),
        ("nowhere_to_be_found:f", "cannot be imported"),
    ],
)
def test_a_classifier_that_cannot_be_used_is_a_users_mistake(here: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measured(here, name)
