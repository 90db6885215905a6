"""Rows whose system message is not that of nearly all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Rows, Threshold, Whole

NORM: Final = 0.9
FEWEST: Final = 20
KEPT: Final = 200

criterion = "consistent_formatting"
what = "Rows with another system message, or none, where nearly all have the same."
why = "The model is asked with one system message; rows under another teach a task that nobody calls."
remedy = "give the row the system message of the others, or leave it out"
leaves_out = False
thresholds = (
    Threshold(NORM, "of a file's rows have the same system message, before the others are named",
              "below that the messages differ on purpose"),
    Threshold(FEWEST, "rows at least", "fewer are no norm"),
)  # fmt: skip


def gather(rows: Rows) -> tuple[list[str], NDArray[np.int32]]:
    """The different system messages of the block, their beginnings, and which each row has (R)."""
    said = [_system(row) for row in rows]
    place = {message: number for number, message in enumerate(dict.fromkeys(said))}
    return list(place), np.array([place[message] for message in said], np.int32)


def judge(parts: Sequence[tuple[list[str], NDArray[np.int32]]], whole: Whole) -> Judged:
    place: dict[str, int] = {}
    for names, _ in parts:
        for name in names:
            place.setdefault(name, len(place))
    which = np.concatenate([np.array([place[name] for name in names], np.int64)[own] for names, own in parts])
    messages = list(place)
    other: dict[int, str] = {}
    for file in np.unique(whole.file[~whole.held_out]).tolist():
        rows = np.flatnonzero(whole.file == file)
        counts = np.bincount(which[rows])
        common = int(np.argmax(counts))
        if messages[common] and len(rows) >= FEWEST and counts[common] >= NORM * len(rows):
            other |= {row: messages[which[row]] for row in rows[which[rows] != common].tolist()}

    def describe(row: int) -> Hit:
        return Hit(f"the system message begins `{other[row][:60]}`" if other[row] else "there is no system message")

    return Judged(np.array(sorted(other), np.int64), describe, numbers={"system_messages": len(place.keys() - {""})})


def _system(row: Row) -> str:
    first = row.conversation.messages[0]
    return first.content[:KEPT].strip() if first.role == "system" else ""


def _rows(last: str) -> list[dict[str, Any]]:
    said = ["You sort messages."] * 30 + [last]
    return [
        {"messages": [{"role": "system", "content": system}, {"role": "user", "content": f"Message {n}"},
                      {"role": "assistant", "content": "other"}]}
        for n, system in enumerate(said)
    ]  # fmt: skip


def faulty() -> list[dict[str, Any]]:
    return _rows("You are a pirate.")


def clean() -> list[dict[str, Any]]:
    return _rows("You sort messages. ")
