"""The numbers of a comparison, worked out by hand on logits of two tokens."""

from __future__ import annotations

from math import exp, log, nan
from typing import Any

import numpy as np
import pytest
import torch

from luthier.export.parity import LIMITS, POSITIONS, TOKENS, Comparison, Limits, chosen, compare, kept_positions
from luthier.flow import Place, Tokenized, result_of

LOOSE = Limits(1.0, 1.0, 0.0, "none")


def row(length: int, answered: int = 1, number: int = 1) -> Tokenized:
    """Of so many tokens, the last ones of which are the answer."""
    weights = np.zeros(length, dtype=np.float32)
    weights[length - answered :] = 1
    return Tokenized(np.zeros(length, dtype=np.int32), weights, Place("x", number))


def compared(run: Any, export: Any, limits: Limits = LOOSE, answered: int = 1) -> Comparison:
    ours, theirs = torch.tensor(run), torch.tensor(export)
    rows = [row(len(ours), answered)]
    return result_of(compare(rows, [ours], lambda tokens, positions: theirs, "float32", limits, "comparing"))


def test_gap_and_divergence_are_those_of_the_docstring_s_example() -> None:
    found = compared([[0.0, 2.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 1.0]])
    assert (found.largest_logit_gap, found.relative_logit_gap) == (1.0, 0.5)
    first, second = 1 / (1 + exp(-2)), 1 / (1 + exp(-1))
    expected = first * log(first / second) + (1 - first) * log((1 - first) / (1 - second))
    assert expected == pytest.approx(0.067, abs=5e-4)
    assert found.mean_kl == pytest.approx(expected, rel=1e-6)


def test_the_mean_is_over_all_compared_positions() -> None:
    one = compared([[0.0, 2.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 1.0]])
    half = compared([[0.0, 2.0], [0.0, 2.0]], [[0.0, 2.0], [0.0, 1.0]])
    assert half.mean_kl == pytest.approx(one.mean_kl / 2)


def test_greedy_tokens_count_where_an_answer_s_token_is_said_one_position_before_it() -> None:
    # Tokens 2 and 3 are the answer: positions 1 and 2 say them. Position 1 agrees, 2 does not, 0 and 3 do not count.
    run = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    export = [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 0.0]]
    share = compared(run, export, answered=2).equal_greedy_tokens
    assert (share.value, share.n) == (0.5, 2)
    # Wilson for 1 of 2
    assert share.low == pytest.approx(0.0945, abs=1e-3)
    assert share.high == pytest.approx(0.9055, abs=1e-3)


@pytest.mark.parametrize(
    ("limits", "beyond"),
    [
        (Limits(0.49, 1.0, 0.0, ""), ("relative_logit_gap",)),
        (Limits(0.51, 0.06, 0.0, ""), ("mean_kl",)),
        (Limits(0.51, 0.07, 1.0, ""), ()),
    ],
)
def test_each_number_is_held_against_its_own_limit(limits: Limits, beyond: tuple[str, ...]) -> None:
    assert compared([[0.0, 2.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 1.0]], limits).beyond == beyond


def test_other_greedy_tokens_are_beyond_the_limit() -> None:
    assert compared([[0.0, 1.0]] * 3, [[0.1, 0.0]] * 3, Limits(9.0, 9.0, 0.9, "")).beyond == ("equal_greedy_tokens",)


@pytest.mark.parametrize("precision", LIMITS)
def test_an_export_that_gives_no_numbers_is_beyond_every_limit(precision: str) -> None:
    found = compared([[0.0, 1.0]] * 3, [[nan, nan]] * 3, LIMITS[precision])
    assert {"relative_logit_gap", "mean_kl"} <= set(found.beyond)


def test_logits_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits of shape \(3, 3\) where the run has \(3, 2\)"):
        compared([[0.0, 1.0]] * 3, [[0.0, 1.0, 2.0]] * 3)


def test_rows_are_spread_and_few_enough_for_long_ones() -> None:
    short = [row(10, number=number) for number in range(100)]
    assert [one.place.line for one in chosen(short)] == list(range(0, 96, 3))
    long = [row(length, number=length) for length in (TOKENS, 100, TOKENS // 2, 200, TOKENS // 2 - 300, 300)]
    assert sorted(len(one.tokens) for one in chosen(long)) == [100, 200, 300, TOKENS // 2 - 300]
    assert len(chosen([row(TOKENS) for _ in range(9)])) == 4


def test_the_logits_that_wait_fit_into_half_a_gibibyte() -> None:
    assert kept_positions(32, 49_152) == POSITIONS
    assert kept_positions(32, 262_144) == 16
    assert kept_positions(32, 10**9) == 1
