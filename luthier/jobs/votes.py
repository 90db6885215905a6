"""The votes of a review while people vote: who is asked what next, and every choice on the disk before it is answered.

One process keeps them, for many threads. What is asked and chosen stands in SQLite and, the same, in memory: the disk
is written first, so that whatever was answered is there after a kill, and memory answers what is read often.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, Final, Literal

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from luthier.errors import mistake
from luthier.evaluation import pairing
from luthier.evaluation.ballots import Shown
from luthier.evaluation.review import chosen
from luthier.flow import Choice, ReviewItem, Side, Vote

Kind = Literal["person", "scripted"]

LONGEST_NOTE: Final = 2000
TOGETHER_SECONDS: Final = 0.0005
"""So long a vote waits for others that arrive now, to be forced to the disk with them."""
STALE_SECONDS: Final = 600.0
"""After so long without a vote, an item that nobody else is left for goes to another rater too."""

_TABLES: Final = MetaData()
_KEPT = Table("kept", _TABLES, Column("name", String, primary_key=True), Column("value", String, nullable=False))
_RATERS = Table(
    "raters",
    _TABLES,
    Column("rater", String, primary_key=True),
    Column("token", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
)
_ASKED = Table(
    "asked",
    _TABLES,
    Column("place", Integer, primary_key=True),
    Column("rater", String, nullable=False),
    Column("item", Integer, nullable=False),
    Column("left", String, nullable=False),
    Column("since", Float, nullable=False),
    Column("choice", String),
    Column("note", String, nullable=False, default=""),
    Column("at", String),
    Column("vote_order", Integer, unique=True),
    Column("seconds", Float),
    UniqueConstraint("rater", "item"),
    CheckConstraint("(choice is null) = (vote_order is null)"),
)


class Refused(Exception):
    """A vote that is not taken. `status` is what HTTP calls the reason, `words` what the rater reads."""

    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Rater:
    """Who votes, by a link with this token."""

    name: str
    token: str
    kind: Kind


@dataclass(slots=True)
class Asked:
    """An item in front of a rater, and what they chose."""

    place: int
    rater: str
    item: int
    left: Side
    since: float
    choice: Choice | None = None
    note: str = ""
    at: str = ""
    order: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """`mine` votes of one rater; `done` of `needed` votes of all, attention checks aside."""

    mine: int
    done: int
    needed: int


@dataclass(slots=True)
class _Desk:
    """What one rater has before them: the order of all items for them, how far it was looked through, and what they
    were asked."""

    order: list[int]
    looked: int = 0
    asked: dict[int, Asked] = field(default_factory=dict)
    open: list[Asked] = field(default_factory=list)
    voted: list[Asked] = field(default_factory=list)


class Votes:
    """The open votes of one review. Made by `open_votes`; every method may be called from any thread."""

    def __init__(
        self,
        engine: Engine,
        items: Sequence[ReviewItem],
        each_by: int,
        seed: int,
        clock: Callable[[], datetime],
    ) -> None:
        self.items = {item.number: item for item in items}
        self.each_by, self.seed = each_by, seed
        self._engine, self._clock, self._lock = engine, clock, RLock()
        self._real = sum(not item.check for item in items)
        self._several = any(item.pairs for item in items)
        self._run_is_left = pairing.run_is_left(items, random.Random(f"{seed} sides")) if self._several else {}
        self._raters: dict[str, Rater] = {}
        self._by_token: dict[str, Rater] = {}
        self._desks: dict[str, _Desk] = {}
        self._given: dict[int, list[Asked]] = defaultdict(list)
        self._done: dict[int, int] = defaultdict(int)
        self._counted = 0
        self._last_order = self._last_place = 0
        self._batch: _Batch | None = None
        self.changes = 0
        """Grows with every vote and every one taken back."""
        self._restore()

    # ------------------------------------------------------------------------------------------------------- raters

    @property
    def owner_token(self) -> str:
        """What opens the owner's view; the same for as long as the review is kept."""
        return self._kept("owner_token", lambda: secrets.token_urlsafe(24))

    def port(self, otherwise: int) -> int:
        """The port at which the links were first given out."""
        return int(self._kept("port", lambda: str(otherwise)))

    def keep_port(self, port: int) -> None:
        with self._writing() as connection:
            connection.execute(insert(_KEPT).prefix_with("OR REPLACE"), {"name": "port", "value": str(port)})

    def raters(self) -> list[Rater]:
        with self._lock:
            return list(self._raters.values())

    def add_raters(self, up_to: int, kind: Kind) -> list[Rater]:
        """New raters, `rater 3` and on, until there are so many; gives those that are new."""
        new = []
        with self._lock:
            while len(self._raters) < up_to:
                rater = Rater(f"rater {len(self._raters) + 1}", secrets.token_urlsafe(24), kind)
                with self._writing() as connection:
                    values = {"rater": rater.name, "token": rater.token, "kind": rater.kind}
                    connection.execute(insert(_RATERS), values)
                self._seat(rater)
                new.append(rater)
        return new

    def rater_of(self, token: str) -> Rater | None:
        """Whose link it is. Tokens are found by their hash, which takes as long for a near one as for any."""
        return self._by_token.get(token)

    # -------------------------------------------------------------------------------------------------------- voting

    def next(self, rater: Rater) -> Asked | None:
        """What to ask a rater now, the same until they vote; None where nothing is left for them.

        An item goes to `each_by` raters, first come, in each rater's own order; attention checks go to all. What
        another rater has had open for long is handed on once nothing else is left.
        """
        with self._lock:
            desk = self._desks[rater.name]
            if desk.open:
                return min(desk.open, key=lambda asked: asked.place)
            with self._writing() as connection:
                asked = self._upcoming(rater, desk, connection)
            if asked:
                self._put(desk, asked)
            return asked

    def vote(self, rater: Rater, item: int, shown: Shown, note: str = "") -> Asked:
        """Keeps a vote, and with it what the rater is asked next; once it returns, both are on the disk. The same vote
        again changes nothing.

        Raises `Refused` for an item that the rater was not asked, for another choice than the one made before, for a
        note that is too long, and where the disk takes nothing: then nothing has changed.
        """
        if len(note) > LONGEST_NOTE:
            raise Refused(
                413,
                f"The note has {len(note):,} characters, and {LONGEST_NOTE:,} is the most: the vote was not taken. "
                "Shorten the note and vote again.",
            )
        with self._lock:
            desk = self._desks[rater.name]
            asked = desk.asked.get(item)
            if asked is None:
                raise Refused(404, "There is no such item for you, so the vote was not taken.")
            choice = chosen(shown, asked.left)
            if asked.choice is not None:
                if asked.choice == choice and asked.note == note:
                    return asked
                raise Refused(
                    409, "You have voted on this item already, and that vote stands. To change it, undo it first (u)."
                )
            now = self._clock()
            order, at, seconds = self._last_order + 1, now.isoformat(timespec="seconds"), now.timestamp() - asked.since
            values = {"choice": choice, "note": note, "at": at, "vote_order": order, "seconds": seconds}
            with self._together() as batch:
                batch.connection.execute(update(_ASKED).where(_ASKED.c.place == asked.place).values(**values))
                upcoming = self._upcoming(rater, desk, batch.connection, after=asked)
            self._last_order = order
            asked.choice, asked.note, asked.at, asked.order, asked.seconds = choice, note, at, order, seconds
            desk.open.remove(asked)
            self._count(desk, asked)
            if upcoming:
                self._put(desk, upcoming)
        self._settle(batch)
        return asked

    def undo(self, rater: Rater) -> Asked | None:
        """Takes the rater's last vote back and asks it again; None where there is none."""
        with self._lock:
            desk = self._desks[rater.name]
            if not desk.voted:
                return None
            asked = desk.voted[-1]
            since = self._clock().timestamp()
            values = {"choice": None, "note": "", "at": None, "vote_order": None, "seconds": None, "since": since}
            with self._writing() as connection:
                connection.execute(update(_ASKED).where(_ASKED.c.place == asked.place).values(**values))
            desk.voted.pop()
            desk.open.append(asked)
            self._counted -= self._counts(asked.item)
            self._done[asked.item] -= 1
            asked.choice, asked.note, asked.at, asked.order, asked.seconds = None, "", "", None, None
            asked.since = since
            self.changes += 1
            return asked

    def progress(self, rater: Rater | None = None) -> Progress:
        with self._lock:
            mine = len(self._desks[rater.name].voted) if rater else 0
            return Progress(mine, self._counted, self._real * self.each_by)

    def votes(self) -> list[Vote]:
        """Every vote that stands, in the order in which they came."""
        with self._lock:
            self._flush()
            found = [
                Vote(one.item, one.rater, rater.kind, one.left, one.choice, one.note, one.at, one.order, one.seconds)
                for name, rater in self._raters.items()
                for one in self._desks[name].voted
                if one.choice is not None and one.order is not None
            ]
        return sorted(found, key=lambda vote: vote.order)

    # ---------------------------------------------------------------------------------------------------- what is next

    def _fresh(self, desk: _Desk) -> int | None:
        """The first item in the rater's order that they were not asked and that too few raters were."""
        while desk.looked < len(desk.order):
            item = desk.order[desk.looked]
            if item not in desk.asked and (self.items[item].check or len(self._given[item]) < self.each_by):
                return item
            desk.looked += 1
        return None

    def _left_lying(self, desk: _Desk) -> int | None:
        before = self._clock().timestamp() - STALE_SECONDS
        for item in desk.order:
            if item in desk.asked or self.items[item].check or self._done[item] >= self.each_by:
                continue
            if all(one.choice is not None or one.since < before for one in self._given[item]):
                return item
        return None

    def _upcoming(self, rater: Rater, desk: _Desk, connection: Connection, after: Asked | None = None) -> Asked | None:
        """What a rater is asked once they voted on `after`, written in this transaction; None where something is open
        before them or nothing is left."""
        if any(one is not after for one in desk.open):
            return None
        item = self._fresh(desk)
        if item is None:
            item = self._left_lying(desk)
        if item is None:
            return None
        asked = self._asked(rater, item)
        values = {"place": asked.place, "rater": rater.name, "item": item, "left": asked.left, "since": asked.since}
        connection.execute(insert(_ASKED), values)
        return asked

    def _asked(self, rater: Rater, item: int) -> Asked:
        if self._several:
            run_is_left = self._run_is_left[item] ^ (_number(rater) % 2 == 1)
        else:
            run_is_left = random.Random(f"{self.seed} {item} {rater.name}").random() < 0.5
        side: Side = "run" if run_is_left else "against"
        return Asked(self._last_place + 1, rater.name, item, side, self._clock().timestamp())

    # ------------------------------------------------------------------------------------------- memory and the disk

    def _restore(self) -> None:
        """What the disk holds, and nothing else."""
        for held in (self._raters, self._by_token, self._desks, self._given, self._done):
            held.clear()
        self._counted = self._last_order = self._last_place = 0
        self.changes += 1
        with self._engine.connect() as connection:
            for row in connection.execute(select(_RATERS).order_by(_RATERS.c.rater.collate("BINARY"))):
                self._seat(Rater(row.rater, row.token, row.kind))
            self._raters = dict(sorted(self._raters.items(), key=lambda pair: _number(pair[1])))
            rows = connection.execute(select(_ASKED).order_by(_ASKED.c.vote_order, _ASKED.c.place)).all()
        for row in rows:
            if row.item not in self.items or row.rater not in self._desks:
                raise ValueError(f"a vote on item {row.item} of {row.rater}, which the review does not have")
            asked = Asked(row.place, row.rater, row.item, row.left, row.since)
            desk = self._desks[row.rater]
            self._last_place = max(self._last_place, asked.place)
            if row.choice is None:
                self._put(desk, asked)
                continue
            asked.choice, asked.note, asked.at, asked.order = row.choice, row.note, row.at, row.vote_order
            asked.seconds = row.seconds
            self._last_order = max(self._last_order, row.vote_order)
            desk.asked[asked.item] = asked
            self._given[asked.item].append(asked)
            self._count(desk, asked)

    def _seat(self, rater: Rater) -> None:
        generator = random.Random(f"{self.seed} {rater.name}")
        order = list(self.items)
        if self._several:
            order = pairing.order_for(list(self.items.values()), generator)
        else:
            generator.shuffle(order)
        self._raters[rater.name] = self._by_token[rater.token] = rater
        self._desks[rater.name] = _Desk(order)

    def _put(self, desk: _Desk, asked: Asked) -> None:
        self._last_place = max(self._last_place, asked.place)
        desk.asked[asked.item] = asked
        desk.open.append(asked)
        self._given[asked.item].append(asked)

    def _count(self, desk: _Desk, asked: Asked) -> None:
        desk.voted.append(asked)
        self._done[asked.item] += 1
        self._counted += self._counts(asked.item)
        self.changes += 1

    def _counts(self, item: int) -> int:
        """Whether the last vote of an item is one of those needed: votes on checks and beyond `each_by` are not."""
        return int(not self.items[item].check and self._done[item] <= self.each_by)

    def _kept(self, name: str, otherwise: Callable[[], str]) -> str:
        with self._lock, self._writing() as connection:
            found = connection.execute(select(_KEPT.c.value).where(_KEPT.c.name == name)).scalar_one_or_none()
            if found is None:
                found = otherwise()
                connection.execute(insert(_KEPT), {"name": name, "value": found})
            return str(found)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction; after it, what was written is on the disk. Raises `Refused` where the disk takes nothing."""
        with self._lock:
            self._flush()
            try:
                with self._engine.begin() as connection:
                    yield connection
            except DatabaseError as error:
                raise _not_kept(error) from error

    @contextmanager
    def _together(self) -> Iterator[_Batch]:
        """The transaction that votes arriving at the same time share: forcing it to the disk takes far longer than
        writing it. What is written in it counts once `_settle` returns. Only with the lock."""
        if self._batch is None:
            connection = self._engine.connect()
            self._batch = _Batch(connection)
        batch = self._batch
        try:
            yield batch
        except DatabaseError as error:
            self._drop(batch, error)
            raise _not_kept(error) from error

    def _settle(self, batch: _Batch) -> None:
        """Returns once the batch is on the disk; raises `Refused` where it is not, and then nothing of it is."""
        time.sleep(TOGETHER_SECONDS)
        with self._lock:
            if not batch.done:
                self._flush()
        if batch.error:
            raise _not_kept(batch.error)

    def _flush(self) -> None:
        """Forces the open batch to the disk. Only with the lock."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        try:
            batch.connection.commit()
        except DatabaseError as error:
            self._drop(batch, error)
        else:
            batch.done = True
            batch.connection.close()

    def _drop(self, batch: _Batch, error: DatabaseError) -> None:
        """Takes a batch back, from memory too."""
        batch.error, batch.done = error, True
        self._batch = None
        with suppress(DatabaseError):
            batch.connection.rollback()
        batch.connection.close()
        self._restore()


