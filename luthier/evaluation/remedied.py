"""A run before and after a remedy: by what its symptom is measured, by its targets, and what of it is more than noise.

What is compared row by row is one thing of two runs: the same held-back rows, the same passages of the general set. So
every difference comes with a paired test, and a cure that harms is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from luthier.evaluation import metrics
from luthier.evaluation.compare import apart, in_order_of, of_both
from luthier.evaluation.evaluate import difference
from luthier.evaluation.generalization import change
from luthier.evaluation.kept import Kept
from luthier.evaluation.metrics import Sample, loss
from luthier.flow import EvaluationLog, Measure, Place, Question, Report, RowScore, TargetResult, Verdict
from luthier.statistics import holm, mcnemar

LEVEL: Final = 0.05
"""A difference is more than noise where the probability of it by chance, corrected over all that are asked for at once,
is under this."""
FALLS: Final[Mapping[Verdict, int]] = {"met": 2, "likely": 1, "missed": 0}
"""A target whose verdict falls by two of these is worse, whatever the test of its metric says."""

SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "overfitting": ("loss_at_the_end", "loss"),
    "forgetting": ("forgetting",),
    "generalization": ("accuracy", "accuracy_under_changes", "loss"),
    "wasted_compute": ("row_tokens",),
}
"""By what a symptom is measured, where that is not `USUAL`. A remedy helps where one of these is better beyond noise
and none of them is worse."""
USUAL: Final = ("accuracy", "loss")

NOT_ROW_BY_ROW: Final = "the rows of the two runs hold other tokens, so their losses cannot be compared row by row"

How = Literal["better", "worse", "same", "not_measured"]


@dataclass(frozen=True, slots=True)
class Side:
    """One run as it is compared: its report, what it did with every row, its evaluations while training, what it did on
    the general set and with changed questions (the lines of answers/general and answers/changes), and the tokens of
    rows that it took."""

    report: Report
    kept: Kept
    history: Sequence[EvaluationLog]
    general: Sequence[Mapping[str, Any]]
    changed: Sequence[Mapping[str, Any]]
    row_tokens: int


@dataclass(frozen=True, slots=True)
class Change:
    """A measure before and after. `difference` is after minus before, each row with itself, with its 95% interval;
    `probability` the paired test's, corrected over all that are asked for at once."""

    name: str
    before: Measure
    after: Measure
    difference: Measure
    probability: float | None
    how: How


