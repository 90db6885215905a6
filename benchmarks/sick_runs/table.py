"""What diagnosis finds in the kept runs, against what was expected: the table of confusion."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT
from benchmarks.sick_runs import kept
from luthier.diagnosis import diagnose
from luthier.diagnosis.seen import read
from luthier.runs.run import Run
from luthier.statistics import wilson

PAGE = ROOT / "docs" / "sick-runs.md"
HEALTHY = "healthy"
WANTED = 72
"""Runs of a half, those with the packaged model not counted."""
RIGHT, ACCUSED = 0.85, 2
"""What is wanted: right symptom first in so many of the sick runs, of the healthy ones at most so many accused."""


@dataclass(frozen=True)
class Found:
    """A kept run: the `way` it was made, the `expected` symptom and its cause, and what diagnosis says first (None
    where it says nothing), with the cause, and after it."""

    name: str
    way: str
    expected: str | None
    expected_cause: str
    first: str | None
    cause: str
    others: tuple[str, ...]

    @property
    def right(self) -> bool:
        return self.first == self.expected


def look(half: str) -> list[Found]:
    """Every kept run of the half, diagnosed from its directory alone."""
    return [_found(name, entry, kept.unpacked(half, name)) for name, entry in kept.index(half)["runs"].items()]


def _found(name: str, entry: Mapping[str, Any], folder: Path) -> Found:
    findings = diagnose(read(Run.open(folder))).findings
    first = findings[0] if findings else None
    return Found(
        name=name,
        way=name.rpartition("-")[0],
        expected=entry["symptom"],
        expected_cause=entry["cause"],
        first=first.symptom if first else None,
        cause=first.cause if first else "",
        others=tuple(one.symptom for one in findings[1:]),
    )


@dataclass(frozen=True)
class Counted:
    """The table's figures: of `sick` runs `right` had the expected symptom first, `caused` of these its cause too, and
    `among` had it among all findings; of `healthy` runs `accused` had any."""

    sick: int
    right: int
    caused: int
    among: int
    healthy: int
    accused: int


def counted(found: Sequence[Found]) -> Counted:
    """The figures of diagnosed runs."""
    sick = [one for one in found if one.expected is not None]
    right = [one for one in sick if one.right]
    return Counted(
        sick=len(sick),
        right=len(right),
        caused=sum(one.cause == one.expected_cause for one in right),
        among=sum(one.expected in (one.first, *one.others) for one in sick),
        healthy=len(found) - len(sick),
        accused=sum(one.first is not None for one in found if one.expected is None),
    )


def table(found: Sequence[Found]) -> str:
    """The table of confusion as Markdown: ways in rows, the first finding in columns."""
    ways = list(dict.fromkeys(one.way for one in sorted(found, key=lambda one: one.expected is None)))
    symptoms = list(dict.fromkeys(one.expected for one in found if one.expected is not None))
    symptoms += sorted({one.first for one in found if one.first is not None} - set(symptoms))
    columns: list[str | None] = [*symptoms, None]
    heads = ["made so", "expected", *(_words(symptom or "nothing") for symptom in columns)]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'--:|' * len(columns)}"]
    for way in ways:
        own = [one for one in found if one.way == way]
        expected = own[0].expected
        counts = Counter(one.first for one in own)
        cells = [_cell(counts[symptom], symptom == expected) for symptom in columns]
        lines.append(f"| {' | '.join([_words(way), _words(expected or 'nothing'), *cells])} |")
    return "\n".join(lines)


def _cell(count: int, expected: bool) -> str:
    return "" if not count else f"**{count}**" if expected else str(count)


def _words(name: str) -> str:
    return name.replace("_", " ")


def said(half: str, found: Sequence[Found]) -> str:
    """The table with its figures, its misses by name, and where and by what it was made."""
    figures, index = counted(found), kept.index(half)
    lines = [table(found), ""]
    if figures.sick:
        ends = wilson(figures.right, figures.sick)
        lines.append(
            f"Right symptom first: {figures.right} of {figures.sick} sick runs, "
            f"{figures.right / figures.sick:.0%} ({ends.low:.0%} to {ends.high:.0%}, Wilson's 95% interval; wanted: "
            f"{RIGHT:.0%}). Of these {figures.caused} have the cause right too. Among all findings it stands in "
            f"{figures.among}."
        )
    lines.append(f"Healthy runs accused: {figures.accused} of {figures.healthy} (wanted: at most {ACCUSED} of 24).")
    lines += ["", *_misses(found), *_made(half, index)]
    return "\n".join(lines) + "\n"


def _misses(found: Sequence[Found]) -> list[str]:
    misses = [one for one in found if not one.right]
    if not misses:
        return ["No run is missed."]
    named = [
        f"- `{one.name}`: {_words(one.first or 'nothing')}{f' ({_words(one.cause)})' if one.cause else ''} instead of "
        f"{_words(one.expected or 'nothing')}" + (", which comes later" if one.expected in one.others else "")
        for one in misses
    ]
    return ["Missed:", "", *named]


def _made(half: str, index: Mapping[str, Any]) -> list[str]:
    runs = index["runs"].values()
    again = [one for entry in runs for one in entry["replaced"]]
    again += [one for tries in index["missing"].values() for one in tries]
    seconds = sorted(entry["seconds"] for entry in runs)
    made = index.get("machine", {})
    lines = [
        "",
        f"Made by `python -m benchmarks.sick_runs {half}` at commit {_commits(index)} on {made.get('processor', '?')}, "
        f"{made.get('cores_used', '?')} of {made.get('cores', '?')} cores, which others shared: {seconds[0]:.0f} to "
        f"{seconds[-1]:.0f} seconds a run, {seconds[len(seconds) // 2]:.0f} in the middle. {len(again)} runs were not "
        "what they were meant to be, by the judge's measure, and were replaced by those of the next seed.",
    ]
    if len(index["runs"]) < WANTED:
        lines.append(f"{len(index['runs'])} of the {WANTED} runs are made so far.")
    if index["missing"]:
        lines.append(f"No seed gave {', '.join(f'`{name}`' for name in index['missing'])}.")
    rules = index.get("rules")
    if rules:
        same = "as they stand" if rules["digest"] == rules_digest() else "which have changed since"
        lines.append(f"The rules of diagnosis were committed before, in {rules['commit']}, {same}.")
    return lines


def _commits(index: Mapping[str, Any]) -> str:
    return ", ".join(sorted({entry["commit"][:7] for entry in index["runs"].values()}))


def rules_digest() -> str:
    """A digest of the files of `luthier.diagnosis` as they are loaded."""
    import luthier

    folder, digest = Path(luthier.__file__).parent / "diagnosis", hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def show(half: str, write: bool) -> None:
    """Prints the half's table; with `write` it also goes into the page, in place of the one there."""
    text = said(half, look(half))
    print(text)
    if write:
        PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), half, text), encoding="utf-8")


def placed(page: str, half: str, text: str) -> str:
    """The page with the text between the half's marks. Raises `ValueError` where they are not in it."""
    begin, end = f"<!-- begin {half} -->", f"<!-- end {half} -->"
    new, count = re.subn(rf"{begin}\n.*?{end}", lambda _: f"{begin}\n\n{text}\n{end}", page, flags=re.S)
    if count != 1:
        raise ValueError(f"the page has no place for the table of {half}")
    return new
