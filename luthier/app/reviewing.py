"""`luthier review` as a whole: the items made, the pages open until someone ends them, the votes summed up."""

from __future__ import annotations

import ipaddress
import os
import sys
import webbrowser
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from luthier.errors import UserError, mistake
from luthier.evaluation.review import BASE, Reviewed
from luthier.flow import Event, Note, Progress
from luthier.report.numbers import count
from luthier.workflow import votes_out
from luthier.workflow.signals import caught
from luthier.workflow.voted import MOST_ROWS, MOST_TOKENS, Prepared, conclude, opened_review

PACKAGES: Final = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "sqlalchemy": "sqlalchemy",
    "python_multipart": "python-multipart",
}
INSTALL: Final = "python -m pip install 'luthier[serve]'"
PORT: Final = 8402
MOST_RATERS: Final = 1000
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Review:
    """What a review came to, the file that was written, if any, and the signal that ended it, or 0."""

    reviewed: Reviewed
    written: votes_out.Written | None = None
    stopped_by: int = 0
    links: dict[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """As JSON holds it."""
        found = self.reviewed.data()
        if self.written:
            written = self.written
            found["export"] = {"path": written.path, "rows": written.rows, "left_out": dict(written.left_out)}
        return found


def review(
    run: str,
    *,
    against: str | Sequence[str] | None = None,
    data: str | None = None,
    rows: int = MOST_ROWS,
    raters: int | None = None,
    each_by: int = 1,
    checks: int | None = None,
    max_tokens: int = MOST_TOKENS,
    new: bool = False,
    scripted: bool = False,
    export: str | None = None,
    form: str = "trl",
    port: int | None = None,
    host: str = "127.0.0.1",
    browser: bool = True,
    root: Path = Path("runs"),
) -> Generator[Event, None, Review]:
    """Opens the review's pages until the owner ends them, or Ctrl-C; what was voted is then summed up in the run.

    With `export` no page is opened: the votes there are go into that file. Raises `UserError` where a package is
    missing, an option fits nothing, or there is nothing to review.
    """
    _require_packages()
    _require(rows, raters, each_by, checks, max_tokens, host)
    if export is not None:
        votes_out.require(export, form)
        prepared = opened_review(run, against, root)
        return (yield from _exported(prepared, export, "openai" if form == "openai" else "trl"))
    from luthier.workflow.review import prepare_review

    prepared = yield from prepare_review(
        run,
        against=against or BASE,
        data=data,
        rows=rows,
        each_by=each_by,
        checks=checks,
        kind="scripted" if scripted else "person",
        max_tokens=max_tokens,
        new=new,
        root=root,
    )
    return (yield from _opened(prepared, max(raters or 1, each_by), host, port, browser))


def _exported(prepared: Prepared, out: str, form: votes_out.Form) -> Generator[Event, None, Review]:
    from luthier.jobs.votes import open_votes

    terms = prepared.terms
    with (
        prepared.review.lock(),
        open_votes(prepared.review.database, prepared.items, each_by=terms.each_by, seed=terms.seed) as votes,
    ):
        given, names = votes.votes(), [rater.name for rater in votes.raters()]
    reviewed = yield from conclude(prepared, given, names)
    written = votes_out.write(prepared, given, reviewed, out, form)
    left = ", ".join(f"{many:,} {why}" for why, many in written.left_out.items() if many)
    yield Note("file", f"{count(written.rows, 'line')} in {out}{f'; left out: {left}' if left else ''}")
    return Review(reviewed, written)


def _opened(
    prepared: Prepared, raters: int, host: str, port: int | None, browser: bool
) -> Generator[Event, None, Review]:
    from luthier.app.pages.room import Room
    from luthier.app.pages.serving import hosts_of, listening, served
    from luthier.app.pages.site import review_site
    from luthier.jobs.beside import Beside
    from luthier.jobs.votes import Refused, open_votes

    terms = prepared.terms
    with (
        prepared.review.lock(),
        closing(Beside()) as beside,
        open_votes(prepared.review.database, prepared.items, each_by=terms.each_by, seed=terms.seed) as votes,
    ):
        try:
            votes.add_raters(raters, terms.kind)
            room = Room(prepared, votes, votes.owner_token, beside=beside)
            at = listening(host, port, votes.port(PORT))
            number = at.getsockname()[1]
            votes.keep_port(number)
        except Refused as refused:
            raise mistake(refused.words, str(prepared.review.database), "free some space, then type the same") from None
        shown = f"[{host}]" if ":" in host else host
        room.address = f"http://{shown}:{number}"
        with served(review_site(room, hosts_of(host, number)), at), caught() as signals:
            yield from _told(room, terms.kind == "scripted", host)
            if browser and _has_screen():
                webbrowser.open(room.owner_link if len(votes.raters()) > 1 else room.link(votes.raters()[0]))
            seen = -1
            while not (signals.number or room.ended.wait(LOOK_SECONDS)):
                if votes.changes != seen:
                    seen, progress = votes.changes, votes.progress()
                    yield Progress("votes", progress.done, progress.needed)
        given, names = votes.votes(), [rater.name for rater in votes.raters()]
        links = {rater.name: room.link(rater) for rater in votes.raters()} | {"owner": room.owner_link}
    reviewed = yield from conclude(prepared, given, names)
    return Review(reviewed, None, signals.number, links)


def _told(room: Any, scripted: bool, host: str) -> Generator[Event, None, None]:
    """The addresses, each with its token."""
    if not ipaddress.ip_address(host).is_loopback:
        yield Note("warning", f"the pages are open to whoever reaches {host} and has a link; nothing is encrypted")
    if scripted:
        yield Note("warning", "the votes are called scripted everywhere, and say nothing of what people prefer")
    for rater in room.votes.raters():
        yield Note("next", f"{rater.name} votes at {room.link(rater)}")
    yield Note("next", f"the votes as they come in, for you alone: {room.owner_link}")
    yield Note("next", "Ctrl-C, or the button there, ends it and sums it up; the same command goes on")


def _require_packages() -> None:
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise mistake(f"the review's pages need {', '.join(missing)}, not installed here", "luthier review", INSTALL)


def _require(rows: int, raters: int | None, each_by: int, checks: int | None, max_tokens: int, host: str) -> None:
    wrong = []
    numbers: Sequence[tuple[str, int | None, int, int]] = (
        ("--rows", rows, 1, 10**9),
        ("--raters", raters, 1, MOST_RATERS),
        ("--each-by", each_by, 1, MOST_RATERS),
        ("--checks", checks, 0, 10**6),
        ("--max-tokens", max_tokens, 1, 10**9),
    )
    for name, value, least, most in numbers:
        if value is not None and not least <= value <= most:
            wrong.append(mistake(f"{value} is out of range", name, f"write a number from {least} to {most:,}"))
    if raters is not None and each_by > raters:
        message = f"an item cannot go to {each_by} of {count(raters, 'rater')}"
        wrong.append(mistake(message, "--each-by", f"write --raters {each_by}, or a smaller --each-by"))
    try:
        unspecified = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        wrong.append(mistake(f"{host!r} is no address", "--host", "write this machine's IP address, as 192.168.1.5"))
    else:
        if unspecified:
            message = "every address at once cannot be told apart from a stranger's"
            wrong.append(mistake(message, "--host", "name the one that raters type, as 192.168.1.5"))
    if wrong:
        raise UserError([one for error in wrong for one in error.mistakes])


def _has_screen() -> bool:
    """Whether a browser would open in a window: without one, some start in the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
