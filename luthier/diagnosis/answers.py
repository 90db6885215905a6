"""The answers that an evaluation kept, as symptoms look at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Measure

FEWEST = 20
FAVOURED = 0.25
"""Of the answers: so many more than are wanted are one and the same."""


@dataclass(frozen=True, slots=True)
class Favourite:
    """The answer that is given most, `times` of `total`, and wanted so many times: `chance` is the probability that it
    is given so often where it is given as often as it is wanted."""

    answer: str
    times: int
    wanted: int
    total: int
    chance: float

    @property
    def size(self) -> float:
        """1 is just of account."""
        return (self.times - self.wanted) / self.total / FAVOURED

    @property
    def shown(self) -> str:
        return f"`{self.answer[:40]}` is {self.times} of {self.total} answers and wanted {self.wanted} times"

    @property
    def evidence(self) -> dict[str, Measure]:
        return {
            "favourite_share": Measure(self.times / self.total, n=self.total),
            "wanted_share": Measure(self.wanted / self.total),
        }


def favourite(answers: Sequence[Mapping[str, Any]]) -> Favourite | None:
    """The favourite among answers of which few are possible; None where it is no wanted one."""
    answers = [one for one in answers if {"wanted", "tuned"} <= one.keys()]
    said, wanted = Counter(one["tuned"] for one in answers), Counter(one["wanted"] for one in answers)
    if len(answers) < FEWEST or len(wanted) > len(answers) / 3:
        return None
    answer, times = said.most_common(1)[0]
    if not wanted[answer]:
        return None
    chance = float(binomtest(times, len(answers), wanted[answer] / len(answers), alternative="greater").pvalue)
    return Favourite(answer, times, wanted[answer], len(answers), chance)


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
