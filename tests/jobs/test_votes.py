"""The open votes of a review: who is asked what, what a vote changes, and what is there after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from luthier.errors import UserError
from luthier.flow import Message, Place, ReviewItem
from luthier.jobs.votes import LONGEST_NOTE, STALE_SECONDS, Rater, Refused, Votes, open_votes

ROOT = Path(__file__).resolve().parents[2]


def items(count: int, checks: int = 0) -> list[ReviewItem]:
    return [
        ReviewItem(
            number,
            Place("rows.jsonl", number),
            None,
            (Message("user", f"question {number}"),),
            f"mine {number}",
            f"theirs {number}",
            check="same" if number > count else "",
        )
        for number in range(1, count + checks + 1)
    ]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def opened(
    folder: Path, asked: list[ReviewItem], raters: int = 1, each_by: int = 1, clock: Clock | None = None
) -> Iterator[Votes]:
    with open_votes(folder / "votes.sqlite", asked, each_by=each_by, seed=0, clock=clock or Clock()) as votes:
        votes.add_raters(raters, "scripted")
        yield votes


def answered(votes: Votes, rater: Rater, most: int = 10**6) -> list[int]:
    """The items that a rater is asked when they always choose the left answer."""
    seen: list[int] = []
    while len(seen) < most and (asked := votes.next(rater)):
        votes.vote(rater, asked.item, "left")
        seen.append(asked.item)
    return seen


def test_each_rater_has_an_order_and_sides_of_their_own_and_keeps_them(tmp_path: Path) -> None:
    with opened(tmp_path, items(40), raters=2, each_by=2) as votes:
        one, other = votes.raters()
        first = votes.next(one)
        assert first is not None
        assert votes.next(one) is first
        orders = [answered(votes, rater) for rater in (one, other)]
        sides = {(vote.rater, vote.item): vote.left for vote in votes.votes()}
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1, 41))
    assert orders[0] != orders[1]
    unlike = sum(sides[one.name, number] != sides[other.name, number] for number in range(1, 41))
    assert 5 < unlike < 35
    assert 8 < Counter(sides.values())["run"] / 2 < 32
    (tmp_path / "again").mkdir()
    with opened(tmp_path / "again", items(40), raters=2, each_by=2) as votes:
        assert [answered(votes, rater) for rater in votes.raters()] == orders


def test_an_item_goes_to_as_many_raters_as_it_is_to_and_checks_to_all(tmp_path: Path) -> None:
    with opened(tmp_path, items(12, checks=2), raters=3, each_by=2) as votes:
        for _ in range(14):
            for rater in votes.raters():
                if asked := votes.next(rater):
                    votes.vote(rater, asked.item, "left")
        seen = Counter(vote.item for vote in votes.votes())
        progress = votes.progress(votes.raters()[0])
    assert seen == Counter(dict.fromkeys(range(1, 13), 2) | {13: 3, 14: 3})
    assert (progress.done, progress.needed, progress.mine) == (24, 24, 10)


def test_the_side_of_a_choice_becomes_the_model_behind_it(tmp_path: Path) -> None:
    with opened(tmp_path, items(30)) as votes:
        (rater,) = votes.raters()
        while asked := votes.next(rater):
            votes.vote(rater, asked.item, "right")
        for vote in votes.votes():
            assert vote.choice == ("against" if vote.left == "run" else "run")


def test_the_same_vote_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path, items(2)) as votes:
        (rater,) = votes.raters()
        asked = votes.next(rater)
        assert asked is not None
        votes.vote(rater, asked.item, "both_good", "fine")
        changes = votes.changes
        votes.vote(rater, asked.item, "both_good", "fine")
        with pytest.raises(Refused, match="voted on this item already") as refused:
            votes.vote(rater, asked.item, "both_bad", "fine")
        assert refused.value.status == 409
        assert votes.changes == changes
        assert [vote.choice for vote in votes.votes()] == ["both_good"]


def test_a_vote_for_no_item_or_one_not_asked_or_with_a_long_note_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path, items(3)) as votes:
        (rater,) = votes.raters()
        asked = votes.next(rater)
        assert asked is not None
        not_asked = next(number for number in (1, 2, 3) if number != asked.item)
        for number in (99, not_asked):
            with pytest.raises(Refused, match="no such item"):
                votes.vote(rater, number, "left")
        with pytest.raises(Refused, match="2,001 characters"):
            votes.vote(rater, asked.item, "left", "x" * (LONGEST_NOTE + 1))
        assert votes.votes() == []


def test_undo_takes_back_one_vote_after_another_and_asks_them_again(tmp_path: Path) -> None:
    with opened(tmp_path, items(5)) as votes:
        (rater,) = votes.raters()
        first, second = answered(votes, rater, 2)
        waiting = votes.next(rater)
        assert waiting is not None
        for expected in (second, first):
            undone = votes.undo(rater)
            assert undone is not None
            assert undone.item == expected
            again = votes.next(rater)
            assert again is not None
            assert again.item == expected
        assert votes.undo(rater) is None
        assert votes.progress(rater).done == 0
        assert answered(votes, rater)[:3] == [first, second, waiting.item]
        assert sorted(vote.item for vote in votes.votes()) == [1, 2, 3, 4, 5]


def test_a_vote_knows_how_long_its_item_was_before_the_rater(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, items(3), clock=clock) as votes:
        (rater,) = votes.raters()
        for seconds in (4, 9):
            asked = votes.next(rater)
            assert asked is not None
            clock.now += timedelta(seconds=seconds)
            votes.vote(rater, asked.item, "left")
        clock.now += timedelta(seconds=100)
        undone = votes.undo(rater)
        assert undone is not None
        clock.now += timedelta(seconds=7)
        votes.vote(rater, undone.item, "left")
        assert [vote.seconds for vote in votes.votes()] == [4, 7]
    with opened(tmp_path, items(3), clock=clock) as votes:
        assert [vote.seconds for vote in votes.votes()] == [4, 7]


def test_two_raters_on_one_item_at_once_lose_no_vote(tmp_path: Path) -> None:
    with opened(tmp_path, items(60), raters=8, each_by=8) as votes:
        together = Barrier(8)

        def work(rater: Rater) -> None:
            together.wait()
            answered(votes, rater)

        threads = [Thread(target=work, args=(rater,)) for rater in votes.raters()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = votes.votes()
    assert len({(vote.rater, vote.item) for vote in found}) == len(found) == 480
    assert [vote.order for vote in found] == list(range(1, 481))


def test_what_a_rater_left_open_goes_to_another_after_a_while(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, items(3), raters=2, clock=clock) as votes:
        gone, there = votes.raters()
        left = votes.next(gone)
        assert left is not None
        assert len(answered(votes, there)) == 2
        clock.now += timedelta(seconds=STALE_SECONDS - 1)
        assert votes.next(there) is None
        clock.now += timedelta(seconds=2)
        assert answered(votes, there) == [left.item]
        votes.vote(gone, left.item, "left")  # came back: that vote is kept too
        assert len(votes.votes()) == 4
        assert (votes.progress().done, votes.progress().needed) == (3, 3)
        votes.undo(gone)
        assert votes.progress().done == 3


def test_raters_links_order_and_votes_are_the_same_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path, items(12), raters=11, each_by=2) as votes:
        raters, owner = votes.raters(), votes.owner_token
        answered(votes, raters[10], 3)
        votes.undo(raters[10])
        waiting, before = votes.next(raters[10]), votes.votes()
        votes.keep_port(4321)
    with opened(tmp_path, items(12), raters=12, each_by=2) as votes:
        assert votes.raters()[:11] == raters
        assert [rater.name for rater in votes.raters()][9:] == ["rater 10", "rater 11", "rater 12"]
        assert votes.owner_token == owner
        assert votes.port(1) == 4321
        assert votes.next(raters[10]) == waiting
        assert votes.votes() == before
        assert votes.progress().done == 2
    assert (tmp_path / "votes.sqlite").stat().st_mode & 0o777 == 0o600


def test_every_vote_that_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.jobs.test_votes import items, opened\n"
        "with opened(Path(sys.argv[1]), items(400), raters=2, each_by=2) as votes:\n"
        "    while True:\n"
        "        for rater in votes.raters():\n"
        "            asked = votes.next(rater)\n"
        "            votes.vote(rater, asked.item, 'left', 'a note')\n"
        "            print(rater.name, asked.item, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(60)]
    os.kill(child.pid, signal.SIGKILL)
    said += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    answered_before = {line.strip() for line in said if line.endswith("\n")}
    with opened(tmp_path, items(400), raters=2, each_by=2) as votes:
        found = {f"{vote.rater} {vote.item}" for vote in votes.votes()}
    assert len(answered_before) >= 60
    assert answered_before <= found
    assert len(found) <= len(answered_before) + 1


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path, items(2)) as votes, votes._writing() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_full_disk_refuses_the_vote_in_words_and_loses_none(tmp_path: Path) -> None:
    with opened(tmp_path, items(200)) as votes:
        (rater,) = votes.raters()
        answered(votes, rater, 5)
        with votes._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        asked = votes.next(rater)
        assert asked is not None
        before = votes.votes()
        full = None
        while full is None and asked is not None:
            try:
                votes.vote(rater, asked.item, "left", "n" * 1500)
                before, asked = votes.votes(), votes.next(rater)
            except Refused as refused:
                full = refused
        assert full is not None
        assert full.status == 507
        assert "the disk is full" in full.words
        assert votes.votes() == before
        with votes._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=100000")
        assert len(answered(votes, rater)) == 200 - len(before)
    with opened(tmp_path, items(200)) as votes:
        assert len(votes.votes()) == 200


def test_votes_at_the_same_time_that_a_full_disk_refuses_are_all_refused_and_none_is_counted(tmp_path: Path) -> None:
    with opened(tmp_path, items(300), raters=12, each_by=12) as votes:
        with votes._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 12}")
        together, answered_as_kept, refused = Barrier(12), [], []

        def work(rater: Rater) -> None:
            together.wait()
            try:
                while asked := votes.next(rater):
                    votes.vote(rater, asked.item, "left", "n" * 1000)
                    answered_as_kept.append((rater.name, asked.item))
            except Refused as error:
                refused.append(error.status)

        threads = [Thread(target=work, args=(rater,)) for rater in votes.raters()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused == [507] * 12
        assert len(answered_as_kept) > 12
        assert {(vote.rater, vote.item) for vote in votes.votes()} == set(answered_as_kept)
        assert votes.progress().done == len(answered_as_kept)
    with opened(tmp_path, items(300), raters=12, each_by=12) as votes:
        assert {(vote.rater, vote.item) for vote in votes.votes()} == set(answered_as_kept)


def test_votes_of_another_review_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path, items(3)) as votes:
        answered(votes, votes.raters()[0])
    with (
        pytest.raises(UserError, match="a vote on item 3 of rater 1, which the review does not have"),
        opened(tmp_path, items(2)),
    ):
        pass
    (tmp_path / "votes.sqlite").write_bytes(b"no database" * 1000)
    for more in ("votes.sqlite-wal", "votes.sqlite-shm"):
        (tmp_path / more).unlink(missing_ok=True)
    with pytest.raises(UserError, match="the votes cannot be opened"), opened(tmp_path, items(3)):
        pass
    assert (tmp_path / "votes.sqlite").exists()


def test_the_database_is_one_that_any_tool_reads(tmp_path: Path) -> None:
    with opened(tmp_path, items(3)) as votes:
        answered(votes, votes.raters()[0], 2)
        with sqlite3.connect(tmp_path / "votes.sqlite") as other:
            assert other.execute("select count(*) from asked where choice is not null").fetchone() == (2,)
        other.close()
