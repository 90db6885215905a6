"""Underfitting: the run ended while much was still to be learned, or with a model that could not learn more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import ttest_1samp

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.answers import favourite, made_answers
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.measured import training_rows_no_better
from luthier.diagnosis.seen import Missing, Seen
from luthier.diagnosis.usual import usual_rate
from luthier.flow import EvaluationLog, Finding, Measure, Remedy, Report
from luthier.settings import mission

title: Final = mission.TROUBLES["underfitting"].issue
what: Final = (
    "In the last third of all learning the validation loss was still falling nearly as fast as before; or it slowed "
    "down far from learned, on training rows as on others, under an adapter that is small or reaches one kind of "
    "layer; or one answer is given to most questions, and training rows are expected no more than others."
)
causes: Final = {
    "few_epochs": "The run was too short: at its pace a few times the steps would have learned most of it.",
    "rate_too_low": "The learning rate is too low: at its pace no sensible number of epochs would have been enough.",
    "capacity": "What is trained is too small to hold the task.",
    "wrong_modules": "The adapter reaches too few of the layers that would have to change.",
    "only_answers": "Which answers there are was learned, and not which of them a question wants. More steps or a "
    "larger adapter learn it, unless the answers do not follow from the questions: `luthier check --deep` finds such.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("end_mark", "generalization", "wasted_compute")

LAST: Final = 2 / 3
"""Of the sum of the learning rates: what comes after is the last third."""
SPEED: Final = 0.18
"""Of all that was learned, so much in the last third: it is 1/3 in a run that never slowed down."""
EXPONENT: Final = 0.4
"""Of the loss as a power of the learning done: twice the run would leave 3/4 of it."""
LEFT: Final = 0.15
"""Of the first loss: less is nothing to go on for."""
ENOUGH: Final = 0.8
"""Of the first loss: who has learned so much has learned most."""
MOST_EPOCHS: Final = 10
"""More than these are no cure: the rate is."""
FAR_UNDER: Final = 4
"""A rate so many times under the usual one is the cause, however short the run."""
FAR_FROM_LEARNED: Final = 0.2
"""Of the first loss."""
ENOUGH_LEFT: Final = 0.6
"""Of the loss of the first steps, where no evaluation tells more."""
FEWEST_STEPS: Final = 10
SMALL_RANK: Final = 2
FEW_TOKENS: Final = 5


@dataclass(frozen=True, slots=True)
class _Pace:
    """What the last third came to: `fall` of validation since an evaluation near its beginning, which stands at `since`
    of the sum of the learning rates."""

    before: EvaluationLog
    since: float
    last: EvaluationLog
    first: float
    fall: rows.Change

    @property
    def end(self) -> float:
        return rows.validation(self.last)

    @property
    def learned(self) -> float:
        """Of the first loss."""
        return 1 - self.end / self.first

    @property
    def late(self) -> float:
        """The last third's part of all that was learned, at the pace since an evaluation near its beginning."""
        part = (1 - LAST) / max(1 - self.since, 1e-3)
        return -self.fall.value / max(self.first - self.end, 1e-9) * min(part, 1.0)


def look(seen: Seen) -> Finding | None:
    try:
        pace = _pace(seen)
    except Missing:
        found = _barely_learned(seen) or _only_answers(seen)
        if found is None:
            raise
        return found
    return _by_pace(seen, pace) or _only_answers(seen)


