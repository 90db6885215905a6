"""A model as judge, against a real server on this machine: both orders, bias, and everything that may go wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.evaluation.model_judge import KEY, Judge, Judged, judge_rows
from luthier.flow import result_of

Reply = tuple[int, dict[str, str], bytes]
SECRET = "sk-secret-of-the-test"


class Server(ThreadingHTTPServer):
    """Answers each request with what `answer(the two answers, headers)` gives; `asked` holds the requests' bodies."""

    def __init__(self, answer: Callable[[str, str], Reply | str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *args: Any) -> None:
        """A client that stopped waiting is no fault of the server."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        text = body["messages"][0]["content"]
        first, second = (text.split(f"<answer {letter}>\n")[1].split("\n</answer")[0] for letter in "AB")
        reply = self.server.answer(first, second)
        code, headers, content = reply if isinstance(reply, tuple) else (200, {}, said(reply))
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def said(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(KEY, raising=False)
    servers: list[Server] = []

    def start(answer: Callable[[str, str], Reply | str]) -> Server:
        servers.append(Server(answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def row(number: int, tuned: str, base: str) -> dict[str, Any]:
    return {"file": "t.jsonl", "line": number, "prompt": "sky?", "wanted": "blue", "tuned": tuned, "base": base}


def judged(server: Server, rows: list[dict[str, Any]], waits: list[float] | None = None, **options: Any) -> Judged:
    judge = Judge(server.address, "m", wait=(waits if waits is not None else []).append, **options)
    return result_of(judge_rows(judge, rows))[0]


ROWS = [row(1, "blue", "red"), row(2, "green", "blue"), row(3, "blue", "blue"), row(4, "x", "y")]


def fair(first: str, second: str) -> str:
    if "blue" not in (first, second):
        return "TIE"
    return "A" if first == "blue" else "**B**."


def test_both_orders_are_asked_and_only_what_both_name_counts(serve: Callable[..., Server]) -> None:
    server = serve(fair)
    found = judged(server, ROWS)
    assert (found.wins, found.losses, found.ties, found.same) == (1, 1, 2, 1)
    assert (found.disagreed, found.unreadable, found.failed, found.retries) == (0, 0, {}, 0)
    assert (found.preferred.value, found.agreement.value, found.first_place.value) == (0.5, 1.0, 0.5)
    assert len(server.asked) == 6  # equal answers are not asked about
    assert all(body["model"] == "m" and body["temperature"] == 0 for body in server.asked)


def test_a_judge_that_always_takes_the_first_is_found_out(serve: Callable[..., Server]) -> None:
    found = judged(serve(lambda first, second: "A"), [row(number, "one", "other") for number in range(8)])
    assert (found.wins, found.losses, found.disagreed) == (0, 0, 8)
    assert found.preferred.value is None
    assert (found.agreement.value, found.first_place.value, found.first_place.n) == (0.0, 1.0, 16)
    assert found.first_place.low is not None
    assert found.first_place.low > 0.5


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"{}",
        b'{"choices": []}',
        said("I cannot judge this."),
        said("A dog"),
        said(""),
        b'{"choices": [{"message": {"content": null}}]}',
    ],
)
def test_replies_that_are_no_choice_are_counted(content: bytes, serve: Callable[..., Server]) -> None:
    found = judged(serve(lambda first, second: (200, {}, content)), ROWS)
    assert (found.unreadable, found.ties, found.wins + found.losses) == (3, 1, 0)


def test_too_many_requests_are_tried_again_as_late_as_asked(serve: Callable[..., Server]) -> None:
    refused: list[int] = []

    def busy(first: str, second: str) -> Reply | str:
        if len(refused) < 2:
            refused.append(1)
            return 429, {"Retry-After": "7"}, b""
        return fair(first, second)

    waits: list[float] = []
    found = judged(serve(busy), [ROWS[0]], waits)
    assert (found.wins, found.retries, waits) == (1, 2, [7.0, 7.0])


def test_a_row_without_a_reply_is_counted_with_its_reason(serve: Callable[..., Server]) -> None:
    def broken(first: str, second: str) -> Reply | str:
        return (503, {}, b"") if "x" in (first, second) else fair(first, second)

    waits: list[float] = []
    found = judged(serve(broken), ROWS, waits)
    assert found.failed == {"HTTP 503 Service Unavailable": 1}
    assert (found.wins, found.losses, found.retries, waits) == (1, 1, 4, [1.0, 2.0, 4.0, 8.0])


def test_a_silent_judge_ends_with_words_and_not_with_a_hang(serve: Callable[..., Server]) -> None:
    def silent(first: str, second: str) -> str:
        time.sleep(0.5)
        return "A"

    with pytest.raises(UserError, match=r"gives no reply: no reply in 0\.05 s"):
        judged(serve(silent), [row(number, "a", "b") for number in range(5)], timeout_seconds=0.05)


def test_a_closed_port_and_a_refusal_end_with_what_to_type(serve: Callable[..., Server]) -> None:
    server = serve(lambda first, second: (404, {}, b""))
    with pytest.raises(UserError, match=r"404 Not Found(.|\n)*ends in /v1"):
        judged(server, ROWS)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="no connection"):
        judged(server, [row(number, "a", "b") for number in range(5)])


def test_the_key_is_sent_and_stands_nowhere(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    server = serve(fair)
    summary, lines = result_of(judge_rows(Judge(server.address, "m"), ROWS))
    assert set(server.keys) == {f"Bearer {SECRET}"}
    assert SECRET not in repr((summary, lines, server.asked))
    with pytest.raises(UserError) as refusal:
        judged(serve(lambda first, second: (401, {}, SECRET.encode())), ROWS)
    assert KEY in str(refusal.value)
    assert SECRET not in str(refusal.value)
    with pytest.raises(UserError, match="unencrypted"):
        Judge("http://example.com/v1", "m")


def test_another_host_never_sees_the_key(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    thief = serve(fair)
    server = serve(lambda first, second: (307, {"Location": f"{thief.address}/chat/completions"}, b""))
    with pytest.raises(UserError, match="sends elsewhere"):
        judged(server, ROWS)
    assert thief.keys == []


@pytest.mark.parametrize(
    "address", ["localhost:8000", "file:///etc/passwd", "https://me:secret@host/v1", "https://h/v1?key=1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="--judge"):
        Judge(address, "m")
