"""What every check owes: it finds its own fault, is silent on its good rows, and says where and what to do."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from luthier import plugins
from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.checks import CHECKS, CRITERIA, FILLED, Whole
from luthier.data.quality import Quality, measure
from luthier.flow import Event, result_of

NAMES = plugins.names(CHECKS)


def measured(folder: Path, rows: str, name: str) -> Quality:
    """What the check says of its file's rows of that name, with the columns, beside the held-out rows and the benchmark
    that its file may give."""
    module = plugins.load(CHECKS, name)

    def fill(whole: Whole) -> Generator[Event, None, Mapping[str, Any]]:
        yield from ()
        return getattr(module, f"{rows}_columns")() if checks.load(name).needs & {*FILLED} else {}

    given = {
        "rows": getattr(module, rows)(),
        "held_out": getattr(module, "held_out", []),
        "benchmark": getattr(module, "benchmark", []),
    }
    sources = {}
    for part, values in given.items():
        path = folder / f"{part}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in values), encoding="utf-8")
        sources[part] = look([(path, 1.0)] if values else [])
    gathered, held_out, benchmark = Gathered(*sources["rows"]), sources["held_out"][0], sources["benchmark"][0]
    return result_of(measure(gathered, [checks.load(name)], held_out, fill, benchmark=benchmark))


@pytest.mark.parametrize("name", NAMES)
def test_a_check_finds_its_own_fault_and_says_where_and_what_to_do(name: str, tmp_path: Path) -> None:
    quality = measured(tmp_path, "faulty", name)
    [result] = quality.results
    assert result.passed is False, "the fault is not found"
    assert result.problems.total >= 1
    for problem in result.problems.listed:
        assert problem.check == name
        assert problem.place.line >= 1
        assert problem.message
        assert problem.remedy


@pytest.mark.parametrize("name", NAMES)
def test_a_check_is_silent_on_its_good_rows(name: str, tmp_path: Path) -> None:
    quality = measured(tmp_path, "clean", name)
    [result] = quality.results
    assert [problem.message for problem in result.problems.listed] == []
    assert result.passed is True
    assert quality.verdict == "ready"


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_what_it_finds_why_and_by_which_numbers(name: str) -> None:
    check = checks.load(name)
    assert check.criterion in CRITERIA
    assert check.what.endswith(".")
    assert check.why.endswith(".")
    assert check.remedy
    assert check.look or check.judge
    for threshold in check.thresholds:
        assert threshold.meaning
        assert threshold.source
