"""Target expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.settings.targets import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("decreasing", Target("decreasing", "trend")),
        ("< 10", Target("< 10", "value", "<", 10.0)),
        (">90%", Target(">90%", "value", ">", 0.9)),
        (" > 2.5 % ", Target(" > 2.5 % ", "value", ">", 0.025)),
        ("<= 1e-3", Target("<= 1e-3", "value", "<=", 0.001)),
        ("> -1", Target("> -1", "value", ">", -1.0)),
        (">= .5", Target(">= .5", "value", ">=", 0.5)),
        (">= base", Target(">= base", "base", ">=")),
        ("<base", Target("<base", "base", "<")),
        ("not worse than base by 0.02", Target("not worse than base by 0.02", "tolerance", None, 0.02)),
        ("not worse than base by 2%", Target("not worse than base by 2%", "tolerance", None, 0.02)),
    ],
)
def test_an_expression_says_what_a_metric_should_reach(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "90%", "= 3", "> ", "> ten", ">> 1", "> 1e999", "> base by 1", "not worse than base", "> 1 2", "base"]
)
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no target|has a number too large"):
        parse_target(text)


def test_a_tolerance_is_not_below_zero() -> None:
    with pytest.raises(ValueError, match="has a tolerance below 0"):
        parse_target("not worse than base by -0.1")


@given(st.sampled_from(["<", "<=", ">", ">="]), st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_bound_is_the_bound(comparison: str, bound: float) -> None:
    assert parse_target(f"{comparison} {bound!r}") == Target(f"{comparison} {bound!r}", "value", comparison, bound)  # type: ignore[arg-type]
