"""Readers: every row with its exact line, whatever the bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier import plugins
from luthier.data.read import READERS, read
from luthier.flow import Problem, Record

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def rows(folder: Path, name: str, content: bytes | str) -> list[Record | Problem]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(path))


def values_and_lines(found: list[Record | Problem]) -> list[tuple[Any, int]]:
    return [(row.values if isinstance(row, Record) else row.check, row.place.line) for row in found]


def test_the_readers_are_the_files_of_their_folder() -> None:
    assert plugins.names(READERS) == ["csv", "gz", "json", "jsonl", "parquet", "tsv", "txt", "zst"]


# --------------------------------------------------------------------------------------------------------- jsonl


def test_a_record_stands_at_its_own_line_though_blank_lines_lie_between(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.jsonl", '{"a": 1}\n\n  \t\n{"a": 2}\r\n\r\n{"a": 3}')
    assert values_and_lines(found) == [({"a": 1}, 1), ({"a": 2}, 4), ({"a": 3}, 6)]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    assert values_and_lines(rows(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a": 1}\n')) == [({"a": 1}, 1)]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
def test_a_separator_of_unicode_ends_no_line(tmp_path: Path, separator: str) -> None:
    text = f"one{separator}two"
    line = json.dumps({"a": text}, ensure_ascii=False)
    assert values_and_lines(rows(tmp_path, "a.jsonl", f'{line}\n{{"a": 2}}\n')) == [({"a": text}, 1), ({"a": 2}, 2)]


def test_nan_is_read_as_a_number_that_is_none(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, "a.jsonl", '{"a": NaN, "b": "x"}\n')
    assert isinstance(found, Record)
    assert math.isnan(found.values["a"])
    assert found.values["b"] == "x"


@pytest.mark.parametrize("number", [2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**30])
def test_a_big_whole_number_is_not_rounded(tmp_path: Path, number: int) -> None:
    assert values_and_lines(rows(tmp_path, "a.jsonl", f'{{"a": {number}}}\n')) == [({"a": number}, 1)]


def test_half_of_a_surrogate_pair_is_a_problem_and_a_whole_pair_is_not(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.jsonl", '{"a": "\\ud83d"}\n{"a": "\\ud83d\\ude00"}\n')
    assert values_and_lines(found) == [("half_character", 1), ({"a": "😀"}, 2)]


def test_a_broken_line_costs_no_other_line(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.jsonl", b'{"a": 1}\n{"a": \n{"a": "\xe9"}\n[1]\n"x"\nnull\n{"a": 2}\n')
    assert values_and_lines(found) == [
        ({"a": 1}, 1),
        ("invalid_json", 2),
        ("encoding", 3),
        ("row_type", 4),
        ("row_type", 5),
        ("row_type", 6),
        ({"a": 2}, 7),
    ]


def test_what_is_too_deep_or_too_long_a_number_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    content = '{"a": 1}\n' + '{"a": ' + "[" * 100_000 + "\n" + '{"a": ' + "9" * 5000 + "}\n"
    assert [row.check for row in rows(tmp_path, "a.jsonl", content) if isinstance(row, Problem)] == ["invalid_json"] * 2


@ONE_FOLDER
@given(st.lists(st.dictionaries(st.text(max_size=5), JSON_VALUES | st.integers(), max_size=4), min_size=1, max_size=5))
def test_whatever_json_dumps_writes_comes_back_from_jsonl_and_from_json(
    tmp_path: Path, written: list[dict[str, Any]]
) -> None:
    lines = "\n".join(json.dumps(row) for row in written)
    by_line = rows(tmp_path, "a.jsonl", lines)
    in_array = rows(tmp_path, "a.json", json.dumps(written, indent=1))
    assert repr([row.values for row in by_line if isinstance(row, Record)]) == repr(written)
    assert repr([row.values for row in in_array if isinstance(row, Record)]) == repr(written)


# ---------------------------------------------------------------------------------------------------------- json


def test_an_element_stands_at_the_line_on_which_it_begins(tmp_path: Path) -> None:
    content = '\n[\n  {"a": 1},\n  {\n    "a": 2\n  }, {"a": 3},\n\n  {"a":\n4}]\n'
    assert values_and_lines(rows(tmp_path, "a.json", content)) == [
        ({"a": 1}, 3),
        ({"a": 2}, 4),
        ({"a": 3}, 6),
        ({"a": 4}, 8),
    ]


def test_the_only_list_of_an_object_holds_the_rows(tmp_path: Path) -> None:
    content = (
        '{"version": 2, "about": {"by": ["no", "list", "of", "ours"]},\n"rows": [\n{"a": 1},\n{"a": 2}], "end": null}'
    )
    assert values_and_lines(rows(tmp_path, "a.json", content)) == [({"a": 1}, 3), ({"a": 2}, 4)]


def test_an_element_that_is_no_object_is_a_problem_at_its_line(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.json", '[{"a": 1},\n7,\n"x",\n{"a": "\\udc00"},\n{"a": 2}]')
    assert values_and_lines(found) == [
        ({"a": 1}, 1),
        ("row_type", 2),
        ("row_type", 3),
        ("half_character", 4),
        ({"a": 2}, 5),
    ]


def test_json_keeps_big_numbers_and_nan(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, "a.json", b'\xef\xbb\xbf[{"a": 18446744073709551617, "b": NaN}]')
    assert isinstance(found, Record)
    assert found.values["a"] == 2**64 + 1
    assert math.isnan(found.values["b"])


# ----------------------------------------------------------------------------------------------------------- csv


def test_a_csv_row_stands_at_its_physical_line_though_quoted_texts_hold_line_breaks(tmp_path: Path) -> None:
    content = '\ufeffa,b\r\n1,"one\ntwo\n\nthree"\r\n\r\n2,"say ""hi"", then go"\r\n3,\n'
    assert values_and_lines(rows(tmp_path, "a.csv", content)) == [
        ({"a": "1", "b": "one\ntwo\n\nthree"}, 2),
        ({"a": "2", "b": 'say "hi", then go'}, 7),
        ({"a": "3", "b": ""}, 8),
    ]


def test_a_csv_row_with_too_few_or_too_many_values_is_a_problem(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.csv", "a,b\n1\n1,2,3\n1,2\n")
    assert values_and_lines(found) == [("columns", 2), ("columns", 3), ({"a": "1", "b": "2"}, 4)]


def test_a_broken_or_badly_encoded_csv_row_costs_no_other_row(tmp_path: Path) -> None:
    found = rows(tmp_path, "a.csv", b'a,b\n"x"y,2\n1,"\nf\xfcr"\n1,2\n')
    assert values_and_lines(found) == [("broken_csv", 2), ("encoding", 4), ({"a": "1", "b": "2"}, 5)]


def test_a_text_longer_than_the_limit_of_the_csv_module_is_read(tmp_path: Path) -> None:
    long = "word " * 60_000
    assert values_and_lines(rows(tmp_path, "a.csv", f"a,b\n1,{long}\n")) == [({"a": "1", "b": long}, 2)]


CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=8)


@ONE_FOLDER
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6))
def test_whatever_the_csv_module_writes_comes_back_at_the_right_line(tmp_path: Path, table: list[list[str]]) -> None:
    wanted, line = [], 2
    for first, second in table:
        wanted.append(({"a": first, "b": second}, line))
        line += 1 + first.count("\n") + second.count("\n")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *table])
    assert values_and_lines(rows(tmp_path, "a.csv", buffer.getvalue())) == wanted


# ----------------------------------------------------------------------------------------------------- real files


def test_the_real_alpaca_file_has_999_rows_of_five_lines_each(real_data: Path) -> None:
    found = list(read(real_data / "llama_factory" / "alpaca_en_demo.json"))
    assert all(isinstance(row, Record) for row in found)
    assert [row.place.line for row in found] == [2 + 5 * index for index in range(999)]


def test_the_real_banking_file_has_rows_over_several_lines(real_data: Path) -> None:
    path = real_data / "banking77" / "train.csv"
    found = list(read(path))
    lines = path.read_bytes().split(b"\n")
    assert len(found) == 10_003
    assert found[-1].place.line == 10_017
    for row in found:
        assert isinstance(row, Record)
        begins = lines[row.place.line - 1].lstrip(b'"').decode()
        assert row.values["text"].replace('"', "").startswith(begins.replace('"', "")[:8].split(",")[0])
