"""Writes the rows that are kept into a file, in their own form or another, and those left out into one beside it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from luthier import plugins
from luthier.data.account import Account
from luthier.data.check import Checked, Gathered, Problems, Source, check_block
from luthier.data.columns import renamed
from luthier.data.detect import FORMS
from luthier.data.fields import DoesNotFit
from luthier.data.mend import Mended, Mending, Parse
from luthier.data.read import Block, LineBlock, RowBlock, blocks
from luthier.data.row_file import PACKED, Write, kinds_of, row_file
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Conversation, Problem, Record

RAW_LETTERS = 10_000_000
"""Letters of a row left out that its quarantine keeps: a longer one stands in its own file as it was."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of the rows: `rows` of `form` stand in `path`; `quarantine` is the file of the others, if any;
    `repaired` that of the rows that were changed, as they were before; `redacted` counts placeholders by kind."""

    path: Path
    form: str
    rows: int
    quarantine: Path | None
    account: Account
    problems: Problems
    repaired: Path | None = None
    redacted: Mapping[str, int] = field(default_factory=dict)


def convert(
    sources: Sequence[Source],
    mistakes: Sequence[Mistake],
    out: Path,
    form: str | None = None,
    mending: Mending | None = None,
) -> Converted:
    """Writes the rows of files that can be used into `out`, whose ending chooses the kind of file.

    Rows of `form` keep every field that they have, under our names; rows of another form are written anew, with all
    that `form` can hold. A row that it cannot hold is left out: it counts as dropped for `form`, with a problem that
    says why. The rows left out stand in a file beside `out`, each with `file`, `line`, `reason` and `raw`, its text.
    With `mending` rows are also left out for what the checks found, or kept as the checks mend them: these stand in a
    second file beside `out` as they were, each with `rules`. Lines of JSON that nobody changes are kept byte for byte.

    `sources` and `mistakes` are what `luthier.data.check.look` gave. Raises `UserError` for these, for files that are
    broken, for an `out` that is one of the files, and where no row is left; then nothing is written.
    """
    quarantine, repaired = (beside(out, what) for what in ("quarantine", "repaired"))
    _refuse(sources, mistakes, (out, quarantine, repaired))
    form = form or _own_form(sources)
    lines = kinds_of(out)[0] == ".jsonl"
    work = _Work(plugins.load(FORMS, form), form, Gathered(sources, list(mistakes)), mending, lines)
    with ExitStack() as files:
        kept, left_out, changed = (files.enter_context(row_file(path)) for path in (out, quarantine, repaired))
        for number, source in enumerate(sources):
            raw = files.enter_context(_Raw(source.path))
            for block, following in _pairs(blocks(source.path)):
                work.block(number, block, following, _Files(kept, left_out, changed, raw))
        account = work.gathered.finish("drop")
        for reason, cells in work.dropped.items():
            account = account.with_dropped(reason, cells)
        if not account.total.kept:
            remedy = f"name another form with --format than {form}"
            if not work.reasons:
                raise mistake("the checks leave no row", str(out), "mend the rows, or name checks to skip: --skip NAME")
            raise UserError(Mistake(f"{why} ({count:,} rows)", "", remedy) for why, count in work.reasons.items())
    if not account.total.dropped:
        quarantine.unlink()
    if not work.repaired:
        repaired.unlink()
    said = quarantine if account.total.dropped else None
    was = repaired if work.repaired else None
    return Converted(out, form, account.total.kept, said, account, work.gathered.problems, was, work.redacted)


def beside(out: Path, what: str) -> Path:
    """`kept.csv.gz` leaves the rows that are left out in `kept.quarantine.jsonl`."""
    return out.with_name(f"{out.name[: -len(''.join(kinds_of(out)))]}.{what}.jsonl")


@dataclass(frozen=True, slots=True)
class _Files:
    """Where rows go that are kept, left out, and changed (as they were), and where their texts come from."""

    kept: Write
    left_out: Write
    changed: Write
    raw: _Raw


@dataclass(slots=True)
class _Work:
    """The rows so far. `dropped` counts, by reason, those that the form cannot hold or the checks leave out, each by
    file and category; `reasons` counts by why the form cannot. `lines`: JSON lines are written."""

    form: Any
    name: str
    gathered: Gathered
    mending: Mending | None
    lines: bool
    dropped: dict[str, Counter[tuple[str, str | None]]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    redacted: Counter[str] = field(default_factory=Counter)
    conversations: int = 0

    def block(self, number: int, block: Block, following: int | None, files: _Files) -> None:
        """Writes the rows of a block; `following` is the line on which the next one begins."""
        source = self.gathered.sources[number]
        rows = tuple(block.rows())
        checked = check_block(RowBlock(rows, b""), source)
        self.gathered.add(number, checked)
        named = list(renamed(iter(rows), source.columns, set())) if source.columns else rows
        same = source.detection is not None and source.detection.form == self.name
        as_it_is = self.lines and same and not source.columns and _is_lines(block)
        next_lines = [*(row.place.line for row in rows[1:]), following]
        for row, ours, outcome, next_line in zip(rows, named, _outcomes(rows, checked), next_lines, strict=True):
            text = partial(files.raw.text, block, row, next_line)
            if isinstance(outcome, Problem):
                files.left_out(_entry(row, text(), reason=outcome.message))
                continue
            assert isinstance(ours, Record)
            mended = self._mended(ours, outcome, source)
            if mended.reason:
                self._drop(mended.reason.partition(":")[0], source, outcome)
                files.left_out(_entry(row, text(), reason=mended.reason))
                continue
            try:
                if mended.rules:
                    again = self._parse(source)(mended.values, outcome.place).conversation
                    assert again is not None, "a mended row is read before it is kept"
                    outcome = again
                if as_it_is and not mended.rules:
                    files.kept(text())
                else:
                    files.kept(mended.values if same else self.form.write(outcome))
            except DoesNotFit as misfit:
                reason = str(misfit)
                self._drop("form", source, outcome)
                self.reasons[reason] += 1
                remedy = "it is left out: write it in a form that holds it, or mend it"
                self.gathered.problems.add([Problem("form", "error", row.place, reason, remedy)])
                files.left_out(_entry(row, text(), reason=reason))
                continue
            if mended.rules:
                self.repaired += 1
                self.redacted.update(mended.redacted)
                redacted = {"redacted": dict(mended.redacted)} if mended.redacted else {}
                files.changed(_entry(row, text(), rules=list(mended.rules), **redacted))

    def _mended(self, row: Record, conversation: Conversation, source: Source) -> Mended:
        number, self.conversations = self.conversations, self.conversations + 1
        if self.mending is None:
            return Mended(row.values)
        return self.mending.row(number, row.values, conversation, self._parse(source))

    def _parse(self, source: Source) -> Parse:
        assert source.detection is not None, "a file with a conversation has a form"
        parse: Parse = plugins.load(FORMS, source.detection.form).parse
        return parse

    def _drop(self, reason: str, source: Source, conversation: Conversation) -> None:
        self.dropped.setdefault(reason, Counter())[source.name, conversation.category] += 1


def _is_lines(block: Block) -> bool:
    return isinstance(block, LineBlock) and block.reader == "jsonl"


def _entry(row: Record | Problem, text: str, **said: Any) -> dict[str, Any]:
    """A line of the files beside: where the row stood, what is said of it, and its text, cut where it is huge.

    Bytes that are no text are shown as `\\xe9`, and stand in `raw_base64` as they are.
    """
    entry: dict[str, Any] = {"file": row.place.file, "line": row.place.line, **said, "raw": text[:RAW_LETTERS]}
    if len(text) > RAW_LETTERS:
        entry["raw_letters"] = len(text)
    elif not _is_text(text):
        there = text.encode("utf-8", "surrogateescape")
        entry |= {"raw": there.decode(errors="backslashreplace"), "raw_base64": b64encode(there).decode()}
    return entry


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def _outcomes(rows: Sequence[Record | Problem], checked: Checked) -> Iterator[Conversation | Problem]:
    """What each row of a block became: its conversation, or the first thing that is wrong with it."""
    errors: dict[int, Problem] = {}
    for problem in checked.problems:
        if problem.severity == "error":
            errors.setdefault(id(problem.place), problem)
    conversations = iter(checked.conversations)
    for row in rows:
        yield errors.get(id(row.place)) or next(conversations)


class _Raw:
    """The texts of a file's rows as they stand there, asked for in the rows' order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 1
        self.lines: list[bytes] = []
        self.block: Block | None = None
        self.file: BinaryIO | None = None

    def __enter__(self) -> _Raw:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:
            self.file.close()

    def text(self, block: Block, row: Record | Problem, next_line: int | None) -> str:
        """A line of a file of lines; the JSON of a row of other files; their lines where it could not be read."""
        if isinstance(block, LineBlock):
            if block is not self.block:
                self.block, self.lines = block, block.lines.split(b"\n")
            return self.lines[row.place.line - block.first_line].rstrip(b"\r").decode(errors="surrogateescape")
        if isinstance(row, Record):
            return json.dumps(row.values, ensure_ascii=False, default=str)
        return b"".join(self._lines(row.place.line, next_line)).decode(errors="surrogateescape").rstrip("\r\n")

    def _lines(self, first: int, following: int | None) -> list[bytes]:
        """The physical lines from one to before another; none where that cannot be told apart or is no text."""
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        if following == first or suffixes[-1:] == [".parquet"]:
            return []
        if self.file is None:
            self.file = self.path.open("rb")
            if suffixes[-1] in PACKED:
                self.file = plugins.load("luthier.data.readers", suffixes[-1][1:]).unpack(self.file, str(self.path))
        for _ in islice(self.file, max(0, first - self.line)):
            pass
        lines = list(islice(self.file, None if following is None else following - first))
        self.line = first + len(lines)
        return lines


def _pairs(found: Iterator[Block]) -> Iterator[tuple[Block, int | None]]:
    """Each block with the line on which the next one begins."""
    block = next(found, None)
    while block is not None:
        following = next(found, None)
        yield block, following.first_line if following else None
        block = following


def _refuse(sources: Sequence[Source], mistakes: Sequence[Mistake], written: Sequence[Path]) -> None:
    if mistakes:
        raise UserError(mistakes)
    for source in sources:
        for path in written:
            if path.exists() and source.path.exists() and path.samefile(source.path):
                raise mistake("this is one of the files to read", str(path), "name another file to write")
    out = written[0]
    if out.is_dir() or not out.parent.is_dir():
        what = "this is a folder" if out.is_dir() else f"the folder {out.parent} does not exist"
        raise mistake(what, str(out), "name a file in a folder that exists")


def _own_form(sources: Sequence[Source]) -> str:
    found = {source.detection.form: source.name for source in sources if source.detection}
    if len(found) > 1:
        places = ", ".join(f"{name} holds {form} rows" for form, name in found.items())
        raise mistake(f"the files have several forms: {places}", "--format", f"name one: {', '.join(found)}")
    return next(iter(found), "chat")
