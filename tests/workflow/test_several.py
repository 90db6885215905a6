"""`review` of a run against several systems: real answers of three, a script that votes, and what comes of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.app.cli import run as command
from luthier.app.reviewing import review
from luthier.data.check import load_rows
from luthier.errors import UserError
from luthier.flow import Answer, Choice, Conversation, Message, Note, Place, ReviewItem
from luthier.jobs.votes import open_votes
from luthier.runs.reviews import KeptReview, read_votes
from luthier.runs.run import Run
from luthier.workflow import votes_out
from luthier.workflow.evaluate import evaluate
from luthier.workflow.review import _items_of_several, prepare_review
from luthier.workflow.train import Trained, train
from luthier.workflow.voted import Prepared, names_of, systems_of
from tests.workflow.conftest import worked
from tests.workflow.voting import voted, votes_of

SYSTEMS = ("colours", "base", "short")
BY_STRENGTH: Callable[[str], int] = ("base", "short", "colours").index


@pytest.fixture(scope="module")
def short(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same rows at a tenth of the rate for a third of the steps: it answers otherwise. Tests only read it."""
    overrides = ["training_config.hyperparameters.learning_rate=0.002", "training_config.hyperparameters.epochs=1"]
    return worked(train([str(run_file)], overrides=overrides, root=tmp_path_factory.mktemp("short")))[0]


@pytest.fixture
def run(trained: Trained, short: Trained, tmp_path: Path) -> Path:
    shutil.copytree(short.folder, tmp_path / "runs" / "short")
    return shutil.copytree(trained.folder, tmp_path / "runs" / "colours")


def prepared_for(run: Path, *against: str, **options: Any) -> Prepared:
    given: dict[str, Any] = {"max_tokens": 6, "kind": "person"} | options
    others = against or ("base", str(run.with_name("short")))
    return worked(prepare_review(str(run), against=others, **given))[0]


def better(prepared: Prepared) -> Callable[[ReviewItem], Choice]:
    """Chooses `colours` before `short` before `base`; an answer that two gave counts for the better one."""
    names = systems_of(prepared)

    def choose(item: ReviewItem) -> Choice:
        mine = max(BY_STRENGTH(names[one]) for one, _ in item.pairs)
        return "run" if mine > max(BY_STRENGTH(names[other]) for _, other in item.pairs) else "against"

    return choose


def test_three_systems_become_items_votes_files_and_a_verdict_by_the_votes_with_base_alone(
    run: Path, tmp_path: Path
) -> None:
    worked(evaluate(str(run)))
    kept = Run.open(run)
    prepared = prepared_for(run)
    real = [item for item in prepared.items if not item.check]
    assert (systems_of(prepared), prepared.review.name) == (SYSTEMS, "base-and-1-more")
    assert (prepared.terms.against, prepared.terms.systems) == ("base", ("base", "short"))
    rows = {item.row for item in real}
    assert len(rows) + prepared.terms.same == 12
    assert len({(item.row, pair) for item in real for pair in item.pairs}) == sum(len(item.pairs) for item in real)
    assert all(item.run != item.against for item in real)
    with_base = [item for item in real if (0, 1) in item.pairs]
    found = voted(prepared, better(prepared))

    report = found.report
    assert (report.wins, report.losses, report.ties) == (len(with_base), 0, 0)
    assert report.several.votes == len(real) == found.asked.whole
    assert [one.system for one in report.ranking] == ["colours", "short", "base"]
    assert {(met.one, met.other) for met in report.several.met} == {
        ("colours", "base"),
        ("colours", "short"),
        ("base", "short"),
    }
    for met in report.several.met:
        assert met.votes == met.items == 12 - met.same
    target = {one.metric: one for one in kept.read_report().targets}["human_eval"]
    assert (target.value, target.n) == (1.0, len(with_base))
    saved = json.loads((run / "reports" / "review.json").read_text(encoding="utf-8"))
    assert (saved["against"], saved["asked"]["systems"]) == ("base", list(SYSTEMS))
    assert saved["several"]["votes"] == len(real)
    page = kept.page.read_text(encoding="utf-8")
    assert "3 systems" in page
    assert "<bdi>colours</bdi> against <bdi>base</bdi> alone" in page

    lines = read_votes(kept)
    assert len(lines) == len(prepared.items)
    names = names_of(prepared)
    assert all("against" not in line for line in lines)
    assert {line["item"]: [tuple(pair) for pair in line["pairs"]] for line in lines} == names
    table = list(csv.DictReader(io.StringIO(votes_out.table(prepared, votes_of(prepared)).decode())))
    for line in table:
        if line["check"]:
            assert line["run_is"] == line["chosen_is"] == ""
            continue
        assert line["chosen_is"] in (line["run_is"], line["against_is"])
        assert "base" not in line["chosen_is"] or "colours" in line["chosen_is"] or "short" in line["chosen_is"]
    whole = json.loads(votes_out.whole(prepared, votes_of(prepared), found))
    assert [item["pairs"] for item in whole["items"]] == [[list(pair) for pair in names[n]] for n in sorted(names)]

    out = tmp_path / "preferred.jsonl"
    written = votes_out.write(prepared, votes_of(prepared), found, str(out), "trl")
    texts = {(item.asked, frozenset((item.run, item.against))) for item in real if item.run and item.against}
    assert written.rows == len(real) - written.left_out["an answer is empty"]
    loaded = load_rows([(out, 1.0)], "auto", {}, "stop")
    assert len(loaded.conversations) == written.rows == len(texts)
    assert set(json.loads(out.read_text(encoding="utf-8").splitlines()[0])) == {
        "prompt",
        "chosen",
        "rejected",
        "category",
    }


