"""What the report shows beside its metrics: forgetting, generalization, confusions, the worst rows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from luthier.flow import Measure, Report
from luthier.report import beyond
from luthier.report.page import render
from luthier.report.view import Pair, View
from tests.report.conftest import skill


@pytest.fixture
def page(whole: View, report: Report) -> str:
    pairs = tuple(replace(pair, tuned_loss=float(pair.line)) for pair in whole.pairs)
    return render(replace(whole, report=report, pairs=pairs))


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.S)
    assert found is not None, name
    return found[0]


def test_all_skills_come_first_and_then_the_most_forgotten_on_one_axis(report: Report, page: str) -> None:
    lines = beyond.skill_lines(report)
    assert [line.name for line in lines] == ["all", "science", "code"]
    strips = [line.strip for line in lines if line.strip]
    assert [strip.bars[0].value for strip in strips] == sorted(
        (strip.bars[0].value for strip in strips), key=lambda at: (at != strips[0].bars[0].value, -at)
    )
    assert len({strip.target for strip in strips}) == 1  # the line of no change
    assert strips[0].target is not None
    assert strips[2].bars[0].high < strips[0].target.at < strips[1].bars[0].low
    shown = section(page, "forgetting")
    assert "0.150" in shown
    assert "80.0%" in shown
    assert shown.index("Science") < shown.index("Code")


def test_a_skill_that_was_not_measured_has_no_bar(report: Report) -> None:
    broken = {**skill(0.1), "rise": Measure(None, reason="the loss is not a finite number")}
    lines = beyond.skill_lines(replace(report, forgetting={"all": skill(0.1), "code": broken, "logic": skill(0.3)}))
    assert [(line.name, line.strip is not None) for line in lines] == [("all", True), ("logic", True), ("code", False)]
    assert lines[1].strip is not None
    assert lines[0].strip is not None
    assert lines[1].strip.bars[0].value > lines[0].strip.bars[0].value


def test_what_quantization_did_is_shown_where_it_was_measured(whole: View, report: Report) -> None:
    shown = section(render(replace(whole, report=report)), "quantization")
    assert all(number in shown for number in ("2.00", "2.12", "0.12"))
    assert "26 general passages" in shown
    assert 'id="quantization"' not in render(replace(whole, report=replace(report, quantization={})))


def test_forgetting_that_was_not_measured_has_no_section(whole: View, report: Report) -> None:
    none = {"all": {"rise": Measure(None, reason="the context has no room")}}
    assert 'id="forgetting"' not in render(replace(whole, report=replace(report, forgetting=none)))


def test_generalization_shows_gaps_the_costliest_change_first_and_the_bands(page: str) -> None:
    shown = section(page, "generalization")
    assert "Validation minus training" in shown
    assert shown.index("Case") < shown.index("Typos")
    assert "−20.0 points" in shown
    assert "0.75 to 1" in shown


def test_the_matrix_counts_and_what_is_taken_for_what(report: Report, page: str) -> None:
    found = beyond.confusion(report)
    assert found is not None
    assert found.worst == (("billing", "<b>returns</b>", 2), ("billing", "(other)", 1))
    assert found.wrong == 3
    assert [[cell.count for cell in cells] for _, cells in found.lines] == [[7, 2, 1], [0, 10, 0]]
    assert [[cell.right for cell in cells] for _, cells in found.lines] == [[True, False, False], [False, True, False]]
    assert [cell.shade for cell in found.lines[1][1]] == [0, 5, 0]
    shown = section(page, "confusions")
    assert "<b>returns" not in shown
    assert "&lt;b&gt;returns" in shown


def test_many_labels_show_their_largest_confusions_alone(report: Report) -> None:
    labels = [f"label {number}" for number in range(30)]
    counts = [[9 if row == column else int(column == row + 1) for column in range(31)] for row in range(30)]
    details = {"labels": labels, "said": [*labels, "(other)"], "counts": counts}
    found = beyond.confusion(replace(report, metrics={"macro_f1": Measure(0.9, n=300, details=details)}))
    assert found is not None
    assert not found.lines
    assert len(found.worst) == beyond.CONFUSIONS_SHOWN
    assert found.wrong == 30


def test_the_worst_rows_are_wrong_ones_and_then_those_of_the_largest_loss(whole: View, page: str) -> None:
    def row(line: int, right: bool | None, loss: float | None) -> Pair:
        return replace(whole.pairs[0], line=line, tuned_right=right, tuned_loss=loss)

    rows = [row(1, True, 9.0), row(2, False, 0.5), row(3, None, None), row(4, False, None), row(5, False, 3.0)]
    assert [pair.line for pair in beyond.worst_rows(rows)] == [5, 2, 4, 1]
    assert len(beyond.worst_rows([row(line, True, 1.0) for line in range(50)])) == beyond.WORST_SHOWN
    assert section(page, "worst").index("test.jsonl:8<") < section(page, "worst").index("test.jsonl:2<")


def test_a_report_without_them_has_no_such_sections(whole: View) -> None:
    page = render(replace(whole, pairs=()))
    for name in ("forgetting", "quantization", "generalization", "confusions", "worst"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page
