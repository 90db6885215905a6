"""A learning rate too high: the training loss comes up again, or above where it began."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.course import Climb
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding

title: Final = "Learning rate too high"
what: Final = (
    "The loss of the training steps climbed from one stretch of steps to a later one, beyond what the difference "
    "between their rows can do, with batches of more than two rows and a warmup behind it."
)
causes: Final = {
    "diverged": "The steps are so large that the model lost more than it had learned.",
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
    "wasted_compute",
)

RATIO: Final = 1.25
RISE: Final = 0.02
"""Of the first loss: a smaller climb is of no account."""
EARLY: Final = 0.25
"""Of the steps: what climbs and comes down again in here, behind a short warmup, is the warmup's."""
SHORT: Final = 0.03
SMALL_BATCH: Final = 2


def look(seen: Seen) -> Finding | None:
    steps = seen.steps_from(course.FEWEST_STEPS)
    climb = material_climb(seen)
    if climb is None or small_batch(seen) or short_warmup(seen, climb):
        return None
    first, end = course.start(seen), course.windows(steps)[-1].mean
    cause = "diverged" if end > min(first, climb.low.mean * RATIO) else "unsteady"
    return Finding(
        symptom="rate_too_high",
        certainty=1 - climb.chance,
        cause=cause,
        says=f"The training loss came up from {climb.low.mean:.3g} nats a token (steps {climb.low.first} to "
        f"{climb.low.last}) to {climb.high.mean:.3g} (steps {climb.high.first} to {climb.high.last}). {causes[cause]}",
        evidence={
            "climb": course.measure(climb.rise, len(climb.high.losses)),
            "climb_ratio": course.measure(climb.ratio, len(climb.high.losses)),
            "first_loss": course.measure(first),
            "last_loss": course.measure(end),
            "highest_rate": course.measure(max(step.learning_rate for step in steps)),
        },
        remedies=remedies.those(
            remedies.usual_rate(seen, "the rate that the method takes by itself is known to be steady"),
            remedies.rate(seen, 0.1, "steps a tenth as large"),
            remedies.rate_and_warmup(seen, 1 / 3, 0.1),
        ),
        step=climb.high.first,
        curves={"training steps": course.step_curve(steps), **evaluated(seen)},
    )


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
