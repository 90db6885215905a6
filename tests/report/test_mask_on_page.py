"""The report's section on what is trained on, and the file in the run's folder that it is read from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from luthier.flow import Marked, Place
from luthier.report.mask import Stretch, stretches
from luthier.report.page import render
from luthier.report.view import View, view
from luthier.runs import Run

ROW = Marked(
    tokens=(("<|user|>", False), ("2+2?", False), ("<|bot|>", False), ("4", True), (".", True), ("<|end|>", True)),
    marks=("<|bot|>", "<|end|>", "<|user|>"),
    sent="<|user|>2+2?<|bot|>",
    place=Place("rows.jsonl", 17),
)
HOSTILE = "</div><script>alert(1)</script>{{ 7*7 }}"


def test_neighbours_of_one_kind_are_one_stretch() -> None:
    assert list(stretches(ROW)) == [
        Stretch("<|user|>", False, True),
        Stretch("2+2?", False, False),
        Stretch("<|bot|>", False, True),
        Stretch("4.", True, False),
        Stretch("<|end|>", True, True),
    ]


def test_trained_text_is_marked_and_stands_beside_what_inference_sends(whole: View) -> None:
    page = render(replace(whole, marked=(ROW,)))
    assert '<a href="#mask">What is trained on</a>' in page
    row = (
        '<span class="own">&lt;|user|&gt;</span>2+2?<span class="own">&lt;|bot|&gt;</span>'
        '<mark class="trained">4.</mark><mark class="trained own">&lt;|end|&gt;</mark></div>'
    )
    assert row in page
    assert 'tabindex="0">&lt;|user|&gt;2+2?&lt;|bot|&gt;</div>' in page
    assert "rows.jsonl:17" in page
    assert "3 of 6 tokens trained on" in page


def test_a_page_without_such_rows_has_no_such_section(whole: View) -> None:
    assert 'id="mask"' not in render(whole)


def test_a_rows_text_is_never_markup(whole: View) -> None:
    row = replace(ROW, tokens=((HOSTILE, False), (HOSTILE, True)), marks=(HOSTILE,), sent=HOSTILE)
    page = render(replace(whole, marked=(replace(row, place=Place(HOSTILE, 1)),)))
    assert "<script>alert" not in page
    assert page.count("{{ 7*7 }}") == 4


def test_rows_are_kept_in_the_runs_folder_and_shown_from_there(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "first")
    assert view(run).marked == ()
    other = replace(ROW, sent="", place=Place("rows.parquet", 3, 1))
    run.write_mask([ROW, other])
    assert view(run).marked == (ROW, other)
