"""What a report shows beside its metrics: forgetting by skill, generalization, confusions, and the worst rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

from luthier.flow import Measure, Report
from luthier.report import bars
from luthier.report.view import Pair

ALL: Final = "all"
WORST_SHOWN: Final = 20
MOST_LABELS: Final = 12
"""Labels up to which the whole confusion matrix is shown; beyond, its largest mistakes."""
CONFUSIONS_SHOWN: Final = 12
SHADES: Final = 5
_NONE: Final = Measure(None)


@dataclass(frozen=True, slots=True)
class SkillLine:
    """What tuning did to one skill of the general set; `strip` draws the rise, on one axis for all skills."""

    name: str
    measures: Mapping[str, Measure]
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """The accuracy before and after a change; `strip` draws both."""

    name: str
    before: Measure
    after: Measure
    difference: Measure
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class BandLine:
    """The accuracy of rows so near to training."""

    name: str
    accuracy: Measure
    strip: bars.Strip | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A count of the confusion matrix: `shade` from 0 (none) to `SHADES`, of its line's rows."""

    count: int
    shade: int
    right: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """`lines` is the matrix, a wanted label and its cells, empty for many labels; `worst` are (wanted, said, count)."""

    said: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    worst: tuple[tuple[str, str, int], ...]
    wrong: int


def skill_lines(report: Report) -> list[SkillLine]:
    """All skills together first, then the most forgotten; none where forgetting was not measured."""
    found = report.forgetting
    if found.get(ALL, {}).get("rise", _NONE).value is None:
        return []
    rises = {name: measures.get("rise", _NONE) for name, measures in found.items()}
    order = sorted(found, key=lambda name: (name != ALL, -(rises[name].value or 0.0), name))
    drawn = bars.strip([("tuned", *_ends(rises[name])) for name in order], share=False, line=bars.Line(0.0, False))
    each = iter(drawn.bars if drawn else ())
    strips = [
        replace(drawn, bars=(next(each),), good=None) if drawn and _drawable(rises[name]) else None for name in order
    ]
    return [SkillLine(name, found[name], strip) for name, strip in zip(order, strips, strict=True)]


def change_lines(report: Report) -> list[ChangeLine]:
    """The change that costs most first."""
    lines = []
    for name, found in report.changes.items():
        before, after = found.get("before", _NONE), found.get("after", _NONE)
        strip = bars.strip([("base", *_ends(before)), ("tuned", *_ends(after))], share=True)
        lines.append(ChangeLine(name, before, after, found.get("difference", _NONE), strip))
    return sorted(lines, key=lambda line: (line.difference.value or 0.0, line.name))


def band_lines(report: Report) -> list[BandLine]:
    """From the farthest rows to the nearest."""
    return [
        BandLine(name, measure, bars.strip([("tuned", *_ends(measure))], share=True))
        for name, measure in report.distances.items()
    ]


def confusion(report: Report) -> Confusion | None:
    """Of the labels that answers were taken for; None where rows have no fixed labels."""
    details: Mapping[str, Any] = report.metrics.get("macro_f1", _NONE).details
    if not details or "counts" not in details:
        return None
    labels, said, counts = details["labels"], details["said"], details["counts"]
    worst = sorted(
        (-count, wanted, said[column])
        for wanted, line in zip(labels, counts, strict=True)
        for column, count in enumerate(line)
        if count and said[column] != wanted
    )
    lines = [
        (
            wanted,
            tuple(
                Cell(count, -(-SHADES * count // max(1, sum(line))), said[column] == wanted)
                for column, count in enumerate(line)
            ),
        )
        for wanted, line in zip(labels, counts, strict=True)
    ]
    return Confusion(
        tuple(said),
        tuple(lines) if len(labels) <= MOST_LABELS else (),
        tuple((wanted, other, -count) for count, wanted, other in worst[:CONFUSIONS_SHOWN]),
        -sum(count for count, *_ in worst),
    )


def worst_rows(pairs: Sequence[Pair]) -> list[Pair]:
    """The rows to read first: wrong ones before others, each by the tuned model's loss of the wanted answer."""
    known = [pair for pair in pairs if pair.tuned_loss is not None or pair.tuned_right is False]
    order = sorted(known, key=lambda pair: (pair.tuned_right is not False, -(pair.tuned_loss or 0.0)))
    return order[:WORST_SHOWN]


def _ends(measure: Measure) -> tuple[float | None, float | None, float | None]:
    return measure.value, measure.low, measure.high


def _drawable(measure: Measure) -> bool:
    ends = (measure.value, measure.low or measure.value, measure.high or measure.value)
    return all(end is not None and isfinite(end) for end in ends)
