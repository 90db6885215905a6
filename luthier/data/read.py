"""From a file to blocks of records: finds the reader by the file's ending; every fault of a whole file is an error."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Set
from contextlib import closing
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Any, cast

from luthier import plugins
from luthier.data import text
from luthier.errors import UserError, mistake
from luthier.flow import Place, Problem, Record

READERS = "luthier.data.readers"
BLOCK_BYTES = 1 << 20
BLOCK_ROWS = 2000


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a file as they stand there, not parsed yet: at least one is not blank.

    `reader` is the format whose reader parses them, `name` the file that stands in every place.
    """

    reader: str
    name: str
    first_line: int
    lines: bytes
    end: int = 0

    def rows(self) -> Iterator[Record | Problem]:
        """A `Record` or a `Problem` for every line that is not blank, with its true place."""
        found: Iterator[Record | Problem] = plugins.load(READERS, self.reader).parse(
            self.lines, self.name, self.first_line
        )
        return found

    def only(self, lines: Set[int]) -> LineBlock:
        """The block with the rows of some lines alone, in their places."""
        numbered = enumerate(self.lines.split(b"\n"), self.first_line)
        return replace(self, lines=b"\n".join(line if number in lines else b"" for number, line in numbered))

    def digest(self) -> bytes:
        """16 bytes of a hash of the lines, whatever the file and wherever they stand in it."""
        return blake2b(self.lines, digest_size=16, person=self.reader.encode()).digest()


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows in order, of a format that must be parsed to be cut."""

    parsed: tuple[Record | Problem, ...]
    hash: bytes
    end: int = 0

    @property
    def first_line(self) -> int:
        return self.parsed[0].place.line

    def rows(self) -> Iterator[Record | Problem]:
        """The rows with their true places."""
        return iter(self.parsed)

    def only(self, lines: Set[int]) -> RowBlock:
        """The block with the rows of some lines alone, in their places."""
        return replace(self, parsed=tuple(row for row in self.parsed if row.place.line in lines))

    def digest(self) -> bytes:
        """16 bytes of a hash of the rows' values, whatever the file and wherever they stand in it."""
        return self.hash


Block = LineBlock | RowBlock
"""A frozen run of whole rows of a file, one after the other: `first_line`, `rows()`, `only()`, `digest()`. It can be
pickled.

`end` is how many bytes of the file on disk were read when it was whole: how far work has come."""


def read(path: Path) -> Iterator[Record | Problem]:
    """The rows of a file in order: a `Record` each, or a `Problem` where a row cannot be read. Raises as `blocks`."""
    for block in blocks(path):
        yield from block.rows()


def blocks(path: Path) -> Iterator[Block]:
    """The rows of a file in order, in blocks of about `BLOCK_BYTES`, or of `BLOCK_ROWS` rows where those are less.

    Each holds a row at least. Cutting lines into blocks does not parse them: a block that is not used costs no more
    than its bytes. Equal files give equal blocks.

    Raises `UserError` for what concerns the whole file: missing, a folder, empty, binary, an unknown ending, broken
    beyond the row that is at fault; the blocks before the fault come first. A block's `rows()` raises nothing.
    """
    name = str(path)
    if path.is_dir():
        inside = sorted(item.name for item in path.iterdir() if item.suffix[1:].lower() in plugins.names(READERS))
        remedy = f"name the file: {path / inside[0]}" if inside else f"name a file that ends in {_endings()}"
        raise mistake("this is a folder, not a file of rows", name, remedy)
    if not path.exists():
        raise mistake("no such file", name, _nearest(path))
    empty = True
    try:
        with path.open("rb") as file:
            for block in _blocks(file, name, path.name):
                empty = False
                yield replace(block, end=file.tell())
    except OSError as error:
        reason = error.strerror or str(error)
        raise mistake(f"cannot be read: {reason}", name, "check the file and its permissions") from error
    if empty:
        raise mistake("the file holds no rows", name, f"write one, or name another file that ends in {_endings()}")


def _blocks(file: BufferedReader, name: str, inner_name: str) -> Iterator[Block]:
    """The blocks of an open file. `name` stands in every place, the ending of `inner_name` chooses the reader."""
    ending = PurePath(inner_name).suffix[1:].lower()
    if ending not in plugins.names(READERS):
        what = f"the ending .{ending} is not read" if ending else "the name has no ending"
        if inner_name != PurePath(name).name:
            what = f"{what} under {name[len(inner_name) - len(PurePath(name).name) :]}"
        raise mistake(f"{what}, and the content is not guessed at", name, f"name a file that ends in {_endings()}")
    reader = plugins.load(READERS, ending)
    if hasattr(reader, "unpack"):
        with closing(reader.unpack(file, name)) as inner:
            yield from _blocks(inner, name, PurePath(inner_name).stem)
            inner.read(1)  # raises where it is broken behind what the reader asked for
    elif hasattr(reader, "parse"):
        reader.begin(file, name)
        yield from _line_blocks(file, name, ending)
    else:
        yield from _row_blocks(reader.read(file, name))


def _line_blocks(file: BufferedReader, name: str, ending: str) -> Iterator[Block]:
    line = 1
    for run in text.runs(file):
        if isinstance(run, int):
            problem = text.too_long(run, Place(name, line))
            yield _row_block([problem], [_content(problem)])
            line += 1
        else:
            if not run.isspace():
                yield LineBlock(ending, name, line, run)
            line += run.count(b"\n")


def _row_blocks(rows: Iterator[Record | Problem]) -> Iterator[Block]:
    """Cuts after `BLOCK_ROWS` rows, and earlier where their values take `BLOCK_BYTES`."""
    waiting: list[Record | Problem] = []
    content: list[bytes] = []
    size = 0
    try:
        for row in rows:
            waiting.append(row)
            content.append(_content(row))
            size += len(content[-1])
            if size >= BLOCK_BYTES or len(waiting) == BLOCK_ROWS:
                yield _row_block(waiting, content)
                waiting, content, size = [], [], 0
    except UserError:
        if waiting:
            yield _row_block(waiting, content)
        raise
    if waiting:
        yield _row_block(waiting, content)


def _row_block(rows: list[Record | Problem], content: list[bytes]) -> RowBlock:
    return RowBlock(tuple(rows), blake2b(b"".join(content), digest_size=16).digest())


def _content(row: Record | Problem) -> bytes:
    """Bytes that are equal for equal rows alone: `marshal` tells 1 from "1" and 1.0, in any depth, and it is fast."""
    return marshal.dumps(cast("dict[str, Any]", row.values) if isinstance(row, Record) else (row.check, row.message), 2)


def _endings() -> str:
    """The endings that are read, for a person."""
    found = plugins.names(READERS)
    packed = [name for name in found if hasattr(plugins.load(READERS, name), "unpack")]
    rows = ", ".join(f".{name}" for name in found if name not in packed)
    return f"{rows} (and {', '.join(f'.{name}' for name in packed)} behind them)"


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either: check the path"
    near = get_close_matches(path.name, [item.name for item in path.parent.iterdir()], n=1)
    return f"did you mean {path.with_name(near[0])}?" if near else "check the path"
