"""A learning rate too high: the training loss comes up again, or above where it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy.stats import ttest_1samp

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.course import Climb
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.seen import Missing, Seen
from luthier.diagnosis.symptoms import forgetting
from luthier.diagnosis.usual import usual_rate
from luthier.flow import EvaluationLog, Finding, Measure, Report

title: Final = "Learning rate too high"
what: Final = (
    "The loss of the training steps climbed from one stretch of steps to a later one, beyond what the difference "
    "between their rows can do; or an evaluation is above the one before it, on training rows as on others; or the "
    "loss rests high at ten times the usual rate, or is high at such a rate and what base could do is gone. Steps "
    "have more than two rows, and a warmup stands before them."
)
causes: Final = {
    "diverged": "The steps are so large that the model lost more than it had learned.",
    "stuck": "The first large steps threw the model where no direction is better, and the next ones keep it there.",
    "gone_over": "The steps are so large that they went over what base knew, and the task was not learned for it.",
    "unsteady": "The steps are so large that the loss was thrown up while the rate was high, and came down with it.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = (
    "batch_noise",
    "broken_loss",
    "short_warmup",
    "underfitting",
    "overfitting",
    "forgetting",
    "end_mark",
    "generalization",
    "wasted_compute",
)

SIGNS: Final = ("climbed", "thrown", "stuck", "gone_over")
"""Of four ways to be found each counts for a fourth."""
FAR_OVER: Final = 10.0
"""Times the usual rate."""
STUCK: Final = 0.15
"""Of the first loss: so much is left on training rows."""
GONE_OVER: Final = 0.08
"""Likewise, where what base could do in general is gone too."""
MOVING: Final = 0.05
"""The probability under which the training rows got better in the second half: then the run is not stuck."""
FEWEST_EVALUATIONS: Final = 4
RATIO: Final = 1.25
RISE: Final = 0.02
"""Of the first loss: a smaller climb is of no account."""
EARLY: Final = 0.25
"""Of the steps: what climbs and comes down again in here, behind a short warmup, is the warmup's."""
SHORT: Final = 0.03
SMALL_BATCH: Final = 2


def look(seen: Seen) -> Finding | None:
    steps = seen.steps_from(course.FEWEST_STEPS)
    if small_batch(seen):
        return None
    signs = [sign for sign in (_climbed(seen), _thrown(seen), _stuck(seen), _gone_over(seen)) if sign is not None]
    if not signs:
        return None
    sign = min(signs, key=lambda one: one.chance)
    evidence = {
        "first_loss": course.measure(course.start(seen)),
        "last_loss": course.measure(course.windows(steps)[-1].mean),
        "highest_rate": course.measure(max(step.learning_rate for step in steps)),
    }
    if (usual := usual_rate(seen)) is not None:
        evidence["usual_rate"] = course.measure(usual)
    return Finding(
        symptom="rate_too_high",
        certainty=1 - min(1.0, sign.chance * len(SIGNS)),
        cause=sign.cause,
        says=f"{sign.shown}. {causes[sign.cause]}",
        evidence={name: measure for one in signs for name, measure in one.evidence.items()} | evidence,
        remedies=remedies.those(
            remedies.usual_rate(seen, "the rate that the method takes by itself is known to be steady"),
            remedies.rate(seen, 0.1, "steps a tenth as large"),
            remedies.rate_and_warmup(seen, 1 / 3, 0.1),
        ),
        step=sign.step,
        curves={"training steps": course.step_curve(steps), **evaluated(seen)},
    )


@dataclass(frozen=True, slots=True)
class _Sign:
    """One way in which steps too large show, with the probability that it is chance."""

    cause: str
    chance: float
    step: int
    shown: str
    evidence: dict[str, Measure]


def _climbed(seen: Seen) -> _Sign | None:
    """The loss of the steps climbed, and it was not the warmup's."""
    climb = material_climb(seen)
    if climb is None or short_warmup(seen, climb):
        return None
    end = course.windows(seen.taken)[-1].mean
    cause = "diverged" if end > min(course.start(seen), climb.low.mean * RATIO) else "unsteady"
    shown = (
        f"The training loss came up from {climb.low.mean:.3g} nats a token (steps {climb.low.first} to "
        f"{climb.low.last}) to {climb.high.mean:.3g} (steps {climb.high.first} to {climb.high.last})"
    )
    evidence = {
        "climb": course.measure(climb.rise, len(climb.high.losses)),
        "climb_ratio": course.measure(climb.ratio, len(climb.high.losses)),
    }
    return _Sign(cause, climb.chance, climb.high.first, shown, evidence)


