"""A dying soft prompt: its gradients fade while nearly all is still to be learned."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.stats import ttest_ind

from luthier.diagnosis import course, remedies, rows
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure

title: Final = "Dying soft prompt"
what: Final = (
    "The norm of a soft prompt's or prefix's gradients fell to a fifth or less while most of the first loss is left."
)
causes: Final = {
    "saturated": "The virtual tokens went so far that attention looks past them: what they change no longer counts.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = ("underfitting", "wasted_compute")

FADED: Final = 0.2
LEFT: Final = 0.35
"""Of the first loss."""


def look(seen: Seen) -> Finding | None:
    if seen.setting("tuning_method") not in ("prompt_tuning", "prefix_tuning"):
        return None
    steps = seen.steps_from(course.FEWEST_STEPS)
    norms = np.log([max(step.grad_norm, 1e-12) for step in steps])
    third = len(norms) // 3
    early, late = norms[:third], norms[-third:]
    faded = float(np.exp(late.mean() - early.mean()))
    end = course.windows(steps)[-1].mean
    if faded > FADED or end < LEFT * course.start(seen):
        return None
    chance = float(ttest_ind(late, early, equal_var=False, alternative="less").pvalue)
    return Finding(
        symptom="dying_prompt",
        certainty=1 - chance,
        cause="saturated",
        says=f"The gradient's norm fell to {faded:.0%} of what it was while of a first loss of "
        f"{course.start(seen):.3g} nats a token {end:.3g} is left. {causes['saturated']}",
        evidence={
            "norm_ratio": Measure(faded, n=third),
            "last_loss": course.measure(end),
            "first_loss": course.measure(course.start(seen)),
        },
        remedies=remedies.those(
            remedies.usual_rate(seen, "the rate that fits the spread of the model's embeddings"),
            remedies.rate(seen, 0.1, "virtual tokens that go a tenth as far stay where attention sees them"),
            remedies.larger(seen),
            remedies.other_method(seen),
        ),
        step=steps[third].step,
        curves={
            "gradient's norm": [(step.step, step.grad_norm) for step in steps],
            "validation": [(one.step, rows.validation(one)) for one in seen.evaluations],
        },
    )


def sick() -> Seen:
    return made(
        lambda done: 2.1 + 0.3 * (1 - done) ** 6,
        lambda done: 2.1 + 0.3 * (1 - done) ** 6,
        norm=lambda done: 0.5 * (1 - done) ** 6 + 0.001,
        settings={
            "tuning_method": "prompt_tuning",
            "training_config.prompt_tuning_config.num_virtual_tokens": 20,
            "training_config.hyperparameters.learning_rate": 0.5,
        },
        written=frozenset({"training_config.hyperparameters.learning_rate"}),
    )
