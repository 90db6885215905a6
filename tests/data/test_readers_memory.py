"""Readers: memory is bounded by the longest row that is read, whatever the size of the file."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

# VmHWM and not getrusage's peak, which a process inherits from the one that started it.
MEASURE = r"""
import re, sys
from pathlib import Path
import pyarrow.parquet
from luthier.data.read import read
def kibibytes(name):
    return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])
Path("/proc/self/clear_refs").write_text("5")
before, rows, problems = kibibytes("VmRSS"), 0, []
for row in read(Path(sys.argv[1])):
    rows += 1
    if not hasattr(row, "values"):
        problems = [*problems[:9], f"{row.place.line} {row.message}"]
print(rows, (kibibytes("VmHWM") - before) * 1024, *problems, sep="\n")
"""
MIB = 1 << 20
WORDS = "the order has not arrived and the customer asks for the money back "
ROW = {"instruction": WORDS * 4, "response": WORDS * 8}


def measured(path: Path) -> tuple[int, int, list[str]]:
    """Rows, bytes of memory that reading them took at its peak, and problems: in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return int(done[0]), int(done[1]), done[2:]


def some(names: Iterable[str], *quick: str) -> list[Any]:
    """All names, those that are not `quick` for the long tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.long) for name in names]


def json_array(rows: int) -> Iterator[bytes]:
    row = json.dumps(ROW).encode()
    yield b"["
    for number in range(rows):
        yield row if number == 0 else b", " + row
    yield b"]"


def json_object(rows: int) -> Iterator[bytes]:
    yield b'{"version": 1, "rows": '
    yield from json_array(rows)
    yield b"}"


def json_lines(rows: int) -> Iterator[bytes]:
    for _ in range(rows):
        yield json.dumps(ROW).encode() + b"\n"


def table(rows: int) -> Iterator[bytes]:
    yield b"instruction,response\n"
    for _ in range(rows):
        yield f'"{ROW["instruction"]}","{ROW["response"]}"\n'.encode()


def plain(rows: int) -> Iterator[bytes]:
    for _ in range(rows):
        yield (ROW["instruction"] + ROW["response"] + "\n").encode()


def write(path: Path, pieces: Iterator[bytes]) -> None:
    if path.suffix == ".gz":
        with gzip.open(path, "wb", compresslevel=1) as packed:
            for piece in pieces:
                packed.write(piece)
    elif path.suffix == ".zst":
        import pyarrow

        with path.open("wb") as file, pyarrow.CompressedOutputStream(file, "zstd") as stream:
            for piece in pieces:
                stream.write(piece)
    else:
        with path.open("wb") as file:
            file.writelines(pieces)


FORMATS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "a.json": json_array,
    "b.json": json_object,
    "a.jsonl": json_lines,
    "a.jsonl.gz": json_lines,
    "a.jsonl.zst": json_lines,
    "a.json.gz": json_array,
    "a.csv": table,
    "a.csv.zst": table,
    "a.txt": plain,
}


@pytest.mark.parametrize("name", some(FORMATS, "a.json", "a.jsonl.zst", "a.csv"))
def test_50_megabytes_are_read_in_20(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, FORMATS[name](60_000))
    rows, memory, problems = measured(tmp_path / name)
    assert (rows, problems) == (60_000, [])
    assert memory < 20 * MIB


def test_a_row_group_of_100_megabytes_is_not_held(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    noise = os.urandom(12_500_000).hex().encode()  # that no compression makes small
    texts = [noise[at : at + 1000] for at in range(0, len(noise), 1000)] * 4
    parquet.write_table(
        pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())}), tmp_path / "a.parquet", use_dictionary=False
    )
    del texts
    rows, memory, problems = measured(tmp_path / "a.parquet")
    assert (rows, problems) == (100_000, [])
    assert memory < 80 * MIB


BEFORE_AND_AFTER = {  # one row of many bytes between two others, and the line of the row
    "a.json": (b'[{"a": 1},\n{"a": "', b'"},\n{"a": 2}]', 2),
    "b.json": (b'{"rows": [{"a": 1},\n{"a": "', b'"},\n{"a": 2}]}', 2),
    "a.jsonl": (b'{"a": 1}\n{"a": "', b'"}\n{"a": 2}\n', 2),
    "a.csv": (b'a,b\n1,2\n3,"', b'"\n5,6\n', 3),
    "b.csv": (b"a,b\n1,2\n3,", b"\n5,6\n", 3),
    "a.tsv": (b"a\tb\n1\t2\n3\t", b"\n5\t6\n", 3),
    "a.txt": (b"a\n", b"\nb\n", 2),
}


def much(name: str, mebibytes: int) -> Iterator[bytes]:
    before, after, _ = BEFORE_AND_AFTER[name.removesuffix(".gz").removesuffix(".zst")]
    yield before
    for _ in range(mebibytes):
        yield (b"w" * 1023 + b"\n" if name == "a.csv" else b"w" * 1024) * 1024
    yield after


@pytest.mark.parametrize(
    "name",
    some(
        [*BEFORE_AND_AFTER, "a.jsonl.gz", "a.json.zst", "a.csv.gz", "a.txt.zst"],
        "a.json",
        "a.jsonl.gz",
        "a.csv",
        "b.csv",
        "a.txt.zst",
    ),
)
def test_a_row_that_is_too_long_is_a_problem_that_names_its_line_and_costs_no_other(tmp_path: Path, name: str) -> None:
    """Packed it is a bomb: 150 MiB in less than one."""
    path = tmp_path / name
    write(path, much(name, 150))
    rows, memory, problems = measured(path)
    line = BEFORE_AND_AFTER[name.removesuffix(".gz").removesuffix(".zst")][2]
    assert (rows, problems) == (3, [f"{line} the row takes 150.0 MiB, at most 64 are read"])
    assert memory < 300 * MIB
    assert path.stat().st_size < MIB or path.suffix not in (".gz", ".zst")


@pytest.mark.long
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_2_gigabytes_on_a_single_line_or_many_are_read_in_20_megabytes(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, FORMATS[name](2_500_000))
    rows, memory, problems = measured(tmp_path / name)
    assert (rows, problems) == (2_500_000, [])
    assert memory < 20 * MIB


@pytest.mark.long
@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz"])
def test_a_row_of_2_gigabytes_is_not_held(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, much(name, 2048))
    rows, memory, problems = measured(tmp_path / name)
    assert (rows, len(problems)) == (3, 1)
    assert memory < 300 * MIB
