"""A compressed file as a stream of what it holds: bounded memory, and an error where it is cut or damaged."""

from __future__ import annotations

import io
import shlex
from io import BufferedReader
from typing import Any

from luthier.data.text import BINARY, PACKERS
from luthier.errors import UserError, mistake
from luthier.flow import Place

BUFFER_BYTES = 1 << 16
"""What is unpacked at once; of a file that is cut, as much may be lost before the cut."""


def unpack(file: BufferedReader, name: str, ending: str, starts: tuple[bytes, ...]) -> BufferedReader:
    """The stream in a file that was packed by the program for `ending` and must begin with one of `starts`.

    Raises `UserError` where it does not. What is wrong further on is raised once all that was whole is read.
    """
    head = file.peek(BUFFER_BYTES)
    packer = PACKERS[f".{ending}"]
    if head and not head.startswith(starts):
        right = next((right for start, (_, right) in BINARY.items() if head.startswith(start)), "")
        plain = name[: -len(ending) - 1]
        remedy = f"type: mv {shlex.quote(name)} {shlex.quote(f'{plain}.{right}' if right in ('gz', 'zst') else plain)}"
        if not right and b"\0" in head:
            remedy = "fetch or pack it again"
        raise mistake(f"this is no {packer} file, whatever its name says", name, remedy)
    return BufferedReader(_Unpacked(file, name, packer), BUFFER_BYTES)


class _Unpacked(io.RawIOBase):
    def __init__(self, file: BufferedReader, name: str, packer: str) -> None:
        import pyarrow

        self._stream = pyarrow.CompressedInputStream(file, packer)
        self._name = name
        self._packer = packer
        self._line = 1
        self._failure: UserError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Ends at a fault, and raises it when asked again: so a reader has all that comes before it."""
        if self._failure:
            raise self._failure
        view = memoryview(buffer)
        try:
            piece = self._stream.read(min(len(view), BUFFER_BYTES))
        except OSError as error:
            if error.errno is not None:
                raise
            cut = "Truncated" in str(error)
            self._failure = mistake(
                f"the {self._packer} data {'ends too early: the file is cut' if cut else 'is damaged'} behind here",
                str(Place(self._name, self._line)),
                f"fetch or pack it again; `{self._packer} -t {shlex.quote(self._name)}` says whether it is whole",
            )
            return 0
        self._line += piece.count(b"\n")
        view[: len(piece)] = piece
        return len(piece)
