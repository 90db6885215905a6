"""Diagnosis: what is wrong with a run, from its run directory alone; one symptom a file in `symptoms/`.

Each symptom's file, whose name is the symptom's, defines

- `title`: its name for people;
- `what`: in a sentence, what shows it;
- `causes`: by name, what may stand behind it, in a sentence each; a finding's `cause` is one of these names;
- `watches`: whether it can be seen while the run is still training, and `stops`, whether going on is then of no use;
- `mild`: whether the run is as good as it can be all the same: these stand behind all others;
- `explains`: the symptoms that it brings along: where both are found, it is ranked before them, however sure they are;
- `look(seen)`: a `Finding` with its remedies, or None. Raises `Missing` where what it needs is not in the run;
- `sick()`: a made-up run that shows it, as the contract test has it.

A finding's `certainty` is 1 - p: p is the probability of evidence at least so clear in a run that does not have the
symptom, corrected for every place that was looked at. Beyond that each symptom has an effect that it must have: what
is sure and small is no trouble. Nothing here imports torch, and nothing here trains: a remedy is changed settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, cast

from luthier import plugins
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Diagnosis, Finding

__all__ = ["FOLDER", "MISSIONS", "SURE", "Missing", "Seen", "Symptom", "diagnose", "load", "names"]

FOLDER: Final = "luthier.diagnosis.symptoms"
MISSIONS: Final = ("overfitting", "underfitting", "forgetting", "generalization")
"""The mission's own four, in its order: `settings.mission.TROUBLES` has its words."""
SURE: Final = 0.95
"""What is less certain is no finding. That it also has to be large keeps healthy runs from being accused by chance."""


class Symptom(Protocol):
    """What a symptom's file defines."""

    title: str
    what: str
    causes: Mapping[str, str]
    watches: bool
    stops: bool
    mild: bool
    explains: Sequence[str]

    def look(self, seen: Seen) -> Finding | None:
        """The finding, or None. Raises `Missing` where what it needs is not there."""

    def sick(self) -> Seen:
        """A made-up run that shows it."""


def names() -> list[str]:
    """All symptoms: the mission's four first, then by name."""
    found = plugins.names(FOLDER)
    return [*(name for name in MISSIONS if name in found), *(name for name in found if name not in MISSIONS)]


def load(name: str) -> Symptom:
    """A symptom's file. Raises `UserError` with the names that exist."""
    return cast(Symptom, plugins.load(FOLDER, name))


def diagnose(seen: Seen, only: Iterable[str] | None = None) -> Diagnosis:
    """What is wrong with a run: a finding that explains others stands before them, then the surest first.

    `only` names the symptoms to look for: all where none are given.
    """
    findings, unknown = [], {}
    for name in names() if only is None else only:
        try:
            finding = load(name).look(seen)
        except Missing as missing:
            unknown[name] = str(missing)
            continue
        if finding is not None and finding.certainty >= SURE:
            findings.append(finding)
    return Diagnosis(seen.run, tuple(_ranked(findings)), unknown)


def _ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The surest of those that no other one left explains, again and again."""
    left = sorted(findings, key=lambda finding: (load(finding.symptom).mild, -finding.certainty))
    ranked: list[Finding] = []
    while left:
        explained = {name for finding in left for name in load(finding.symptom).explains if name != finding.symptom}
        first = next((finding for finding in left if finding.symptom not in explained), left[0])
        left.remove(first)
        ranked.append(first)
    return ranked
