"""Poor generalization: what holds on rows like the training rows does not hold on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom, fisher_exact, mannwhitneyu

from luthier.diagnosis import remedies
from luthier.diagnosis.answers import favourite
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.measured import error_of_both, training_rows_no_better
from luthier.diagnosis.repeated import repeated
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding, Measure, Remedy, Report
from luthier.settings import mission
from luthier.statistics import holm, mcnemar

title: Final = mission.TROUBLES["generalization"].issue
what: Final = (
    "Test rows are expected far less than validation rows, or answers are right far less often under changes that must "
    "not matter, far from the training rows, in one category or for long prompts; or one answer is a favourite; or "
    "rows stand on both sides."
)
causes: Final = {
    "test_gap": "The test rows are of another kind than the rows that were trained on and held back from them.",
    "changes": "The model goes by how the rows are written: changes that must not matter take the answer away.",
    "distance": "Rows unlike the training rows are answered wrong: the model remembers rather than understands.",
    "category": "One kind of rows was learned far worse than all others.",
    "favourite": "One answer is given whether it fits or not, while training rows are answered better.",
    "length": "Whether an answer is right depends on how long the question is.",
    "leak": "Validation rows ask what training rows ask, so that validation flatters the model.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("wasted_compute",)

GAP: Final = 0.3
"""Of validation's loss: the test rows' loss is so much higher."""
LEAST_GAP: Final = 0.05
"""Nats a token, likewise."""
LOST: Final = 0.25
"""Of the rows, right answers lost to changes or to distance."""
FAR: Final = 0.25
"""Of the rows: so many are far from the training rows."""
FAR_LOST: Final = 0.4
"""Of the far rows, right answers fewer than of the near ones: some are fewer in every healthy run."""
FEWEST: Final = 10
"""Rows of a category or a band."""
LEAKED: Final = 0.05
"""Of the validation rows."""
WEAK: Final = 0.4
"""Times the accuracy elsewhere: a class may well be that much harder than the others."""
LEARNED: Final = 0.7
"""The accuracy elsewhere at least: of a task that is not learned no part is weak."""
LENGTH: Final = 0.8
"""The probability that a right answer's question is the shorter one, of a right and a wrong one."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """One way in which a run fails to generalize: how likely by chance, how large (1 is just of account)."""

    cause: str
    chance: float
    size: float
    shown: str
    evidence: dict[str, Measure]


def look(seen: Seen) -> Finding | None:
    leak = _leak(seen)
    try:
        report = seen.evaluated()
    except Missing:
        if leak is None:
            raise
        signs = []
    else:
        signs = [*_gap(report), *_changes(report), *_distance(report), *_of_answers(seen)]
    corrected = holm([sign.chance for sign in signs])
    large = [(sign, chance) for sign, chance in zip(signs, corrected, strict=True) if sign.size >= 1]
    if leak is not None:
        large.append((leak, 0.0))
    if not large:
        return None
    order = list(causes)
    sign, chance = min(large, key=lambda one: (one[1] > 0.05, order.index(one[0].cause)))
    return Finding(
        symptom="generalization",
        certainty=1 - chance,
        cause=sign.cause,
        says=f"{sign.shown}. {causes[sign.cause]}",
        evidence={name: measure for one, _ in large for name, measure in one.evidence.items()},
        remedies=_remedies(seen, sign.cause),
    )


def _gap(report: Report) -> Iterator[_Sign]:
    test, held = report.gaps.get("test"), report.gaps.get("validation")
    if test is None or held is None or test.value is None or held.value is None:
        return
    error = error_of_both(test, held)
    if error is None:
        return
    gap = test.value - held.value
    least = max(GAP * held.value, LEAST_GAP)
    # How likely a gap of half that size is to look like this one: a gap by itself is nothing unusual.
    chance = float(ndtr((least / 2 - gap) / error))
    shown = f"The test rows have {test.value:.3g} nats a token and the validation rows {held.value:.3g}"
    yield _Sign("test_gap", chance, gap / least, shown, {"test_loss": test, "validation_loss": held})


def _changes(report: Report) -> Iterator[_Sign]:
    """The change that takes the second most answers away: one alone may be new to every model, such as capitals."""
    found = sorted(
        (change["difference"].value, name)
        for name, change in report.changes.items()
        if "difference" in change and change["difference"].value is not None
    )
    if len(found) < 2:
        return
    value, name = found[1]
    before, after, difference = (report.changes[name][key] for key in ("before", "after", "difference"))
    assert value is not None
    lost = round(-value * difference.n)
    shown = f"Under {name}, {before.value:.0%} right answers become {after.value:.0%}, and under {found[0][1]} fewer"
    yield _Sign("changes", mcnemar(0, max(0, lost)), -value / LOST, shown, {f"under_{name}": difference})


