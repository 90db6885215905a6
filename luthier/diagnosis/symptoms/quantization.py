"""Damage by quantization: base knew less once its weights had four bits, before any tuning."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import remedies
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.measured import beyond
from luthier.diagnosis.seen import Missing, Seen
from luthier.flow import Finding, Measure, Report

title: Final = "Damage by quantization"
what: Final = (
    "Before any tuning, the loss on general passages is a tenth of a nat or more higher with base's weights in four "
    "bits than with its plain ones, each passage compared with itself."
)
causes: Final = {
    "values": "The sixteen values of `fp4` fit weights worse than those of `nf4`, which follow how weights are spread.",
    "few_bits": "Four bits a weight are too few for this model: small models have less to spare than large ones.",
}
watches: Final = False
stops: Final = False
mild: Final = True
explains: Final = ()

RISE: Final = 0.1
"""Nats a token on the general set: the bound that `forgetting` has as a target."""
VALUES: Final = "training_config.qlora_config.quant_type"


def look(seen: Seen) -> Finding | None:
    found = seen.evaluated().quantization
    rise = found.get("rise")
    if rise is None or rise.value is None:
        raise Missing("base was not measured with plain weights beside quantized ones: only QLoRA has both")
    if rise.value < RISE:
        return None
    cause = "values" if seen.setting(VALUES, "nf4") == "fp4" else "few_bits"
    plain, packed = found["plain"], found["quantized"]
    return Finding(
        symptom="quantization",
        certainty=beyond(rise, 0.5 * RISE),
        cause=cause,
        says=f"On general passages base's loss is {packed.value:.3g} nats a token in four bits and {plain.value:.3g} "
        f"in plain weights. {causes[cause]}",
        evidence={"rise": rise, "plain_loss": plain, "quantized_loss": packed},
        remedies=remedies.those(remedies.better_values(seen), remedies.plain_weights(seen)),
    )


def sick() -> Seen:
    found = {"rise": Measure(0.31, 0.25, 0.37, 150), "plain": Measure(2.4, 2.2, 2.6, 150)}
    report = Report(
        "made", "test.jsonl", 100, {}, {}, (), quantization={**found, "quantized": Measure(2.71, 2.5, 2.9, 150)}
    )
    settings = {"tuning_method": "qlora", VALUES: "fp4"}
    return made(falling(2.4, 0.5, 7), falling(2.4, 0.6, 7), report=report, settings=settings)
