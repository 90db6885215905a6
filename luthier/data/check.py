"""From files to checked conversations: every problem with its line, and the account of what became of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from luthier import plugins
from luthier.data.account import Account, Tally
from luthier.data.columns import check_ours, check_theirs, renamed
from luthier.data.detect import FORMS, Detection, detect, forms, refuse
from luthier.data.read import read
from luthier.data.split import sample
from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Conversation, Place, Problem, Record

LOOKED_AT = 100  # rows that decide a file's form
SHOWN = 20  # problems that an error lists


@dataclass(frozen=True, slots=True)
class Rows:
    """Checked rows in the files' order, every problem found (warnings too), the account, and each file's form."""

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
    """Reads and checks the rows of files, each given as (path, weight).

    `format` is a form's name, or `auto`: by each file's first rows. `columns` maps our field names to the file's; a
    column taken from `category` or `label` stays the row's class too. A file's weight multiplies its answers' weight
    in the loss. With `limit`, that many rows stay, chosen by the hash of their content; the others count as dropped.

    Raises `UserError` for what is wrong with a file, for bad rows unless `bad_rows` is `drop`, and where no row is
    left: all in one, the first 20 problems with their lines and the number of the others.
    """
    known = forms() if format == "auto" else {format: plugins.load(FORMS, format)}
    columns = columns or {}
    check_ours(columns, {name for form in known.values() for name in form.fields})
    loaded = _Loaded()
    mistakes: list[Mistake] = []
    for path, weight in paths:
        try:
            loaded.add(Path(path), weight, format, columns)
        except UserError as error:
            mistakes.extend(error.mistakes)
    conversations = loaded.conversations
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if mistakes or not conversations or (errors and bad_rows == "stop"):
        raise UserError([*mistakes, *_listed(errors, sum(loaded.counts.values()))])
    account = loaded.account()
    if limit is not None and limit < len(conversations):
        conversations, left = sample(conversations, limit)
        account = account.with_dropped("limit", left)
    return Rows(tuple(conversations), tuple(loaded.problems), account, loaded.forms)


@dataclass(slots=True)
class _Loaded:
    """What the files read so far gave. `counts` goes by file, category, and the reason dropped ("": kept)."""

    conversations: list[Conversation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    forms: dict[str, Detection] = field(default_factory=dict)
    counts: Counter[tuple[str, str | None, str]] = field(default_factory=Counter)

    def add(self, path: Path, weight: float, format: str, columns: Mapping[str, str]) -> None:
        """Reads one file. Raises `UserError` for the file itself; what its rows gave before that stays."""
        name = str(path)
        if not weight > 0:
            raise mistake(f"the weight {weight} is not above 0", name, "write a weight above 0, or take the file out")
        seen: set[str] = set()
        rows = read(path)
        if columns:
            rows = renamed(rows, columns, seen)
        head: list[Record | Problem] = []
        while not any(isinstance(row, Record) for row in head) and (more := list(islice(rows, LOOKED_AT))):
            head += more
        records = [row.values for row in head if isinstance(row, Record)]
        found = Detection(format, "`data.format` says so") if format != "auto" else detect(records)
        if found is None and records:
            check_theirs(columns, seen, name)
            refuse(records, name)
        if found is not None:
            self.forms[name] = found
        self._add_rows(chain(head, rows), name, weight)
        check_theirs(columns, seen, name)

    def _add_rows(self, rows: Iterable[Record | Problem], name: str, weight: float) -> None:
        form = plugins.load(FORMS, self.forms[name].form) if name in self.forms else None
        unused: Counter[str] = Counter()
        first: dict[str, Place] = {}
        for row in rows:
            if isinstance(row, Problem):
                self.problems.append(row)
                self.counts[name, None, row.check] += 1
                continue
            assert form is not None, "a file with a record has a form"
            conversation, problems, inner = form.parse(row.values, row.place)
            if inner or not row.values.keys() <= form.fields:
                for key in {*(row.values.keys() - form.fields), *inner}:
                    unused[key] += 1
                    first.setdefault(key, row.place)
            self.problems.extend(problems)
            if conversation is None:
                self.counts[name, None, problems[0].check] += 1
                continue
            self.conversations.append(conversation if weight == 1 else _weighted(conversation, weight))
            self.counts[name, conversation.category, ""] += 1
        for key, count in sorted(unused.items()):
            assert form is not None
            self.problems.append(_unused(key, count, first[key], form.fields))

    def account(self) -> Account:
        tallies: dict[tuple[str, str | None], Tally] = {}
        for (file, category, reason), count in self.counts.items():
            tally = Tally(count, 0, {reason: count}) if reason else Tally(count, count)
            tallies[file, category] = tallies.get((file, category), Tally()) + tally
        return Account(tallies).check()


def _weighted(conversation: Conversation, weight: float) -> Conversation:
    messages = (
        replace(message, weight=message.weight * weight) if message.role == "assistant" else message
        for message in conversation.messages
    )
    return replace(conversation, messages=tuple(messages))


def _unused(key: str, count: int, place: Place, known: Iterable[str]) -> Problem:
    near = get_close_matches(key, sorted(known), n=1, cutoff=0.8)
    rows = "1 row" if count == 1 else f"{count} rows"
    remedy = f"did you mean `{near[0]}`?" if near else "nothing to do where that is meant"
    return Problem("unused_field", "warning", place, f"`{key}` is in {rows} and is not used", remedy)


def _listed(errors: Sequence[Problem], rows: int) -> Iterator[Mistake]:
    """The first problems, then how many rows are bad and how to go on without them."""
    for problem in errors[:SHOWN]:
        yield Mistake(problem.message, str(problem.place), problem.remedy)
    if errors:
        bad = len({problem.place for problem in errors})
        more = f"; {len(errors) - SHOWN} more problems are not listed here" if len(errors) > SHOWN else ""
        if bad == rows:
            yield Mistake(f"no row is left: none of the {rows} can be used{more}", remedy="mend them")
        else:
            remedy = "mend them, or write under `data`: bad_rows: drop (leaves them out, listed and counted)"
            yield Mistake(f"{bad} of {rows} rows cannot be used{more}", remedy=remedy)