def _distance(report: Report) -> Iterator[_Sign]:
    bands = [(name, one) for name, one in report.distances.items() if one.value is not None and one.n >= FEWEST]
    if len(bands) < 2:
        return
    (far_name, far), (near_name, near) = bands[0], bands[-1]
    assert far.value is not None
    assert near.value is not None
    if far.n < FAR * sum(one.n for _, one in bands):
        return  # the last few rows are hard for every model
    right = [round(one.value * one.n) for one in (near, far) if one.value is not None]
    table = [[right[0], near.n - right[0]], [right[1], far.n - right[1]]]
    chance = float(fisher_exact(table, alternative="greater").pvalue)
    shown = (
        f"Of rows {near_name} alike to a training row {near.value:.0%} are answered right, of rows {far_name} alike "
        f"{far.value:.0%}"
    )
    size = (near.value - far.value) / FAR_LOST
    yield _Sign("distance", chance, size, shown, {"accuracy_near": near, "accuracy_far": far})


def _of_answers(seen: Seen) -> Iterator[_Sign]:
    answers = [one for one in seen.answers if {"wanted", "tuned", "tuned_right", "prompt"} <= one.keys()]
    if len(answers) < 2 * FEWEST:
        return
    right = np.array([bool(one["tuned_right"]) for one in answers])
    yield from _category(answers, right)
    favoured = favourite(answers)
    if favoured is not None and training_rows_no_better(seen) is None:  # otherwise nothing was learned by heart either
        yield _Sign("favourite", favoured.chance, favoured.size, favoured.shown, favoured.evidence)
    lengths = np.array([len(str(one["prompt"])) for one in answers])
    if FEWEST <= right.sum() <= len(right) - FEWEST:
        tested = mannwhitneyu(lengths[~right], lengths[right], alternative="greater")
        shorter = float(tested.statistic) / (right.sum() * (~right).sum())
        shown = f"Wrong answers have questions of {np.median(lengths[~right]):.0f} letters, right ones of "
        shown += f"{np.median(lengths[right]):.0f}"
        evidence = {"right_is_shorter": Measure(shorter, n=len(answers))}
        yield _Sign("length", float(tested.pvalue), (shorter - 0.5) / (LENGTH - 0.5), shown, evidence)


def _category(answers: Sequence[Mapping[str, Any]], right: NDArray[np.bool_]) -> Iterator[_Sign]:
    names = np.array([str(one.get("category")) for one in answers])
    found = []
    for name in sorted(set(names) - {"None"}):
        inside = names == name
        if min(inside.sum(), (~inside).sum()) < FEWEST:
            continue
        here, elsewhere = (float(right[some].mean()) for some in (inside, ~inside))
        weak = float(binom.cdf(right[inside].sum(), inside.sum(), WEAK * elsewhere))
        found.append((weak, name, inside))
    if not found:
        return
    chance, name, inside = min(found, key=lambda one: one[:2])
    here, elsewhere = float(right[inside].mean()), float(right[~inside].mean())
    shown = f"Of the rows of `{name}` {here:.0%} are answered right, of all others {elsewhere:.0%}"
    evidence = {"accuracy_in_category": Measure(here, n=int(inside.sum())), "accuracy_elsewhere": Measure(elsewhere)}
    size = (elsewhere - here) / ((1 - WEAK) * elsewhere) if elsewhere >= LEARNED else 0.0
    yield _Sign("category", min(1.0, chance * len(found)), size, shown, evidence)


def _leak(seen: Seen) -> _Sign | None:
    try:
        found = repeated(seen)
    except Missing:
        return None
    held = seen.rows.get("validation") or 0
    if not held or found["leaked"] < LEAKED * held:
        return None
    shown = f"{found['leaked']} of {held} validation rows ask what a training row asks"
    return _Sign("leak", 0.0, 2.0, shown, {"leaked_share": Measure(found["leaked"] / held, n=held)})


def _remedies(seen: Seen, cause: str) -> tuple[Remedy, ...]:
    if cause == "leak":
        return remedies.those(remedies.leak_free_split(seen), remedies.diversify(seen))
    return remedies.those(
        remedies.diversify(seen),
        remedies.balance(seen) if cause in ("category", "favourite") else None,
        remedies.fewer_epochs(seen, 1.0, "fewer passes leave less time for what only these rows have"),
        remedies.regularization(seen),
        remedies.smaller(seen),
    )


def sick() -> Seen:
    gaps = {
        "training": Measure(0.48, 0.42, 0.54, 32),
        "validation": Measure(0.55, 0.5, 0.6, 60),
        "test": Measure(1.4, 1.25, 1.55, 100),
    }
    report = Report("made", "test.jsonl", 100, {}, {}, (), gaps=gaps)
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.55, 7), report=report)