@dataclass(slots=True)
class _Batch:
    """A transaction of several votes: `done` once it is decided, `error` where it was taken back."""

    connection: Connection
    done: bool = False
    error: DatabaseError | None = None


def _number(rater: Rater) -> int:
    return int(rater.name.split()[-1])


def _not_kept(error: DatabaseError) -> Refused:
    words = str(error.orig)
    why = "the disk is full" if "full" in words else f"the disk did not take it ({words})"
    return Refused(
        507,
        f"Nothing was kept, because {why}. All earlier votes are safe. "
        "Once there is room on the disk of the one who runs this review, vote again.",
    )


@contextmanager
def open_votes(
    path: Path,
    items: Sequence[ReviewItem],
    *,
    each_by: int,
    seed: int,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Votes]:
    """The votes in a database, made where there is none. Only this user may read it: it holds the raters' tokens.

    Raises `UserError` where it cannot be opened or is not this review's.
    """
    new = not path.exists()
    path.touch(mode=0o600)
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 10}
    )
    event.listen(engine, "connect", _safely)
    try:
        try:
            _TABLES.create_all(engine)
            votes = Votes(engine, items, each_by, seed, clock)
        except (DatabaseError, ValueError) as error:
            if new:
                path.unlink(missing_ok=True)
            why = str(error.orig) if isinstance(error, DatabaseError) else str(error)
            remedy = "free some space, or put back the file as it was; --new begins another review beside it"
            raise mistake(f"the votes cannot be opened: {why}", str(path), remedy) from error
        yield votes
        with votes._lock:
            votes._flush()
    finally:
        engine.dispose()


def _safely(connection: Any, record: Any) -> None:
    """A commit returns once its write is forced to the disk; a killed process leaves whole transactions only."""
    del record
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
