"""The page of a comparison of methods: its points and its front, what each is good for, and nothing unescaped."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from luthier.evaluation.compare import Comparison, Method, Pair, Tried
from luthier.flow import Measure
from luthier.report.against_cost import scatters
from luthier.report.best_for import with_best_for
from luthier.report.comparison import render


def line(name: str, accuracy: float, memory: int, seconds: float, share: float) -> Method:
    measures = {
        "accuracy": Measure(accuracy, accuracy - 0.02, accuracy + 0.02, 400),
        "forgetting": Measure(share, share - 0.0001, share + 0.0001, 116),
    }
    tried = (Tried(1e-4, 0.7), Tried(3e-4, None))
    return Method(name, "lora", share, memory, seconds, measures, learning_rate=1e-4, search=tried)


def comparison(*lines: Method, near: tuple[tuple[str, str], ...] = ()) -> Comparison:
    pairs = [
        Pair("accuracy", one.run, other.run, Measure(0.1, 0.05, 0.15, 400), *chances)
        for at, one in enumerate(lines)
        for other in lines[at + 1 :]
        for chances in [(0.5, 0.5) if (one.run, other.run) in near else (0.001, 0.003)]
    ]
    fronts = {"peak_memory_bytes": ("lora", "full"), "seconds": ("full",)}
    return with_best_for(
        Comparison(400, "t.jsonl", lines, {}, tuple(pairs), "accuracy", "lora", "why", (), "Holm's", fronts, seeds=(0,))
    )


FULL, LORA = line("full", 0.95, 3_000_000_000, 60.0, 1.0), line("lora", 0.94, 1_000_000_000, 61.0, 0.01)
PROMPT = line("prompt_tuning", 0.7, 1_050_000_000, 60.5, 0.0001)


def test_each_line_is_told_what_it_is_good_for() -> None:
    found = {one.run: one.best_for for one in comparison(FULL, LORA, PROMPT, near=(("full", "lora"),)).methods}
    assert found["full"] == "the highest accuracy (95.0%), not told apart from lora"
    assert found["lora"] == "accuracy not told apart from full's for 67% less memory"
    assert (
        found["prompt_tuning"] == "the fewest trained parameters (0.010%); the least forgotten (0.000100 nats a token)"
    )


def test_a_line_that_is_best_at_nothing_is_told_so() -> None:
    worse = replace(line("worse", 0.6, 2_000_000_000, 70.0, 0.01), metrics={"accuracy": Measure(0.6, 0.5, 0.7, 400)})
    found = {one.run: one.best_for for one in comparison(FULL, LORA, worse).methods}
    assert found["worse"] == "nothing here: lora is better by accuracy for no more memory"


def test_points_stand_where_their_numbers_are_and_names_apart() -> None:
    memory, seconds = scatters(comparison(FULL, LORA, PROMPT))
    places = {point.name: point for point in memory.points}
    # from 1 GB - 14% of 2 GB to 3 GB + 14%: 1 GB is 0.28 / 2.56 of the way, 3 GB 2.28 / 2.56
    assert places["lora"].right == 10.94
    assert places["full"].right == 89.06
    assert places["full"].down < places["lora"].down < places["prompt_tuning"].down
    assert places["full"].high < places["full"].down < places["full"].low
    assert [point.on_front for point in memory.points] == [True, True, False]
    assert memory.lines == ((places["lora"].right, places["lora"].down, places["full"].right, places["full"].down),)
    assert seconds.lines == ()
    names = sorted(point.name_down for point in memory.points)
    assert all(below - above >= 8.9 for above, below in pairwise(names))
    assert names[-1] <= 100


def test_costs_that_are_all_alike_are_not_drawn() -> None:
    alike = [replace(one, seconds=60.0, peak_memory_bytes=None) for one in (FULL, LORA)]
    assert scatters(comparison(*alike)) == ()


def test_the_page_holds_the_front_the_search_and_no_markup_of_a_name() -> None:
    page = render(comparison(FULL, LORA, replace(PROMPT, run="<b>prompt</b>")))
    assert "<b>prompt" not in page
    assert "3 methods compared" in page
    assert "the best by validation loss of 1e-4 (0.700), 3e-4 (–)" in page
    assert "Quality against cost" in page
