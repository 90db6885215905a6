"""TSV: as CSV, with a tab between two values."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from luthier.data.readers import csv
from luthier.flow import Problem, Record


def read(file: BufferedReader, name: str) -> Iterator[Record | Problem]:
    """A record for every row under the header; a text that holds a tab or a line break stands in double quotes."""
    return csv.read(file, name, "\t")
