"""Whether to fine-tune at all: each rule gives a reason against it, and what to do instead, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from luthier.advice.facts import Facts, Instead
from luthier.advice.rules import rule
from luthier.flow import TargetResult

FEWEST_ROWS: Final = 10
WANTED_ROWS: Final = 50


@rule("the checks of `luthier check`, each with its own sources: docs/reference/checks.md")
def data_not_ready(facts: Facts) -> Instead | None:
    """Rows whose check says `not ready` (empty answers, broken JSON, secrets, leaks) are mended before anything is
    measured or trained on them."""
    if facts.verdict != "not ready":
        return None
    why = "The rows are not ready: a check of `luthier check` finds an error in them."
    return Instead(why, ("luthier check FILE --write clean.jsonl", *facts.changes))


@rule("an answer that never changes has no information: its entropy is 0 bits")
def one_answer(facts: Facts) -> Instead | None:
    """Rows that all want the same answer teach to say it to everything: rows of other answers are missing."""
    if not facts.same_answer:
        return None
    why = (
        "Every row wants the same answer, so there is nothing to tell apart and nothing to learn but to say it always."
    )
    return Instead(why, ("add rows whose right answer is another one",))


@rule("the targets of the run file, held against a measurement with its 95% interval")
def prompting_is_enough(facts: Facts) -> Instead | None:
    """Where the untouched model's whole interval clears every target that could be measured, with no or with few
    examples in the prompt, nothing is left for training to reach."""
    measured = facts.prompting
    if measured is None:
        return None
    if _all_met(measured.none_targets):
        said = f"The model as it is meets the targets on {measured.rows} rows: {_reached(measured.none_targets)}."
        return Instead(said, ("use the model as it is",), prompt=True)
    if _all_met(measured.few_targets):
        said = (
            f"With {measured.shown} examples in the prompt the untouched model meets the targets "
            f"on {measured.rows} rows: {_reached(measured.few_targets)}."
        )
        return Instead(said, ("send the prompt below before each question",), prompt=True)
    return None


@rule("OpenAI Fine-tuning Guide: at least 10 examples, improvements are seen from 50 to 100 on")
def too_few_rows(facts: Facts) -> Instead | None:
    """Under 10 rows hold too little to learn, and none of them can be spared to see whether anything was."""
    if facts.rows >= FEWEST_ROWS:
        return None
    why = f"{facts.rows} rows are too few to learn from, and none can be held back to measure on."
    return Instead(why, (f"put them into the prompt as examples, and collect {WANTED_ROWS} or more",), prompt=True)


def _all_met(targets: Sequence[TargetResult]) -> bool:
    known = [target for target in targets if target.verdict != "not_measured"]
    return bool(known) and all(target.verdict == "met" for target in known)


def _reached(targets: Sequence[TargetResult]) -> str:
    known = [target for target in targets if target.verdict == "met"]
    return "; ".join(f"{target.metric} {target.target}, as {target.reason}" for target in known)


RULES = (data_not_ready, one_answer, prompting_is_enough, too_few_rows)
