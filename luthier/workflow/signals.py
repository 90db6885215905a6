"""Ctrl-C and SIGTERM, noted instead of obeyed at once, so that work can be saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Caught:
    """The signal that came, or 0. A second one is obeyed at once."""

    number: int = 0


@contextmanager
def caught() -> Iterator[Caught]:
    """Inside, SIGINT and SIGTERM only set the number. Outside of the main thread nothing is caught."""
    noted = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if noted.number:
            raise SystemExit(128 + number)
        noted.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
