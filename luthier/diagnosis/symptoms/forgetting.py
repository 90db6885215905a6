"""Catastrophic forgetting: what base could do in general got worse."""

from __future__ import annotations

from typing import Final

from luthier.diagnosis import remedies
from luthier.diagnosis.made import falling, made
from luthier.diagnosis.measured import beyond
from luthier.diagnosis.seen import Missing, Seen
from luthier.diagnosis.usual import usual_rate
from luthier.flow import Finding, Measure, Report
from luthier.settings import mission

title: Final = mission.TROUBLES["forgetting"].issue
what: Final = (
    "The loss on general passages rose by three tenths of base's own or more, each passage compared with itself, by "
    "skill."
)
causes: Final = {
    "rate": "The steps were far larger than usual for the method, and went over what base knew.",
    "long_training": "The rows were gone through so often that the model lives in them.",
    "whole_model": "All weights were free to go, and nothing held them where they were.",
    "narrow_rows": "The rows are of one kind, and whatever they do not ask for fades.",
}
watches: Final = False
stops: Final = False
mild: Final = False
explains: Final = ("generalization", "wasted_compute")

RISE: Final = 0.3
"""Of base's loss on the passages: about half of what a language model knows beyond how often each token comes."""
ALL: Final = "all"


def look(seen: Seen) -> Finding | None:
    report = seen.evaluated()
    skills = report.forgetting
    whole = skills.get(ALL)
    if not whole or whole["rise"].value is None or whole["base"].value is None:
        raise Missing(f"the evaluation has no numbers on general passages: luthier evaluate {seen.run}")
    rise, base = whole["rise"], whole["base"].value
    assert rise.value is not None
    if not gone(report):
        return None
    worst = {
        name: found["rise"]
        for name, found in sorted(skills.items(), key=lambda item: -(item[1]["rise"].value or 0.0))
        if name != ALL and (found["rise"].low or 0.0) > 0
    }
    cause = _cause(seen)
    named = ", ".join(name.replace("_", " ") for name in list(worst)[:3])
    return Finding(
        symptom="forgetting",
        certainty=beyond(rise, 0.5 * RISE * base),
        cause=cause,
        says=f"On general passages the loss rose from {base:.3g} to {base + rise.value:.3g} nats a token"
        f"{f', most in {named}' if named else ''}. {causes[cause]}",
        evidence={
            "rise": rise,
            "base_loss": whole["base"],
            **({"kl": whole["kl"]} if "kl" in whole and whole["kl"].value is not None else {}),
            **{f"rise_in_{name}": measure for name, measure in list(worst.items())[:5]},
        },
        remedies=remedies.those(
            remedies.rate(seen, 0.2, f"{mission.TROUBLES['forgetting'].solution}: a fifth goes over less of it"),
            remedies.replay(seen),
            remedies.hold_to_base(seen),
            remedies.fewer_epochs(seen, 1.0, "fewer steps take the model less far from base"),
            remedies.smaller(seen),
            remedies.part_of_the_way(seen),
        ),
    )


def gone(report: Report | None) -> bool:
    """Whether a good part of what base could do in general is gone, as far as that was evaluated."""
    whole = report.forgetting.get(ALL, {}) if report else {}
    rise, base = (whole[name].value if name in whole else None for name in ("rise", "base"))
    return rise is not None and base is not None and rise >= RISE * base


def _cause(seen: Seen) -> str:
    rate, usual = seen.setting("training_config.hyperparameters.learning_rate", None), usual_rate(seen)
    if isinstance(rate, float) and usual is not None and rate >= 4 * usual:
        return "rate"
    if seen.taken and seen.taken[-1].epoch > 2 * mission.HYPERPARAMETERS.epochs:
        return "long_training"
    return "whole_model" if seen.setting("tuning_method", None) == "full" else "narrow_rows"


def sick() -> Seen:
    def skill(rise: float) -> dict[str, Measure]:
        return {
            "rise": Measure(rise, rise - 0.2, rise + 0.2, 40),
            "base": Measure(2.5, 2.3, 2.7, 40),
            "tuned": Measure(2.5 + rise, 2.0 + rise, 3.0 + rise, 40),
            "agreement": Measure(0.4, 0.3, 0.5, 40),
            "kl": Measure(1.2, 0.9, 1.5, 20),
        }

    skills = {ALL: skill(1.8), "arithmetic": skill(2.5), "history": skill(1.2)}
    report = Report("made", "test.jsonl", 100, {}, {}, (), forgetting=skills)
    rate = {"training_config.hyperparameters.learning_rate": 0.02}
    return made(falling(2.4, 0.2, 7), falling(2.4, 0.25, 7), report=report, settings=rate)