def _by_pace(seen: Seen, pace: _Pace | None) -> Finding | None:
    """Much was still to be learned at the end, by the course of the evaluations."""
    if pace is None or min(rows.validation(one) for one in seen.evaluations_from(3)) < 0.9 * pace.end:
        return None  # it was better before: that is no underfitting
    found = _too_small(seen, pace) or _still_learning(seen, pace)
    if found is None:
        return None
    certainty, cause, shown = found
    evidence = {
        "validation_loss": Measure(pace.end, n=pace.fall.n),
        "first_loss": course.measure(pace.first),
        "learned_share": course.measure(pace.learned),
        "last_third_change": pace.fall.measure,
        "last_third_share": course.measure(pace.late),
    }
    return Finding(
        symptom="underfitting",
        certainty=certainty,
        cause=cause,
        says=f"Of a first loss of {pace.first:.3g} nats a token {pace.end:.3g} is left, {shown}. {causes[cause]}",
        evidence=evidence,
        remedies=_remedies(seen, cause),
        step=pace.before.step,
        curves=course.both_curves(seen.evaluations_from(3)),
    )


def sick() -> Seen:
    return made(
        lambda done: 2.4 - 0.1 * done,
        lambda done: 2.42 - 0.1 * done,
        settings={"training_config.hyperparameters.learning_rate": 2e-5},
        written=frozenset({"training_config.hyperparameters.learning_rate"}),
    )


def few_epochs() -> Seen:
    return made(falling(2.4, 0.3, 1.0), falling(2.4, 0.35, 1.0), epochs=0.5)


def capacity() -> Seen:
    return made(
        falling(2.4, 1.8, 9), falling(2.4, 1.8, 9), settings={"training_config.lora_config.r": 1}, evaluations=12
    )


def only_answers() -> Seen:
    gaps = {name: Measure(1.1, 1.0, 1.2, 60) for name in ("training", "validation", "test")}
    report = Report("made", "test.jsonl", 80, {}, {}, (), gaps=gaps)
    answers = made_answers({"refund": (20, 20), "invoice": (20, 1), "delivery": (20, 0), "login": (20, 0)}, "refund")
    return made(falling(2.4, 1.1, 9), falling(2.4, 1.1, 9), report=report, answers=answers)


def _pace(seen: Seen) -> _Pace | None:
    evaluations = seen.evaluations_from(3)
    seen.steps_from(5)
    done = course.rates_summed(seen, evaluations)
    early = list(zip(evaluations[:-1], done, strict=False))
    before, since = next((one for one in early if one[1] >= LAST - 0.05), early[-1])
    fall = rows.change(before.row_losses, evaluations[-1].row_losses)
    first = max(course.start(seen), rows.validation(evaluations[0]))
    return None if fall is None else _Pace(before, since, evaluations[-1], first, fall)


def _still_learning(seen: Seen, pace: _Pace) -> tuple[float, str, str] | None:
    if pace.fall.value >= 0 or pace.end < LEFT * pace.first:
        return None
    exponent = math.log((pace.end - pace.fall.value) / pace.end) / math.log(1 / pace.since)
    if pace.late < SPEED and (exponent < EXPONENT or pace.late < SPEED / 2):
        return None
    rate, usual = seen.setting("training_config.hyperparameters.learning_rate", None), usual_rate(seen)
    epochs = seen.setting("training_config.hyperparameters.epochs", None) or 1
    needed = ENOUGH / max(pace.learned, 1e-6) * min(epochs, seen.taken[-1].epoch)
    low = isinstance(rate, float) and usual is not None and rate * FAR_UNDER <= usual
    cause = "rate_too_low" if low or needed > MOST_EPOCHS else "few_epochs"
    shown = f"and {pace.late:.0%} of all that was learned came in the last third of the learning"
    return 1 - pace.fall.down, cause, shown


def _too_small(seen: Seen, pace: _Pace) -> tuple[float, str, str] | None:
    """Training rows far from learned under an adapter that is small, in a run that has slowed down."""
    cause = _small(seen)
    sample = rows.sample(pace.last)
    if cause is None or pace.late >= SPEED or sample < 0.8 * pace.end:
        return None
    least = FAR_FROM_LEARNED * pace.first
    if min(sample, pace.end) < least:
        return None
    chance = float(ttest_1samp(rows.each(pace.last.row_losses), least, alternative="greater").pvalue)
    shown = (
        f"on training rows as on others, while the last third of the learning took only {-pace.fall.value:.2g} of it"
    )
    return 1 - chance, cause, shown


