"""Runs the command line inside the test's own process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from luthier.app.cli import run


@dataclass(frozen=True)
class Ended:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


def captured(call: Callable[[], int]) -> Ended:
    """The exit code of a call with what it printed, both streams written as UTF-8."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        code = call()
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    return Ended(code, out, err)


@pytest.fixture(scope="session")
def capture() -> Callable[[Callable[[], int]], Ended]:
    """`capture(call)`: its exit code, stdout and stderr."""
    return captured


@pytest.fixture(scope="session")
def luthier_command() -> Callable[..., Ended]:
    """`luthier_command("train", "rows.jsonl")`: what that command line comes to."""
    return lambda *words: captured(lambda: run(words))
