"""The answers that an evaluation kept, as symptoms look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.diagnosis.seen import Missing, Seen

FEWEST = 20


def kept(seen: Seen, fewest: int = FEWEST) -> Sequence[Mapping[str, Any]]:
    """The rows that were answered, with `wanted`, `tuned`, `tuned_right` and `tuned_stopped`. Raises `Missing`."""
    if not seen.answers:
        seen.evaluated()
        raise Missing(seen.absent.get("answers", f"the answers were not kept: luthier evaluate {seen.run}"))
    found = [one for one in seen.answers if {"wanted", "tuned", "tuned_right", "tuned_stopped"} <= one.keys()]
    if len(found) < fewest:
        raise Missing(f"{len(found)} answers say too little: {fewest} are needed")
    return found


def made_answers(
    classes: Mapping[str, tuple[int, int]], wrong: str = "", stopped: bool = True, tail: str = ""
) -> list[dict[str, Any]]:
    """Made-up answers: of each class so many rows, of which so many are right; the others say `wrong`."""
    return [
        {
            "file": "test.jsonl",
            "line": number,
            "category": name,
            "prompt": f"Which kind is message {number} of {name}?",
            "wanted": name,
            "base": "",
            "tuned": (name if number < right else wrong) + tail,
            "base_right": False,
            "tuned_right": number < right and stopped,
            "base_stopped": True,
            "tuned_stopped": stopped,
        }
        for name, (count, right) in classes.items()
        for number in range(count)
    ]