def test_it_goes_on_whatever_the_order_of_names_and_beside_it_stands_the_review_of_two(run: Path) -> None:
    several = prepared_for(run)
    answers = sorted(path.name for path in (run / "answers").iterdir())
    again = prepared_for(run, str(run.with_name("short")), "base")
    assert (again.review, list(again.items)) == (several.review, list(several.items))
    two = prepared_for(run, "base")
    assert (two.review.name, two.terms.systems) == ("base", ())
    assert sorted(path.name for path in (run / "answers").iterdir()) == answers, "the same answers serve both"
    voted(two, lambda item: "run")
    voted(several, better(several))
    kept = Run.open(run)
    assert {line["review"] for line in read_votes(kept)} == {"base", "base-and-1-more"}
    assert {line.get("against") for line in read_votes(kept)} == {"base", None}
    root = run.parent
    for against, name in ((None, "base"), ("base", "base"), (["short", "base"], "base-and-1-more")):
        out = root / f"{name}-{against is None}.csv"
        exported = worked(review(str(run), against=against, export=str(out), root=root))[0]
        assert exported.reviewed.asked.systems == (SYSTEMS if "more" in name else ())
    with pytest.raises(UserError, match="nobody was asked about this run yet"):
        worked(review(str(run), against="short", export=str(root / "none.csv"), root=root))


def test_the_command_takes_several_names_and_prints_each_system_and_pair(
    run: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parents[1])
    prepared = prepared_for(run, kind="scripted")
    voted(prepared, better(prepared))
    words = ["review", "runs/colours", "--against", "base", "--against", "runs/short", "--export"]
    assert command([*words, "votes.csv"]) == 0, "votes of a script miss no target"
    said = " ".join(capsys.readouterr().out.split())
    assert "colours against base, short, scripted: made by a script, no person's" in said
    real = sum(not item.check for item in prepared.items)
    assert f"3 systems, {real} votes of {real} on" in said
    places = [said.index(f"{name}: strength") for name in ("colours", "short", "base")]
    assert places == sorted(places)
    assert "colours over base: 100.0%" in said
    assert "colours against base alone," in said
    assert command([*words, "whole.json", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["against"], data["asked"]["systems"]) == ("base", list(SYSTEMS))
    assert [one["system"] for one in data["ranking"]] == ["colours", "short", "base"]


def test_without_base_the_first_that_is_named_is_what_the_votes_are_held_against_and_no_target_is_filled(
    run: Path, short: Trained
) -> None:
    worked(evaluate(str(run)))
    shutil.copytree(short.folder, run.with_name("again"))
    prepared = prepared_for(run, str(run.with_name("short")), str(run.with_name("again")))
    assert prepared.terms.systems == ("short", "again")
    real = [item for item in prepared.items if not item.check]
    assert {item.pairs for item in real} == {((0, 1), (0, 2))}, "the two answer alike, so one vote says it of both"
    found = voted(prepared, lambda item: "run")
    assert [(met.votes, met.same) for met in found.report.several.met] == [
        (len(real), 12 - len(real)),
        (len(real), 12 - len(real)),
        (0, 12),
    ]
    target = {one.metric: one for one in Run.open(run).read_report().targets}["human_eval"]
    assert (target.verdict, target.reason) == ("not_measured", "no votes yet")
    assert "Base is not among the systems" in Run.open(run).page.read_text(encoding="utf-8")


def test_wrong_names_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match="base is named twice"):
        prepared_for(run, "base", "base")
    with pytest.raises(UserError, match="a run cannot be held against itself"):
        prepared_for(run, "base", str(run))
    shutil.copytree(run, run.with_name("copy"))
    shutil.copytree(run, run.with_name("twin"))
    with pytest.raises(UserError, match="all answer all 12 rows alike, so there is nothing to choose"):
        prepared_for(run, str(run.with_name("copy")), str(run.with_name("twin")))


