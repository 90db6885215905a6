"""What rows say, checked: a file a check, found by its name. This file holds what all of them are given and give.

A check's file says in names what it is: `criterion` (one of `CRITERIA`), `what` it finds and `why` that matters (a
sentence each), `remedy`, and `thresholds`. It looks in one of two ways, or both:

- `look(row)` gives a `Hit` for each thing that is wrong with a row by itself. `look_in(rows)` may stand beside it
  and give what `look` finds in each of a block's rows, with the row's place there, where one search of all is faster.
- `gather(rows)` gives what it needs to know of a block of rows, small, because it travels between processes and stays
  in memory until the end; `judge(parts, whole)` is given these in the files' order and gives what is `Judged`.

It may also say `tolerated` (the share of rows with a hit up to which it passes, 0 if it says nothing), `severity`
("error" where nobody should train on such rows), `leaves_out` (false where `--write` keeps rows with a hit),
`repair(text)` or `repair_answer(text)` (any text, or the last answer, mended: `--write` keeps the row so), `package`
(one of the extra `check` that it needs), `deep` (true where it runs with `--deep` alone), and `needs`, names of
columns: those of `MADE` are made of the rows, the others (`FILLED`) a model has to fill first. `faulty()` and `clean()`
give rows of a file, as JSON, of which it finds something and nothing; where it needs such columns, `faulty_columns()`
and `clean_columns()` give what was filled for these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from luthier import plugins
from luthier.data.checks._language import language
from luthier.data.checks._texts import Texts
from luthier.data.minhash import shingles, signatures, words_of
from luthier.flow import Conversation, Place, Problem

CHECKS: Final = "luthier.data.checks"
CRITERIA: Final = {
    "no_duplicate_examples": "No duplicate examples",
    "consistent_formatting": "Consistent formatting",
    "diverse_examples": "Diverse examples",
    "balanced_categories": "Balanced categories",
    "high_quality_outputs": "High-quality outputs",
    "no_harmful_content": "No harmful content",
}
"""The mission's checklist: the names in JSON and the words for people, in its order."""
MADE: Final = ("signature", "prompt", "content")
"""Columns that are made of the rows where a check needs them: properties of `Rows`."""
FILLED: Final = ("answer_loss", "answer_loss_alone", "answer_tokens", "meaning", "meaning_row")
"""Columns that models fill, with `--deep`, for at most some thousand rows, evenly spread. Of every row (R)
`answer_loss` and `answer_loss_alone`, the loss of the beginning of its last answer (nats a token) with and without its
prompt, NaN where none was computed, and `answer_tokens`, the tokens of that beginning. Of the rows `meaning_row` (S,
sorted) `meaning` (S, N), unit vectors that point alike where texts mean alike."""

_SPACES: Final = {ord(sign): " " for sign in ".,;:!?\"'“”‘’()…"}


# ---------------------------------------------------------------------------------------------- what a check says


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that a check goes by: what it counts, and where it comes from or why it is that."""

    value: float
    meaning: str
    source: str


@dataclass(frozen=True, slots=True)
class Hit:
    """Something wrong with a row. `kind` tells a check's hits apart (`mail`, `phone`); `remedy` is the check's own
    where it is empty; `span` is (message, begin, end): which letters of which of the row's messages."""

    message: str
    kind: str = ""
    remedy: str = ""
    span: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What a check makes of all rows. `rows` (sorted) have something wrong, and `describe` says what, for those that
    are listed; `problems` concern the data as a whole; `numbers` go into the report; `reason` says why nothing could
    be judged. `answers` maps a row's answer to what `--write` puts in its place. `of` is how many rows were looked at,
    where that is not all."""

    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    describe: Callable[[int], Hit] = lambda row: Hit("")
    problems: Sequence[Problem] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    of: int | None = None


# --------------------------------------------------------------------------------------------- what a check is given


@dataclass(frozen=True)
class Row:
    """A checked row. `question` is what the users say in it, `answer` the last that the model is to say, `text` all
    but the system's message, which many rows may share."""

    conversation: Conversation

    @cached_property
    def question(self) -> str:
        return "\n".join(message.content for message in self.conversation.messages if message.role == "user")

    @cached_property
    def answer(self) -> str:
        return next(message.content for message in reversed(self.conversation.messages) if message.role == "assistant")

    @cached_property
    def text(self) -> str:
        messages = self.conversation.messages
        return "\n".join(message.content for message in messages if message.role != "system")

    @cached_property
    def answers(self) -> list[str]:
        """All that the model is to say, turn by turn."""
        return [message.content for message in self.conversation.messages if message.role == "assistant"]

    @cached_property
    def said(self) -> list[str]:
        """What counts of each message where two rows are compared, and who says it."""
        return [f"{message.role}\x1e{same(message.content)}" for message in self.conversation.messages]

    @cached_property
    def asked_in(self) -> str:
        """The language of what the users say, empty where it cannot be told."""
        return language(self.question)

    @property
    def is_text(self) -> bool:
        """Whether the row is running text, which asks and answers nothing."""
        return self.conversation.form == "text"


