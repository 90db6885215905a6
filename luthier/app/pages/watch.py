"""The owner's view: votes as they come in, how sure they are, whether more are needed, and files to take away."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from luthier.app.pages.rendering import page
from luthier.app.pages.room import Room
from luthier.app.pages.vote import nobody
from luthier.evaluation.course import Seen
from luthier.evaluation.review import BASE, Reviewed, outcomes
from luthier.settings.targets import parse_target
from luthier.workflow import votes_out

PATH: Final = "/o/{token}"
TITLE: Final = "Review"
JSON_LINES: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Course:
    """How the preferred share went, in a box 100 wide and 100 high: paths, and the target's height."""

    line: str
    inner: str
    band: str
    target: float | None
    votes: int


@dataclass(frozen=True, slots=True)
class Row:
    """A system's wins over each; None over itself."""

    name: str
    cells: tuple[int | None, ...]


def routes(room: Room) -> APIRouter:
    """The page, the part of it that is renewed, the files, and the end of the review."""
    router = APIRouter()

    def is_owner(token: str) -> bool:
        return secrets.compare_digest(token.encode(), room.owner_token.encode())

    @router.get(PATH)
    def show(token: str) -> Response:
        return page("watch.html.j2", **_data(room)) if is_owner(token) else nobody()

    @router.get(f"{PATH}/now")
    def now(token: str) -> Response:
        return page("tally.html.j2", **_data(room)) if is_owner(token) else nobody()

    @router.get(f"{PATH}/votes.csv")
    def as_csv(token: str) -> Response:
        if not is_owner(token):
            return nobody()
        return _file(votes_out.table(room.prepared, room.votes.votes()), "votes.csv", "text/csv")

    @router.get(f"{PATH}/votes.json")
    def as_json(token: str) -> Response:
        if not is_owner(token):
            return nobody()
        content = votes_out.whole(room.prepared, room.votes.votes(), room.summary(at_once=True))
        return _file(content, "votes.json", "application/json")

    @router.get(f"{PATH}/preferences.jsonl")
    def as_rows(token: str, form: str = "trl") -> Response:
        if not is_owner(token):
            return nobody()
        wanted: votes_out.Form = "openai" if form == "openai" else "trl"
        rows, _ = votes_out.preference_rows(room.prepared.items, room.votes.votes(), wanted)
        lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        return _file(lines, f"preferences-{wanted}.jsonl", JSON_LINES)

    @router.post(f"{PATH}/end")
    def end(token: str) -> Response:
        if not is_owner(token):
            return nobody()
        room.ended.set()
        return RedirectResponse(f"/o/{token}", 303)

    return router


def course(seen: tuple[Seen, ...], target: str | None) -> Course | None:
    """The lines of the picture; None before there are two points."""
    if len(seen) < 2:
        return None
    most = seen[-1].votes

    def points(values: list[float]) -> list[str]:
        return [
            f"{100 * one.votes / most:.2f} {100 - 100 * value:.2f}" for one, value in zip(seen, values, strict=True)
        ]

    def area(low: list[float], high: list[float]) -> str:
        return "M" + "L".join([*points(low), *reversed(points(high))]) + "Z"

    parsed = parse_target(target) if target else None
    return Course(
        "M" + "L".join(points([one.value for one in seen])),
        area([one.low for one in seen], [one.high for one in seen]),
        area([one.always_low for one in seen], [one.always_high for one in seen]),
        parsed.bound if parsed and parsed.kind == "value" else None,
        most,
    )


def matrix(reviewed: Reviewed) -> list[Row]:
    """Who was preferred over whom how often; empty for two systems."""
    if not reviewed.report.several:
        return []
    won = {(met.one, met.other): met.wins for met in reviewed.report.several.met}
    won |= {(met.other, met.one): met.losses for met in reviewed.report.several.met}
    names = reviewed.asked.systems
    return [Row(one, tuple(won.get((one, other)) for other in names)) for one in names]


def about(reviewed: Reviewed) -> str:
    """Of more than two systems, what the preferred share and the target are of."""
    asked = reviewed.asked
    if not asked.systems:
        return ""
    votes = (
        f"the votes on {asked.run} and {asked.against} alone: {reviewed.report.votes:,} of {reviewed.report.planned:,}"
    )
    if asked.against == BASE:
        return f"The target asks how the run does against base, so this is of {votes}."
    return (
        f"Base is not among the systems, and this is of {votes}. It says nothing of how the run does against base, and "
        "fills no target of the evaluation."
    )


def when_to_stop(reviewed: Reviewed) -> str:
    """Whether more votes are needed for the target, in a sentence."""
    report, target = reviewed.report, reviewed.report.target
    if target is None or report.always.evidence_above is None:
        return "The run file sets no target for human_eval that votes could settle."
    if report.always.settled:
        side = "over" if report.always.settled == "above" else "under"
        return f"Settled: the preferred share is {side} the target, and more votes are needless. You may stop now."
    bets = f"{max(report.always.evidence_above, report.always.evidence_below or 0.0):.3g}"
    more = f" About {target.rows_needed:,} votes would settle it at this share." if target.rows_needed else ""
    if report.planned is not None and report.votes >= report.planned:
        return f"Not settled, and all votes are in (the bets reached {bets} of {report.always.enough:g}).{more}"
    return f"Not settled yet: the bets stand at {bets}, and {report.always.enough:g} settles it.{more}"


def _data(room: Room) -> dict[str, Any]:
    reviewed = room.summary()
    report = reviewed.report
    lines = {rater.name: rater for rater in report.by_rater}
    found = outcomes(room.prepared.items, room.votes.votes())
    return {
        "title": TITLE,
        "token": room.owner_token,
        "run": reviewed.asked.run,
        "against": reviewed.asked.against,
        "asked": reviewed.asked,
        "report": report,
        "scripted": reviewed.asked.kind == "scripted",
        "progress": room.votes.progress(),
        "stop": when_to_stop(reviewed),
        "course": course(report.course, report.target.target if report.target else None),
        "raters": [(rater, room.link(rater), lines.get(rater.name)) for rater in room.votes.raters()],
        "ties": sum(outcome == "tie" for outcome in found.values()),
        "ended": room.ended.is_set(),
        "about": about(reviewed),
        "matrix": matrix(reviewed),
        "summed": report.several.votes if report.several else report.votes,
        "checks": sum(bool(item.check) for item in room.prepared.items),
        "rows": room.prepared.terms.rows,
        "same": room.prepared.terms.same,
    }


def _file(content: bytes, name: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
