"""Rows that say nearly the same as an earlier row: found by MinHash, verified by the Jaccard index of their words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Threshold, Whole, same
from luthier.data.minhash import groups, pairs_alike, shingles, words_of

ALIKE: Final = 0.7
SLACK: Final = 0.15
"""By how much a signature may fall short of `ALIKE`: 2.6 standard errors of 64 numbers at 0.7."""
FEW: Final = 5
"""Rows of a group from which on a template shows in them."""
SHORT: Final = 6
ALIKE_OF_LABELS: Final = 0.85
QUESTION: Final = 20
AT_ONCE: Final = 2_000

criterion = "no_duplicate_examples"
what = "Rows of which an earlier row has nearly all words and pairs of words; answers of up to 6 words do not count."
why = "Rows that nearly repeat each other are learned by heart, and make a validation split look better than it is."
remedy = "leave it out: luthier check FILE --write KEPT keeps the first of such rows"
thresholds = (
    Threshold(
        ALIKE,
        "of the words and pairs of neighbouring words of either row stand in both (Jaccard index)",
        "Lee et al. 2022 take 0.8 of web pages' 5-grams, which a changed word costs more; 0.7 is the usual "
        "neighbourhood in which people agree that texts are the same",
    ),
    Threshold(ALIKE_OF_LABELS, "of them where the answer is a label and the question has fewer than 20 words",
              "the questions of a class are meant to be alike: at 0.7 a twelfth of Banking77's rows would be named"),
    Threshold(0.97, "of what a group's rows share stands in each of them: then they fill a template, and only what "
              "they fill in is compared", "a row made by editing another loses words anywhere, not in one place"),
)  # fmt: skip
needs = ("signature", "content")

_NUMBER = re.compile(r"\d+")


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    """Every row but the first of a group of rows that are alike; exact duplicates count for their own check."""
    training = np.flatnonzero(~whole.held_out)
    _, first = np.unique(whole.columns["content"][training], return_index=True)
    rows = training[np.sort(first)]
    pairs = rows[pairs_alike(whole.columns["signature"][rows], ALIKE - SLACK)]
    return judged(pairs, whole, "shares {share:.0%} of its words with {place}")


def judged(pairs: NDArray[np.int64], whole: Whole, message: str) -> Judged:
    """Pairs of rows (P, 2) verified, joined into groups; all but the first row of each group have a hit."""
    numbers, pairs = np.unique(pairs, return_inverse=True)
    pairs = np.sort(pairs.reshape(-1, 2), axis=1)
    texts = list(_texts(whole.read_again(numbers)))
    share = np.array([jaccard(texts[one].parts, texts[other].parts) for one, other in pairs.tolist()])
    same_row = [_same(texts[one], texts[other]) for one, other in pairs.tolist()]
    wanted = np.array([max(texts[one].alike, texts[other].alike) for one, other in pairs.tolist()])
    alike = (share >= wanted) & np.array(same_row, np.bool_) if len(pairs) else np.zeros(0, np.bool_)
    alike[alike] = _beyond_template(texts, pairs[alike])
    pairs, share = pairs[alike], share[alike]
    label = groups(len(numbers), pairs)
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    later = np.flatnonzero(first[label] != np.arange(len(numbers)))
    nearest: dict[int, tuple[int, float]] = {}
    for (one, other), value in zip(pairs.tolist(), share.tolist(), strict=True):
        for row, of in ((one, other), (other, one)):
            if value > nearest.get(row, (0, 0.0))[1]:
                nearest[row] = of, value

    def describe(row: int) -> Hit:
        of, value = nearest[int(np.searchsorted(numbers, row))]
        return Hit(message.format(share=value, place=whole.place(int(numbers[of]))))

    found = {"groups": int((sizes > 1).sum()), "largest": int(sizes.max(initial=0)), "compared": len(alike)}
    return Judged(numbers[later], describe, numbers=found)


class _Text:
    """What a row is compared by: `parts`, its different shingles. `template` is what it says without its numbers."""

    __slots__ = ("alike", "answer", "numbers", "parts", "template")

    def __init__(self, text: str, answer: str, parts: NDArray[np.uint32]) -> None:
        self.parts = parts
        said = same(text)
        self.numbers = hash(tuple(_NUMBER.findall(said)))
        self.template = hash(_NUMBER.sub("0", said))
        self.answer = hash(answer) if answer else 0
        self.alike = ALIKE_OF_LABELS if answer and len(parts) < 2 * QUESTION else ALIKE


def _texts(rows: Iterator[Row]) -> Iterator[_Text]:
    """What some rows are compared by, a few thousand at a time."""
    while chunk := list(islice(rows, AT_ONCE)):
        answers = [same(row.answer) for row in chunk]
        answers = [answer if answer.count(" ") < SHORT else "" for answer in answers]
        # Labels, which many rows share, do not make short questions alike.
        texts = [
            row.question if answer and row.question else row.text for row, answer in zip(chunk, answers, strict=True)
        ]
        parts, counts = shingles(*words_of(texts))
        for text, answer, of_text in zip(texts, answers, np.split(parts, np.cumsum(counts)[:-1]), strict=True):
            yield _Text(text, answer, np.unique(of_text))


def jaccard(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """The share of two sets (each sorted) that is in both: of {1, 2, 3} and {2, 3, 4} it is 0.5."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / max(1, len(one) + len(other) - both)


def _same(one: _Text, other: _Text) -> bool:
    """Not where only numbers differ, or one short answer from another: then the rows ask different things."""
    if one.template == other.template and one.numbers != other.numbers:
        return False
    return not (one.answer and other.answer and one.answer != other.answer)


def _beyond_template(texts: Sequence[_Text], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs (P, 2) are alike in what their group's rows do not all share."""
    kept = np.ones(len(pairs), np.bool_)
    label = groups(len(texts), pairs)
    order = np.argsort(label[pairs[:, 0]], kind="stable")
    for of_group in np.split(order, np.flatnonzero(np.diff(label[pairs[order, 0]])) + 1):
        members = np.unique(pairs[of_group])
        if len(members) < FEW:
            continue
        parts, counts = np.unique(np.concatenate([texts[row].parts for row in members]), return_counts=True)
        common = parts[counts * 2 > len(members)]
        has = [len(np.intersect1d(texts[row].parts, common, assume_unique=True)) for row in members]
        if np.mean(np.array(has) >= thresholds[2].value * len(common)) < 0.9:
            continue
        own = {int(row): np.setdiff1d(texts[row].parts, common, assume_unique=True) for row in members}
        for pair in of_group.tolist():
            one, other = (own[int(row)] for row in pairs[pair])
            kept[pair] = (not len(one) and not len(other)) or jaccard(one, other) >= ALIKE
    return kept


def faulty() -> list[dict[str, Any]]:
    told = "Keep it in the shade, water it twice a week, and turn the pot around so that every side gets its light"
    return [
        {"instruction": "How do I look after a fern?", "response": f"{told}."},
        {"instruction": "How do I look after a fern?", "response": f"{told} now and then."},
    ]


def clean() -> list[dict[str, Any]]:
    ask = "Say whether the mood of this review of a product that was bought in our shop is good, bad or mixed: "
    words = ("It broke.", "Superb colour!", "Arrived late.", "My dog loves it.", "No complaints.", "Smells odd.")
    rows = [{"instruction": f"{ask}{text}", "response": "It is a mood that I would call mixed."} for text in words]
    rows += [{"instruction": f"What do {n} pears at 3 coins each cost?", "response": f"{3 * n}"} for n in (4, 5)]
    return rows
