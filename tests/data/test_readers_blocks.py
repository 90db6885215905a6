"""Blocks: whole consecutive rows, cut without parsing, that know what they hold and not where it stands."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest

from luthier.data import text
from luthier.data.read import Block, LineBlock, RowBlock, blocks, read
from luthier.errors import UserError
from luthier.flow import Place, Record

LINE = json.dumps({"instruction": "a" * 300, "response": "b" * 200}).encode() + b"\n"  # 536 bytes


def cut(path: Path, content: bytes) -> list[Block]:
    path.write_bytes(content)
    return list(blocks(path))


def test_lines_are_cut_at_the_first_line_end_after_a_mebibyte(tmp_path: Path) -> None:
    assert len(LINE) == 536
    found = cut(tmp_path / "a.jsonl", LINE * 5000)
    per_block = 1957  # 1956 lines have 1,048,416 bytes, 160 fewer than a mebibyte
    assert [block.first_line for block in found] == [1, 1 + per_block, 1 + 2 * per_block]
    assert all(isinstance(block, LineBlock) for block in found)
    assert b"".join(block.lines for block in found if isinstance(block, LineBlock)) == LINE * 5000


def test_rows_that_are_not_lines_are_cut_after_2000_or_a_mebibyte(tmp_path: Path) -> None:
    short = cut(tmp_path / "a.csv", b"a\n" + b"x\n" * 4500)
    assert [(block.first_line, len(list(block.rows()))) for block in short] == [(2, 2000), (2002, 2000), (4002, 500)]
    long = cut(tmp_path / "b.csv", b"a\n" + (b"x" * 400_000 + b"\n") * 7)
    assert [len(list(block.rows())) for block in long] == [3, 3, 1]
    assert all(isinstance(block, RowBlock) for block in [*short, *long])


def test_rows_have_their_true_places_in_every_block_also_after_a_process_boundary(tmp_path: Path) -> None:
    found = cut(tmp_path / "a.jsonl", b"\n\n" + LINE * 4000)
    sent = [pickle.loads(pickle.dumps(block)) for block in found]
    places = [row.place for block in sent for row in block.rows()]
    assert places == [Place(str(tmp_path / "a.jsonl"), line) for line in range(3, 4003)]


@pytest.mark.parametrize("ending", ["jsonl", "txt", "csv"])
def test_equal_content_has_an_equal_digest_whatever_the_file_and_the_line(tmp_path: Path, ending: str) -> None:
    (first,) = cut(tmp_path / f"a.{ending}", b"a\n" * 3)
    (again,) = cut(tmp_path / f"b.{ending}", b"a\n" * 3)
    (packed,) = cut(tmp_path / f"c.{ending}.gz", gzip.compress(b"a\n" * 3))
    (other,) = cut(tmp_path / f"d.{ending}", b"a\n" * 4)
    assert first.digest() == again.digest() == packed.digest() != other.digest()
    assert len(first.digest()) == 16


def test_a_block_in_the_middle_has_the_digest_that_it_has_alone(tmp_path: Path) -> None:
    last = b'{"c": 1}\n'
    found = cut(tmp_path / "a.jsonl", LINE * 1957 + last)
    assert [block.digest() for block in cut(tmp_path / "b.jsonl", last)] == [found[1].digest()]
    assert found[1].first_line == 1958


def test_the_same_bytes_as_lines_of_json_and_of_text_have_different_digests(tmp_path: Path) -> None:
    (as_json,) = cut(tmp_path / "a.jsonl", b"{}\n")
    (as_text,) = cut(tmp_path / "a.txt", b"{}\n")
    assert as_json.digest() != as_text.digest()


@pytest.mark.parametrize(
    ("one", "other"), [("1", '"1"'), ("1", "1.0"), ("true", "1"), ("null", '"null"'), ('"a"', '["a"]')]
)
def test_values_of_different_kinds_have_different_digests(tmp_path: Path, one: str, other: str) -> None:
    (first,) = cut(tmp_path / "a.json", f'[{{"a": {one}}}]'.encode())
    (second,) = cut(tmp_path / "b.json", f'[{{"a": {other}}}]'.encode())
    assert first.digest() != second.digest()


def test_packed_and_plain_files_are_cut_into_equal_blocks(tmp_path: Path) -> None:
    content = LINE * 5000
    plain = cut(tmp_path / "a.jsonl", content)
    packed = cut(tmp_path / "a.jsonl.gz", gzip.compress(content, 1))
    assert [block.digest() for block in plain] == [block.digest() for block in packed]


def test_a_stretch_of_blank_lines_is_no_block_and_its_lines_count(tmp_path: Path) -> None:
    (block,) = cut(tmp_path / "a.jsonl", b"\n" * (2 << 20) + b'{"a": 1}')
    assert list(block.rows()) == [Record({"a": 1}, Place(str(tmp_path / "a.jsonl"), (2 << 20) + 1))]


def test_a_line_of_exactly_the_limit_is_read_and_one_of_a_byte_more_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "RUN_BYTES", 8)
    monkeypatch.setattr(text, "ROW_BYTES", 20)
    found = [
        row
        for block in cut(tmp_path / "a.txt", b"a\n" + b"x" * 20 + b"\n" + b"y" * 21 + b"\nb")
        for row in block.rows()
    ]
    assert [(type(row).__name__, row.place.line) for row in found] == [
        ("Record", 1),
        ("Record", 2),
        ("Problem", 3),
        ("Record", 4),
    ]


def test_blocks_raise_what_reading_raises_and_their_rows_raise_nothing(tmp_path: Path) -> None:
    for name, content in {
        "a.jsonl": b"[\n{}\n]",
        "a.csv": b'a\nb\n"c',
        "a.txt": b"\0",
        "a.json": b'[{"a": 1}, x]',
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as by_block:
            cut(tmp_path / name, content)
        with pytest.raises(UserError) as by_row:
            list(read(tmp_path / name))
        assert str(by_block.value) == str(by_row.value)


def test_a_block_with_some_lines_alone_has_their_rows_in_their_places(tmp_path: Path) -> None:
    lines = b'{"a": 1}\n\n{"a": 2}\nnot JSON\n{"a": 3}\n{"a": 4}'
    [block] = cut(tmp_path / "a.jsonl", lines)
    found = list(block.only({3, 4, 6}).rows())
    assert [row.place.line for row in found] == [3, 4, 6]
    assert found == [row for row in block.rows() if row.place.line in (3, 4, 6)]
    [block] = cut(tmp_path / "a.csv", b'a\n1\n"2\n2"\n3\n')
    assert list(block.only({3, 5}).rows()) == [row for row in block.rows() if row.place.line in (3, 5)]
    assert len(list(block.only({3, 5}).rows())) == 2
