"""The checks over files: the same on one process and on several, whatever the rows hold, and stopped half-way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data import checks, parallel, text
from luthier.data.check import Gathered, load_rows, look
from luthier.data.quality import Quality, measure
from luthier.flow import Progress, result_of
from tests.data.planted_faults import planted


def rows_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8", errors="surrogatepass")
    return path


def measured(path: Path) -> Quality:
    return result_of(measure(Gathered(*look([(path, 1.0)])), checks.chosen()))


def told(quality: Quality) -> list[Any]:
    return [
        (result.check.name, result.passed, result.rows.tolist(), result.problems.listed, dict(result.kinds))
        for result in quality.results
    ]


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted("development")[0].rows
    path = rows_file(tmp_path / "rows.jsonl", rows * 3)
    monkeypatch.setattr(text, "RUN_BYTES", 50_000)
    alone = measured(path)
    monkeypatch.setattr(parallel, "FEW_BYTES", 0)
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    assert told(measured(path)) == told(alone)
    assert sum(result.count for result in alone.results) > 2 * len(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip)), min_size=1, max_size=30
    )
)
def test_no_text_makes_a_check_fail_and_every_problem_has_a_place_and_a_remedy(
    tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    rows = [{"instruction": asked, "response": answer} for asked, answer in pairs]
    quality = measured(rows_file(tmp_path / "rows.jsonl", rows))
    assert quality.rows == len(rows)
    for problem in quality.problems.listed:
        assert 1 <= problem.place.line <= len(rows)
        assert problem.message
        assert problem.remedy


def test_who_stops_the_reading_gets_the_report_of_the_rows_so_far(tmp_path: Path) -> None:
    long = {"instruction": "What is long?", "response": "This is. " + "word " * 60_000}
    path = rows_file(tmp_path / "rows.jsonl", [long] * 12)
    seen: list[Progress] = []
    work = measure(Gathered(*look([(path, 1.0)])), checks.chosen(), stopped=lambda: len(seen) >= 1)
    quality = result_of(work, lambda event: seen.append(event) if isinstance(event, Progress) else None)
    assert not quality.complete
    assert 0 < quality.rows < 12
    assert next(result for result in quality.results if result.check.name == "exact_duplicates").count


def test_rows_that_cannot_be_used_are_not_ready_and_the_first_change_to_make(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", [{"instruction": f"Question {n}?", "response": "yes"} for n in range(3)])
    assert not measured(path).unusable
    path.write_text(path.read_text() + '{"instruction": "half a row\n{"response": "no question"}\nalso no row\n')
    quality = measured(path)
    assert quality.unusable == 3
    assert quality.verdict == "not ready"
    assert (quality.changes()[0].check, quality.changes()[0].rows) == ("reading", 3)


def test_what_the_checks_keep_of_a_row_is_less_than_a_kilobyte(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", planted("development")[0].rows)
    whole = measured(path).whole
    kept = sum(column.nbytes for column in whole.columns.values()) + whole.file.nbytes + whole.line.nbytes
    assert kept + whole.category.nbytes + whole.held_out.nbytes < 300 * len(whole)
    assert np.unique(whole.line).size == len(whole)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json", "one line of json", "txt"])
def test_rows_that_are_read_again_are_those_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """In blocks of a few rows, with bad ones between; in a JSON document on one line all rows have the same place."""
    monkeypatch.setattr(text, "RUN_BYTES", 400)
    monkeypatch.setattr("luthier.data.read.BLOCK_ROWS", 7)
    rows = [{"instruction": f"Question {n}?", "response": f"Answer {n}." if n % 5 else ""} for n in range(60)]
    path = tmp_path / f"rows.{ending.split()[-1]}"
    lines = {
        "jsonl": [f"{json.dumps(row)}\n" if n % 7 else "broken\n\n" for n, row in enumerate(rows)],
        "csv": ["instruction,response\n", *(f'"{row["instruction"]}\n",{row["response"]}\n' for row in rows)],
        "json": [json.dumps(rows, indent=1)],
        "one line of json": [json.dumps(rows)],
        "txt": [f"{row['instruction']}\n\n" for row in rows],
    }
    path.write_text("".join(lines[ending]), encoding="utf-8")
    all_rows = load_rows([(path, 1.0)], bad_rows="drop").conversations
    whole = measured(path).whole
    assert len(whole) == len(all_rows) >= 40
    wanted = np.array([0, 1, 5, 17, 18, 30, len(whole) - 1])
    assert [row.conversation for row in whole.read_again(wanted)] == [all_rows[row] for row in wanted]
