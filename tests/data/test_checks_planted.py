"""The checks against the planted faults: what they find of the half that they were developed by, and of the other.

The test half stands as it was committed before the first check (ec708cc).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.quality import Quality, measure
from luthier.flow import result_of
from tests.data.planted_faults import Fault, Half, Planted, planted

RECALL = 0.95
FALSE_ALARMS = 0.02
CRITERIA = {check.criterion for check in checks.chosen()}


def measured(file: Planted, folder: Path) -> Quality:
    sources = []
    for name, rows in ((file.name, file.rows), ("held-out", file.held_out)):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        sources.append(look([(path, 1.0)] if rows else []))
    return result_of(measure(Gathered(*sources[0]), checks.chosen(), sources[1][0]))


def found(fault: Fault, quality: Quality) -> bool:
    """Whether a check of the fault's criterion says something about one of its rows, or about the file as a whole."""
    for result in quality.results:
        if result.check.criterion == fault.criterion:
            places = {problem.place.line for problem in result.problems.listed}
            if places & set(fault.lines) or (not fault.lines and result.passed is False):
                return True
    return False


def both_ways(half: Half, folder: Path) -> tuple[dict[str, list[int]], list[str], int]:
    """By kind how many faults there are and how many are found; the problems of clean rows; how many are clean."""
    kinds: dict[str, list[int]] = {}
    false: list[str] = []
    clean = 0
    for file in planted(half):
        quality = measured(file, folder)
        for fault in file.faults:
            counts = kinds.setdefault(fault.kind, [0, 0])
            counts[0] += 1
            counts[1] += found(fault, quality)
        clean += len(file.clean)
        rows: Counter[int] = Counter()
        for result in quality.results:
            for problem in result.problems.listed:
                if problem.place.line in file.clean and rows[problem.place.line] == 0:
                    rows[problem.place.line] += 1
                    false.append(f"{file.name}:{problem.place.line} {problem.check}: {problem.message}")
    return kinds, false, clean


@pytest.mark.parametrize("half", ["development", "test"])
def test_nearly_all_planted_faults_are_found_and_nearly_no_clean_row_is_blamed(half: Half, tmp_path: Path) -> None:
    kinds, false, clean = both_ways(half, tmp_path)
    judged = {kind: counts for kind, counts in kinds.items() if Fault(kind).criterion in CRITERIA}
    faults, hits = (sum(counts[place] for counts in judged.values()) for place in range(2))
    missed = {kind: f"{counts[1]} of {counts[0]}" for kind, counts in judged.items() if counts[1] < counts[0]}
    print(f"{half}: {hits} of {faults} found, {len(false)} of {clean} clean rows blamed; missed: {missed}")
    assert hits >= RECALL * faults, missed
    assert len(false) < FALSE_ALARMS * clean, false
