"""The page of a check: each problem opens its row with the letters marked, data cannot act in it, caps are said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.quality import measure
from luthier.flow import result_of
from luthier.report.quality import LETTERS_SHOWN, ROWS_SHOWN, quality_page

HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>{{ 7*7 }}"


def page_of(folder: Path, rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    gathered = Gathered(*look([(path, 1.0)]))
    quality = result_of(measure(gathered, [checks.load(name) for name in names]))
    return quality_page(quality, ["rows.jsonl"], gathered.problems)


def row(number: int, answer: str) -> dict[str, Any]:
    return {"instruction": f"Question {number}", "response": answer}


def test_a_problem_opens_its_row_with_the_letters_marked_and_nothing_of_it_is_markup(tmp_path: Path) -> None:
    html = page_of(tmp_path, [row(1, "Fine."), row(2, f"{HOSTILE} ask ann.otto@posteo.de")], ("personal_data",))
    assert '<mark class="fault">ann.otto@posteo.de</mark>' in html
    assert "rows.jsonl:2" in html
    assert html.count("<script>") == 1  # the page's own
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "{{ 7*7 }}" in html


def test_the_checklist_has_its_six_boxes_and_those_that_fail_are_empty(tmp_path: Path) -> None:
    html = page_of(tmp_path, [row(1, "Write to ann.otto@posteo.de")], ("personal_data", "refusals"))
    assert re.findall(r"\[[x ]\]", html) == ["[x]"] * 5 + ["[ ]"]
    assert "Ready with warnings" in html


def test_of_thousands_of_problems_the_first_stand_there_and_the_number_of_all_is_said(tmp_path: Path) -> None:
    html = page_of(tmp_path, [row(n, f"Write to ann{n}@posteo.de") for n in range(3_000)], ("personal_data",))
    assert html.count('class="problem"') == ROWS_SHOWN
    assert f"3,000 places, the first {ROWS_SHOWN} shown" in html
    assert len(html) < 200_000


def test_a_long_message_is_cut_around_what_is_marked(tmp_path: Path) -> None:
    html = page_of(tmp_path, [row(1, f"{'word ' * 4_000}ann@posteo.de{' word' * 4_000}")], ("personal_data",))
    assert '<mark class="fault">ann@posteo.de</mark>' in html
    assert f"{4_000 * 10 + 13 - LETTERS_SHOWN:,} letters left out" in html


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    rows = [
        row(1, "ann@posteo.de"),
        row(2, "I'm sorry, but I can't help with that."),
        row(3, "W" * 900 + " a@posteo.de"),
    ]
    (tmp_path / "page.html").write_text(page_of(tmp_path, rows, ("personal_data", "refusals")), encoding="utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    yield page
    context.close()


def test_on_a_phone_the_keyboard_filters_by_check_and_opens_a_row(open_page: Any) -> None:
    assert open_page.evaluate("document.documentElement.scrollWidth") == 360
    open_page.locator("#only").focus()
    open_page.locator("#only").select_option("personal_data")
    assert open_page.locator(".check:visible").count() == 1
    open_page.keyboard.press("Tab")
    open_page.keyboard.press("Enter")  # open all
    assert open_page.locator(".problem[open]").count() == 2
    assert open_page.locator("mark.fault").first.is_visible()
    assert open_page.evaluate("document.documentElement.scrollWidth") == 360
    assert open_page.said == []
