"""Readers against random files: rows or errors with a line, no crash, no lost row, and blocks that are the rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data import read as reading
from luthier.data import text
from luthier.data.read import blocks, read
from luthier.errors import UserError
from luthier.flow import Problem, Record

Row = dict[str, str]
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY_EXAMPLES = settings(EXAMPLES, max_examples=600)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=12)
ROWS = st.lists(st.fixed_dictionaries({"a": TEXTS, "b": TEXTS}), min_size=1, max_size=8)


def json_lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def json_document(rows: list[Row]) -> bytes:
    return json.dumps({"about": 1, "rows": rows}, indent=1, ensure_ascii=False).encode()


def table(rows: list[Row], separator: str = ",") -> bytes:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    names = list(rows[0])
    writer.writerows([names, *([row[name] for name in names] for row in rows)])
    return written.getvalue().encode()


def parquet(rows: list[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), written, row_group_size=3)
    return written.getvalue()


def zstd(content: bytes) -> bytes:
    import pyarrow

    packed: bytes = pyarrow.Codec("zstd").compress(content, asbytes=True)
    return packed


WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    "jsonl": json_lines,
    "json": json_document,
    "csv": table,
    "tsv": lambda rows: table(rows, "\t"),
    "txt": lambda rows: "\n".join(["first", *(next(iter(row.values())) for row in rows)]).encode(),
    "parquet": parquet,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {"": lambda content: content, ".gz": gzip.compress, ".zst": zstd}
ENDINGS = [ending + packer for ending in WRITERS for packer in PACKERS]


@st.composite
def damaged(draw: st.DrawFn, ending: str, rows: st.SearchStrategy[list[Row]] = ROWS) -> bytes:
    """A valid file with some bytes changed, cut out or put in, before it is packed or after; or any bytes at all."""

    def hit(content: bytes) -> bytes:
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(content)))
            cut = draw(st.sampled_from([0, 1, 1, 4, 10_000]))
            content = content[:at] + draw(st.binary(max_size=3)) + content[at + cut :]
        return content

    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    kind, dot, packer = ending.partition(".")
    return hit(PACKERS[dot + packer](hit(WRITERS[kind](draw(rows)))))


def read_all(path: Path, by_block: bool) -> tuple[list[Record | Problem], list[tuple[str, str, str]]]:
    """All that comes before an error, and what the error says."""
    found: list[Record | Problem] = []
    try:
        if by_block:
            for block in blocks(path):
                assert block == pickle.loads(pickle.dumps(block))
                inside = list(block.rows())
                assert inside
                assert block.first_line <= inside[0].place.line
                found += inside
        else:
            found += read(path)
    except UserError as error:
        return found, [(each.where, each.message, each.remedy) for each in error.mistakes]
    return found, []


def never_crashes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found, mistakes = read_all(path, by_block=True)
    assert repr((found, mistakes)) == repr(read_all(path, by_block=False))  # repr: NaN is not equal to itself
    assert found or mistakes
    assert all(where.startswith(str(path)) and message and remedy for where, message, remedy in mistakes)
    assert all(row.place.file == str(path) and row.place.line >= 1 for row in found)
    assert all(row.message and row.remedy for row in found if isinstance(row, Problem))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_file_gives_rows_or_errors_that_say_where(tmp_path: Path, ending: str) -> None:
    @EXAMPLES
    @given(damaged(ending))
    def some(content: bytes) -> None:
        never_crashes(tmp_path / f"a.{ending}", content)

    some()


@pytest.mark.long
@pytest.mark.parametrize("ending", ENDINGS)
def test_hundreds_of_damaged_files_give_rows_or_errors_that_say_where(tmp_path: Path, ending: str) -> None:
    @MANY_EXAMPLES
    @given(damaged(ending))
    def many(content: bytes) -> None:
        never_crashes(tmp_path / f"a.{ending}", content)

    many()


@pytest.mark.parametrize("packer", PACKERS)
@EXAMPLES
@given(rows=ROWS, size=st.integers(1, 90))
def test_whole_files_come_back_row_for_row_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packer: str, rows: list[Row], size: int
) -> None:
    monkeypatch.setattr(text, "RUN_BYTES", size)
    monkeypatch.setattr(reading, "BLOCK_BYTES", size)
    for ending, write in WRITERS.items():
        path = tmp_path / f"a.{ending}{packer}"
        path.write_bytes(PACKERS[packer](write(rows)))
        wanted: list[dict[str, Any]] = list(rows)
        if ending == "txt":
            lines = write(rows).split(b"\n")
            wanted = [{"text": line.removesuffix(b"\r").decode()} for line in lines if line and not line.isspace()]
        found, mistakes = read_all(path, by_block=True)
        if wanted:
            assert ([row.values for row in found if isinstance(row, Record)], mistakes) == (wanted, [])


SIZES: dict[str, Callable[[Row], int]] = {
    "jsonl": lambda row: len(json.dumps(row)),
    "json": lambda row: len(json.dumps(row, indent=1, ensure_ascii=False).replace("\n", "\n  ").encode()),
    "csv": lambda row: len(f'"{row["a"]}","{row["b"]}"'.replace('"', '""').encode()) - 4,
}


@pytest.mark.parametrize("ending", SIZES)
@EXAMPLES
@given(rows=ROWS, size=st.integers(1, 50), packer=st.sampled_from(list(PACKERS)))
def test_a_row_over_the_limit_is_a_problem_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, rows: list[Row], size: int, packer: str
) -> None:
    monkeypatch.setattr(text, "ROW_BYTES", 50)
    monkeypatch.setattr(text, "RUN_BYTES", size)
    path = tmp_path / f"a.{ending}{packer}"
    path.write_bytes(PACKERS[packer](WRITERS[ending](rows)))
    found = list(read(path))
    assert [isinstance(row, Record) for row in found] == [SIZES[ending](row) <= 50 for row in rows]
    assert all(row.check == "row_size" for row in found if isinstance(row, Problem))


# A line of each kind that is no row, however it is told apart.
BROKEN = {
    "jsonl": [
        b'{"a": ',
        b"{'a': 1}",
        b'{"a": "\xe9"}',
        b'{"a": "\\ud800"}',
        b"[1]",
        b'{"a": 1} x',
        b"\x01",
        b"[" * 2000,
    ],
    "txt": [b"\xff", b"caf\xe9", b"\xed\xa0\x80"],
}


@pytest.mark.parametrize("ending", BROKEN)
@EXAMPLES
@given(st.data())
def test_every_broken_line_costs_itself_and_no_other(tmp_path: Path, ending: str, data: st.DataObject) -> None:
    lines = data.draw(st.lists(LINES.filter(lambda line: not line.encode().isspace()), min_size=1, max_size=8))
    good = [json.dumps({"text": line}).encode() if ending == "jsonl" else line.encode() for line in lines]
    broken = data.draw(st.lists(st.tuples(st.integers(0, 8), st.sampled_from(BROKEN[ending])), max_size=6))
    file: list[tuple[bytes, bool]] = [(line, True) for line in good]
    for at, line in broken:
        file.insert(max(1, at), (line, False))
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"\n".join(line for line, _ in file))
    found = list(read(path))
    assert [isinstance(row, Record) for row in found] == [is_good for _, is_good in file]
    assert [row.place.line for row in found] == list(range(1, len(file) + 1))
    assert [row.values["text"] for row in found if isinstance(row, Record)] == lines
