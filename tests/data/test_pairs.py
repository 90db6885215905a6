"""The two rows of a preference: one prompt, two answers, and cut alike; or why they are no pair."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.data.tokenize import fit, paired
from luthier.flow import Place, Problem, Tokenized

PLACE = Place("pairs.jsonl", 3)


def row(prompt: list[int], answer: list[int]) -> Tokenized:
    weights = [0.0] * len(prompt) + [1.0] * len(answer)
    return Tokenized(np.array([*prompt, *answer], np.int32), np.array(weights, np.float32), PLACE)


def test_a_pair_is_the_better_row_and_then_the_worse_one() -> None:
    better, worse = row([1, 5, 6], [7, 2]), row([1, 5, 6], [8, 8, 2])
    assert paired((better,), (worse,)) == (better, worse)


@pytest.mark.parametrize(
    ("better", "worse", "check", "said"),
    [
        ((row([1, 5, 6], [7, 2]),), (row([1, 5, 9], [8, 2]),), "pair", "not stand behind the same prompt"),
        ((row([1, 5], [7, 2]),), (row([1, 5, 9], [8, 2]),), "pair", "not stand behind the same prompt"),
        ((row([1, 5], [7, 2]),), (row([1, 5], [7, 2]),), "same_answer", "the same tokens"),
        ((row([1, 5], [7, 2]), row([1, 6], [7, 2])), (row([1, 5], [8, 2]),), "pair", "rewrites the earlier ones"),
    ],
)
def test_what_is_no_pair_is_a_problem_with_what_to_write(
    better: tuple[Tokenized, ...], worse: tuple[Tokenized, ...], check: str, said: str
) -> None:
    problem = paired(better, worse)
    assert isinstance(problem, Problem)
    assert (problem.check, problem.severity, problem.place) == (check, "error", PLACE)
    assert said in problem.message
    assert problem.remedy


def test_a_problem_of_either_answer_is_the_pair_s_and_says_of_which() -> None:
    fine, wrong = (
        (row([1, 5], [7, 2]),),
        Problem("mask", "error", PLACE, "inference sends other tokens", "leave it out"),
    )
    assert paired(wrong, fine) == wrong
    found = paired(fine, wrong)
    assert isinstance(found, Problem)
    assert found.message == "in the worse answer: inference sends other tokens"


def test_cut_start_takes_the_same_tokens_from_both_prompts() -> None:
    """8 tokens at most and 10 in the longer row: tokens 5 and 6 go from both, and the begin mark 1 stays."""
    pair = row([1, 5, 6, 7], [9, 2]), row([1, 5, 6, 7], [8, 8, 8, 8, 8, 2])
    (found,) = [fit([pair], 8, "cut_start", 1, pairs=True)]
    assert [one.tokens.tolist() for one in found.kept] == [[1, 7, 9, 2], [1, 7, 8, 8, 8, 8, 8, 2]]
    assert [one.weights.tolist() for one in found.kept] == [[0, 0, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1]]
    (cut,) = found.cuts
    assert (cut.tokens, cut.trained_tokens) == (4, 0)


@pytest.mark.parametrize("too_long", ["cut_start", "drop", "stop"])
def test_a_pair_that_cannot_be_cut_in_its_prompt_goes_as_a_whole(too_long: str) -> None:
    pair = row([1, 5, 6, 7], [9, 2]), row([1, 5, 6, 7], [8, 8, 8, 8, 8, 2])
    found = fit([pair], 7, too_long, 1, pairs=True)  # type: ignore[arg-type]
    assert found.kept == ()
    assert found.dropped == (pair[0],)
    assert found.problems[0].severity == ("warning" if too_long == "drop" else "error")
