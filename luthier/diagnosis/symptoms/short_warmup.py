"""A warmup too short: the first steps throw the loss up, and it takes a part of the run to come down again."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import course, remedies
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Seen
from luthier.diagnosis.symptoms import rate_too_high
from luthier.flow import Finding

title: Final = "Warmup too short"
what: Final = (
    "The loss of the training steps climbed within the first quarter of the run and came down later, and the learning "
    "rate was at its highest after 3% of the steps or before."
)
causes: Final = {
    "no_warmup": "The steps were as large as they get before AdamW knew how large the gradients are.",
}
watches: Final = True
stops: Final = False
mild: Final = False
explains: Final = ("wasted_compute",)


def look(seen: Seen) -> Finding | None:
    steps = seen.steps_from(course.FEWEST_STEPS)
    ratio = seen.setting("training_config.hyperparameters.warmup_ratio")
    climb = rate_too_high.material_climb(seen)
    if climb is None or rate_too_high.small_batch(seen) or not rate_too_high.short_warmup(seen, climb):
        return None
    return Finding(
        symptom="short_warmup",
        certainty=1 - climb.chance,
        cause="no_warmup",
        says=f"In steps {climb.high.first} to {climb.high.last} the training loss was thrown from {climb.low.mean:.3g} "
        f"to {climb.high.mean:.3g} nats a token, with a warmup of {ratio:.0%} of the steps. {causes['no_warmup']}",
        evidence={
            "climb": course.measure(climb.rise, len(climb.high.losses)),
            "climb_ratio": course.measure(climb.ratio, len(climb.high.losses)),
            "warmup_ratio": course.measure(ratio),
            "last_loss": course.measure(course.windows(steps)[-1].mean),
        },
        remedies=remedies.those(
            remedies.warmup(seen, 0.1),
            remedies.warmup(seen, 0.2, "much_longer_warmup"),
            remedies.rate(seen, 1 / 3, "steps a third as large are steady without a warmup"),
        ),
        step=climb.high.first,
        curves={"training steps": course.step_curve(steps), **rate_too_high.evaluated(seen)},
    )


def sick() -> Seen:
    def loss(done: float) -> float:
        if done < 0.06:
            return 2.4 - 8 * done
        return 4.5 if done < 0.14 else max(0.6, 4.5 - 9 * (done - 0.14))

    return made(loss, loss, settings={"training_config.hyperparameters.warmup_ratio": 0.0})
