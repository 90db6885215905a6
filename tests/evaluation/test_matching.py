"""When an answer is the wanted one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.evaluation.matching import is_json, normalized, same_answer


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("billing", "billing"),
        (" Billing. ", "billing"),
        ("The\n  refund\tdesk", "the refund desk"),
        ("ﬁne", "fine"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "café"),
        ("yes...", "yes"),
        ('{"b": 1.0, "a": ["x", null]}', '{"a":["x",null],"b":1}'),
        ("[1, 2]\n", "[1,2]"),
        ("{not json", "{NOT json."),
    ],
)
def test_these_are_the_same_answer(answer: str, wanted: str) -> None:
    assert same_answer(answer, wanted)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("", "billing"),
        ("billing issue", "billing"),
        ("", "."),
        ("1", "1.0"),
        ('{"a": 1} and more', '{"a": 1}'),
        ('{"a": "X"}', '{"a": "x"}'),
        ('{"a": true}', '{"a": 1}'),
        ('{"a": 12345678901234567891}', '{"a": 12345678901234567890}'),
        ("[2, 1]", "[1, 2]"),
        ("[" * 100_000, "[1]"),
        ("[1e99999999999999999999]", "[1]"),
    ],
)
def test_these_are_not(answer: str, wanted: str) -> None:
    assert not same_answer(answer, wanted)


def test_json_nested_too_deeply_is_compared_as_text() -> None:
    deep = "[" * 5000 + "1" + "]" * 5000
    assert not is_json(deep)
    assert same_answer(deep, deep)
    assert not same_answer(deep.replace("1", "2"), deep)


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
