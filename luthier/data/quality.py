"""Runs the checks over the rows of files: every core reads, a row takes a few numbers, and it may be stopped.

blocks --check_block--> rows --look, gather--> Seen --fill--> Whole --judge--> Quality (criteria, verdict, changes)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.data.check import Checked, Gathered, Problems, Source, check_block
from luthier.data.checks import CRITERIA, MADE, Check, Hit, Judged, Row, Rows, Whole
from luthier.data.checks.benchmark_overlap import grams
from luthier.data.parallel import bytes_of, each_block
from luthier.data.read import Block, blocks
from luthier.errors import UserError
from luthier.flow import Event, Problem, Progress

Verdict = Literal["ready", "ready with warnings", "not ready"]
Fill = Callable[[Whole], Generator[Event, None, Mapping[str, NDArray[Any]]]]
"""Makes the columns that checks need and that rows alone do not hold."""

LISTED: Final = 1_000
"""Hits of a check that are listed one by one; the others are counted, and their rows known."""
CHANGES: Final = 3
READING: Final = "reading"
"""Stands for a check's name where rows could not be read as rows."""
MEND: Final = "cannot be used; mend each as its problem says, or leave them out: luthier check FILE --write KEPT"


@dataclass(frozen=True, slots=True)
class Result:
    """What a check says of all rows. `passed` is None where it could not judge, and `reason` says why. `rows` (R, bool)
    have a hit, of `of` rows: all that are not held out, or those that it looked at; `kinds` counts the hits by kind."""

    check: Check
    passed: bool | None
    rows: NDArray[np.bool_]
    of: int
    problems: Problems
    numbers: Mapping[str, Any]
    kinds: Mapping[str, int]
    reason: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    describe: Callable[[int], Hit] | None = None

    @property
    def count(self) -> int:
        return int(self.rows.sum())

    @property
    def share(self) -> float:
        return self.count / max(1, self.of)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the checklist. `score` is the share of rows without a hit of any of its checks."""

    name: str
    passed: bool
    score: float
    rows: int
    results: Sequence[Result]

    @property
    def title(self) -> str:
        return CRITERIA[self.name]


@dataclass(frozen=True, slots=True)
class Change:
    """Something to do, and how many rows it is about."""

    what: str
    check: str
    rows: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The six criteria of all rows that can be used; `unusable` counts the errors of reading in the others. `complete`
    is false where reading was stopped before the end; `skipped` are the checks that were switched off."""

    rows: int
    criteria: Sequence[Criterion]
    whole: Whole
    complete: bool = True
    unusable: int = 0
    skipped: Sequence[str] = ()

    @property
    def results(self) -> Iterator[Result]:
        for criterion in self.criteria:
            yield from criterion.results

    @property
    def problems(self) -> Problems:
        merged = Problems()
        for result in self.results:
            merged.merge(result.problems)
        return merged

    @property
    def verdict(self) -> Verdict:
        """Not ready where rows cannot be used or a check fails whose rows nobody should train on; with warnings where
        another fails."""
        failed = [result for result in self.results if result.passed is False]
        if self.unusable or any(result.check.severity == "error" for result in failed):
            return "not ready"
        return "ready with warnings" if failed else "ready"

    def changes(self) -> list[Change]:
        """What would help most: rows that cannot be used, then of the checks that fail those with errors first, then
        those of most rows."""
        failed = [result for result in self.results if result.passed is False]
        failed.sort(key=lambda result: (result.check.severity != "error", -result.count, result.check.name))
        changes = [Change(result.check.remedy, result.check.name, result.count) for result in failed]
        if self.unusable:
            changes.insert(0, Change(MEND, READING, self.unusable))
        return changes[:CHANGES]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the checks keep of a block: `hits` by check the rows in the block and the first hits, `parts` by check."""

    checked: Checked
    lines: NDArray[np.int64]
    categories: list[str]
    category: NDArray[np.int32]
    hits: dict[str, tuple[NDArray[np.int64], list[tuple[int, Hit]], Counter[str]]]
    parts: dict[str, Any]
    columns: dict[str, NDArray[Any]]


def measure(
    gathered: Gathered,
    chosen: Sequence[Check],
    held_out: Sequence[Source] = (),
    fill: Fill | None = None,
    stopped: Callable[[], bool] = lambda: False,
    benchmark: Sequence[Source] = (),
) -> Generator[Event, None, Quality]:
    """Reads the rows of `gathered.sources` and of `held_out` and runs the chosen checks over them.

    `gathered` is filled as `Gathered.checked` fills it, by the rows of its own sources alone. `held_out` are the files
    of validation and test rows, which only leaks are looked for in; `benchmark` are files of rows whose runs of words
    must not stand in the others. `fill` is asked for more columns once all rows were read. Where `stopped()` gets true,
    reading ends and the rows so far are judged. Yields how far it is, in rows.
    """
    sources = [*gathered.sources, *held_out]
    seen: list[tuple[int, _Seen]] = []
    paths = [source.path for source in sources]
    own = len(gathered.sources)
    before, rows, complete = bytes_of(paths), 0, True
    runs = _runs(benchmark) if benchmark else None

    def look(number: int, block: Block) -> _Seen:
        return _look(block, sources[number], chosen, number >= own, runs)

    for number, end, found in each_block(paths, look):
        if isinstance(found, UserError):
            gathered.mistakes += found.mistakes
            continue
        if number < own:
            gathered.add(number, found.checked)
        found.checked.problems.clear()
        seen.append((number, found))
        rows += sum(count for _, _, count in found.checked.counts)
        if stopped():
            complete = False
            break
        yield Progress("checking rows", rows, round(rows * before[-1] / (before[number] + end)))
    whole = _whole(seen, sources, own)
    if fill is not None and complete and len(whole):
        whole = replace(whole, columns={**whole.columns, **(yield from fill(whole))})
        complete = not stopped()
    results: dict[str, list[Result]] = {name: [] for name in CRITERIA}
    for done, check in enumerate(chosen):
        yield Progress(f"judging {check.name.replace('_', ' ')}", done, len(chosen))
        results[check.criterion].append(_judged(check, seen, whole))
    criteria = [_criterion(name, found, whole) for name, found in results.items()]
    return Quality(int((~whole.held_out).sum()), criteria, whole, complete, gathered.problems.errors)


def _runs(sources: Sequence[Source]) -> NDArray[np.uint64]:
    """The hashes (sorted) of all runs of words that `benchmark_overlap` looks for."""
    found = [np.zeros(0, np.uint64)]
    for source in sources:
        for block in blocks(source.path):
            rows = Rows([Row(conversation) for conversation in check_block(block, source).conversations])
            found.append(grams(rows)[0])
    return np.unique(np.concatenate(found))


def _look(
    block: Block, source: Source, chosen: Sequence[Check], held_out: bool, benchmark: NDArray[np.uint64] | None
) -> _Seen:
    checked = check_block(block, source)
    rows = Rows([Row(conversation) for conversation in checked.conversations], held_out, benchmark)
    hits, parts = {}, {}
    for check in chosen:
        if check.look is not None and not held_out and check.installed:
            if check.look_in is not None:
                found = list(check.look_in(rows))
            else:
                found = [(number, hit) for number, row in enumerate(rows) for hit in check.look(row)]
            if found:
                where = np.unique(np.array([number for number, _ in found], np.int64))
                hits[check.name] = (where, found[:LISTED], Counter(hit.kind for _, hit in found))
        if check.gather is not None:
            parts[check.name] = check.gather(rows)
    made = {name: getattr(rows, name) for name in MADE if any(name in check.needs for check in chosen)}
    names, category = np.unique([row.category or "" for row in checked.conversations] or [""], return_inverse=True)
    lines = np.array([row.place.line for row in checked.conversations], np.int64)
    checked.conversations.clear()
    return _Seen(checked, lines, names.tolist(), category[: len(lines)].astype(np.int32), hits, parts, made)


def _whole(seen: Sequence[tuple[int, _Seen]], sources: Sequence[Source], own: int) -> Whole:
    names = sorted({name for _, block in seen for name in block.categories})
    place = {name: number for number, name in enumerate(names)}
    sizes = [len(block.lines) for _, block in seen]
    file = np.repeat(np.array([number for number, _ in seen], np.int32), sizes)
    line = np.concatenate([np.zeros(0, np.int64), *(block.lines for _, block in seen)])
    category = [np.array([place[name] for name in block.categories], np.int32)[block.category] for _, block in seen]
    first = np.cumsum([0, *sizes])
    names_made = list(seen[0][1].columns) if seen else []
    made = {name: np.concatenate([block.columns.pop(name) for _, block in seen]) for name in names_made}

    def read_again(rows: NDArray[np.int64]) -> Iterator[Row]:
        yield from _read_again(rows, seen, sources, first)

    return Whole(
        first[:-1].tolist(),
        [source.name for source in sources],
        file,
        line,
        file >= own,
        np.concatenate([np.zeros(0, np.int32), *category]),
        names,
        made,
        read_again,
    )


def _read_again(
    rows: NDArray[np.int64], seen: Sequence[tuple[int, _Seen]], sources: Sequence[Source], first: NDArray[np.int64]
) -> Iterator[Row]:
    """The rows of these numbers (sorted): each file is cut into blocks again, and those that are asked for are read."""
    wanted = np.split(rows, np.searchsorted(rows, first[1:-1])) if len(seen) > 1 else [rows]
    number = 0
    for file, source in enumerate(sources):
        of_file = [place for place, (which, _) in enumerate(seen) if which == file]
        if not any(len(wanted[place]) for place in of_file):
            number += len(of_file)
            continue
        for block, place in zip(blocks(source.path), of_file, strict=False):
            if len(wanted[place]):
                lines, rows_there = seen[place][1].lines, wanted[place] - first[place]
                if len(np.unique(lines)) == len(lines):  # rows of a JSON document may share a line
                    block, rows_there = block.only({*lines[rows_there].tolist()}), np.arange(len(rows_there))
                conversations = check_block(block, source).conversations
                yield from (Row(conversations[row]) for row in rows_there.tolist())


def _judged(check: Check, seen: Sequence[tuple[int, _Seen]], whole: Whole) -> Result:
    rows, of = np.zeros(len(whole), np.bool_), int((~whole.held_out).sum())
    problems = Problems()
    kinds: Counter[str] = Counter()
    missing = check.needs - whole.columns.keys() - {*MADE}
    if missing or not of or not check.installed:
        reason = f"needs {', '.join(sorted(missing))}, which was not computed" if missing else "there are no rows"
        reason = reason if check.installed else f"needs {check.package}: pip install 'luthier[check]'"
        return Result(check, None, rows, of, problems, {}, {}, reason)
    start = 0
    for _, block in seen:
        if check.name in block.hits:
            where, hits, of_kinds = block.hits[check.name]
            rows[start + where] = True
            _list(check, [(start + row, hit) for row, hit in hits], of_kinds.total(), whole, problems)
            kinds.update(of_kinds)
        start += len(block.lines)
    judged = Judged()
    if check.judge is not None:
        judged = check.judge([block.parts.get(check.name) for _, block in seen], whole)
        rows[judged.rows] = True
        hits = [(row, judged.describe(row)) for row in judged.rows[:LISTED].tolist()]
        _list(check, hits, len(judged.rows), whole, problems)
        problems.add(judged.problems)
        of = of if judged.of is None else judged.of
    passed = not judged.problems and int(rows.sum()) <= check.tolerated * of
    return Result(
        check,
        None if judged.reason and passed else passed,
        rows,
        of,
        problems,
        judged.numbers,
        {kind: count for kind, count in kinds.items() if kind},
        judged.reason,
        judged.answers,
        judged.describe if len(judged.rows) else None,
    )


def _list(check: Check, hits: Sequence[tuple[int, Hit]], count: int, whole: Whole, problems: Problems) -> None:
    """Adds hits of which there are `count` in all: listed while there is room, counted beyond."""
    room = max(0, LISTED - len(problems.listed))
    for row, hit in hits[:room]:
        remedy = hit.remedy or check.remedy
        problems.listed.append(Problem(check.name, check.severity, whole.place(row), hit.message, remedy))
    problems.counts[check.name, check.severity] += count


def _criterion(name: str, results: Sequence[Result], whole: Whole) -> Criterion:
    flagged = np.zeros(len(whole), np.bool_)
    for result in results:
        flagged |= result.rows
    count = int(flagged.sum())
    passed = all(result.passed is not False for result in results)
    return Criterion(name, passed, 1 - count / max(1, int((~whole.held_out).sum())), count, results)
