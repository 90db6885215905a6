"""From files to checked conversations: every problem with its line, and the account of what became of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec.structs import replace

from luthier import plugins
from luthier.data.account import Account, Tally
from luthier.data.columns import check_ours, check_theirs, renamed
from luthier.data.detect import FORMS, Detection, detect, forms, refuse
from luthier.data.llama_factory import described
from luthier.data.parallel import bytes_of, each_block
from luthier.data.read import Block, read
from luthier.data.split import content_hash, sample
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Conversation, Form, Place, Problem, Record

LOOKED_AT = 100  # rows that decide a file's form
SHOWN = 20  # problems that an error lists
LISTED = 10_000
"""Problems that are kept one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows and how its rows are read: as `detection.form` (None: it has no row that can be told), under
    `columns`, with `weight` on their answers."""

    path: Path
    weight: float = 1.0
    columns: Mapping[str, str] = field(default_factory=dict)
    detection: Detection | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def form(self) -> Form | None:
        """The form of the conversations that its rows become."""
        if self.detection is None:
            return None
        form: Form = plugins.load(FORMS, self.detection.form).gives
        return form


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of some rows of one file.

    `counts` holds category, reason dropped ("": kept) and the number of such rows; `unused` counts the fields that
    nothing reads, with the first place of each; `fields` holds all that the rows had before they got our names.
    """

    conversations: list[Conversation]
    problems: list[Problem]
    counts: list[tuple[str | None, str, int]]
    unused: dict[str, tuple[int, Place]]
    fields: set[str]


@dataclass(slots=True)
class Problems:
    """The first `LISTED` problems one by one, and how many there are in all: `counts` by check and severity."""

    listed: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Problems:
        gathered = cls()
        gathered.add(problems)
        return gathered

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.counts[problem.check, problem.severity] += 1
            if len(self.listed) < LISTED:
                self.listed.append(problem)

    def merge(self, others: Problems) -> None:
        self.counts.update(others.counts)
        self.listed += others.listed[: LISTED - len(self.listed)]

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def errors(self) -> int:
        return sum(count for (_, severity), count in self.counts.items() if severity == "error")

    def first_errors(self) -> list[Problem]:
        return list(islice((problem for problem in self.listed if problem.severity == "error"), SHOWN))


@dataclass(frozen=True, slots=True)
class Rows:
    """Checked rows in the files' order, the first problems (warnings too), the account, and each file's form."""

    conversations: tuple[Conversation, ...]
    problems: tuple[Problem, ...]
    account: Account
    forms: Mapping[str, Detection]


def load_rows(
    paths: Sequence[tuple[str | Path, float]],
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    bad_rows: Literal["stop", "drop"] = "stop",
    limit: int | None = None,
) -> Rows:
    """Reads and checks the rows of files, each given as (path, weight), and keeps them all in memory.

    `format` is a form's name, or `auto`: by each file's first rows. `columns` maps our field names to the file's; a
    column taken from `category` or `label` stays the row's class too. A file's weight multiplies its answers' weight
    in the loss. With `limit`, that many rows stay, chosen by the hash of their content; the others count as dropped.

    Raises `UserError` for what is wrong with a file, for bad rows unless `bad_rows` is `drop`, and where no row is
    left: all in one, the first 20 problems with their lines and the number of the others.
    """
    sources, mistakes = look(paths, format, columns)
    gathered = Gathered(sources, mistakes)
    conversations: list[Conversation] = []
    for number, _, found in each_block(
        [source.path for source in sources], lambda number, block: check_block(block, sources[number]), processes=1
    ):
        if isinstance(found, UserError):
            gathered.mistakes += found.mistakes
        else:
            gathered.add(number, found)
            conversations += found.conversations
    account = gathered.finish(bad_rows)
    if limit is not None and limit < len(conversations):
        kept = sample(np.array([content_hash(row) for row in conversations], np.uint64), limit)
        left = Counter(
            (row.place.file, row.category) for row, stays in zip(conversations, kept, strict=True) if not stays
        )
        conversations = [row for row, stays in zip(conversations, kept, strict=True) if stays]
        account = account.with_dropped("limit", left)
    return Rows(tuple(conversations), tuple(gathered.problems.listed), account, gathered.forms)


