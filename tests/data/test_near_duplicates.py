"""Near-duplicates among 20,000 rows: nearly all of 1,000 planted ones are found, and nearly nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.near_duplicates import exact, planted
from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.checks.near_duplicates import ALIKE
from luthier.data.quality import measure
from luthier.flow import result_of


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
