"""docs/circle.md as a user types it: every command in its order, with a script that votes on the pages of its reviews.

On the 2-layer model the script likes the longer answer; on the packaged one (`make test-all`) the one with the right
order number, and the page's numbers are from there. `CIRCLE=folder` keeps that, with a picture of the owner's page.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.models import Source

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "circle.md").read_text(encoding="utf-8")
EXAMPLE = "luthier/examples/support_desk"
Choose = Callable[[str, list[str]], str]


def commands() -> list[str]:
    return [line for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


def longer(asked: str, answers: list[str]) -> str:
    del asked
    first, second = (len(answer) for answer in answers)
    return "both_bad" if first == second else "left" if first > second else "right"


def right_by(rows: list[Path]) -> Choose:
    """Chooses the answer that the rows hold for what is asked."""
    messages = [json.loads(line)["messages"] for path in rows for line in path.read_text("utf-8").splitlines()]
    wanted = {" ".join(turns[-2]["content"].split()): turns[-1]["content"].strip() for turns in messages}

    def choose(asked: str, answers: list[str]) -> str:
        right = [answer.strip() == wanted[" ".join(asked.split())] for answer in answers]
        return "both_good" if all(right) else "both_bad" if not any(right) else "left" if right[0] else "right"

    return choose


def vote_through(link: str, choose: Choose) -> int:
    """Votes on a rater's page until nothing is left, by its forms."""
    shown, votes = urllib.request.urlopen(link).read().decode(), 0
    while found := re.search(r'name="item" value="(\d+)"', shown):
        texts = [
            html.unescape(text) for text in re.findall(r'<div class="said" dir="auto"[^>]*>(.*?)</div>', shown, re.S)
        ]
        *asked, first, second = (re.sub(r"<em[^>]*>.*?</em>", "", text) for text in texts)
        body = urllib.parse.urlencode({"item": found[1], "choice": choose(asked[-1], [first, second])}).encode()
        shown = urllib.request.urlopen(f"{link}/vote", data=body).read().decode()
        votes += 1
    return votes


def typed(words: list[str], folder: Path, choose: Choose, looked: Callable[[str], None]) -> str:
    """What a command prints. A review is opened, voted on by the script, and ended by its owner's button."""
    command = [sys.executable, "-m", "luthier", *words]
    opens = words[0] == "review" and "--export" not in words
    command += ["--scripted", "--no-browser", "--port", "0"] if opens else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    said, links = [], []
    for line in child.stderr:
        said.append(line)
        links += [word for word in line.split() if word.startswith("http://127.0.0.1:")]
        if opens and len(links) == 2:
            assert vote_through(links[0], choose) > 0
            looked(links[1])
            urllib.request.urlopen(f"{links[1]}/end", data=b"").read()
            links.append("ended")
    out = child.stdout.read() if child.stdout else ""
    assert child.wait() == 0, "".join(said)[-3000:]
    return out


def gone_round(folder: Path, choose: Choose, shorten: int | None, looked: Callable[[str], None]) -> dict[str, str]:
    """All commands of the page in a folder that has the example's rows; what each printed."""
    (folder / "luthier").mkdir()
    (folder / "luthier" / "examples").symlink_to(ROOT / "luthier" / "examples")
    printed = {}
    for line in commands():
        program, *words = shlex.split(line)
        if program == "luthier":
            if shorten and words[0] == "review" and "--export" not in words:
                words += ["--rows", str(shorten)]
            printed[line] = typed(words, folder, choose, looked)
        else:
            assert program in ("head", "tail")
            subprocess.run(["bash", "-c", line], cwd=folder, check=True)
    return printed


def run_file(model: str) -> str:
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    assert "model: smollm2-135m-instruct\n" in text
    return text.replace("smollm2-135m-instruct", model)


def reviewed(folder: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / run / "reports" / "review.json").read_text(encoding="utf-8"))
    return found


def test_the_page_calls_its_votes_scripted_and_has_a_picture_that_does() -> None:
    assert "so they are called `scripted`, fill no target" in PAGE
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", PAGE)
    assert len(pictures) == 1
    assert "scripted" in pictures[0][0]
    assert (ROOT / "docs" / pictures[0][1]).is_file()


def test_every_command_of_the_page_runs_in_its_order(tiny_model: Source, tmp_path: Path) -> None:
    (tmp_path / "circle.yaml").write_text(run_file(str(tiny_model.folder)), encoding="utf-8")
    printed = gone_round(tmp_path, longer, 6, lambda link: None)
    assert len(printed) == 7
    assert all("scripted" in text for line, text in printed.items() if line.startswith("luthier review"))
    first, last = reviewed(tmp_path, "first"), reviewed(tmp_path, "second")
    rows = (tmp_path / "preferred.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == first["wins"] + first["losses"] > 0
    assert (last["against"], last["asked"]["systems"]) == ("base", ["second", "base", "near"])
    assert {path.name for path in (tmp_path / "runs" / "second" / "review").iterdir()} == {"base", "base-and-1-more"}
    for run in ("first", "second"):
        lines = (tmp_path / "runs" / run / "votes.jsonl").read_text(encoding="utf-8").splitlines()
        assert {json.loads(line)["kind"] for line in lines} == {"scripted"}


@pytest.mark.long
def test_on_the_packaged_model_the_second_run_is_chosen_over_the_first(
    packaged_model: Source, tmp_path: Path, browser: Any
) -> None:
    folder = Path(os.environ["CIRCLE"]) if "CIRCLE" in os.environ else tmp_path
    folder.mkdir(parents=True, exist_ok=True)

    def looked(link: str) -> None:
        page = browser.new_page(viewport={"width": 1100, "height": 760})
        page.goto(link)
        page.screenshot(path=str(folder / f"owner-{len(list(folder.glob('owner-*')))}.png"))
        page.close()

    (folder / "circle.yaml").write_text(run_file("smollm2-135m-instruct"), encoding="utf-8")
    rows = [ROOT / EXAMPLE / "train.jsonl", ROOT / EXAMPLE / "test.jsonl"]
    printed = gone_round(folder, right_by(rows), None, looked)
    for line, text in printed.items():
        print(f"$ {line}\n{text}")
    second = json.loads((folder / "runs/second/review/base/reviewed.json").read_text(encoding="utf-8"))
    assert second["wins"] > second["losses"]
    assert second["asked"]["kind"] == "scripted"