@dataclass(frozen=True, slots=True)
class State:
    """How a run stands: the symptoms found in it, the surest first, with their certainty, its metrics, its targets, and
    what training took: tokens of rows, and seconds of steps and evaluations."""

    run: str
    symptoms: Mapping[str, float]
    metrics: Mapping[str, Measure]
    targets: tuple[TargetResult, ...]
    row_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A remedy and what came of it. `settings` are what it changed, `without` counts the rows that it left out.

    `short` is the short run beside the short run of the settings as they were, `times` what both its runs took, as a
    multiple of the original's tokens. `run` is its run in full, where there is one; `symptom` and `targets` say what it
    changed there, `remaining` which symptoms are found in it. `outcome` in a word, `why` in a sentence.
    """

    remedy: str
    symptom: str
    reason: str
    source: str
    settings: Mapping[str, Any]
    without: int
    outcome: Literal["helped", "no_help", "harmed", "worse_when_short", "refused", "not_tried"]
    why: str
    short: Change | None = None
    run: str | None = None
    signs: tuple[Change, ...] = ()
    targets: tuple[Change, ...] = ()
    remaining: Mapping[str, float] = field(default_factory=dict)
    times: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Remedied:
    """What remedies came to. `run` is the folder of the run that was remedied, None where none helped or none had to.

    `before` and `after` are how the original and that run stand (the nearest one where none helped; None where none was
    run in full); `signs` and `targets` what is different between them. `times` is what all runs took, as a multiple of
    the original's tokens of rows, of which `at_most` were allowed; `seconds` the same in time. `curves` are the
    validation losses by step, before and after; `says` is the finding in two sentences, `step` its moment.
    """

    original: str
    helped: bool
    why: str
    run: str | None
    before: State
    after: State | None
    signs: tuple[Change, ...]
    targets: tuple[Change, ...]
    tried: tuple[Attempt, ...]
    rows: int
    data: str
    at_most: float
    times: float
    seconds: float
    folder: str
    symptom: str = ""
    cause: str = ""
    says: str = ""
    step: int | None = None
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


def signs_of(symptom: str) -> tuple[str, ...]:
    """By what a symptom is measured."""
    return SIGNS.get(symptom, USUAL)


def changes(names: Sequence[str], before: Side, after: Side, seed: int = 0) -> tuple[Change, ...]:
    """Each measure before and after; the probabilities are corrected over all of them as Holm did."""
    found = [_change(name, before, after, seed) for name in dict.fromkeys(names)]
    tested = iter(holm([one.probability for one in found if one.probability is not None]))
    corrected = [one if one.probability is None else replace(one, probability=next(tested)) for one in found]
    return tuple(replace(one, how=_how(one)) for one in corrected)


def target_changes(before: Side, after: Side, seed: int = 0) -> tuple[Change, ...]:
    """The metrics of the targets before and after: those that both runs were measured by. A target whose verdict falls
    from met to missed is worse, whatever the test says."""
    known = {metrics.OTHER_NAMES.get(one.metric, one.metric): one.verdict for one in before.report.targets}
    now = {metrics.OTHER_NAMES.get(one.metric, one.metric): one.verdict for one in after.report.targets}
    found = changes([name for name in known if _is_measured(name, before, after)], before, after, seed)
    return tuple(
        replace(one, how="worse") if FALLS.get(known[one.name], 0) - FALLS.get(now[one.name], 0) == 2 else one
        for one in found
    )


def helped(signs: Sequence[Change], targets: Sequence[Change]) -> tuple[Literal["helped", "no_help", "harmed"], str]:
    """Whether a remedy helped: the symptom is better by one of its signs and worse by none, and no target is worse."""
    harmed = [one.name for one in targets if one.how == "worse"]
    better, worse = ([one.name for one in signs if one.how == how] for how in ("better", "worse"))
    if harmed:
        return "harmed", f"{_words(harmed)} got worse beyond noise, and a target stands on it"
    if worse:
        return "harmed", f"{_words(worse)} got worse beyond noise"
    if better:
        return "helped", f"{_words(better)} got better beyond noise, and no target got worse"
    if not any(one.how == "same" for one in signs):
        return "no_help", "; ".join(dict.fromkeys(one.difference.reason for one in signs)) or "nothing was measured"
    return "no_help", f"{_words([one.name for one in signs if one.how == 'same'])} changed by no more than noise"


def at_the_end(before: Sequence[EvaluationLog], after: Sequence[EvaluationLog], seed: int = 0) -> Change:
    """The loss of the validation rows when training ended, before and after."""
    name = "loss_at_the_end"
    if not before or not after or not before[-1].row_losses or not after[-1].row_losses:
        return _absent(name, "there are no validation rows")
    return _of_losses(name, before[-1].row_losses, after[-1].row_losses, seed)


def forgotten_change(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], seed: int = 0) -> Change:
    """The loss on the general set, each passage with itself. The measures are the rise over base, as the metric is."""
    name = "forgetting"
    if not before or [one["passage"] for one in before] != [one["passage"] for one in after]:
        return _absent(name, "the two runs were not asked the same general set")
    sides = [[(one["tuned_loss"], one["tokens"]) for one in lines] for lines in (before, after)]
    base = _sample([(one["base_loss"], one["tokens"]) for one in before])
    one, other = (_sample(side) for side in sides)
    rises = [loss.difference(side, base, np.random.default_rng(seed)) for side in (one, other)]
    return _tested(name, rises[0], rises[1], loss.difference(other, one, np.random.default_rng(seed)))


def _change(name: str, before: Side, after: Side, seed: int) -> Change:
    if name == "loss_at_the_end":
        return at_the_end(before.history, after.history, seed)
    if name == "forgetting":
        return forgotten_change(before.general, after.general, seed)
    if name == "accuracy_under_changes":
        return _under_changes(before.changed, after.changed)
    if name == "row_tokens":
        gone = after.row_tokens - before.row_tokens
        sides = [Measure(float(side.row_tokens), n=1) for side in (before, after)]
        found = Measure(float(gone), n=1, details={"probability": 0.0 if gone else 1.0})
        return _tested(name, sides[0], sides[1], found)
    one, other = (side.report.metrics.get(name, Measure(None, reason="not measured")) for side in (before, after))
    if one.value is None or other.value is None:
        return _absent(name, one.reason or other.reason)
    moved = moved_as(before.kept, after.kept)
    if why := apart(before.kept, moved):
        return Change(name, one, other, Measure(None, reason=why), None, "not_measured")
    now, was = of_both(in_order_of(before.kept, moved), before.kept.tuned)
    try:
        found = difference(name, before.kept.questions, now, was, seed)
    except ValueError:
        found = Measure(None, reason=NOT_ROW_BY_ROW)
    return _tested(name, one, other, found)


def moved_as(first: Kept, kept: Kept) -> Kept:
    """The rows at the places where `first` has them: a run whose rows were written into a file of its own asks the same
    at other places."""
    places: dict[str, list[Place]] = {}
    for question, digest in zip(first.questions, first.hashes, strict=True):
        places.setdefault(digest, []).append(question.place)
    questions = [
        replace(question, place=places[digest].pop(0)) if places.get(digest) else question
        for question, digest in zip(kept.questions, kept.hashes, strict=True)
    ]
    return replace(kept, questions=questions)


def _under_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Change:
    """The accuracy over all changed questions that both were asked."""
    name = "accuracy_under_changes"
    known = {(one["change"], one["prompt"], one["wanted"]): bool(one["after_right"]) for one in before}
    pairs = [
        (known[key], bool(one["after_right"]))
        for one in after
        if (key := (one["change"], one["prompt"], one["wanted"])) in known
    ]
    if not pairs:
        return _absent(name, "no changed question was asked of both runs")
    found = change([was for was, _ in pairs], [now for _, now in pairs])
    won, lost = pairs.count((False, True)), pairs.count((True, False))
    tested = replace(found["difference"], details={"probability": mcnemar(won, lost)})
    return _tested(name, found["before"], found["after"], tested)


def _of_losses(name: str, before: Sequence[tuple[float, int]], after: Sequence[tuple[float, int]], seed: int) -> Change:
    one, other = _sample(before), _sample(after)
    was, now = (loss.measure(side, np.random.default_rng(seed)) for side in (one, other))
    if [tokens for _, tokens in before] != [tokens for _, tokens in after]:
        return Change(name, was, now, Measure(None, reason=NOT_ROW_BY_ROW), None, "not_measured")
    return _tested(name, was, now, loss.difference(other, one, np.random.default_rng(seed)))


def _sample(losses: Sequence[tuple[float, int]]) -> Sample:
    nothing = np.empty(0, dtype=np.int32)
    asked = [Question(nothing, "", "", Place("rows", number)) for number in range(1, len(losses) + 1)]
    return Sample(asked, (), [RowScore(nats, tokens, 0) for nats, tokens in losses])


def _tested(name: str, before: Measure, after: Measure, found: Measure) -> Change:
    one = Change(name, before, after, found, found.details.get("probability"), "not_measured")
    return replace(one, how=_how(one))


def _absent(name: str, why: str) -> Change:
    nothing = Measure(None, reason=why)
    return Change(name, nothing, nothing, nothing, None, "not_measured")


def _how(one: Change) -> How:
    if one.probability is None or one.difference.value is None:
        return "not_measured"
    if one.probability >= LEVEL or one.difference.value == 0:
        return "same"
    return "better" if (one.difference.value > 0) == (direction(one.name) == "higher") else "worse"


def direction(name: str) -> str:
    """Whether `higher` or `lower` is better."""
    if name in metrics.names() or name in metrics.ON_OTHER_ROWS:
        return str(metrics.load(name).direction)
    return "higher" if name.startswith("accuracy") else "lower"


def _is_measured(name: str, before: Side, after: Side) -> bool:
    return all(side.report.metrics.get(name, Measure(None)).value is not None for side in (before, after))


def _words(names: Sequence[str]) -> str:
    return " and ".join(name.replace("_", " ") for name in names)