def look(
    paths: Sequence[tuple[str | Path, float]], format: str = "auto", columns: Mapping[str, str] | None = None
) -> tuple[list[Source], list[Mistake]]:
    """How each file's rows are to be read, by its first rows; and what is wrong with the files that cannot be."""
    known = forms() if format == "auto" else {format: plugins.load(FORMS, format)}
    columns = columns or {}
    check_ours(columns, {name for form in known.values() for name in form.fields})
    sources: list[Source] = []
    mistakes: list[Mistake] = []
    for path, weight in paths:
        try:
            sources.append(_source(Path(path), weight, format, columns))
        except UserError as error:
            mistakes += error.mistakes
    return sources, mistakes


def check_block(block: Block, source: Source) -> Checked:
    """Checks the rows of a block of a file."""
    rows = block.rows()
    fields: set[str] = set()
    if source.columns:
        rows = renamed(rows, source.columns, fields)
    form = plugins.load(FORMS, source.detection.form) if source.detection else None
    conversations: list[Conversation] = []
    problems: list[Problem] = []
    dropped: list[str] = []
    unused: Counter[str] = Counter()
    first: dict[str, Place] = {}
    for row in rows:
        if type(row) is Problem:
            problems.append(row)
            dropped.append(row.check)
            continue
        assert type(row) is Record
        assert form is not None, "a file with a record has a form"
        conversation, found, inner = form.parse(row.values, row.place)
        if inner or not row.values.keys() <= form.fields:
            for key in {*(row.values.keys() - form.fields), *inner}:
                unused[key] += 1
                first.setdefault(key, row.place)
        if found:
            problems += found
        if conversation is None:
            dropped.append(found[0].check)
        else:
            conversations.append(conversation)
    counts: list[tuple[str | None, str, int]] = [(None, reason, count) for reason, count in Counter(dropped).items()]
    counts += [(category, "", count) for category, count in Counter([row.category for row in conversations]).items()]
    if source.weight != 1:
        conversations = [_weighted(row, source.weight) for row in conversations]
    return Checked(conversations, problems, counts, {key: (unused[key], first[key]) for key in unused}, fields)


