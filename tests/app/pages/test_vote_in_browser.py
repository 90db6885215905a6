"""The review's pages in a real browser: keyboard and finger, with and without scripts, markup, a server that dies.

`SCREENSHOTS=folder` keeps a picture of each page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.evaluation.review import shown
from luthier.flow import Choice, Message, ReviewItem
from tests.app.pages.conftest import Opened, item
from tests.report.test_page_in_browser import CONTRAST

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
MARKUP = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"><b>bold</b>"
LONG = "A sentence of an answer that does not end. " * 4000
WIDE = "W" * 5000


class Shown:
    """A page in the browser; `said` holds what it wrote to the console, its faults, and addresses outside of it."""

    def __init__(self, browser: Any, address: str, size: dict[str, int], **options: Any) -> None:
        self.said: list[str] = []
        self.context = browser.new_context(viewport=size, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._asked(request, address))
        self.page.goto(address)

    def _asked(self, request: Any, address: str) -> None:
        if not request.url.startswith((address[: address.index("/", 8)], "data:")):
            self.said.append(request.url)

    def wide(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def asked(self) -> int:
        return int(self.page.locator("input[name=item]").get_attribute("value"))

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits up to 20 seconds. The page's policy lets no text be run as a script, so the wait is here."""
        for _ in range(400):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(self.page.content())

    def press(self, key: str) -> None:
        """A key, after the moment in which a second press counts for the last item."""
        self.page.wait_for_timeout(300)
        self.page.keyboard.press(key)

    def picture(self, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Shown]]:
    opened: list[Shown] = []

    def shower(address: str, size: dict[str, int] = DESK, **options: Any) -> Shown:
        opened.append(Shown(browser, address, size, **options))
        return opened[-1]

    yield shower
    for one in opened:
        one.context.close()


def real_items() -> list[ReviewItem]:
    """Questions as people ask them, with answers of a line and of a page."""
    asked = (
        Message("system", "Answer briefly, as a support desk would."),
        Message("user", "My card was charged twice for order 4471. Can you give me one of the two payments back?"),
    )
    mine = (
        "I am sorry about that. I can see two payments of 24.90 for order 4471, and have asked for the second one to "
        "be paid back. It takes three to five days until it is on your account. Is there anything else?"
    )
    theirs = (
        "Payments\n\n1. A payment is a transfer of money.\n2. It may be made by card.\n3. It may be made twice.\n" * 9
    )
    return [item(number, asked=asked, run=mine, against=theirs) for number in range(1, 9)]


def wait_for_item(one: Shown, after: int) -> int:
    one.until(lambda: one.asked() != after)
    return one.asked()


def test_the_keyboard_alone_votes_notes_and_undoes(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]))
    one.picture("vote-desk")
    first = one.asked()
    one.press("1")
    second = wait_for_item(one, first)
    assert one.page.evaluate("document.activeElement.tagName") == "H1"
    assert "Kept: answer 1 is better." in one.page.locator("#live").text_content()
    one.press("n")
    one.page.keyboard.type("1234u is what I typed")
    one.page.keyboard.press("Escape")
    one.press("4")
    third = wait_for_item(one, second)
    one.press("u")
    assert wait_for_item(one, third) == second
    assert "taken back" in one.page.locator("#live").text_content()
    one.press("3")
    wait_for_item(one, second)
    found = {vote.item: (shown(vote.choice, vote.left), vote.note) for vote in room.votes.votes()}
    assert found == {first: ("left", ""), second: ("both_good", "")}
    assert one.said == []


def test_only_tab_and_enter_vote_too_and_every_stop_has_a_name(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]))
    names = []
    for _ in range(14):
        one.page.keyboard.press("Tab")
        names.append(
            one.page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
        if names[-1].strip().endswith("Both good"):
            break
    assert all(name is not None for name in names)
    one.page.keyboard.press("Enter")
    one.until(lambda: "you: 1 vote" in one.page.locator(".brow").inner_text())
    assert [vote.choice for vote in room.votes.votes()] == ["both_good"]


def test_two_fast_presses_are_one_vote(listening_room: Callable[..., Opened], show: Callable[..., Shown]) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]))
    first = one.asked()
    one.page.wait_for_timeout(300)
    one.page.evaluate("""() => {
      const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
      document.addEventListener("htmx:after:settle", () => press("1"));  // the next item is there, and nobody read it
      press("2");
      press("2");
    }""")
    wait_for_item(one, first)
    one.page.wait_for_timeout(200)
    assert [(vote.item, shown(vote.choice, vote.left)) for vote in room.votes.votes()] == [(first, "right")]


