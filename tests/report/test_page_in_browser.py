"""The page in a real browser: quiet, never wider than the window, readable by mouse, finger and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luthier.flow import Measure, Report
from luthier.report.page import render
from luthier.report.view import View

LONG = "W" * 900


class Shown:
    """A page in the browser; `said` holds what it wrote to the console, its faults, and what it asked the net for."""

    def __init__(self, browser: Any, file: Path, width: int, **options: Any) -> None:
        self.said: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._interrupted)
        self.page.on("request", self._asked)
        self.page.goto(file.as_uri())

    def _interrupted(self, dialog: Any) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.said.append(request.url)

    def value(self, key: str) -> str:
        return str(self.page.locator(f'[data-value="{key}"]').first.text_content())

    def wide(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    opened: list[Shown] = []

    def shower(view: View, width: int, **options: Any) -> Shown:
        file = tmp_path / f"{len(opened)}.html"
        file.write_text(render(view), encoding="utf-8")
        opened.append(Shown(browser, file, width, **options))
        return opened[-1]

    yield shower
    for shown in opened:
        shown.context.close()


def wild(whole: View) -> View:
    """The same run with texts that no window is wide enough for."""
    assert whole.report is not None
    assert whole.rows is not None
    long = f"<script>alert(1)</script>{LONG}"
    return replace(
        whole,
        run=f"runs/{LONG}",
        report=replace(whole.report, data=long, categories={long: whole.report.categories["billing"]}),
        pairs=tuple(
            replace(p, file=long, category=long, prompt=long, wanted=LONG[:150], tuned=long) for p in whole.pairs
        ),
        rows=replace(whole.rows, sources=((long, whole.rows.total),)),
        settings=tuple(replace(s, path=long, value=LONG[:300], source=long, reason=long) for s in whole.settings),
        environment={long: long, "data": [{"path": long}]},
    )


@pytest.mark.parametrize("width", [1280, 760, 360])
def test_the_page_is_quiet_and_no_wider_than_the_window(show: Any, whole: View, width: int) -> None:
    for view in (whole, wild(whole), replace(whole, report=None, pairs=(), steps=(), evaluations=())):
        shown = show(view, width)
        shown.page.evaluate("document.querySelectorAll('details').forEach((element) => { element.open = true; })")
        assert shown.wide() == width
        assert shown.said == []


@pytest.mark.parametrize("width", [1280, 360])
def test_forgetting_confusions_and_the_worst_rows_fit_the_window_and_open_by_keyboard(
    show: Any, whole: View, report: Report, width: int
) -> None:
    labels = [f"{LONG[:300]} {number}" for number in range(9)]
    details = {"labels": labels, "said": [*labels, "(other)"], "counts": [[3] * 10] * 9}
    report = replace(report, metrics={**report.metrics, "macro_f1": Measure(0.1, n=9, details=details)})
    shown = show(replace(whole, report=report), width)
    assert shown.wide() == width
    assert shown.said == []
    first = shown.page.locator("#worst summary").first
    first.focus()
    shown.page.keyboard.press("Enter")
    assert shown.page.locator("#worst details[open]").count() == 1


def test_hovering_shows_the_values_of_the_nearest_step(show: Any, whole: View) -> None:
    shown = show(whole, 1280)
    assert (shown.value("step"), shown.value("training-loss")) == ("40", "0.100")
    plot = shown.page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)  # step 20 of 40
    assert (shown.value("step"), shown.value("training-loss")) == ("20", "0.200")
    assert shown.value("learning-rate") == "1e-4"
    cursors = shown.page.locator(".cursor")
    assert [cursors.nth(i).get_attribute("x1") for i in range(2)] == ["50%", "50%"]
    shown.page.mouse.move(2, 2)
    assert (shown.value("step"), cursors.first.get_attribute("visibility")) == ("40", "hidden")


def test_a_finger_shows_the_values_on_a_phone(show: Any, whole: View) -> None:
    shown = show(whole, 360, has_touch=True, is_mobile=True)
    plot = shown.page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    shown.page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + 60)  # step 10 of 40
    assert (shown.value("step"), shown.value("validation-loss")) == ("10", "1.20")


def test_the_keyboard_reaches_the_curves_and_reads_them(show: Any, whole: View) -> None:
    shown = show(whole, 1280)
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        if shown.page.evaluate("document.activeElement.classList.contains('frame')"):
            break
    shown.page.keyboard.press("Home")
    shown.page.keyboard.press("ArrowRight")
    assert (shown.value("step"), shown.value("training-loss")) == ("2", "2.00")
    frame = shown.page.locator(".frame").first
    assert frame.get_attribute("role") == "slider"
    assert "training loss 2.00" in frame.get_attribute("aria-valuetext")


def test_without_scripts_the_curves_and_their_last_values_are_there(show: Any, whole: View) -> None:
    shown = show(whole, 1280, java_script_enabled=False)
    assert shown.page.locator(".plot .c-smoothed").first.bounding_box()["width"] > 500
    assert "0.100" in shown.page.locator(".legend").first.inner_text()


CONTRAST = """(element) => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts(color).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [ink, paper] = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)];
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


def test_light_and_dark_follow_the_system_with_enough_contrast(show: Any, whole: View) -> None:
    for scheme in ("light", "dark"):
        shown = show(whole, 1280, color_scheme=scheme)
        for place in ("h1", ".soft", ".chip.likely", ".chip.missed", ".chip.met", ".judged.wrong", "a"):
            ratio = shown.page.locator(place).first.evaluate(CONTRAST)
            assert ratio >= 4.5, (scheme, place, ratio)
