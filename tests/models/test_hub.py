"""Fetching from a hub, against a small server that speaks the hub's own paths on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from luthier.models import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import sys
from luthier.errors import UserError
from luthier.models import resolve
try:
    source = resolve(sys.argv[1], print)
    print(sorted(path.name for path in source.folder.rglob("*")))
except UserError as error:
    print(error)
"""


class Hub(ThreadingHTTPServer):
    """One public model, `owner/tiny`, and one that only the token `hf_right` may read, `owner/closed`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = files
        self.asked: list[tuple[str, str]] = []


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("User-Agent", "")))
        listing = [{"type": "file", "path": name, "size": len(data)} for name, data in self.server.files.items()]
        if "closed" in self.path and self.headers.get("Authorization") != "Bearer hf_right":
            self.reply(b"{}", 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif "/tree/" in self.path:
            self.reply(json.dumps([facts | {"oid": "0" * 40} for facts in listing]).encode())
        elif self.path.startswith("/api/models/owner/"):
            siblings = [{"rfilename": facts["path"]} for facts in listing]
            self.reply(json.dumps({"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        elif (name := self.path.rpartition(f"/{COMMIT}/")[2]) in self.server.files:
            data = self.server.files[name]
            self.reply(data, 200, {"ETag": f'"{sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT})
        else:
            self.reply(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815

    def reply(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def hub(tiny_model: Source) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in tiny_model.folder.iterdir()}
    files |= {"pytorch_model.bin": b"pickle", "modeling_own.py": b"raise SystemExit", "onnx/model.json": b"{}"}
    with Hub(files) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fetch(name: str, hub: Hub, home: Path, **environment: str) -> str:
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home)}
    environment |= {
        "HF_HUB_DISABLE_XET": "1",
        "LUTHIER_HOME": str(home),
        "PYTHONPATH": os.getcwd(),
        "NO_PROXY": "127.0.0.1",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    command = [sys.executable, "-c", FETCH, name]
    done = subprocess.run(command, capture_output=True, text=True, env=kept | environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_hub_model_is_fetched_once_without_pickles_code_or_other_formats(
    hub: Hub, tiny_model: Source, tmp_path: Path
) -> None:
    wanted = str(sorted(path.name for path in tiny_model.folder.iterdir()))
    assert fetch("owner/tiny", hub, tmp_path) == f"fetching owner/tiny from the hub, once\n{wanted}\n"
    assert hub.asked
    assert not any("torch/" in agent for _, agent in hub.asked)
    hub.asked.clear()
    assert fetch("owner/tiny", hub, tmp_path) == f"{wanted}\n"
    assert hub.asked == []


def test_a_token_opens_a_gated_model_and_its_want_is_said(hub: Hub, tmp_path: Path) -> None:
    said = fetch("owner/closed", hub, tmp_path)
    assert "this model is gated" in said
    assert "export HF_TOKEN=your_token" in said
    assert "model.safetensors" in fetch("owner/closed", hub, tmp_path, HF_TOKEN="hf_right")


def test_a_model_that_the_hub_does_not_have_is_said(hub: Hub, tmp_path: Path) -> None:
    assert "the hub has no such model, or not for you" in fetch("nobody/tiny", hub, tmp_path)


def test_a_hub_model_with_pickled_weights_alone_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    assert "no weights: neither model.safetensors" in fetch("owner/tiny", hub, tmp_path)
    assert not any(path.endswith(".bin") for path, _ in hub.asked)
