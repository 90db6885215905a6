"""From a file to records: finds the reader by the file's ending; every fault of the file itself is an error."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from io import BufferedReader
from pathlib import Path, PurePath

from luthier import plugins
from luthier.errors import mistake
from luthier.flow import Problem, Record

READERS = "luthier.data.readers"


def read(path: Path) -> Iterator[Record | Problem]:
    """The rows of a file in order: a `Record` each, or a `Problem` where a row cannot be read.

    Raises `UserError` for what concerns the whole file: missing, a folder, empty, binary, an unknown ending, broken
    beyond the row that is at fault.
    """
    name = str(path)
    if path.is_dir():
        inside = sorted(item.name for item in path.iterdir() if item.suffix[1:].lower() in plugins.names(READERS))
        remedy = f"name the file: {path / inside[0]}" if inside else f"name a file that ends in {_endings()}"
        raise mistake("this is a folder, not a file of rows", name, remedy)
    if not path.exists():
        raise mistake("no such file", name, _nearest(path))
    rows = 0
    try:
        with path.open("rb") as file:
            for row in read_open(file, name, path.name):
                rows += 1
                yield row
    except OSError as error:
        reason = error.strerror or str(error)
        raise mistake(f"cannot be read: {reason}", name, "check the file and its permissions") from error
    if not rows:
        raise mistake("the file holds no rows", name, f"write one, or name another file that ends in {_endings()}")


def read_open(file: BufferedReader, name: str, inner_name: str) -> Iterator[Record | Problem]:
    """The rows of an open file. `name` stands in every place, the ending of `inner_name` chooses the reader.

    A reader that only unpacks hands its stream back here with its own ending taken off.
    """
    ending = PurePath(inner_name).suffix[1:].lower()
    if ending not in plugins.names(READERS):
        what = f"the ending .{ending} is not read" if ending else "the name has no ending"
        raise mistake(f"{what}, and the content is not guessed at", name, f"name a file that ends in {_endings()}")
    rows: Iterator[Record | Problem] = plugins.load(READERS, ending).read(file, name)
    return rows


def _endings() -> str:
    return ", ".join(f".{name}" for name in plugins.names(READERS))


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either: check the path"
    near = get_close_matches(path.name, [item.name for item in path.parent.iterdir()], n=1)
    return f"did you mean {path.with_name(near[0])}?" if near else "check the path"