def test_a_phone_shows_it_no_wider_than_its_screen_and_a_finger_votes(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]), PHONE, has_touch=True, is_mobile=True)
    one.picture("vote-phone")
    assert one.wide() == PHONE["width"]
    buttons = one.page.locator(".choices button")
    for number in range(4):
        box = buttons.nth(number).bounding_box()
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= PHONE["height"]
    first = one.asked()
    buttons.nth(1).tap()
    wait_for_item(one, first)
    assert len(room.votes.votes()) == 1
    assert one.said == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_markup_is_text_and_very_long_answers_scroll_and_open(
    listening_room: Callable[..., Opened], show: Callable[..., Shown], size: dict[str, int]
) -> None:
    asked = (Message("user", MARKUP + WIDE),)
    room = listening_room([item(1, asked=asked, run=MARKUP + LONG, against=WIDE + MARKUP, run_stopped=False)])
    one = show(room.room.link(room.votes.raters()[0]), size)
    one.picture(f"vote-long-{size['width']}")
    assert one.page.title() == "Which answer is better?"
    assert one.page.locator(".said b, .said img, .said script").count() == 0
    assert one.page.get_by_text("<b>bold</b>").count() >= 3
    assert one.wide() == size["width"]
    texts = one.page.locator("article .said")
    for number in range(2):
        assert texts.nth(number).bounding_box()["height"] < size["height"]
    one.page.locator(".whole input").first.check()
    assert max(texts.nth(number).bounding_box()["height"] for number in range(2)) > 1.5 * size["height"]
    one.page.keyboard.press("Tab")
    assert one.page.locator(".choices button").first.is_visible()
    assert "cut off at the limit of 64 tokens" in one.page.content()
    assert one.said == []


def test_without_scripts_a_vote_is_a_form_and_undo_another(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]), java_script_enabled=False)
    first = one.asked()
    one.page.locator("textarea").fill("without scripts")
    one.page.get_by_role("button", name="Both bad").click()
    assert one.asked() != first
    assert [(vote.item, vote.choice, vote.note) for vote in room.votes.votes()] == [
        (first, "both_bad", "without scripts")
    ]
    one.page.get_by_role("button", name="Undo").click()
    assert one.asked() == first
    assert room.votes.votes() == []


def test_light_and_dark_follow_the_system_with_enough_contrast(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    address = room.room.link(room.votes.raters()[0])
    for scheme in ("light", "dark"):
        one = show(address, color_scheme=scheme)
        one.picture(f"vote-{scheme}")
        places = ("h1", ".brow span", ".scripted", "article .said", "button[value=left]", "button[value=both_bad]")
        for place in (*places, ".system .said", ".asked h2", ".note span"):
            ratio = one.page.locator(place).first.evaluate(CONTRAST)
            assert ratio >= 4.5, (scheme, place, ratio)


def test_a_server_that_dies_is_said_and_the_vote_counts_once_it_is_back(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    one = show(room.room.link(room.votes.raters()[0]))
    first = one.asked()
    one.page.route("**/vote", lambda route: route.abort())
    one.press("1")
    one.page.wait_for_selector("#offline:not([hidden])")
    assert "does not answer" in one.page.locator("#offline").inner_text()
    one.picture("vote-offline")
    assert one.asked() == first
    one.page.unroute("**/vote")
    one.press("1")
    wait_for_item(one, first)
    assert one.page.locator("#offline").is_hidden()
    assert len(room.votes.votes()) == 1


def test_a_rater_goes_on_where_they_stopped_in_another_browser(
    listening_room: Callable[..., Opened], show: Callable[..., Shown]
) -> None:
    room = listening_room(real_items())
    address = room.room.link(room.votes.raters()[0])
    one = show(address)
    first = one.asked()
    one.press("1")
    waiting = wait_for_item(one, first)
    one.context.close()
    again = show(address, PHONE)
    assert again.asked() == waiting
    assert "you: 1 vote" in again.page.locator(".brow").inner_text()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_owners_view_renews_itself_and_fits_the_window(
    listening_room: Callable[..., Opened], show: Callable[..., Shown], size: dict[str, int]
) -> None:
    room = listening_room([item(number) for number in range(1, 61)], raters=3, each_by=2)
    for turn in range(100):
        rater = room.votes.raters()[turn % 3]
        if asked := room.votes.next(rater):
            choice: Choice = "both_bad" if asked.item % 12 == 0 else "run" if (asked.item + turn) % 7 else "against"
            room.votes.vote(rater, asked.item, shown(choice, asked.left))
    one = show(room.room.owner_link, size)
    assert one.wide() == size["width"]
    before = one.page.locator(".tiles").inner_text()
    one.picture(f"owner-{size['width']}")
    rater = room.votes.raters()[0]
    while asked := room.votes.next(rater):
        room.votes.vote(rater, asked.item, "both_good")
    one.until(lambda: one.page.locator(".tiles").inner_text() != before)
    assert one.said == []
    if folder := os.environ.get("SCREENSHOTS"):
        one.page.screenshot(path=f"{folder}/owner-{size['width']}-whole.png", full_page=True)
