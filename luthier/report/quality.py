"""From a check of rows to one HTML page that needs nothing outside itself: the checklist, plots, each problem's row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from luthier.data.check import Problems
from luthier.data.checks import Check, Hit, Row
from luthier.data.quality import READING, Quality, Result
from luthier.flow import Problem
from luthier.report.page import _HERE as HERE
from luthier.report.page import _digest as digest
from luthier.report.page import _environment as environment

ROWS_SHOWN: Final = 30
"""Rows of a check that stand on the page; the others are counted, and `--json` lists them."""
HITS_SHOWN: Final = 3
"""Hits of one check in one row that stand there."""
LETTERS_SHOWN: Final = 1_200
"""Letters of a message that stand on the page, around what is marked in it."""
CLASSES_SHOWN: Final = 20
POINTS_SHOWN: Final = 1_500
_AROUND: Final = 300


@dataclass(frozen=True, slots=True)
class Bar:
    """A number drawn as a bar: `width` in per cent of the longest."""

    name: str
    count: int
    width: float


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a row: pieces of its text, each marked or not; `left_out` letters are not shown."""

    role: str
    pieces: tuple[tuple[str, bool], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says of one place, and the messages of the row that stands there, where it is a row's own."""

    place: str
    message: str
    kind: str
    remedy: str
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A check that failed or found something: `of` places in all, the first of which are shown."""

    name: str
    what: str
    why: str
    remedy: str
    passed: bool | None
    of: int
    found: tuple[Found, ...]
    kinds: tuple[Bar, ...]


def quality_page(quality: Quality, files: Sequence[str], unreadable: Problems | None = None) -> str:
    """The whole page. `unreadable` are the problems of rows that could not be read as rows. Texts of at most
    `ROWS_SHOWN` rows a check are read again from the files, so they must still be there."""
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("report.css", "quality.css"))
    script = (HERE / "quality.js").read_text(encoding="utf-8")
    sections = [*_unreadable(unreadable), *_sections(quality)]
    page = (
        environment()
        .get_template("quality.html.j2")
        .render(
            quality=quality,
            files=files,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"style-src '{digest(style)}'; script-src '{digest(script)}'",
            sections=sections,
            shown=ROWS_SHOWN,
            changes=quality.changes(),
            by_check=bars((section.name, section.of) for section in sections),
            lengths=_lengths(quality),
            classes=_classes(quality),
            map=_map(quality),
        )
    )
    return page.lstrip().encode("utf-8", "backslashreplace").decode("utf-8")


def bars(counts: Any) -> tuple[Bar, ...]:
    """Named numbers as bars, the longest first: 3 and 12 are 25% and 100% wide."""
    found = sorted(counts, key=lambda pair: -pair[1])
    most = max((count for _, count in found), default=0) or 1
    return tuple(Bar(str(name), count, round(100 * count / most, 2)) for name, count in found)


def _sections(quality: Quality) -> Iterator[Section]:
    shown = {result.check.name: np.flatnonzero(result.rows)[:ROWS_SHOWN] for result in quality.results}
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *shown.values()]))
    texts = dict(zip(wanted.tolist(), quality.whole.read_again(wanted), strict=False))
    for result in quality.results:
        if result.problems.total:
            yield _section(result, [(number, texts[number]) for number in shown[result.check.name].tolist()], quality)


def _section(result: Result, rows: Sequence[tuple[int, Row]], quality: Quality) -> Section:
    check = result.check
    listed: dict[tuple[str, int], list[Problem]] = {}
    for problem in result.problems.listed:
        listed.setdefault((problem.place.file, problem.place.line), []).append(problem)
    found: list[Found] = []
    for number, row in rows:
        place = quality.whole.place(number)
        hits = _hits(check, row) or [
            Hit(problem.message, remedy=problem.remedy) for problem in listed.get((place.file, place.line), ())
        ]
        found += [
            Found(str(place), hit.message, hit.kind, hit.remedy or check.remedy, _said(row, hit))
            for hit in hits[:HITS_SHOWN]
        ]
    if not rows:
        found = [
            Found(str(problem.place), problem.message, "", problem.remedy, ())
            for problem in result.problems.listed[:ROWS_SHOWN]
        ]
    of = result.count or result.problems.total
    return Section(
        check.name, check.what, check.why, check.remedy, result.passed, of, tuple(found), bars(result.kinds.items())
    )


def _hits(check: Check, row: Row) -> list[Hit]:
    return list(check.look(row)) if check.look is not None else []


def _said(row: Row, hit: Hit) -> tuple[Said, ...]:
    """The row's messages with the hit's letters marked."""
    number, begin, end = hit.span or (-1, 0, 0)
    return tuple(
        _pieces(message.role, message.content, (begin, end) if place == number else None)
        for place, message in enumerate(row.conversation.messages)
    )


def _pieces(role: str, text: str, span: tuple[int, int] | None) -> Said:
    """A text in pieces, at most `LETTERS_SHOWN` of it: its beginning, or what stands around the span."""
    begin, end = span or (0, 0)
    first = max(0, begin - _AROUND) if len(text) > LETTERS_SHOWN else 0
    last = min(len(text), first + LETTERS_SHOWN)
    parts = [(text[first:begin], False), (text[begin : min(end, last)], True), (text[max(end, first) : last], False)]
    if first:
        parts.insert(0, ("… ", False))
    if last < len(text):
        parts.append((" …", False))
    return Said(role, tuple(part for part in parts if part[0]), len(text) - (last - first))


def _unreadable(problems: Problems | None) -> Iterator[Section]:
    if problems is None or not problems.total:
        return
    found = [
        Found(str(problem.place), problem.message, "", problem.remedy, ()) for problem in problems.listed[:ROWS_SHOWN]
    ]
    what = "Rows and fields that cannot be read as rows."
    yield Section(
        READING,
        what,
        "What cannot be read is not trained on.",
        "mend them",
        False if problems.errors else None,
        problems.total,
        tuple(found),
        (),
    )


def _numbers(quality: Quality, check: str) -> Mapping[str, Any]:
    return next((result.numbers for result in quality.results if result.check.name == check), {})


def _lengths(quality: Quality) -> list[tuple[str, tuple[Bar, ...]]]:
    """How many prompts and answers have so many letters, by powers of two."""
    drawn = []
    for name, title in (("prompt_letters", "Prompts"), ("answer_letters", "Answers")):
        counts = _numbers(quality, "long_rows").get("histogram", {}).get(name, {})
        most = max(counts.values(), default=0) or 1
        if counts:
            drawn.append((title, tuple(Bar(key, many, round(100 * many / most, 2)) for key, many in counts.items())))
    return drawn


def _classes(quality: Quality) -> tuple[str, tuple[Bar, ...], int]:
    """What the rows are grouped by, the largest groups, and how many are not drawn."""
    numbers = _numbers(quality, "class_imbalance")
    sizes = numbers.get("classes", {})
    drawn = bars(sizes.items())
    return str(numbers.get("by", "")), drawn[:CLASSES_SHOWN], max(0, len(drawn) - CLASSES_SHOWN)


def _map(quality: Quality) -> list[tuple[float, float, int]]:
    """Points in per cent of the map's width and height, with their group."""
    points = _numbers(quality, "dominant_subject").get("map", [])[:POINTS_SHOWN]
    if len(points) < 3:
        return []
    at = np.array([(point["x"], point["y"]) for point in points])
    low, high = np.percentile(at, 1, axis=0), np.percentile(at, 99, axis=0)
    scaled = np.clip(3 + 94 * (at - low) / np.maximum(high - low, 1e-9), 1, 99).round(1)
    return [(float(x), float(y), int(point["group"]) % 6) for (x, y), point in zip(scaled, points, strict=True)]
