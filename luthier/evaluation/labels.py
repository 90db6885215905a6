"""Rows with fixed labels: which labels there are, and what each row's answer comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from luthier.evaluation.matching import is_json, normalized

if TYPE_CHECKING:
    from luthier.evaluation.metrics import Sample

MOST_LABELS: Final = 256


def labels_of(wanted: Sequence[str]) -> tuple[str, ...]:
    """The distinct wanted answers, sorted; of several spellings of one (`Billing`, `billing.`) the most frequent."""
    spellings: dict[str, Counter[str]] = {}
    for text in wanted:
        spellings.setdefault(normalized(text), Counter())[text] += 1
    return tuple(sorted(found.most_common(1)[0][0] for found in spellings.values()))


def not_labels(wanted: Sequence[str]) -> str:
    """Why the wanted answers are no fixed labels: empty where there are 2 to 256, each two rows' on average."""
    found = labels_of(wanted)
    if len(found) < 2:
        return f"there is only one label, {found[0]!r}" if found else "there are no rows"
    if any(is_json(label) for label in found):
        return "the wanted answers are JSON, not labels"
    if len(wanted) < 2 * len(found):
        return f"{len(found)} different wanted answers in {len(wanted)} rows are no fixed labels"
    return f"{len(found)} labels are more than {MOST_LABELS}" if len(found) > MOST_LABELS else ""


def nearest(answer: str, labels: Sequence[str]) -> int:
    """The index of the label that an answer is after normalization; `len(labels)` where it is none."""
    known = {normalized(label): index for index, label in enumerate(labels)}
    return known.get(normalized(answer), len(labels))


def unscored(sample: Sample) -> str:
    """Why labels were not scored behind these rows' questions; empty where they were."""
    return "" if sample.label_scores else not_labels([question.wanted for question in sample.questions])