def _small(seen: Seen) -> str | None:
    """Which part of the adapter's settings is too small, if one is."""
    method = seen.setting("tuning_method", None)
    if method in ("prompt_tuning", "prefix_tuning"):
        tokens = seen.setting(f"training_config.{method}_config.num_virtual_tokens", 20)
        return "capacity" if tokens <= FEW_TOKENS else None
    if method not in ("lora", "qlora"):
        return None
    modules = seen.setting(f"{remedies.LORA}.target_modules", None)
    few = modules is not None and not isinstance(modules, str) and len(modules) <= 1
    small = seen.setting(f"{remedies.LORA}.r", mission.LORA_CONFIG.r) <= SMALL_RANK
    return "capacity" if small else "wrong_modules" if few else None


def _barely_learned(seen: Seen) -> Finding | None:
    """The same by the steps alone, for a run with too few evaluations: a rate far under the usual one, and most of the
    first loss left."""
    steps = seen.steps_from(FEWEST_STEPS)
    rate, usual = seen.setting("training_config.hyperparameters.learning_rate", None), usual_rate(seen)
    if not isinstance(rate, float) or usual is None or rate * 2.5 * FAR_UNDER > usual:
        return None
    part = max(3, len(steps) // 4)
    early, late = (np.array([one.train_loss for one in some]) for some in (steps[:part], steps[-part:]))
    chance = float(ttest_1samp(late, ENOUGH_LEFT * float(early.mean()), alternative="greater").pvalue)
    if not np.isfinite(chance) or late.mean() < ENOUGH_LEFT * early.mean():
        return None
    cause = "rate_too_low"
    return Finding(
        symptom="underfitting",
        certainty=1 - chance,
        cause=cause,
        says=f"The training loss went from {early.mean():.3g} to {late.mean():.3g} nats a token, at a rate of {rate:g} "
        f"where {usual:g} is usual. {causes[cause]}",
        evidence={
            "first_loss": course.measure(float(early.mean()), part),
            "last_loss": course.measure(float(late.mean()), part),
            "rate": course.measure(rate),
            "usual_rate": course.measure(usual),
        },
        remedies=_remedies(seen, cause),
        step=steps[0].step,
        curves={"training steps": course.step_curve(steps)},
    )


def _only_answers(seen: Seen) -> Finding | None:
    """One answer is given to most questions, and not because training rows were learned by heart."""
    favoured, no_better = favourite(seen.answers), training_rows_no_better(seen)
    if favoured is None or favoured.size < 1 or no_better is None or seen.report is None:
        return None
    cause = "only_answers"
    return Finding(
        symptom="underfitting",
        certainty=1 - max(favoured.chance, no_better),
        cause=cause,
        says=f"{favoured.shown}, and training rows are expected no more than test rows. {causes[cause]}",
        evidence={
            **favoured.evidence,
            "training_loss": seen.report.gaps["training"],
            "test_loss": seen.report.gaps["test"],
        },
        remedies=_remedies(seen, cause),
    )


def _remedies(seen: Seen, cause: str) -> tuple[Remedy, ...]:
    higher = remedies.rate(seen, 10 if cause == "rate_too_low" else 3, "larger steps get as far in fewer of them")
    usual = remedies.usual_rate(seen, "the rate that the method takes by itself is higher than the one written")
    more = remedies.more_epochs(seen, 3)
    larger = remedies.larger(seen)
    order = {
        "rate_too_low": (usual, higher, more, larger),
        "few_epochs": (more, higher, larger),
        "only_answers": (usual, more, higher, larger, remedies.other_method(seen)),
        "capacity": (larger, remedies.other_method(seen), higher),
        "wrong_modules": (larger, remedies.other_method(seen), higher),
    }
    return remedies.those(*order[cause])