@dataclass(frozen=True)
class Rows:
    """The rows of a block of one file. `held_out`: they are kept for validation or testing. `benchmark` holds the
    hashes (sorted) of what `benchmark_overlap` compares, where the user names a benchmark."""

    rows: Sequence[Row]
    held_out: bool = False
    benchmark: NDArray[np.uint64] | None = None

    @cached_property
    def words(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The hashes of the rows' words one after another, and how many each row has: as `minhash.words_of`."""
        return words_of([row.text for row in self.rows])

    @cached_property
    def texts(self) -> Texts:
        """Every text of the rows, to be searched at once."""
        return Texts.of(row.conversation for row in self.rows)

    @cached_property
    def signature(self) -> NDArray[np.uint8]:
        """The rows' MinHash signatures (R, 64)."""
        return signatures(*shingles(*self.words))

    @cached_property
    def prompt(self) -> NDArray[np.uint64]:
        """A hash of all that comes before the last answer (R), 0 where nothing does: equal where rows ask the same."""
        return np.array([_prompt(row) for row in self.rows], np.uint64)

    @cached_property
    def content(self) -> NDArray[np.uint64]:
        """A hash of all that the rows say (R)."""
        return np.array([_content(row) for row in self.rows], np.uint64)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Whole:
    """All R rows once they were read, known by their numbers in the files' order.

    `file` (R) is a place in `files`, `line` (R) the line there; `held_out` (R) tells rows of validation and test files;
    `category` (R) is a place in `categories` (sorted; "" is none). `columns` are those of `MADE` and
    `FILLED` that checks need. `starts` is the number of each part's first row. `read_again` gives the rows of some
    numbers (sorted), in order.
    """

    starts: Sequence[int]
    files: Sequence[str]
    file: NDArray[np.int32]
    line: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    category: NDArray[np.int32]
    categories: Sequence[str]
    columns: Mapping[str, NDArray[Any]]
    read_again: Callable[[NDArray[np.int64]], Iterator[Row]]

    def __len__(self) -> int:
        return len(self.line)

    def place(self, row: int) -> Place:
        return Place(self.files[self.file[row]], int(self.line[row]))

    def first(self) -> Place:
        """The place that stands for the data as a whole: its first row."""
        return self.place(0)


def same(text: str) -> str:
    """What counts of a text where two say the same: `" Hi, Bo!"` and `"hi bo"` do, `3 + 4` and `3 - 4` do not."""
    return " ".join(text.casefold().translate(_SPACES).split()) or text.strip()


def _prompt(row: Row) -> int:
    messages = row.conversation.messages
    last = max(number for number, message in enumerate(messages) if message.role == "assistant")
    return _hash("\x1f".join(row.said[:last])) if last else 0


def _content(row: Row) -> int:
    messages, rejected = row.conversation.messages, row.conversation.rejected
    said = row.said + [f"rejected\x1e{same(message.content)}" for message in rejected]
    said += [repr(message.tool_calls) for message in messages if message.tool_calls]
    return _hash("\x1f".join(said))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


# ------------------------------------------------------------------------------------------------- the checks there are


@dataclass(frozen=True)
class Check:
    """A check's file, with what it leaves unsaid filled in."""

    name: str
    criterion: str
    what: str
    why: str
    remedy: str
    thresholds: Sequence[Threshold]
    tolerated: float
    severity: Literal["error", "warning"]
    leaves_out: bool
    needs: frozenset[str]
    package: str
    look: Callable[[Row], Iterable[Hit]] | None
    gather: Callable[[Rows], Any] | None
    judge: Callable[[Sequence[Any], Whole], Judged] | None
    repair: Callable[[str], str] | None
    repair_answer: Callable[[str], str] | None
    deep: bool = False
    look_in: Callable[[Rows], Iterable[tuple[int, Hit]]] | None = None

    @property
    def installed(self) -> bool:
        return not self.package or find_spec(self.package) is not None


def load(name: str) -> Check:
    """One check. Raises `UserError` with the names that exist."""
    module = plugins.load(CHECKS, name)
    given = vars(module)
    assert given["criterion"] in CRITERIA, f"{name}: {given['criterion']} is none of the criteria"
    return Check(
        name,
        given["criterion"],
        given["what"],
        given["why"],
        given["remedy"],
        given["thresholds"],
        given.get("tolerated", 0.0),
        given.get("severity", "warning"),
        given.get("leaves_out", True),
        frozenset(given.get("needs", ())),
        given.get("package", ""),
        given.get("look"),
        given.get("gather"),
        given.get("judge"),
        given.get("repair"),
        given.get("repair_answer"),
        given.get("deep", False),
        given.get("look_in"),
    )


def chosen(skip: Iterable[str] = (), deep: bool = False) -> list[Check]:
    """Every check but those named, in the order of the criteria; those that say `deep` only where that is asked for.
    Raises `UserError` for a name that is none."""
    left_out = {load(name).name for name in skip}
    order = list(CRITERIA)
    found = [load(name) for name in plugins.names(CHECKS) if name not in left_out]
    found = [check for check in found if deep or not check.deep]
    return sorted(found, key=lambda check: (order.index(check.criterion), check.name))
