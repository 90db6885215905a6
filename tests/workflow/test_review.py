"""`review`: both models answer, people choose (here a script), and votes become a verdict and rows that train."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from luthier.app import reviewing
from luthier.app.reviewing import review
from luthier.data.check import load_rows
from luthier.errors import UserError
from luthier.flow import Answer, Conversation, Message, Note, Place
from luthier.jobs.votes import Votes, open_votes
from luthier.runs.reviews import KeptReview, read_votes
from luthier.runs.run import Run
from luthier.workflow import votes_out
from luthier.workflow.evaluate import evaluate
from luthier.workflow.review import _items, prepare_review
from luthier.workflow.train import Trained
from luthier.workflow.voted import Prepared
from tests.workflow.conftest import worked, write_rows
from tests.workflow.voting import voted, votes_of

ROOT = Path(__file__).resolve().parents[2]
TOKENS = 6


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    return shutil.copytree(trained.folder, tmp_path / "runs" / "colours")


def prepared_for(run: Path, **options: Any) -> Prepared:
    given: dict[str, Any] = {"max_tokens": TOKENS, "kind": "person"} | options
    return worked(prepare_review(str(run), **given))[0]


def test_both_models_answer_once_and_the_review_goes_on_where_it_was(run: Path) -> None:
    first = prepared_for(run)
    kept = Run.open(run)
    answered = sorted(path.name for path in (run / "answers").glob("generated-review-base-*.jsonl"))
    assert len(answered) == 2
    assert all(len((run / "answers" / name).read_bytes().splitlines()) == 12 for name in answered)
    real = [item for item in first.items if not item.check]
    assert len(real) + first.terms.same == 12
    assert all(item.run != item.against for item in real)
    assert real[0].asked[-1].role == "user"
    assert real[0].category in ("sky", "grass", "snow", "coal")
    again = prepared_for(run)
    assert (again.review, list(again.items)) == (first.review, list(first.items))
    assert len(KeptReview.all(kept)) == 1


def test_rows_of_ones_own_are_asked_and_another_kind_of_review_is_begun_only_when_asked_for(
    run: Path, tmp_path: Path
) -> None:
    data = str(write_rows(tmp_path / "own.jsonl", 5))
    first = prepared_for(run, data=data, rows=3, checks=0)
    assert len(first.items) + first.terms.same == 3
    with pytest.raises(UserError, match=r"the rows changed since this review was begun(.|\n)*--new"):
        prepared_for(run, checks=0)
    with pytest.raises(UserError, match=r"who votes changed \(--scripted\), and how many raters .*\(--each-by\) since"):
        prepared_for(run, data=data, rows=3, checks=0, kind="scripted", each_by=2)
    other = prepared_for(run, checks=0, new=True)
    assert [one.name for one in KeptReview.all(Run.open(run))] == ["base", "base-2"]
    assert other.review.name == "base-2"
    manifest = run / "weights" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="the run's weights changed since"):
        prepared_for(run, checks=0)


def test_a_run_against_its_copy_has_nothing_to_choose_and_against_itself_is_refused(run: Path) -> None:
    shutil.copytree(run, run.with_name("copy"))
    with pytest.raises(UserError, match="both answer all 12 rows alike, so there is nothing to choose"):
        prepared_for(run, against=str(run.with_name("copy")))
    with pytest.raises(UserError, match="a run cannot be held against itself"):
        prepared_for(run, against=str(run))
    assert KeptReview.all(Run.open(run)) == []


def test_attention_checks_are_of_rows_alike_first_and_their_answer_is_known(run: Path) -> None:
    prepared = prepared_for(run)
    rows = [(item.run, item.against) for item in prepared.items if not item.check]
    terms = replace(prepared.terms, checks=4)
    conversations = [
        Conversation("chat", (Message("user", str(n)),), Place("rows.jsonl", n)) for n in range(len(rows) + 1, 0, -1)
    ]
    long = Answer("one two three four five six seven", 7, True)
    mine = [Answer(one, 1, True) for one, _ in rows] + [long]
    theirs = [Answer(other, 1, True) for _, other in rows] + [long]
    items, same = _items(conversations, mine, theirs, terms)
    checks = [item for item in items if item.check]
    assert same == 1
    assert checks[0].check == "same"
    assert checks[0].run == checks[0].against == long.text
    assert len({item.number for item in items}) == len(items)
    items, _ = _items(conversations[:2], [long, long], [replace(long, text="other"), long], terms)
    broken = [item for item in items if item.check == "broken"]
    assert len(broken) == 1
    assert sorted(broken[0].against.split()) == sorted(long.text.split())
    assert broken[0].against != broken[0].run


def test_votes_become_files_a_verdict_and_rows_that_train(run: Path, tmp_path: Path) -> None:
    kept = Run.open(run)
    worked(evaluate(str(run)))
    before = {target.metric: target for target in kept.read_report().targets}
    assert (before["human_eval"].verdict, before["human_eval"].reason) == ("not_measured", "no votes yet")
    prepared = prepared_for(run)
    real = sum(not item.check for item in prepared.items)
    found = voted(prepared, lambda item: "both_bad" if item.number == 1 else "run")
    lines = read_votes(kept)
    assert len(lines) == len(prepared.items)
    assert {line["review"] for line in lines} == {"base"}
    assert {line["kind"] for line in lines} == {"person"}
    saved = json.loads((run / "reports" / "review.json").read_text(encoding="utf-8"))
    ties = int(any(item.number == 1 and not item.check for item in prepared.items))
    assert (saved["wins"], saved["losses"], saved["ties"], saved["raters"]) == (real - ties, 0, ties, 1)
    assert saved["preferred"]["value"] == 1.0
    target = {one.metric: one for one in kept.read_report().targets}["human_eval"]
    assert target.verdict in ("met", "likely")
    assert (target.value, target.n) == (1.0, real - ties)
    assert kept.read_report().metrics["human_eval"].value == 1.0
    page = kept.page.read_text(encoding="utf-8")
    assert "Human eval" in page
    assert "Blind review" in page
    again = worked(evaluate(str(run)))[0]
    assert {one.metric: one for one in again.targets}["human_eval"] == target
    for form, keys in (("trl", {"prompt", "chosen"}), ("openai", {"input", "preferred_output"})):
        out = tmp_path / f"{form}.jsonl"
        written = votes_out.write(prepared, votes_of(prepared), found, str(out), form)  # type: ignore[arg-type]
        assert (written.rows, written.left_out["tied"]) == (real - ties, ties)
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        assert keys <= set(rows[0])
        loaded = load_rows([(out, 1.0)], "auto", {}, "stop")
        assert len(loaded.conversations) == written.rows
        assert all(row.form == "preference" for row in loaded.conversations)
        by_prompt = {item.asked: item for item in prepared.items if not item.check}
        for row in loaded.conversations:
            item = by_prompt[tuple(changed(message, weight=1.0) for message in row.messages[:-1])]
            assert (row.messages[-1].content, row.rejected[-1].content) == (item.run, item.against)
        with pytest.raises(UserError, match="the file exists, and is left as it is"):
            votes_out.require(str(out), "trl")


def test_scripted_votes_fill_no_target_and_those_of_people_go_before_them(run: Path) -> None:
    worked(evaluate(str(run)))
    kept = Run.open(run)
    voted(prepared_for(run, kind="scripted"), lambda item: "run")
    target = {one.metric: one for one in kept.read_report().targets}["human_eval"]
    assert (target.verdict, target.value) == ("not_measured", None)
    assert "made by a script, none by a person" in target.reason
    assert "Scripted votes:" in kept.page.read_text(encoding="utf-8")
    voted(prepared_for(run, new=True), lambda item: "against")
    target = {one.metric: one for one in kept.read_report().targets}["human_eval"]
    assert (target.verdict, target.value) == ("missed", 0.0)
    assert "Scripted votes:" not in kept.page.read_text(encoding="utf-8")
    assert {line["review"]: line["kind"] for line in read_votes(kept)} == {"base": "scripted", "base-2": "person"}
    voted(prepared_for(run, kind="scripted", new=True), lambda item: "run")
    assert {one.metric: one for one in kept.read_report().targets}["human_eval"] == target


def test_options_that_fit_nothing_are_refused_all_at_once(run: Path) -> None:
    with pytest.raises(UserError) as refused:
        worked(review(str(run), raters=2, each_by=3, rows=0, checks=-1, host="0.0.0.0"))
    said = str(refused.value)
    for words in ("0 is out of range", "-1 is out of range", "cannot go to 3 of 2 raters", "name the one that raters"):
        assert words in said
    for export, words in (("votes.pdf", "says not what to write"), ("votes.csv", "nobody was asked about this run")):
        with pytest.raises(UserError, match=words):
            worked(review(str(run), export=str(run.parent / export)))


def test_a_missing_package_ends_in_the_command_that_installs_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reviewing.PACKAGES, "no_such_module", "no-such-package")
    with pytest.raises(UserError, match=r"need no-such-package, not installed(.|\n)*pip install 'luthier\[serve\]'"):
        worked(review(str(run)))


def test_the_command_prints_its_addresses_takes_votes_and_ends_cleanly_with_the_summary(run: Path) -> None:
    command = [sys.executable, "-m", "luthier", "review", str(run), "--raters", "2", "--each-by", "2", "--scripted"]
    command += ["--no-browser", "--max-tokens", str(TOKENS), "--json", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        command, cwd=run.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    links = []
    for line in child.stderr:
        links += [word for word in line.split() if word.startswith("http://127.0.0.1:")]
        if len(links) == 3:
            break
    for link in links[:2]:
        assert "/r/" in link
        html = urllib.request.urlopen(link).read().decode()
        number = html.split('name="item" value="')[1].split('"')[0]
        body = urllib.parse.urlencode({"item": number, "choice": "both_good", "note": ""}).encode()
        after = urllib.request.urlopen(f"{link}/vote", data=body).read().decode()
        assert "you: 1 vote" in after
        assert "scripted" in after
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    found = json.loads(out)
    assert found["raters"] in (1, 2)
    assert (found["wins"], found["losses"], found["kind"]) == (0, 0, "scripted")
    assert {"preferred", "agreement", "ties"} <= set(found)
    assert set(found["preferred"]) >= {"value", "low", "high"}
    assert "Traceback" not in err
    assert (run / "votes.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.long
def test_a_kill_in_the_middle_of_votes_loses_none_and_the_same_command_goes_on(run: Path) -> None:
    prepared_for(run, kind="scripted")
    command = [sys.executable, "-m", "luthier", "review", str(run), "--scripted", "--no-browser"]
    command += ["--max-tokens", str(TOKENS), "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    kept: dict[str, int] = {}
    for start in range(2):
        child = subprocess.Popen(
            command, cwd=run.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stderr is not None
        link = next(word for line in child.stderr for word in line.split() if word.startswith("http://127.0.0.1:"))
        html = urllib.request.urlopen(link).read().decode()
        assert f"you: {len(kept)} vote" in html
        for _ in range(3):
            number = html.split('name="item" value="')[1].split('"')[0]
            body = urllib.parse.urlencode({"item": number, "choice": "left"}).encode()
            html = urllib.request.urlopen(f"{link}/vote", data=body).read().decode()
            kept[number] = start
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.communicate()
    review = KeptReview.last(Run.open(run), ["base"])
    assert review is not None
    with open_votes(review.database, review.items(), each_by=1, seed=0) as votes:
        assert {str(vote.item) for vote in votes.votes()} == set(kept)
        assert isinstance(votes, Votes)
    result, events = worked(_exported(run))
    assert result.reviewed.report.votes <= 6
    assert any("6 lines in" in event.text for event in events if isinstance(event, Note))


def _exported(run: Path) -> Any:
    return review(str(run), export=str(run.parent / "votes.csv"))
