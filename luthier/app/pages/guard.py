"""What every page is behind: its own address only, requests from its own pages only, small bodies, strict headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY: Final = 65536
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it a browser sends `Origin: null` from the page's own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
NOTHING_HERE: Final = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>403</title><p>This link opens nothing.</p>"
)


class Guard:
    """Lets a request through to `app` where it is addressed to one of `hosts` (`127.0.0.1:8402`), and changes
    something only from a page of the same address: a name that another page points here, and forms of other pages, get
    403."""

    def __init__(self, app: App, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        length = headers.get("content-length", "0")
        if not self._allowed(scope["method"], headers):
            await _refuse(send, 403, NOTHING_HERE)
        elif not length.isdecimal() or int(length) > LARGEST_BODY or "transfer-encoding" in headers:
            await _refuse(send, 413, b"<!doctype html><meta charset=utf-8><title>413</title><p>That is too long.</p>")
        else:
            await self._app(scope, receive, lambda message: send(_with_headers(message)))

    def _allowed(self, method: str, headers: dict[str, str]) -> bool:
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            return False
        if method in ("GET", "HEAD"):
            return True
        origin = headers.get("origin")
        return origin in (None, f"http://{host}") and headers.get("sec-fetch-site") in (None, "same-origin", "none")


def _with_headers(message: Message) -> Message:
    if message["type"] == "http.response.start":
        there = {name for name, _ in message["headers"]}
        added = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
        if b"cache-control" not in there:
            added.append((b"cache-control", b"no-store"))
        message["headers"] = [*message["headers"], *added]
    return message


async def _refuse(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send(_with_headers({"type": "http.response.start", "status": status, "headers": headers}))
    await send({"type": "http.response.body", "body": body})
