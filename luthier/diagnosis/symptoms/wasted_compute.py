"""Wasted compute: most of the run came after all was learned."""

from __future__ import annotations

from typing import Final

from scipy.special import stdtr

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure

title: Final = "Wasted compute"
what: Final = (
    "From an evaluation before 40% of the steps on, validation did not get better: a gain of 2% of its loss is "
    "ruled out."
)
causes: Final = {"too_long": "The task was learned in a part of the steps, and the rest cost time for nothing."}
watches: Final = False
stops: Final = False
mild: Final = True
explains: Final = ()

WORSE: Final = 1.1
DONE_AT: Final = 0.4
GAIN: Final = 0.02
"""Of the loss: a larger gain is worth the rest of the run."""
LEAST: Final = 0.005
"""Nats a token: and where the loss is nearly 0, this."""


def look(seen: Seen) -> Finding | None:
    evaluations = seen.evaluations_from(5)
    total = evaluations[-1].step
    first = course.start(seen)
    best = min(evaluations, key=rows.validation)
    if rows.validation(evaluations[-1]) > WORSE * rows.validation(best):
        return None  # it got worse: the rest was not wasted, it did harm
    early = [one for one in evaluations if one.step <= DONE_AT * total]
    for one in early:
        now = rows.validation(one)
        gain = rows.change(best.row_losses, one.row_losses)  # how much more there was to gain: positive
        if gain is None or now > 0.9 * first:
            continue
        margin = max(GAIN * now, LEAST)
        error = max((gain.high - gain.low) / 4, 1e-9)
        chance = float(stdtr(gain.n - 1, (gain.value - margin) / error)) * len(early)
        if gain.value < margin and chance < 0.05:
            return _finding(seen, one.step, total, min(1.0, chance), gain)
    return None


def _finding(seen: Seen, step: int, total: int, chance: float, gain: rows.Change) -> Finding:
    evaluations = seen.evaluations_from(5)
    seconds = sum(one.seconds for one in seen.steps if one.step > step)
    epoch = next((one.epoch for one in reversed(seen.steps) if one.step <= step), 1.0)
    return Finding(
        symptom="wasted_compute",
        certainty=1 - chance,
        cause="too_long",
        says=f"At step {step} of {total} validation was as good as it ever got, to {gain.high:.2g} nats a token. "
        f"{causes['too_long']}",
        evidence={
            "done_at_step": Measure(step),
            "wasted_share": Measure(1 - step / total),
            "wasted_seconds": Measure(seconds),
            "later_gain": gain.measure,
        },
        remedies=remedies.those(remedies.fewer_epochs(seen, 1.2 * epoch, "the rest of the run gained nothing")),
        step=step,
        curves=course.both_curves(evaluations),
    )


def sick() -> Seen:
    def loss(done: float) -> float:
        return 2.4 - 9 * done if done < 0.2 else 0.6

    return made(loss, loss, epochs=10)