def test_attention_checks_are_the_runs_answers_and_count_in_no_pair(run: Path) -> None:
    prepared = prepared_for(run)
    rows = [Conversation("chat", (Message("user", str(n)),), Place("rows.jsonl", n)) for n in range(1, 5)]
    long = Answer("one two three four five six seven", 7, True)
    others = [replace(long, text=str(n)) for n in range(4)]
    items, same = _items_of_several(
        rows, [[long] * 4, [long, *others[1:]], [long] * 4], replace(prepared.terms, checks=3)
    )
    checks = [item for item in items if item.check]
    assert same == 1
    assert [item.check for item in checks] == ["same", "broken", "same"]
    assert checks[0].place.line == 1, "a row that all answer alike is asked nowhere else"
    assert all(item.pairs == () and item.run == long.text for item in checks)
    assert [item.number for item in items] == list(range(1, len(items) + 1))
    assert {item.pairs for item in items if not item.check} == {((0, 1), (2, 1))}


OLD_TERMS = (
    '{"version": 1, "against": "base", "kind": "scripted", "each_by": 1, "rows": "t.jsonl", "rows_sha256": "", '
    '"run_sha256": "", "against_sha256": "", "max_tokens": 64, "checks": 0, "seed": 0, "same": 3, "began": "2026"}'
)
OLD_ITEM = (
    '{{"number": {0}, "file": "t.jsonl", "line": {0}, "row_group": null, "category": null, "check": "", "asked": '
    '[{{"role": "user", "content": "q{0}"}}], "tools": [], "run": "mine {0}", "against": "theirs {0}", '
    '"run_stopped": true, "against_stopped": true}}'
)
OLD_ORDER = [(2, "run"), (4, "run"), (1, "against"), (5, "run"), (6, "against"), (3, "run")]
"""As commit d438522 asked rater 1."""


def test_a_review_that_was_begun_before_there_were_several_systems_opens_and_goes_on_as_it_would_have(
    run: Path,
) -> None:
    folder = run / "review" / "base"
    folder.mkdir(parents=True)
    (folder / "terms.json").write_text(OLD_TERMS, encoding="utf-8")
    (folder / "items.jsonl").write_text("".join(OLD_ITEM.format(n) + "\n" for n in range(1, 7)), encoding="utf-8")
    kept = KeptReview.last(Run.open(run), ["base"])
    assert kept is not None
    prepared = Prepared(Run.open(run), kept, kept.terms(), kept.items())
    with open_votes(kept.database, prepared.items, each_by=1, seed=0) as votes:
        votes.add_raters(1, "scripted")
        while asked := votes.next(votes.raters()[0]):
            votes.vote(votes.raters()[0], asked.item, "left")
        order = [(vote.item, vote.left) for vote in votes.votes()]
    assert order == OLD_ORDER
    found = voted(prepared, lambda item: "run")
    data = found.data()
    assert set(data["asked"]) == {"run", "against", "kind", "items", "same", "each_by", "raters"}
    assert "several" not in data
    assert (data["asked"]["items"], data["asked"]["same"]) == (6, 3)
    line = read_votes(Run.open(run))[0]
    assert list(line)[:2] == ["review", "against"]
    assert "pairs" not in line
    header = votes_out.table(prepared, votes_of(prepared)).decode().splitlines()[0]
    assert header == "item,file,line,category,check,rater,kind,left,choice,note,at,prompt,run,against"
    begun = KeptReview.begin(prepared.run, prepared.terms, prepared.items)
    assert json.loads((begun.folder / "terms.json").read_bytes()) == json.loads(OLD_TERMS)
    first = json.loads((begun.folder / "items.jsonl").read_bytes().splitlines()[0])
    assert set(first) == set(json.loads(OLD_ITEM.format(1)))


def test_how_much_there_is_to_vote_on_is_said_and_that_one_may_stop_before(run: Path) -> None:
    prepared, events = worked(
        prepare_review(str(run), against=["base", str(run.with_name("short"))], max_tokens=6, checks=0)
    )
    said = [event.text for event in events if isinstance(event, Note) and "3 systems in 3 pairs" in event.text]
    assert len(said) == 1
    assert f"{len(prepared.items)} items" in said[0]
    assert Counter(item.row for item in prepared.items).most_common(1)[0][1] <= 3
