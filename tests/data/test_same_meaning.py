"""Rows of the same meaning: what the check finds and lets pass, with the real sentence model where it is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.quality import Result, measure
from luthier.flow import result_of
from luthier.models.sentences import PACKAGE
from luthier.workflow.meanings import meanings

TRIPLES = json.loads((Path(__file__).parent / "paraphrased_rows.json").read_text(encoding="utf-8"))
needs_model = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")


def measured(folder: Path, rows: list[dict[str, Any]]) -> Result:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    fill = lambda whole: meanings(whole, lambda: False)  # noqa: E731
    quality = result_of(measure(Gathered(*look([(path, 1.0)])), [checks.load("same_meaning")], fill=fill))
    [result] = quality.results
    return result


def as_row(said: dict[str, str]) -> dict[str, str]:
    return {"instruction": said["question"], "response": said["answer"]}


@needs_model
@pytest.mark.long
def test_most_rows_in_other_words_are_found_and_near_misses_are_not(tmp_path: Path) -> None:
    for half in ("development", "test"):
        found = of = blamed = 0
        for other in ("same", "other"):
            rows = [as_row(triple[part]) for triple in TRIPLES[half] for part in ("row", other)]
            named = measured(tmp_path, rows).rows
            right = named[1::2]
            if other == "same":
                found, of = int(right.sum()), len(right)
            else:
                blamed = int(right.sum())
            assert not named[::2].any(), "a row means what one of another subject means"
        print(f"{half}: {found} of {of} rows in other words found, {blamed} of {of} near misses blamed")
        assert found >= 0.7 * of
        assert blamed <= 0.05 * of
