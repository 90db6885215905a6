"""People's votes on the run's page: the share, the verdict, ties in the open, and a word where a script voted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from luthier.evaluation.review import Asked, reviewed
from luthier.evaluation.votes_report import Meeting
from luthier.flow import Choice, Message, Place, ReviewItem, Vote
from luthier.report.page import render
from luthier.report.people import people
from luthier.report.view import View
from tests.report.test_page_in_browser import show

__all__ = ["show"]  # the fixture

RUN: Choice = "run"
CHOICES: tuple[Choice, ...] = (*(RUN for _ in range(9)), "against", "both_good", "both_bad")


def voted(kind: Any = "person", against: str = "base") -> dict[str, Any]:
    """reports/review.json of nine wins, one loss and two ties."""
    items = [
        ReviewItem(n, Place("test.jsonl", n), None, (Message("user", "?"),), "mine", "theirs, longer")
        for n in range(1, 13)
    ]
    votes = [
        Vote(n, "rater 1", kind, "run" if n % 2 else "against", choice, "", "2026-11-29T00:00:00+00:00", n, 2.0)
        for n, choice in enumerate(CHOICES, 1)
    ]
    asked = Asked("tickets-lora-1", against, kind, 12, 0, 1, ("rater 1",))
    content: dict[str, Any] = json.loads(json.dumps(reviewed(asked, items, votes, "> 80%").data()))
    return content


def voted_on_three(against: str = "base", kind: Any = "scripted") -> dict[str, Any]:
    """reports/review.json of twelve rows and three systems: the run before `b` before `against`, and two ties."""
    names = ("tickets-lora-1", against, "b")
    pairs = ((0, 1), (0, 2), (2, 1))
    items = [
        ReviewItem(
            number, Place("t.jsonl", row), None, (Message("user", "?"),), "mine", "other", row=row, pairs=(pair,)
        )
        for number, (row, pair) in enumerate(((row, pair) for pair in pairs for row in range(1, 13)), 1)
    ]
    votes = [
        Vote(n, "rater 1", kind, "run" if n % 2 else "against", choice, "", "2026-11-29T00:00:00+00:00", n, 2.0)
        for n, choice in enumerate(CHOICES * 3, 1)
    ]
    met = tuple(Meeting(names[one], names[other], 12, 0) for one, other in ((0, 1), (0, 2), (1, 2)))
    asked = Asked(names[0], against, kind, 12, 0, 1, ("rater 1",), names, met, 36)
    content: dict[str, Any] = json.loads(json.dumps(reviewed(asked, items, votes, "> 80%").data()))
    return content


def test_three_systems_stand_by_strength_and_pair_by_pair_and_the_rest_is_of_two(whole: View) -> None:
    html = render(replace(whole, review=voted_on_three()))
    part = html[html.index('id="people"') :]
    assert "3 systems, 36 votes of 36 on 12 rows" in part
    rows = part[part.index("How strong each system is") :]
    assert rows.index("<bdi>tickets-lora-1</bdi>") < rows.index("<bdi>b</bdi>") < rows.index("<bdi>base</bdi>")
    assert "<bdi>base</bdi>, <bdi>b</bdi>" in rows
    assert "10.0%" in rows  # base over b: 1 of 10
    assert "<bdi>tickets-lora-1</bdi> against <bdi>base</bdi> alone" in part
    assert "9 for the run, 1 for <bdi>base</bdi>, 1 both good, 1 both bad" in part
    assert "Scripted votes:" in part
    assert "Base is not among" not in part
    assert "Base is not among the systems" in render(replace(whole, review=voted_on_three("a")))
    review = voted_on_three()
    assert people(review | {"votes": 0}) is not None, "votes on other pairs are votes"
    assert people(review | {"several": review["several"] | {"votes": 0}}) is None


def test_the_share_its_exact_interval_the_verdict_and_ties_stand_on_the_page(whole: View) -> None:
    html = render(replace(whole, review=voted()))
    assert "Blind review" in html
    assert "90.0%" in html
    assert "[55.5, 99.7]" in html  # Clopper and Pearson, 9 of 10
    assert "9 for the run, 1 for <bdi>base</bdi>, 1 both good, 1 both bad" in html
    assert "luthier review" not in html
    assert "cripted" not in html


def test_a_scripts_votes_are_called_so_beside_the_verdict(whole: View) -> None:
    html = render(replace(whole, review=voted("scripted")))
    assert "a script made them, no person" in html
    assert "of scripted votes" in html
    assert "1 scripted rater chose blind" in html


def test_a_page_without_votes_says_what_to_type(whole: View) -> None:
    assert people(voted() | {"votes": 0}) is None
    html = render(whole)
    assert "Blind review" not in html
    assert "luthier review runs/tickets-lora-1" in html


@pytest.mark.parametrize("width", [1280, 360])
def test_the_part_fits_the_window(show: Any, whole: View, width: int) -> None:
    for review in (voted("scripted", against="W" * 300), voted_on_three("W" * 300), voted_on_three()):
        shown = show(replace(whole, review=review), width)
        assert shown.wide() == width
        assert shown.said == []
    if folder := os.environ.get("SCREENSHOTS"):
        shown.page.locator("#people").screenshot(path=f"{folder}/report-several-{width}.png")
