"""The planted faults stay what they were when the checks had not been written."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.data.planted_faults import CRITERION, Half, planted


@pytest.mark.parametrize(
    ("half", "digest"),
    [
        ("development", "c48f918ffa0091e6"),
        ("test", "1ea790ac82735269"),
    ],
)
def test_the_planted_faults_are_those_of_the_first_day(half: Half, digest: str) -> None:
    content = [
        [file.name, file.rows, file.held_out, [(f.kind, f.lines) for f in file.faults]] for file in planted(half)
    ]
    assert hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16] == digest


def test_the_halves_share_no_row_and_hold_150_faults_of_every_kind_each() -> None:
    rows = {
        half: {json.dumps(row) for file in planted(half) for row in file.rows if len(str(row)) > 120}
        for half in ("development", "test")
    }
    assert not rows["development"] & rows["test"]
    for half in ("development", "test"):
        faults = [fault for file in planted(half) for fault in file.faults]
        assert len(faults) == 150
        assert {fault.kind for fault in faults} == set(CRITERION)
