"""Which method to take: by the targets, beyond noise, then by memory; the front; and seeds pooled into one measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from luthier.evaluation.choice import chosen
from luthier.evaluation.compare import Comparison, Method, compare
from luthier.evaluation.front import front
from luthier.evaluation.seeds import over_seeds
from luthier.flow import Measure, TargetResult, result_of
from tests.evaluation.test_compare import kept, method

TIMES = 60


def share(right: int) -> list[bool]:
    return [row < right for row in range(TIMES)]


def line(name: str, right: int, memory: int, verdict: Literal["met", "missed"] = "met") -> Method:
    target = TargetResult("accuracy", "> 90%", right / TIMES, None, None, TIMES, verdict)
    return replace(method(name, kept(share(right))), peak_memory_bytes=memory, targets=(target,))


def compared(*lines: tuple[Method, int]) -> Comparison:
    rows = [[kept(share(right))] for _, right in lines]
    return chosen(result_of(compare([one for one, _ in lines], rows, {}, "t.jsonl")))


def test_of_methods_that_are_not_told_apart_the_one_with_the_least_memory_is_taken() -> None:
    found = compared((line("full", 58, 3000), 58), (line("lora", 57, 1000), 57), (line("prompt", 20, 500), 20))
    assert found.best == "lora"
    assert found.not_told_apart == ("full",)
    assert "full leads by accuracy, but is not told apart from lora; of these lora takes the least memory" in found.why


def test_equal_methods_are_said_to_be_equal_and_which_is_better_by_loss() -> None:
    lines = [
        replace(method(name, kept(share(30), loss)), peak_memory_bytes=memory)
        for name, loss, memory in (("full", 1.0, 3000), ("lora", 1.1, 1000))
    ]
    found = chosen(result_of(compare(lines, [[kept(share(30))], [kept(share(30), 1.1)]], {}, "t.jsonl")))
    assert found.best == "lora"
    assert "full and lora are equal by accuracy" in found.why
    assert "by loss full is better than it" in found.why


def test_a_lead_beyond_noise_is_taken_whatever_its_memory() -> None:
    found = compared((line("full", 58, 3000), 58), (line("lora", 30, 1000), 30))
    assert (found.best, found.not_told_apart) == ("full", ())
    assert "beyond noise" in found.why


def test_a_method_that_misses_a_target_gives_way_to_one_that_misses_none() -> None:
    found = compared((line("full", 58, 3000, "missed"), 58), (line("lora", 30, 1000), 30))
    assert found.best == "lora"
    assert "lora misses the fewest targets" in found.why
    both = compared((line("full", 58, 3000, "missed"), 58), (line("lora", 30, 1000, "missed"), 30))
    assert both.best == "full"
    assert "it misses its target accuracy > 90%" in both.why


def test_the_front_holds_what_nothing_is_both_cheaper_and_better_than() -> None:
    lines = [line("a", 48, 1), line("b", 42, 2), line("c", 54, 3), line("d", 54, 4)]
    assert front(lines, "accuracy", "peak_memory_bytes") == ("a", "c")
    assert front([replace(lines[0], peak_memory_bytes=None), lines[1]], "accuracy", "peak_memory_bytes") == ("b",)


def seeds(*values: float | None) -> Sequence[Measure]:
    return [Measure(value, value and value - 0.05, value and value + 0.05, 100) for value in values]


def test_seeds_become_one_measure_with_each_seeds_value_beside_it() -> None:
    found = over_seeds(seeds(0.8, 0.9, 0.85), (0.0, 1.0))
    assert found.value == pytest.approx(0.85)
    assert found.details["seeds"] == [0.8, 0.9, 0.85]
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.8 < 0.9 < found.high
    assert over_seeds(seeds(0.99, 0.97, 0.995), (0.0, 1.0)).high == 1.0
    one = Measure(0.5, 0.4, 0.6, 10, details={"probability": 0.1})
    assert over_seeds([one]) is one
    assert over_seeds([one, Measure(None, reason="no rows")]).reason == "no rows"


def test_methods_over_seeds_are_tested_by_their_pooled_differences() -> None:
    good, bad = [[kept(share(right)) for right in rights] for rights in ((58, 56, 57), (30, 40, 35))]
    lines = [line("good", 57, 10), line("bad", 35, 10)]
    found = result_of(compare(lines, [good, bad], {}, "t.jsonl"))
    pair = next(pair for pair in found.pairs if pair.metric == "accuracy")
    assert pair.difference.value == pytest.approx((57 - 35) / 60)
    assert pair.difference.details["seeds"] == pytest.approx([28 / 60, 16 / 60, 22 / 60])
    assert pair.difference.details["test"] == "Student's t over rows and seeds"
    assert pair.corrected is not None
    assert pair.corrected < 0.05
