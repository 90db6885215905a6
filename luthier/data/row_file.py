"""Writes rows into a file, which is whole or absent: JSON lines, one JSON document, or a table, packed or not."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from luthier.data.fields import DoesNotFit
from luthier.data.json_text import kind
from luthier.errors import mistake

Write = Callable[[Mapping[str, Any] | str], None]
ENDINGS = (".jsonl", ".json", ".csv", ".tsv")
PACKED = {".gz": "gzip", ".zst": "zstd"}


@contextmanager
def row_file(path: Path) -> Iterator[Write]:
    """A function that writes a row; the file appears when the block ends, and only when it ends well.

    A line of JSON may be given as it stands, to a file of such lines alone.

    The function raises `DoesNotFit` for a row that the file cannot hold, and goes on with the next. Raises `UserError`
    for an ending that says no kind of file.
    """
    kinds = kinds_of(path)
    aside = path.with_name(f".{path.name}.writing")
    try:
        with _opened(aside, kinds[1:]) as file:
            if kinds[0] == ".jsonl":
                yield lambda row: _write(file, f"{row if isinstance(row, str) else _json(row)}\n")
            elif kinds[0] == ".json":
                separators = iter(["[\n"])
                yield lambda row: _write(file, next(separators, ",\n"), _json(row))
                _write(file, next(separators, ""), "\n]\n")
            else:
                with TemporaryFile("w+", encoding="utf-8", dir=aside.parent) as waiting:
                    columns: dict[str, None] = {}
                    yield lambda row: _keep(row, waiting, columns)
                    _write_table(file, waiting, list(columns), "\t" if kinds[0] == ".tsv" else ",")
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def kinds_of(path: Path) -> list[str]:
    """The ending that chooses the writer, then how it is packed: `rows.jsonl.gz` gives `[".jsonl", ".gz"]`."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    if len(endings) == 2 and endings[1] in PACKED and endings[0] in ENDINGS:
        return endings
    if endings and endings[-1] in ENDINGS:
        return endings[-1:]
    what = f"the ending {path.suffix} is not written" if path.suffix else "the name has no ending"
    remedy = f"name a file that ends in {', '.join(ENDINGS)}, with {' or '.join(PACKED)} behind it to pack it"
    raise mistake(what, str(path), remedy)


@contextmanager
def _opened(path: Path, packed: list[str]) -> Iterator[IO[str]]:
    if not packed:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    import pyarrow

    with (
        pyarrow.CompressedOutputStream(str(path), PACKED[packed[0]]) as stream,
        TextIOWrapper(stream, encoding="utf-8", newline="") as text,
    ):
        yield text


def _write(file: IO[str], *texts: str) -> None:
    file.write("".join(texts))


def _json(row: Mapping[str, Any] | str) -> str:
    assert not isinstance(row, str), "only a file of JSON lines takes lines"
    return json.dumps(row, ensure_ascii=False, default=_no_json)


def _no_json(value: Any) -> Any:
    raise DoesNotFit(f"a value of the kind {type(value).__name__} has no JSON")


def _keep(row: Mapping[str, Any] | str, waiting: IO[str], columns: dict[str, None]) -> None:
    """Keeps a table's row until all columns are known."""
    assert not isinstance(row, str), "only a file of JSON lines takes lines"
    cells = {name: _cell(value) for name, value in row.items()}
    columns.update(dict.fromkeys(cells))
    waiting.write(f"{json.dumps(cells, ensure_ascii=False)}\n")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise DoesNotFit("a cell of a table holds no NUL")
        return value
    if isinstance(value, list | dict):
        raise DoesNotFit(f"a cell of a table holds a text, not {kind(value)}")
    return "" if value is None else json.dumps(value, default=_no_json)


def _write_table(file: IO[str], waiting: IO[str], columns: list[str], separator: str) -> None:
    # Every text in quotes: so neither a lone carriage return nor a row of one empty text is lost.
    table = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    table.writerow(columns)
    waiting.seek(0)
    for line in waiting:
        row = json.loads(line)
        table.writerow([row.get(column, "") for column in columns])
