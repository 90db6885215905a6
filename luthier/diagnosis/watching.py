"""Watching while a run trains: each log entry goes in, and what has gone wrong comes out, each trouble once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from luthier import diagnosis
from luthier.diagnosis.seen import Seen, latest_of
from luthier.flow import EvaluationLog, Finding, StepLog

CERTAIN: Final = 1.0
"""What is counted and not estimated is said at once; anything else where two looks in a row find it."""
EVERY_STEPS: Final = 50
"""Steps between looks where nothing is evaluated."""


class Watch:
    """What was seen of a run so far, and what was said of it."""

    def __init__(self, begun: Seen, entries: Iterable[StepLog | EvaluationLog] = ()) -> None:
        self._begun, self._entries = begun, list(entries)
        self._symptoms = [name for name in diagnosis.names() if diagnosis.load(name).watches]
        self._before: set[str] = set()
        self._said: set[str] = set()
        self._steps = 0
        self._evaluated = False

    def add(self, entry: StepLog | EvaluationLog) -> list[Finding]:
        """What is to be said after this entry. A run is looked at after each evaluation, and after a step that was not
        taken; before the first evaluation, and without any, every fifty steps."""
        self._entries.append(entry)
        if isinstance(entry, StepLog):
            self._steps += 1
            if not entry.skipped and (self._evaluated or self._steps % EVERY_STEPS):
                return []
        self._evaluated = self._evaluated or isinstance(entry, EvaluationLog)
        steps, evaluations = latest_of(self._entries)
        now = replace(self._begun, steps=steps, evaluations=evaluations)
        found = diagnosis.diagnose(now, self._symptoms).findings
        new = [
            finding
            for finding in found
            if finding.symptom not in self._said and (finding.certainty >= CERTAIN or finding.symptom in self._before)
        ]
        self._before = {finding.symptom for finding in found}
        self._said |= {finding.symptom for finding in new}
        return new


def stops(finding: Finding) -> bool:
    """Whether going on is of no use after this finding."""
    return diagnosis.load(finding.symptom).stops
