"""Batch noise: steps of one or two rows throw the model to and fro."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import course, remedies
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Seen
from luthier.diagnosis.symptoms import rate_too_high
from luthier.flow import Finding

title: Final = "Batch noise"
what: Final = (
    "Steps have one or two rows, and validation, or the loss of the steps, went up and down beyond what chance in the "
    "rows that were looked at can do."
)
causes: Final = {"small_batch": "A step goes by what one or two rows have in particular, and the next step undoes it."}
watches: Final = True
stops: Final = False
mild: Final = False
explains: Final = ("underfitting", "overfitting", "wasted_compute")


def look(seen: Seen) -> Finding | None:
    steps = seen.steps_from(course.FEWEST_STEPS)
    size = seen.hyperparameter("batch_size")
    if not rate_too_high.small_batch(seen):
        return None
    found = []
    if (climb := rate_too_high.material_climb(seen)) is not None:
        found.append((climb.chance, climb.high.first, climb.rise))
    if (thrown := course.thrown(seen)) is not None:
        found.append((thrown.chance, thrown.step, thrown.rise))
    if not found:
        return None
    chance, step, rise = min(found)
    return Finding(
        symptom="batch_noise",
        certainty=1 - chance,
        cause="small_batch",
        says=f"With {size} row{'s' if size > 1 else ''} a step the loss was thrown up by {rise:.3g} nats a token at "
        f"step {step}, and not because the model had got worse for good. {causes['small_batch']}",
        evidence={
            "batch_size": course.measure(size),
            "thrown_up": course.measure(rise),
            "trained_tokens_a_step": course.measure(sum(one.trained_tokens for one in steps) / len(steps), len(steps)),
        },
        remedies=remedies.those(
            remedies.larger_batch(seen, 8),
            remedies.rate(seen, 1 / 3, "smaller steps average over more rows before they have gone far"),
        ),
        step=step,
        curves={"training steps": course.step_curve(steps), **rate_too_high.evaluated(seen)},
    )


def sick() -> Seen:
    def loss(done: float) -> float:
        base = 0.6 + 1.8 * (1 - done) ** 3
        return base * (1.6 if int(done * 10) % 2 else 1.0)

    return made(loss, loss, rows=120, settings={"training_config.hyperparameters.batch_size": 1}, step_noise=0.3)
