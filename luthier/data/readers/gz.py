"""gzip: unpacks; the name without the ending says what is inside."""

from __future__ import annotations

from io import BufferedReader

from luthier.data import unpack as packed


def unpack(file: BufferedReader, name: str) -> BufferedReader:
    """The stream inside. Raises `UserError` where the file is no gzip file, and while reading where it is broken."""
    return packed.unpack(file, name, "gz", (b"\x1f\x8b",))
