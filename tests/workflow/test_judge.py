"""`evaluate --judge`: the answers of a real run go to a server on this machine, and what came of them is kept."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from luthier.errors import UserError
from luthier.evaluation.model_judge import KEY
from luthier.runs.run import Run
from luthier.workflow.evaluate import evaluate
from luthier.workflow.judge import judge_answers, require
from luthier.workflow.train import Trained
from tests.workflow.conftest import worked

SECRET = "sk-secret-of-the-test"


class Longest(BaseHTTPRequestHandler):
    """A judge that likes the longer answer, wherever it stands."""

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        first, second = (text.split(f"<answer {letter}>\n")[1].split("\n</answer")[0] for letter in "AB")
        word = "TIE" if len(first) == len(second) else "A" if len(first) > len(second) else "B"
        body = json.dumps({"choices": [{"message": {"content": word}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


def test_the_answers_of_a_run_are_judged_and_the_key_stands_nowhere(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    run = Run.open(Path(shutil.copytree(trained.folder, tmp_path / "run")))
    worked(evaluate(str(run.folder)))
    rows = run.read_answers("evaluation")
    with HTTPServer(("127.0.0.1", 0), Longest) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        found, _ = worked(judge_answers(str(run.folder), address, "m"))
        server.shutdown()
    lengths = [(len(row["tuned"]), len(row["base"])) for row in rows]
    assert found.wins == sum(tuned > base for tuned, base in lengths)
    assert found.losses == sum(tuned < base for tuned, base in lengths)
    assert (found.rows, found.disagreed, found.unreadable, found.failed) == (12, 0, 0, {})
    assert len(run.read_answers("judgements")) == 12
    assert json.loads((run.folder / "reports" / "judge.json").read_text(encoding="utf-8"))["wins"] == found.wins
    for path in run.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_an_address_without_a_model_and_a_bad_address_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="--judge-model NAME"):
        require("http://localhost:1/v1", None)
    with pytest.raises(UserError, match="no address of a judge"):
        require("nonsense", "m")
    require(None, None)
