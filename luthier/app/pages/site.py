"""The review's site: its pages behind the guard, and the files that they load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response

from luthier.app.pages import vote, watch
from luthier.app.pages.guard import NOTHING_HERE, App, Guard
from luthier.app.pages.rendering import HERE, HTMX
from luthier.app.pages.room import Room

FILES: Final = {HTMX: "text/javascript", "review.js": "text/javascript", "review.css": "text/css"}


def review_site(room: Room, hosts: Iterable[str]) -> App:
    """All that is served: raters' pages, the owner's view and three files. Whatever else is asked for gets 403, as a
    wrong token does: nothing tells the two apart."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for one in (vote, watch):
        app.include_router(one.routes(room))
    for name, kind in FILES.items():
        content = (HERE / "static" / name).read_bytes()
        app.add_api_route(f"/static/{name}", _serves(content, kind), methods=["GET"])

    for what in (400, 404, 405, RequestValidationError):
        app.add_exception_handler(what, _nothing)
    return Guard(app, hosts)


def _nothing(request: Request, error: Exception) -> Response:
    del request, error
    return HTMLResponse(NOTHING_HERE, 403)


def _serves(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def file() -> Response:
        return Response(content, media_type=kind, headers={"cache-control": "max-age=3600"})

    return file
