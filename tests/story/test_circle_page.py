"""docs/circle.md as a user types it: every command in its order, with a script that votes where a browser would open.

It runs on the 2-layer model, and the script likes the longer answer. `CIRCLE=1` shows what each command prints.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import urllib.parse
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.app.cli import run
from luthier.models import Source

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "circle.md").read_text(encoding="utf-8")
Choose = Callable[[str, list[str]], str]


def commands() -> list[str]:
    return [line for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


def longer(asked: str, answers: list[str]) -> str:
    del asked
    first, second = (len(answer) for answer in answers)
    return "both_bad" if first == second else "left" if first > second else "right"


def vote_through(link: str, choose: Choose) -> None:
    """Votes on a rater's page until nothing is left, by its forms."""
    shown = urllib.request.urlopen(link).read().decode()
    while found := re.search(r'name="item" value="(\d+)"', shown):
        texts = [
            html.unescape(text) for text in re.findall(r'<div class="said" dir="auto"[^>]*>(.*?)</div>', shown, re.S)
        ]
        *asked, first, second = (re.sub(r"<em[^>]*>.*?</em>", "", text) for text in texts)
        body = urllib.parse.urlencode({"item": found[1], "choice": choose(asked[-1], [first, second])}).encode()
        shown = urllib.request.urlopen(f"{link}/vote", data=body).read().decode()


def reviewing(words: list[str], choose: Choose, monkeypatch: pytest.MonkeyPatch) -> int:
    """A review, with a script in the place of the browser that it opens: it votes, and then comes Ctrl-C."""
    faults: list[BaseException] = []

    def votes(link: str) -> None:
        try:
            vote_through(link, choose)
        except BaseException as fault:  # noqa: BLE001 - told to the thread that waits
            faults.append(fault)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def opened(link: str) -> bool:
        threading.Thread(target=votes, args=(link,)).start()
        return True

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", opened)
    code = run([*words, "--scripted", "--port", "0"])
    if faults:
        raise faults[0]
    return code


def opens(words: list[str]) -> bool:
    return words[0] == "review" and "--export" not in words


def gone_round(choose: Choose, rows: int, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """All commands of the page, in a folder that has the example's rows; what each printed."""
    Path("luthier").mkdir()
    Path("luthier/examples").symlink_to(ROOT / "luthier" / "examples")
    printed = {}
    for line in commands():
        program, *words = shlex.split(line)
        if program != "luthier":
            assert program in ("head", "tail")
            subprocess.run(["bash", "-c", line], check=True)
            continue
        capsys.readouterr()
        if opens(words):
            code = reviewing([*words, "--rows", str(rows)], choose, monkeypatch)
            assert code == 130, "ended by Ctrl-C, with everything kept"
        else:
            code = run(words)
            assert code == 0
        out, err = capsys.readouterr()
        printed[line] = out
        with capsys.disabled():
            if "CIRCLE" in os.environ:
                print(f"$ {line}\n{err}\n{out}", flush=True)
    return printed


def run_file(model: str) -> str:
    text: str
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    assert "model: smollm2-135m-instruct\n" in text
    return text.replace("smollm2-135m-instruct", model)


def reviewed(run: str, review: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs", run, "review", review, "reviewed.json").read_text(encoding="utf-8"))
    return found


def test_the_page_calls_its_votes_scripted_and_has_a_picture_that_does() -> None:
    assert "they are called `scripted`, fill no target" in PAGE
    [(words, path)] = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", PAGE)
    assert "scripted" in words
    assert (ROOT / "docs" / path).is_file()


def test_every_command_of_the_page_runs_in_its_order(
    tiny_model: Source, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("circle.yaml").write_text(run_file(str(tiny_model.folder)), encoding="utf-8")
    printed = gone_round(longer, 8, capsys, monkeypatch)
    assert len(printed) == 7
    assert all("scripted" in text for line, text in printed.items() if line.startswith("luthier review"))
    first, last = reviewed("first", "base"), reviewed("second", "base-and-1-more")
    rows = Path("preferred.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == first["wins"] + first["losses"] > 0
    assert last["asked"]["systems"] == ["second", "base", "near"]
    assert reviewed("second", "base")["votes"] > 0
    for name in ("first", "second"):
        lines = Path("runs", name, "votes.jsonl").read_text(encoding="utf-8").splitlines()
        assert {json.loads(line)["kind"] for line in lines} == {"scripted"}
