"""The end mark is not learned: answers begin right and do not stop."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import bdtrc

from luthier.diagnosis import remedies
from luthier.diagnosis.answers import kept, made_answers
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure
from luthier.statistics import wilson

title: Final = "End mark not learned"
what: Final = "A tenth of the answers or more runs on to the limit of tokens, although the wanted ones are shorter."
causes: Final = {
    "cut_off": "Training rows were cut at their end, so that the mark at which an answer stops was cut off with it.",
    "not_trained": "The answers begin as wanted and go on: the mark at which they stop was not learned.",
    "runs_on": "The answers do not begin as wanted either: the model falls into a loop, or talks as base does.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("generalization", "imbalance")

SHARE: Final = 0.1
LONGEST: Final = 300
"""Letters of the middle wanted answer: where answers are longer, running on says little."""
MOST_CUT: Final = 0.05


def look(seen: Seen) -> Finding | None:
    answers = kept(seen)
    running = [one for one in answers if not one["tuned_stopped"]]
    if np.median([len(str(one["wanted"])) for one in answers]) > LONGEST:
        return None  # a long free answer may well be longer than the wanted one
    share = len(running) / len(answers)
    if share <= SHARE:
        return None
    begin = sum(str(one["tuned"]).strip().startswith(str(one["wanted"]).strip()) for one in running) / len(running)
    cut = seen.rows.get("cut", 0) / max(1, seen.training_rows or 1)
    cause = "cut_off" if cut >= MOST_CUT else "not_trained" if begin >= 0.3 else "runs_on"
    ends = wilson(len(running), len(answers))
    return Finding(
        symptom="end_mark",
        certainty=1 - float(bdtrc(len(running) - 1, len(answers), SHARE)),
        cause=cause,
        says=f"{len(running)} of {len(answers)} answers did not stop before the limit of tokens; {begin:.0%} of these "
        f"begin with the wanted answer. {causes[cause]}",
        evidence={
            "running_on": Measure(share, ends.low, ends.high, len(answers)),
            "begin_as_wanted": Measure(begin, n=len(running)),
            "rows_cut": Measure(cut, n=seen.training_rows or 0),
        },
        remedies=remedies.those(
            remedies.keep_answers(seen) if cause == "cut_off" else None,
            remedies.train_on_answers(seen),
            remedies.more_epochs(seen, 2),
            remedies.rate(seen, 3, "larger steps learn the mark in as many steps"),
        ),
    )


def sick() -> Seen:
    answers = made_answers({"billing": (40, 40)}, stopped=False, tail=" billing billing billing")
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), answers=answers, rows_json={"cut": 0})
