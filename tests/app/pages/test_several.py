"""A review of three systems on its pages, by requests and in a real browser; its votes are made by a script."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from starlette.testclient import TestClient

from luthier.app.pages.watch import about, matrix, when_to_stop
from luthier.evaluation.review import shown
from luthier.flow import Choice, Message, ReviewItem
from tests.app.pages.conftest import HOST, Opened, item
from tests.app.pages.test_vote_in_browser import DESK, PHONE, Shown, wait_for_item
from tests.app.pages.test_vote_in_browser import show as show
from tests.report.test_page_in_browser import CONTRAST

SYSTEMS = ("base", "answers-full-2")
TEXTS = {
    0: "Your refund of 24.90 was sent today and is on your account within five days.",
    1: "Refunds\n\n1. A refund is money that is paid back.\n2. It may be paid back by card.\n",
    2: "We have sent the 24.90 back. Please look at your account on Friday.",
}
STRENGTH = {0: 2, 2: 1, 1: 0}


def items_of(rows: int) -> list[ReviewItem]:
    """Each row with each pair of three systems; on every fifth row the run and the last say the same."""
    found: list[ReviewItem] = []
    for lap in range(3):
        for row in range(1, rows + 1):
            pairs = [((0, 1), (2, 1))] if row % 5 == 0 else [(pair,) for pair in combinations(range(3), 2)]
            if lap < len(pairs):
                choice = pairs[(lap + row) % len(pairs)]
                one, other = choice[0]
                asked = (Message("user", f"Where is the money of order {row}?"),)
                texts = {"run": f"{TEXTS[one]} ({row})", "against": f"{TEXTS[other]} ({row})"}
                found.append(item(len(found) + 1, row=row, pairs=choice, asked=asked, **texts))
    return found


def preferred(one: ReviewItem, turn: int) -> Choice:
    """The stronger system, and in every seventh vote the other or a tie."""
    if turn % 7 == 3:
        return ("both_good", "both_bad", "against")[turn % 3]
    return "run" if STRENGTH[one.pairs[0][0]] > STRENGTH[one.pairs[0][1]] else "against"


def vote_on(room: Opened, most: int) -> None:
    for turn in range(most):
        rater = room.votes.raters()[turn % len(room.votes.raters())]
        asked = room.votes.next(rater)
        if asked is None:
            continue
        choice = preferred(room.votes.items[asked.item], turn)
        room.votes.vote(rater, asked.item, shown(choice, asked.left))


def client(opened: Opened) -> TestClient:
    return TestClient(opened.site, base_url=f"http://{HOST}", follow_redirects=False)


def test_a_raters_page_says_nothing_of_which_systems_there_are(opened: Callable[..., Opened]) -> None:
    room = opened(items_of(10), systems=SYSTEMS)
    page = client(room)
    html = page.get(room.path()).text
    while 'name="item"' in html:
        for secret in ("tickets", "base", "answers-full-2", "against", "pair", "system"):
            assert secret not in html
        number = html.split('name="item" value="')[1].split('"')[0]
        page.post(f"{room.path()}/vote", data={"item": number, "choice": "left"})
        html = page.get(room.path()).text
    assert len(room.votes.votes()) == len(items_of(10)) == 26


def test_each_rater_sees_every_pair_on_either_side_and_the_second_rater_the_other_way_round(
    opened: Callable[..., Opened],
) -> None:
    room = opened(items_of(20), raters=2, each_by=2, systems=SYSTEMS)
    vote_on(room, 2 * len(items_of(20)))
    sides: Counter[Any] = Counter()
    seen: dict[tuple[str, int], str] = {}
    for vote in room.votes.votes():
        sides[vote.rater, room.votes.items[vote.item].pairs[0], vote.left] += 1
        seen[vote.rater, vote.item] = vote.left
    for rater in room.votes.raters():
        for pair in combinations(range(3), 2):
            assert abs(sides[rater.name, pair, "run"] - sides[rater.name, pair, "against"]) <= 3
    one, other = (rater.name for rater in room.votes.raters())
    assert all(seen[one, number] != seen[other, number] for number in room.votes.items)


def test_the_owner_sees_every_system_each_pair_and_what_the_target_is_of(opened: Callable[..., Opened]) -> None:
    room = opened(items_of(40), raters=2, systems=SYSTEMS, same=2)
    vote_on(room, 90)
    found = room.room.summary(at_once=True)
    html = client(room).get(room.owner).text
    assert "<bdi>tickets</bdi> against <bdi>base</bdi>, <bdi>answers-full-2</bdi>" in html
    assert "2 more rows had the same answer from all and are shown to nobody" in html
    assert about(found) in html
    assert f"the votes on tickets and base alone: {found.report.votes} of 40" in about(found)
    assert found.asked.same == 2
    ranked = [one.system for one in found.report.ranking]
    assert ranked == ["tickets", "answers-full-2", "base"]
    table = html[html.index("All systems") :]
    assert table.index("<bdi>tickets") < table.index("<bdi>answers-full-2") < table.index("<bdi>base")
    cells = {row.name: row.cells for row in matrix(found)}
    assert cells["tickets"][0] is None
    assert cells["tickets"][1] == found.report.wins
    assert cells["base"][0] == found.report.losses
    assert [met.same for met in found.report.several.met] == [2, 10, 2]  # type: ignore[union-attr]
    assert "scripted" in html
    assert client(room).get(f"{room.owner}/votes.csv").text.splitlines()[0].endswith("run_is,against_is,chosen_is")
    whole = client(room).get(f"{room.owner}/votes.json").json()
    assert whole["reviewed"]["several"]["votes"] == 90
    rows = [line for line in client(room).get(f"{room.owner}/preferences.jsonl").text.splitlines() if line]
    ties = sum(vote.choice.startswith("both") for vote in room.votes.votes())
    assert len(rows) == 90 - ties


def test_without_base_the_page_says_that_no_target_is_filled(opened: Callable[..., Opened]) -> None:
    room = opened(items_of(10), against="b", systems=("b", "c"))
    html = client(room).get(room.owner).text
    assert "Base is not among the systems" in html
    assert "No votes yet" in html
    vote_on(room, 20)
    assert "fills no target" in about(room.room.summary(at_once=True))


def test_when_to_stop_goes_by_the_votes_with_base_alone(opened: Callable[..., Opened]) -> None:
    room = opened(items_of(120), systems=SYSTEMS)
    for rater in room.votes.raters():
        while asked := room.votes.next(rater):
            met = room.votes.items[asked.item].pairs
            choice: Choice = "both_bad" if (0, 1) not in met else "run"
            room.votes.vote(rater, asked.item, shown(choice, asked.left))
    assert "Settled: the preferred share is over the target" in when_to_stop(room.room.summary(at_once=True))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_in_the_browser_the_keyboard_votes_through_three_systems_and_the_owner_sees_them(
    listening_room: Callable[..., Opened], show: Callable[..., Shown], size: dict[str, int]
) -> None:
    room = listening_room(items_of(40), raters=2, systems=SYSTEMS)
    vote_on(room, 70)
    one = show(room.room.link(room.votes.raters()[0]), size)
    one.picture(f"several-vote-{size['width']}")
    assert one.wide() == size["width"]
    asked = one.asked()
    for key in ("1", "2", "3", "4"):
        one.press(key)
        asked = wait_for_item(one, asked)
    one.press("u")
    wait_for_item(one, asked)
    assert len(room.votes.votes()) == 73
    assert one.said == []
    room.room.summary(at_once=True)
    owner = show(room.room.owner_link, size)
    assert owner.wide() == size["width"]
    assert "73 of" in owner.page.locator(".tiles").inner_text()
    assert owner.page.locator(".matrix tbody tr").count() == 3
    owner.page.locator("#h-systems").scroll_into_view_if_needed()
    owner.picture(f"several-owner-{size['width']}")
    if folder := os.environ.get("SCREENSHOTS"):
        owner.page.screenshot(path=f"{folder}/several-owner-{size['width']}-whole.png", full_page=True)
    before = owner.page.locator(".matrix").inner_text()
    vote_on(room, 20)
    owner.until(lambda: owner.page.locator(".matrix").inner_text() != before)
    assert owner.said == []


def test_in_the_dark_the_tables_of_systems_have_enough_contrast_and_long_names_stay_inside(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(items_of(10), systems=("base", "W" * 200), kind="person")
    vote_on(room, 20)
    for size in (DESK, PHONE):
        owner = show(room.room.owner_link, size, color_scheme="dark")
        assert owner.wide() == size["width"]
        for place in ("#h-systems", ".matrix td.n", "[aria-labelledby=h-pairs] .soft.about", ".chip"):
            ratio = owner.page.locator(place).first.evaluate(CONTRAST)
            assert ratio >= 4.5, (place, ratio)
        owner.picture(f"several-dark-{size['width']}")
