"""How fast the review's page answers: 5,000 items, 20 raters voting at once, and the owner looking on. A script votes.

`python -m benchmarks.review [--seconds 60]` serves a made-up review from a process of its own at 127.0.0.1, and votes
in two ways: each rater once a second (faster than anybody reads), then each as soon as the last vote was answered. The
time of a vote is from sending it until the next item is there. Goal: 100 ms at the 95th percentile.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from benchmarks.measuring import RESULTS, ROOT, Kept, code_of

ITEMS, RATERS, EACH_BY, BEFORE = 5_000, 20, 4, 4_000
GOAL_SECONDS: Final = 0.1
CODE: Final = ("benchmarks/review.py", "luthier/app/pages", "luthier/jobs", "luthier/evaluation", "luthier/statistics")
CHOICES: Final = ("left", "right", "left", "right", "both_good", "both_bad")


@dataclass(frozen=True, slots=True)
class Load:
    """How long votes took, in seconds; `views` are the owner's looks at the tally."""

    raters: int
    seconds: float
    votes: int
    votes_a_second: float
    median: float
    p95: float
    p99: float
    longest: float
    views: int
    view_p95: float


def serve(folder: Path) -> None:
    """A review of made-up answers with `BEFORE` votes in it; prints its links, and ends with its standard input."""
    from luthier.app.pages.room import Room
    from luthier.app.pages.serving import hosts_of, listening, served
    from luthier.app.pages.site import review_site
    from luthier.flow import Message, Place, ReviewItem
    from luthier.jobs.beside import Beside
    from luthier.jobs.votes import open_votes
    from luthier.runs.reviews import KeptReview, Terms
    from luthier.runs.run import Run
    from luthier.workflow.voted import Prepared

    chance = random.Random(0)
    words = [
        "the",
        "order",
        "payment",
        "card",
        "was",
        "charged",
        "twice",
        "and",
        "will",
        "be",
        "paid",
        "back",
        "to",
        "your",
        "account",
        "within",
        "five",
        "days",
    ]

    def text(length: int) -> str:
        return " ".join(chance.choices(words, k=length))

    items = [
        ReviewItem(
            number,
            Place("rows.jsonl", number),
            chance.choice(("payment", "delivery", "return")),
            (Message("user", text(30)),),
            text(chance.randrange(20, 300)),
            text(chance.randrange(20, 300)),
        )
        for number in range(1, ITEMS + 1)
    ]
    run = Run.create(folder, "load")
    run.write_settings("data: {train: rows.jsonl}\n", {})
    terms = Terms("base", "scripted", EACH_BY, "rows.jsonl", "", "", "", 512, 0, 0)
    review = KeptReview.begin(run, terms, items)
    with ExitStack() as stack:
        votes = stack.enter_context(open_votes(review.database, items, each_by=EACH_BY, seed=0))
        votes.add_raters(RATERS, "scripted")
        for turn in range(BEFORE):
            rater = votes.raters()[turn % RATERS]
            asked = votes.next(rater)
            assert asked is not None
            votes.vote(rater, asked.item, chance.choice(("left", "right")))
        beside = stack.enter_context(closing(Beside()))
        room = Room(Prepared(run, review, terms, items), votes, votes.owner_token, beside=beside)
        at = listening("127.0.0.1", 0, 0)
        port = at.getsockname()[1]
        room.address = f"http://127.0.0.1:{port}"
        with served(review_site(room, hosts_of("127.0.0.1", port)), at):
            links = [room.link(rater) for rater in votes.raters()]
            print(json.dumps({"raters": links, "owner": room.owner_link}), flush=True)
            sys.stdin.read()
        print(len(votes.votes()), flush=True)


def load(links: Sequence[str], owner: str, seconds: float, pause: float) -> Load:
    """All raters vote for so long, each `pause` seconds after the last vote began; the owner's page asks as it does."""
    took: list[list[float]] = [[] for _ in links]
    views: list[float] = []
    faults: list[BaseException] = []
    ends = time.perf_counter() + seconds

    def guarded(work: Any, *words: Any) -> None:
        try:
            work(*words)
        except BaseException as fault:  # noqa: BLE001 - told to the thread that waits
            faults.append(fault)

    def vote(number: int) -> None:
        chance = random.Random(number)
        address = urlsplit(links[number])
        with closing(HTTPConnection(address.netloc)) as connection:
            item = _item(_answer(connection, "GET", address.path))
            time.sleep(chance.random() * pause)
            while (began := time.perf_counter()) < ends:
                body = urlencode({"item": item, "choice": chance.choice(CHOICES), "note": ""})
                html = _answer(connection, "POST", f"{address.path}/vote", body)
                took[number].append(time.perf_counter() - began)
                item = _item(html)
                time.sleep(max(0.0, pause - (time.perf_counter() - began)))

    def look() -> None:
        address = urlsplit(owner)
        with closing(HTTPConnection(address.netloc)) as connection:
            while (began := time.perf_counter()) < ends:
                _answer(connection, "GET", f"{address.path}/now")
                views.append(time.perf_counter() - began)
                time.sleep(3)

    threads = [threading.Thread(target=guarded, args=(vote, number)) for number in range(len(links))]
    threads.append(threading.Thread(target=guarded, args=(look,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    times = sorted(second for one in took for second in one)
    cuts = quantiles(times, n=100, method="inclusive")
    return Load(
        len(links),
        seconds,
        len(times),
        len(times) / seconds,
        cuts[49],
        cuts[94],
        cuts[98],
        times[-1],
        len(views),
        max(views) if len(views) < 20 else quantiles(views, n=100)[94],
    )


def measured(seconds: float) -> dict[str, Load]:
    """The two ways of voting, on a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.review", "--serve", folder]
        server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            links = json.loads(server.stdout.readline())
            found = {
                "a vote a second each": load(links["raters"], links["owner"], seconds, 1.0),
                "without a pause": load(links["raters"], links["owner"], seconds / 2, 0.0),
            }
            kept, _ = server.communicate("")
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
    answered = BEFORE + sum(one.votes for one in found.values())
    assert int(kept.split()[-1]) == answered, f"{answered} votes were answered, {kept.split()[-1]} are kept"
    return found


def _answer(connection: HTTPConnection, method: str, path: str, body: str | None = None) -> str:
    headers = {"HX-Request": "true"} | ({"Content-Type": "application/x-www-form-urlencoded"} if body else {})
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} for {method} {path}: {text[:500]}")
    return text


def _item(html: str) -> str:
    found = re.search(r'name="item" value="(\d+)"', html)
    if found is None:
        raise RuntimeError(f"no item is left: {html[:500]}")
    return found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=RESULTS / "review.json")
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    kept, code = Kept(given.out), code_of(*CODE)
    print(f"{ITEMS:,} items, {RATERS} raters, {BEFORE:,} votes before; goal {1000 * GOAL_SECONDS:.0f} ms at p95")
    for name, one in measured(given.seconds).items():
        kept.keep(name, code, {"made by": "a script, no person voted"} | asdict(one))
        shown = ", ".join(f"{what} {1000 * getattr(one, what):.1f} ms" for what in ("median", "p95", "p99", "longest"))
        print(f"{name}: {one.votes:,} votes, {one.votes_a_second:.1f} a second; {shown}; owner {one.view_p95:.2f} s")


if __name__ == "__main__":
    main()
