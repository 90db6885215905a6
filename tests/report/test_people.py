"""People's votes on the run's page: the share, the verdict, ties in the open, and a word where a script voted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from luthier.evaluation.review import Asked, reviewed
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
    shown = show(replace(whole, review=voted("scripted", against="W" * 300)), width)
    assert shown.wide() == width
    assert shown.said == []
