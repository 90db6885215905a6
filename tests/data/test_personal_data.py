"""Personal data is found in texts that a generator apart from the patterns writes, and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest

from luthier.data.checks.personal_data import spans
from tests.data.personal_texts import FRAMES, texts

ENOUGH = 0.95


def test_each_kind_is_found_and_meant_95_times_of_100() -> None:
    found, wanted, right = Counter[str](), Counter[str](), Counter[str]()
    for text in texts(seed=20261123, each=400, nothing=2400):
        wanted[text.kind] += 1
        for span in spans(text.content):
            found[span.kind] += 1
            # The right kind on the right letters: at most two signs more or fewer, such as a bracket.
            near = abs(span.begin - text.begin) <= 2 and abs(span.end - text.end) <= 2
            right[span.kind] += span.kind == text.kind and near
    shares = {kind: (right[kind] / wanted[kind], right[kind] / found[kind]) for kind in FRAMES}
    for kind, (recall, precision) in shares.items():
        print(f"| {kind} | {recall:.1%} | {precision:.1%} |")
    for kind, (recall, precision) in shares.items():
        assert recall >= ENOUGH, (kind, shares)
        assert precision >= ENOUGH, (kind, shares)


@pytest.mark.parametrize(
    "text",
    [
        "7 * 8 = 56 and 1234567 + 7654321 = 8888888",
        "git clone git@github.com:someone/project.git",
        "The library moved from 3.10.2.1 to version 12.0.4.18.",
        "Their ratio was 100-200-3000, on pages 120-145.",
        "a card for tests: 4242 4242 4242 4242",
        "The Code of 1804 has 2281 articles; 0123456789",
        "call 555-0134 in the film",
    ],
)
def test_what_only_looks_like_personal_data_is_left_alone(text: str) -> None:
    assert spans(text) == []