def _thrown(seen: Seen) -> _Sign | None:
    """An evaluation is above the one before it on all rows."""
    found = course.thrown(seen)
    if found is None:
        return None
    shown = f"Until step {found.step} the loss rose by {found.rise:.3g} nats a token, on training rows as on others"
    return _Sign("unsteady", found.chance, found.step, shown, {"thrown_up": course.measure(found.rise)})


def _stuck(seen: Seen) -> _Sign | None:
    """The loss came to rest high, on training rows too, at many times the usual rate."""
    evaluations, times = _evaluated_far_over(seen)
    if len(evaluations) < FEWEST_EVALUATIONS:
        return None
    first, last = course.start(seen), evaluations[-1]
    before = evaluations[len(evaluations) // 2 - 1]
    fall = rows.change(before.train_losses, last.train_losses)
    if fall is None or fall.down < MOVING:
        return None
    shown = (
        f"Since step {before.step} the loss of training rows rests at {rows.sample(last):.3g} nats a token of a first "
        f"loss of {first:.3g}, at {times:.3g} times the usual rate"
    )
    return _far_from_learned("stuck", STUCK, evaluations, first, before.step, shown)


def _gone_over(seen: Seen) -> _Sign | None:
    """What base could do in general is gone, and the training rows are far from learned, at many times the usual
    rate."""
    evaluations, times = _evaluated_far_over(seen)
    if not evaluations or not forgetting.gone(seen.report):
        return None
    first, last = course.start(seen), evaluations[-1]
    shown = (
        f"At {times:.3g} times the usual rate what base could do in general is gone, and of a first loss of "
        f"{first:.3g} nats a token {rows.sample(last):.3g} is left on training rows"
    )
    return _far_from_learned("gone_over", GONE_OVER, evaluations, first, last.step, shown)


def _evaluated_far_over(seen: Seen) -> tuple[Sequence[EvaluationLog], float]:
    """The evaluations of a run at many times the usual rate, and how many times; of another run none."""
    usual, rate = usual_rate(seen), seen.setting("training_config.hyperparameters.learning_rate", None)
    if usual is None or not isinstance(rate, float) or rate < FAR_OVER * usual:
        return (), 0.0
    try:
        return seen.evaluations_from(1), rate / usual
    except Missing:
        return (), 0.0


def _far_from_learned(
    cause: str, least: float, evaluations: Sequence[EvaluationLog], first: float, step: int, shown: str
) -> _Sign | None:
    """The sign, where more than `least` of the first loss was left on training rows at the best evaluation."""
    left = min(rows.sample(one) for one in evaluations) / first
    if not left > least:
        return None
    losses = rows.each(evaluations[-1].train_losses)
    chance = float(ttest_1samp(losses, least * first, alternative="greater").pvalue)
    return _Sign(cause, chance, step, shown, {"left_of_first_loss": course.measure(left, len(losses))})


def material_climb(seen: Seen) -> Climb | None:
    """The clearest climb of the steps' loss, where it is large enough to be of account."""
    steps = seen.steps_from(course.FEWEST_STEPS)
    climb = course.climb(steps)
    if climb is None or climb.ratio < RATIO or climb.rise < RISE * course.start(seen):
        return None
    return climb


def small_batch(seen: Seen) -> bool:
    """Whether a step has so few rows that their difference alone can throw it."""
    size = seen.setting("training_config.hyperparameters.batch_size", None)
    return size is not None and size <= SMALL_BATCH


def short_warmup(seen: Seen, climb: Climb) -> bool:
    """Whether a climb stands at the beginning, behind a short warmup, and is over later."""
    steps = seen.taken
    ratio = seen.setting("training_config.hyperparameters.warmup_ratio", None)
    early = climb.high.last <= EARLY * steps[-1].step
    return ratio is not None and ratio <= SHORT and early and course.windows(steps)[-1].mean < climb.high.mean / RATIO


def evaluated(seen: Seen) -> dict[str, list[tuple[float, float]]]:
    """Validation's curve, where there is one."""
    try:
        return {"validation": [(one.step, rows.validation(one)) for one in seen.evaluations_from(2)]}
    except Missing:
        return {}


def sick() -> Seen:
    def loss(done: float) -> float:
        return 2.4 - 6 * done if done < 0.2 else 1.2 + 6 * (done - 0.2) if done < 0.5 else 3.0

    return made(loss, loss)


def gone_over() -> Seen:
    passages = {"rise": Measure(2.5, 2.3, 2.7, 40), "base": Measure(2.5, 2.3, 2.7, 40)}
    report = Report("made", "test.jsonl", 100, {}, {}, (), forgetting={forgetting.ALL: passages})
    rate = {"training_config.hyperparameters.learning_rate": 0.1}
    return made(falling(2.4, 0.3, 3), falling(2.4, 0.32, 3), report=report, settings=rate)
