"""The rater's page by its requests: what it shows and hides, what it takes, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from luthier.evaluation.review import shown
from luthier.flow import Choice, Message, ToolCall
from tests.app.pages.conftest import HOST, Opened, item

HTMX = {"HX-Request": "true"}
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}&lt;"


def client(opened: Opened, **options: Any) -> TestClient:
    return TestClient(opened.site, base_url=f"http://{HOST}", follow_redirects=False, **options)


def asked_in(html: str) -> int:
    found = re.search(r'name="item" value="(\d+)"', html)
    assert found is not None
    return int(found[1])


def vote(page: TestClient, path: str, number: int | str, choice: str = "left", **more: Any) -> Any:
    return page.post(f"{path}/vote", data={"item": number, "choice": choice, "note": more.pop("note", "")}, **more)


def test_a_page_holds_the_prompt_both_answers_and_nothing_of_whose_they_are(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)])
    html = client(room).get(room.path()).text
    assert asked_in(html) == 1
    for text in ("question 1", "mine 1", "theirs 1", "Answer 1", "Both bad"):
        assert text in html
    for secret in ("tickets", "base", "against", "test.jsonl", room.room.owner_token):
        assert secret not in html


def test_votes_with_and_without_scripts_are_kept_and_the_next_item_follows(opened: Callable[..., Opened]) -> None:
    room = opened([item(number) for number in range(1, 5)])
    page, path = client(room), room.path()
    first = asked_in(page.get(path).text)
    plain = vote(page, path, first, "both_good", note="fine\r\nreally")
    assert (plain.status_code, plain.headers["location"]) == (303, path)
    second = asked_in(page.get(path).text)
    part = vote(page, path, second, "right", headers=HTMX)
    assert part.status_code == 200
    assert part.text.startswith('<main id="ballot" data-said="Kept: answer 2 is better."')
    assert asked_in(part.text) not in (first, second)
    kept = room.votes.votes()
    assert [(one.item, one.note) for one in kept] == [(first, "fine\nreally"), (second, "")]
    assert kept[1].choice == ("against" if kept[1].left == "run" else "run")
    undone = page.post(f"{path}/undo", headers=HTMX)
    assert asked_in(undone.text) == second
    assert len(room.votes.votes()) == 1


def test_at_the_end_the_page_says_so_and_the_last_vote_can_be_undone(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)])
    page, path = client(room), room.path()
    assert asked_in(page.get(path).text) == 1
    assert "All done, thank you" in vote(page, path, 1, headers=HTMX).text
    assert asked_in(page.post(f"{path}/undo", headers=HTMX).text) == 1


def test_an_empty_review_opens(opened: Callable[..., Opened]) -> None:
    room = opened([])
    assert "There is nothing to choose" in client(room).get(room.path()).text
    assert client(room).get(room.owner).status_code == 200


@pytest.mark.parametrize(
    ("number", "choice", "note", "status", "words"),
    [
        (99, "left", "", 404, "no such item"),
        ("1 or 1=1", "left", "", 404, "no such item"),
        ("9" * 40, "left", "", 404, "no such item"),
        ("", "left", "", 404, "no such item"),
        (1, "mine", "", 422, "choose one of the four buttons"),
        (1, "", "", 422, "choose one of the four buttons"),
        (1, "left", "x" * 2001, 413, "2,000 is the most"),
    ],
)
def test_what_is_no_vote_is_refused_in_words_and_the_item_stays(
    opened: Callable[..., Opened], number: Any, choice: str, note: str, status: int, words: str
) -> None:
    room = opened([item(1)])
    for headers in ({}, HTMX):
        answer = vote(client(room), room.path(), number, choice, note=note, headers=headers)
        assert answer.status_code == status
        assert words in answer.text
        assert asked_in(answer.text) == 1
    assert room.votes.votes() == []
    assert client(room).post(f"{room.path()}/undo").status_code == 409


def test_a_second_vote_on_an_item_is_refused_unless_it_is_the_same(opened: Callable[..., Opened]) -> None:
    room = opened([item(1), item(2)])
    page, path = client(room), room.path()
    first = asked_in(page.get(path).text)
    assert vote(page, path, first).status_code == 303
    assert vote(page, path, first).status_code == 303
    other = vote(page, path, first, "right")
    assert other.status_code == 409
    assert "voted on this item already" in other.text
    assert len(room.votes.votes()) == 1


def test_a_full_disk_is_said_on_the_page_and_the_earlier_votes_stay(opened: Callable[..., Opened]) -> None:
    room = opened([item(number) for number in range(1, 100)])
    page, path = client(room), room.path()
    with room.votes._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    number = asked_in(page.get(path).text)
    taken = 0
    while (answer := vote(page, path, number, note="n" * 1900, headers=HTMX)).status_code == 200:
        number, taken = asked_in(answer.text), taken + 1
    assert answer.status_code == 507
    assert "the disk is full" in answer.text
    assert len(room.votes.votes()) == taken


def test_wrong_and_missing_tokens_get_403_and_the_same_nothing(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)])
    page, path = client(room), room.path()
    answers = [
        page.get(where)
        for where in (
            "/",
            "/r",
            "/r/",
            "/r/x",
            f"{path}x",
            path.upper(),
            "/o/x",
            "/o/",
            room.owner.replace("o", "r", 1),
        )
    ]
    answers += [page.get(f"/o/{path[3:]}{more}") for more in ("", "/now", "/votes.csv", "/votes.json")]
    answers += [page.get(where) for where in ("/docs", "/openapi.json", "/static/", "/static/../site.py")]
    answers += [page.post(where) for where in ("/r/x/vote", "/r/x/undo", f"/o/{path[3:]}/end", f"{path}/nowhere")]
    answers += [page.request("DELETE", path), page.request("PUT", f"{path}/vote")]
    answers += [page.post(f"{path}/vote", files={"choice": ("left", b"left")})]
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    answers += [page.post(f"{path}/vote", content=b"no form", headers=broken)]
    for answer in answers:
        assert answer.status_code == 403, answer.request.url
        assert answer.text == answers[0].text
        assert "question" not in answer.text
    assert not room.room.ended.is_set()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": f"{HOST}:81"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_hosts_name_and_another_pages_form_change_nothing(
    opened: Callable[..., Opened], headers: dict[str, str]
) -> None:
    room = opened([item(1)])
    page, path = client(room), room.path()
    page.get(path)
    assert vote(page, path, 1, headers=headers).status_code == 403
    assert page.post(f"{path}/undo", headers=headers).status_code == 403
    if "Host" in headers:
        assert page.get(path, headers=headers).status_code == 403
    assert room.votes.votes() == []
    assert vote(page, path, 1, headers={"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_large_body_is_refused_before_it_is_read(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)])
    answer = client(room).post(f"{room.path()}/vote", content=b"x" * 70_000)
    assert answer.status_code == 413
    chunked = client(room).post(f"{room.path()}/vote", content=iter([b"x" * 1000]))
    assert chunked.status_code == 413


def test_markup_in_texts_is_shown_and_every_page_has_the_strict_headers(opened: Callable[..., Opened]) -> None:
    calls = (ToolCall("<b>look</b>", {"q": MARKUP}),)
    asked = (
        Message("user", MARKUP),
        Message("assistant", MARKUP, tool_calls=calls, reasoning=MARKUP),
        Message("user", "?"),
    )
    tools = ({"type": "function", "function": {"name": MARKUP}}, {"function": 3})
    room = opened([item(1, run=MARKUP, against=f"{MARKUP}\x1b[31m", asked=asked, tools=tools, category=MARKUP)])
    page = client(room)
    first = page.get(room.path())
    vote(page, room.path(), 1, note=MARKUP)
    room.room.summary(at_once=True)
    for answer in (first, page.get(room.owner), page.get(f"{room.owner}/now")):
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
    assert "␛[31m" in first.text
    assert "{{ 7 * 7 }}" in first.text
    assert " style=" not in first.text
    assert "onclick" not in first.text


def test_scripted_votes_are_called_so_on_every_page_and_peoples_are_not(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)])
    for where in (room.path(), room.owner, f"{room.owner}/now"):
        assert "scripted" in client(room).get(where).text
    assert [rater.kind for rater in room.votes.raters()] == ["scripted"]


def test_votes_of_people_are_not_called_scripted(opened: Callable[..., Opened]) -> None:
    room = opened([item(1)], kind="person")
    for where in (room.path(), room.owner):
        assert "scripted" not in client(room).get(where).text


def test_the_owner_sees_the_votes_the_links_and_takes_files_away(opened: Callable[..., Opened]) -> None:
    room = opened([item(number) for number in range(1, 31)], raters=2)
    page = client(room)
    for turn in range(30):
        rater = room.votes.raters()[turn % 2]
        asked = room.votes.next(rater)
        assert asked is not None
        choice: Choice = "both_bad" if asked.item % 10 == 0 else "run" if asked.item % 5 else "against"
        room.votes.vote(rater, asked.item, shown(choice, asked.left), "=1+1" if turn == 0 else "")
    room.room.summary(at_once=True)
    html = page.get(room.owner).text
    for rater in room.votes.raters():
        assert room.room.link(rater) in html
    assert "88.9%" in html  # 24 wins, 3 losses, 3 both bad
    assert "30 <span" in html
    table = page.get(f"{room.owner}/votes.csv")
    assert table.headers["content-disposition"] == 'attachment; filename="votes.csv"'
    assert table.text.count("scripted") == 30
    assert "'=1+1" in table.text
    whole = page.get(f"{room.owner}/votes.json").json()
    assert (whole["reviewed"]["wins"], whole["reviewed"]["losses"], whole["reviewed"]["ties"]) == (24, 3, 3)
    assert len(whole["items"]) == 30
    rows = [line for line in page.get(f"{room.owner}/preferences.jsonl").text.splitlines() if line]
    assert len(rows) == 27
    assert page.post(f"{room.owner}/end").status_code == 303
    assert room.room.ended.is_set()