@dataclass(slots=True)
class Gathered:
    """Adds up what the blocks of some files gave, then judges them."""

    sources: Sequence[Source]
    mistakes: list[Mistake]
    problems: Problems = field(default_factory=Problems)
    counts: Counter[tuple[int, str | None, str]] = field(default_factory=Counter)
    unused: dict[tuple[int, str], tuple[int, Place]] = field(default_factory=dict)
    fields: dict[int, set[str]] = field(default_factory=dict)

    @property
    def forms(self) -> dict[str, Detection]:
        return {source.name: source.detection for source in self.sources if source.detection}

    def checked(self) -> Iterator[tuple[int, int]]:
        """Checks the rows of all files without keeping them, on every core: the rows so far, of how many (about)."""
        paths = [source.path for source in self.sources]
        before, rows = bytes_of(paths), 0

        def work(number: int, block: Block) -> Checked:
            checked = check_block(block, self.sources[number])
            checked.conversations.clear()
            return checked

        for number, end, found in each_block(paths, work):
            if isinstance(found, UserError):
                self.mistakes += found.mistakes
            else:
                self.add(number, found)
                rows += sum(count for _, _, count in found.counts)
                yield rows, round(rows * before[-1] / (before[number] + end))

    def add(self, number: int, found: Checked) -> None:
        """Adds a block of the file of that number."""
        self.problems.add(found.problems)
        for category, reason, count in found.counts:
            self.counts[number, category, reason] += count
        for key, (count, place) in found.unused.items():
            before, first = self.unused.get((number, key), (0, place))
            self.unused[number, key] = before + count, first
        self.fields.setdefault(number, set()).update(found.fields)

    def finish(self, bad_rows: Literal["stop", "drop"]) -> Account:
        """The account. Raises `UserError` as `load_rows` says."""
        for number, source in enumerate(self.sources):
            try:
                check_theirs(source.columns, self.fields.get(number, ()), source.name)
            except UserError as error:
                self.mistakes += error.mistakes
        for (number, key), (count, place) in sorted(self.unused.items()):
            detection = self.sources[number].detection
            assert detection is not None
            self.problems.add([_unused(key, count, place, plugins.load(FORMS, detection.form).fields)])
        rows = self.counts.total()
        bad = sum(count for (_, _, reason), count in self.counts.items() if reason)
        if self.mistakes or bad == rows or (bad and bad_rows == "stop"):
            raise UserError([*self.mistakes, *(self._bad(bad, rows) if bad else ())])
        return self._account()

    def _bad(self, bad: int, rows: int) -> list[Mistake]:
        if bad == rows:
            return listed(self.problems, f"no row is left: none of the {rows:,} can be used", "mend them")
        remedy = "mend them, or write under `data`: bad_rows: drop (leaves them out, listed and counted)"
        return listed(self.problems, f"{bad:,} of {rows:,} rows cannot be used", remedy)

    def _account(self) -> Account:
        tallies: dict[tuple[str, str | None], Tally] = {}
        for (number, category, reason), count in self.counts.items():
            key = (self.sources[number].name, category)
            tally = Tally(count, 0, {reason: count}) if reason else Tally(count, count)
            tallies[key] = tallies.get(key, Tally()) + tally
        return Account(tallies).check()


def listed(problems: Problems, summary: str, remedy: str) -> list[Mistake]:
    """The first errors of rows, then a summary of them all with a remedy for all."""
    shown = problems.first_errors()
    left = problems.errors - len(shown)
    more = f"; {left:,} more problems are not listed here" if left else ""
    mistakes = [Mistake(problem.message, str(problem.place), problem.remedy) for problem in shown]
    return [*mistakes, Mistake(f"{summary}{more}", "", remedy)]


def _source(path: Path, weight: float, format: str, columns: Mapping[str, str]) -> Source:
    """Looks at the first rows of a file, beyond those that cannot be read."""
    name = str(path)
    if not weight > 0:
        raise mistake(f"the weight {weight} is not above 0", name, "write a weight above 0, or take the file out")
    told = described(path, format, columns)
    columns = told.columns if told else columns
    seen: set[str] = set()
    rows = read(path)
    if columns:
        rows = renamed(rows, columns, seen)
    head: list[Record | Problem] = []
    while not any(isinstance(row, Record) for row in head) and (head := list(islice(rows, LOOKED_AT))):
        pass
    records = [row.values for row in head if isinstance(row, Record)]
    found = told.detection if told else None
    if format != "auto":
        found = Detection(format, "`data.format` says so")
    elif told is None:
        found = detect(records)
    if found is None and records:
        check_theirs(columns, seen, name)
        refuse(records, name)
    return Source(path, weight, columns, found)


def _weighted(conversation: Conversation, weight: float) -> Conversation:
    messages = (
        replace(message, weight=message.weight * weight) if message.role == "assistant" else message
        for message in conversation.messages
    )
    return replace(conversation, messages=tuple(messages))


def _unused(key: str, count: int, place: Place, known: Iterable[str]) -> Problem:
    near = get_close_matches(key, sorted(known), n=1, cutoff=0.8)
    rows = "1 row" if count == 1 else f"{count:,} rows"
    remedy = f"did you mean `{near[0]}`?" if near else "nothing to do where that is meant"
    return Problem("unused_field", "warning", place, f"`{key}` is in {rows} and is not used", remedy)
