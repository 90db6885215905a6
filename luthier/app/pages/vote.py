"""The rater's page: a prompt, two answers without names, and a choice that is kept before the next item comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Form, Header
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from luthier.app.pages.guard import NOTHING_HERE
from luthier.app.pages.rendering import page
from luthier.app.pages.room import Room
from luthier.evaluation.ballots import Shown
from luthier.evaluation.review import other_side
from luthier.flow import Message
from luthier.jobs.votes import LONGEST_NOTE, Asked, Rater, Refused

PATH: Final = "/r/{token}"
TITLE: Final = "Which answer is better?"
LONG_TEXT: Final = 1500
"""Characters from which on an answer can be shown whole, beside being scrolled."""
WORDS: Final[dict[Shown, str]] = {
    "left": "answer 1 is better",
    "right": "answer 2 is better",
    "both_good": "both are good",
    "both_bad": "both are bad",
}


@dataclass(frozen=True, slots=True)
class Text:
    """An answer as it is shown: `cut` where the limit of tokens ended it."""

    title: str
    text: str
    cut: bool


def routes(room: Room) -> APIRouter:
    """The page, and what its buttons do. Buttons work without scripts too: then each loads the page anew."""
    router = APIRouter()

    @router.get(PATH)
    def show(token: str) -> Response:
        rater = room.votes.rater_of(token)
        return _page(room, rater) if rater else nobody()

    @router.post(f"{PATH}/vote")
    def vote(
        token: str,
        item: Annotated[str, Form()] = "",
        choice: Annotated[str, Form()] = "",
        note: Annotated[str, Form()] = "",
        hx_request: Annotated[str | None, Header()] = None,
    ) -> Response:
        rater = room.votes.rater_of(token)
        if not rater:
            return nobody()
        try:
            if choice not in get_args(Shown):
                raise Refused(422, "The vote was not taken: choose one of the four buttons.")
            if not item.isdecimal() or len(item) > 12:
                raise Refused(404, "There is no such item for you, so the vote was not taken.")
            room.votes.vote(rater, int(item), choice, note.strip().replace("\r\n", "\n"))  # type: ignore[arg-type]
        except Refused as refused:
            return _page(room, rater, refused.status, refused.words, part=bool(hx_request))
        said = f"Kept: {WORDS[choice]}."  # type: ignore[index]
        return _page(room, rater, said=said, part=True) if hx_request else _anew(token)

    @router.post(f"{PATH}/undo")
    def undo(token: str, hx_request: Annotated[str | None, Header()] = None) -> Response:
        rater = room.votes.rater_of(token)
        if not rater:
            return nobody()
        try:
            undone = room.votes.undo(rater)
        except Refused as refused:
            return _page(room, rater, refused.status, refused.words, part=bool(hx_request))
        if undone is None:
            return _page(room, rater, 409, "There is no vote to undo.", part=bool(hx_request))
        said = "Your last vote is taken back. This is its item."
        return _page(room, rater, said=said, part=True) if hx_request else _anew(token)

    return router


def nobody() -> HTMLResponse:
    """What a wrong token gets: nothing of the review."""
    return HTMLResponse(NOTHING_HERE, 403)


def _anew(token: str) -> RedirectResponse:
    return RedirectResponse(f"/r/{token}", 303)


def _page(
    room: Room, rater: Rater, status: int = 200, trouble: str = "", said: str = "", part: bool = False
) -> HTMLResponse:
    try:
        asked = room.votes.next(rater)
    except Refused as refused:  # what is asked next could not be kept, so it is not asked yet
        asked, status, trouble = None, refused.status, refused.words
    data = {
        "title": TITLE,
        "token": rater.token,
        "rater": rater.name,
        "scripted": rater.kind == "scripted",
        "progress": room.votes.progress(rater),
        "longest_note": LONGEST_NOTE,
        "long_text": LONG_TEXT,
        "trouble": trouble,
        "said": said,
        "words": WORDS,
        **_item(room, asked),
    }
    return page("ballot.html.j2" if part else "vote.html.j2", status, **data)


def _item(room: Room, asked: Asked | None) -> dict[str, Any]:
    """What is shown of an item, and nothing of which answer is whose."""
    if asked is None:
        return {"item": None, "messages": (), "tools": (), "texts": (), "most_tokens": 0}
    item = room.votes.items[asked.item]
    sides = {"run": (item.run, item.run_stopped), "against": (item.against, item.against_stopped)}
    texts = [
        Text(f"Answer {number}", text, not stopped)
        for number, (text, stopped) in enumerate((sides[asked.left], sides[other_side(asked.left)]), 1)
    ]
    return {
        "item": asked.item,
        "messages": [_message(message) for message in item.asked],
        "tools": [_tool(tool) for tool in item.tools],
        "texts": texts,
        "most_tokens": room.prepared.terms.max_tokens,
    }


def _message(message: Message) -> dict[str, Any]:
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return {"role": message.role, "content": message.content, "reasoning": message.reasoning, "calls": calls}


def _tool(tool: Any) -> str:
    function = tool.get("function", tool)
    return str(function.get("name", "?")) if isinstance(function, dict) else "?"
