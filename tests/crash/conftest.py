"""The small run of the verbs' tests, for runs that end badly, and a folder where many small files cost little."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.conftest import run_file

__all__ = ["memory_folder", "run_file"]


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder in memory where the system has one. What a disk would keep is the fault layer's to know."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
