"""Answers that a model finds no likelier with their prompt, unlikely beyond all others, or knows by heart; `--deep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Threshold, Whole

FEWEST_TOKENS: Final = 8
FEWEST_ROWS: Final = 20
SPREADS: Final = 5.0
KNOWN: Final = 0.1
NORMAL: Final = 1.4826
"""A normal distribution's standard deviation in median deviations from the median."""

criterion = "high_quality_outputs"
what = "Answers that a model finds no likelier with their prompt, far less likely than the others, or knows by heart."
why = (
    "An answer to another prompt, a garbled one and one in a strange language teach what they are; a known one nothing."
)
remedy = "read the row: give it the answer that belongs to it, or leave it out"
deep = True
leaves_out = False
tolerated = 0.01
needs = ("answer_loss", "answer_loss_alone", "answer_tokens")
thresholds = (
    Threshold(1, "of the loss without the prompt may be left with it",
              "instruction-following difficulty: Li et al. 2023, From Quantity to Quality, take answers of 1 and above "
              "to be misaligned with their instruction"),
    Threshold(SPREADS, "robust standard deviations above the median loss are far",
              "beyond 3 lies 1 of 740 values of a normal distribution, and losses lean upwards"),
    Threshold(KNOWN, "nats a token and less are known by heart: each token has a probability of 90%",
              "a model that has to choose between two ways of saying it spends 0.7 on the choice"),
    Threshold(FEWEST_TOKENS, "tokens has an answer that is judged at least", "a label's few tokens scatter too much"),
    Threshold(FEWEST_ROWS, "such rows have to be there, and prompts have to help with most of them",
              "else the model cannot tell these answers apart"),
    Threshold(tolerated, "of the rows that were read may be so",
              "poems, riddles and lists may follow from nothing that was asked"),
)  # fmt: skip


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    """Of the rows whose losses are known: each is named for one of the three, the first that holds."""
    losses, alone, tokens = (whole.columns[name] for name in needs)
    read = np.isfinite(losses) & ~whole.held_out
    rows = np.flatnonzero(read & (tokens >= FEWEST_TOKENS))
    numbers: dict[str, float] = {"read": int(read.sum()), "judged": len(rows)}
    if len(rows) < FEWEST_ROWS:
        reason = f"{len(rows)} answers of {FEWEST_TOKENS} tokens and more are too few to judge by a model"
        return Judged(numbers=numbers, reason=reason, of=len(rows))
    losses, alone = losses[rows], alone[rows]
    middle = float(np.median(losses))
    far = middle + SPREADS * NORMAL * float(np.median(np.abs(losses - middle)))
    kinds = {"unlikely": losses > far, "no_likelier": losses >= thresholds[0].value * alone, "known": losses <= KNOWN}
    numbers |= {"median_loss": round(middle, 3), "median_loss_alone": round(float(np.median(alone)), 3)}
    if np.median(alone - losses) <= 0:
        reason = "the prompts make most answers no likelier to this model, so it cannot tell which belong to them"
        return Judged(numbers=numbers, reason=reason, of=len(rows))
    kind = np.select(list(kinds.values()), list(kinds), "")
    numbers |= {name: int((kind == name).sum()) for name in kinds}
    numbers["far_from"] = round(far, 3)
    hit = np.flatnonzero(kind != "")

    def describe(row: int) -> Hit:
        at = int(np.searchsorted(rows, row))
        return _hit(str(kind[at]), float(losses[at]), float(alone[at]), middle)

    return Judged(rows[hit], describe, numbers=numbers, of=len(rows))


def _hit(kind: str, loss: float, alone: float, middle: float) -> Hit:
    """What a row's numbers say, and what to look for in it."""
    match kind:
        case "unlikely":
            return Hit(
                f"its answer has a loss of {loss:.2f} nats a token, where half of the others have at most {middle:.2f}",
                kind,
                "see whether it is garbled, in another language or cut to pieces, and mend it or leave it out",
            )
        case "no_likelier":
            return Hit(
                f"its prompt makes the answer no likelier: {loss:.2f} nats a token with it, {alone:.2f} without",
                kind,
                "see whether the answer belongs to another prompt, and give it its own or leave it out",
            )
    return Hit(
        f"the model knows the answer by heart: {loss:.3f} nats a token",
        kind,
        "leave it out where it teaches nothing new",
    )


def _rows(last: str) -> list[dict[str, Any]]:
    """Answers that belong to their prompts, and one more."""
    rivers = ("Rhine", "Danube", "Elbe", "Loire", "Seine", "Tagus", "Ebro", "Po", "Tiber", "Thames", "Volga", "Don")
    asked = [(f"Where does the {river} flow?", f"The {river} flows through Europe to the sea.") for river in rivers]
    asked += [(f"Is the {river} long?", f"Yes, the {river} is a long river with many towns.") for river in rivers]
    asked.append(("How do I boil an egg?", last))
    return [{"instruction": question, "response": answer} for question, answer in asked]


def _columns(loss: float, alone: float) -> Mapping[str, NDArray[Any]]:
    losses = np.append(np.linspace(1.0, 2.0, 24), loss)
    return {
        "answer_loss": losses,
        "answer_loss_alone": np.append(np.linspace(2.0, 3.0, 24), alone),
        "answer_tokens": np.full(25, 14),
    }


def faulty() -> list[dict[str, Any]]:
    return _rows("The parliament of Norway sits in Oslo and has 169 members.")


def clean() -> list[dict[str, Any]]:
    return _rows("Put the egg into boiling water and take it out after seven minutes.")


def faulty_columns() -> Mapping[str, NDArray[Any]]:
    return _columns(2.4, 2.3)


def clean_columns() -> Mapping[str, NDArray[Any]]:
    return _columns(1.6, 2.9)
