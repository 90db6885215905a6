"""Zstandard: unpacks; the name without the ending says what is inside."""

from __future__ import annotations

from io import BufferedReader

from luthier.data import unpack as packed

STARTS = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))


def unpack(file: BufferedReader, name: str) -> BufferedReader:
    """The stream inside. Raises `UserError` where the file is no zstd file, and while reading where it is broken."""
    return packed.unpack(file, name, "zst", STARTS)
