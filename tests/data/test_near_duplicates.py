"""Near-duplicates among 20,000 rows: nearly all of 1,000 planted ones are found, and nearly nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.near_duplicates import exact, planted
from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.checks import Row
from luthier.data.checks.near_duplicates import ALIKE, AT_ONCE, _nearest, _Texts
from luthier.data.quality import measure
from luthier.flow import Conversation, Message, Place, result_of


@pytest.mark.long
def test_of_1000_near_duplicates_in_20000_rows_99_in_100_are_found_and_of_those_found_99_are_some(
    tmp_path: Path,
) -> None:
    rows = planted(20_000, 1_000, seed=1)
    assert all(ALIKE <= exact(rows.texts[copy], rows.texts[source]) < 1 for copy, source in rows.copies)
    path = tmp_path / "rows.jsonl"
    texts = [text.split() for text in rows.texts]
    lines = [
        json.dumps({"instruction": " ".join(words[: len(words) // 3]), "response": " ".join(words[len(words) // 3 :])})
        for words in texts
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    quality = result_of(measure(Gathered(*look([(path, 1.0)])), [checks.load("near_duplicates")]))
    [result] = quality.results
    found = {number for number in range(len(rows.texts)) if result.rows[number]}
    families: dict[int, set[int]] = {}
    for copy, source in rows.copies:
        families.setdefault(source, {source}).add(copy)
    wanted = {row for family in families.values() for row in sorted(family)[1:]}
    recall, precision = len(wanted & found) / len(wanted), len(wanted & found) / len(found)
    print(f"recall {recall:.4f}, precision {precision:.4f} of {len(wanted):,}")
    assert recall >= 0.99
    assert precision >= 0.99


def test_many_pairs_are_compared_as_two_sets_of_words_and_pairs_are() -> None:
    """Rows of 0 to 60 words in every pair, more of them than are compared at once."""
    texts = [*planted(60, 20, seed=3).texts, "", "one", "one one", "one two"]
    rows = [
        Row(Conversation("text", (Message("assistant", text),), Place("rows.txt", number)))
        for number, text in enumerate(texts)
    ]
    found = _Texts.of(iter(rows))
    pairs = np.array([(one, other) for one in range(len(texts)) for other in range(one)])
    assert len(pairs) > AT_ONCE
    wanted = [exact(texts[one], texts[other]) if texts[one] or texts[other] else 0 for one, other in pairs.tolist()]
    assert found.shares(pairs).tolist() == pytest.approx(wanted)
    assert found.shares(pairs[:0]).tolist() == []


def test_a_row_is_said_to_share_most_with_the_row_that_it_does_the_first_where_there_are_several() -> None:
    pairs = np.array([(2, 5), (2, 7), (7, 9), (5, 9)])
    nearest = _nearest(pairs, np.array([0.8, 0.9, 0.9, 0.7]))
    assert [nearest(row) for row in (2, 5, 7, 9)] == [(7, 0.9), (2, 0.8), (2, 0.9), (7, 0.9)]
    for absent in (0, 6, 10):
        with pytest.raises(KeyError):
            nearest(absent)
