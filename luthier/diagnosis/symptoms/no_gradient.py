"""No gradient: what should be trained has no part in the loss, or hardly any."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from luthier.diagnosis import remedies
from luthier.diagnosis.made import made
from luthier.diagnosis.seen import Seen
from luthier.flow import Finding, Measure

title: Final = "No gradient"
what: Final = "The run stopped at its first step because trained weights got no gradient, or the gradients are all 0."
causes: Final = {
    "outside": "Trained weights stand where the model's own forward pass does not go.",
    "zero": "Every path from the loss to the trained weights passes through a 0.",
}
watches: Final = True
stops: Final = True
mild: Final = False
explains: Final = ("underfitting", "dying_prompt", "broken_loss", "wasted_compute")

NOTHING: Final = 1e-9
"""A gradient's norm: less moves nothing."""


def look(seen: Seen) -> Finding | None:
    if not seen.steps:
        seen.steps_from(1)
    stopped = next((step for step in seen.steps if "get no gradient" in step.skipped), None)
    norms = [step.grad_norm for step in seen.taken]
    still = float(np.mean([norm <= NOTHING for norm in norms])) if norms else 0.0
    if stopped is None and (len(norms) < 3 or still < 0.5):
        return None
    cause = "outside" if stopped else "zero"
    told = stopped.skipped.partition("; its rows")[0] if stopped else f"{still:.0%} of the steps have a gradient of 0"
    return Finding(
        symptom="no_gradient",
        certainty=1.0,  # counted, not estimated
        cause=cause,
        says=f"The trained weights do not learn: {told}. {causes[cause]}",
        evidence={"steps_without_gradient": Measure(1 if stopped else still * len(norms), n=len(seen.steps))},
        remedies=remedies.those(remedies.usual_adapter(seen), remedies.larger(seen), remedies.other_method(seen)),
        step=stopped.step if stopped else seen.taken[0].step,
        curves={"gradient's norm": [(step.step, step.grad_norm) for step in seen.taken]},
    )


def sick() -> Seen:
    seen = made(lambda done: 2.4, lambda done: 2.4, norm=lambda done: 0.0)
    modules = {**seen.settings, "training_config.lora_config.target_modules": ["audio_proj"]}
    return dataclasses.replace(seen, settings=modules)
