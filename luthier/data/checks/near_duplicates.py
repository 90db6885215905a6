"""Rows that say nearly the same as an earlier row: found by MinHash, verified by the Jaccard index of their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
_SIDE: Final = np.uint64(32)
"""Bits of a part, in front of which its row's place stands."""


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
    texts = _Texts.of(whole.read_again(numbers))
    share = texts.shares(pairs)
    alike = (share >= texts.alike[pairs].max(axis=1)) & texts.may_say_the_same(pairs)
    alike[alike] = _beyond_template(texts, pairs[alike])
    pairs, share = pairs[alike], share[alike]
    label = groups(len(numbers), pairs)
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    later = np.flatnonzero(first[label] != np.arange(len(numbers)))
    nearest = _nearest(pairs, share)

    def describe(row: int) -> Hit:
        of, value = nearest(int(np.searchsorted(numbers, row)))
        return Hit(message.format(share=value, place=whole.place(int(numbers[of]))))

    found = {"groups": int((sizes > 1).sum()), "largest": int(sizes.max(initial=0)), "compared": len(alike)}
    return Judged(numbers[later], describe, numbers=found)


def _nearest(pairs: NDArray[np.int64], share: NDArray[np.float64]) -> Callable[[int], tuple[int, float]]:
    """What a row that stands in a pair (P, 2) shares most with, and how much. It raises `KeyError` for other rows."""
    row, of, value = pairs.ravel(), pairs[:, ::-1].ravel(), np.repeat(share, 2)
    order = np.lexsort((-value, row))
    rows, first = np.unique(row[order], return_index=True)
    of, value = of[order][first], value[order][first]

    def nearest(row: int) -> tuple[int, float]:
        place = int(np.searchsorted(rows, row))
        if place == len(rows) or rows[place] != row:
            raise KeyError(row)
        return int(of[place]), float(value[place])

    return nearest


@dataclass(frozen=True)
class _Texts:
    """What N rows are compared by. `parts` are each row's different shingles (sorted), row by row, `ends` (N) where
    they end. `answer` (N) is a hash of a label, or 0; `template` of what a row says without its numbers, `numbers` of
    these; `alike` the share from which on it is like another."""

    parts: NDArray[np.uint32]
    ends: NDArray[np.int64]
    answer: NDArray[np.int64]
    template: NDArray[np.int64]
    numbers: NDArray[np.int64]
    alike: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Iterator[Row]) -> _Texts:
        """Reads the rows a few thousand at a time."""
        parts, counts, told = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
        while chunk := list(islice(rows, AT_ONCE)):
            answers = [same(row.answer) for row in chunk]
            answers = [answer if answer.count(" ") < SHORT else "" for answer in answers]
            # Labels, which many rows share, do not make short questions alike.
            texts = [
                row.question if answer and row.question else row.text
                for row, answer in zip(chunk, answers, strict=True)
            ]
            of_chunk, count = shingles(*words_of(texts))
            behind = np.sort(np.repeat(np.arange(len(chunk), dtype=np.uint64), count) << _SIDE | of_chunk)
            different = behind[np.diff(behind, prepend=behind[:1] ^ 1) != 0]  # by sorting: np.unique's table is slower
            parts.append(different.astype(np.uint32))
            counts.append(np.bincount((different >> _SIDE).astype(np.int64), minlength=len(chunk)))
            said = [same(text) for text in texts]
            hashes = [
                (hash(answer) if answer else 0, hash(_NUMBER.sub("0", text)), hash(tuple(_NUMBER.findall(text))))
                for answer, text in zip(answers, said, strict=True)
            ]
            told.append(np.array(hashes, np.int64))
        answer, template, numbers = np.concatenate(told).T
        count = np.concatenate(counts)
        alike = np.where((answer != 0) & (count < 2 * QUESTION), ALIKE_OF_LABELS, ALIKE)
        return cls(np.concatenate(parts), np.cumsum(count), answer, template, numbers, alike)

    def __len__(self) -> int:
        return len(self.ends)

    def parts_of(self, row: int) -> NDArray[np.uint32]:
        return self.parts[self.ends[row - 1] if row else 0 : self.ends[row]]

    def shares(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """The Jaccard index of each pair (P, 2)."""
        counts = np.diff(self.ends, prepend=0)
        shares = [np.zeros(0)]
        for begin in range(0, len(pairs), AT_ONCE):
            some = pairs[begin : begin + AT_ONCE]
            sizes = counts[some]
            sides = [self._side(some[:, side], sizes[:, side]) for side in (0, 1)]
            parts = np.sort(np.concatenate(sides), kind="stable")  # which only has to merge two sorted halves
            twice = parts[1:][parts[1:] == parts[:-1]] >> _SIDE
            both = np.bincount(twice.astype(np.int64), minlength=len(some))
            shares.append(both / np.maximum(1, sizes.sum(axis=1) - both))
        return np.concatenate(shares)

    def _side(self, rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The parts of some rows, each behind the place of its row among them."""
        first = np.cumsum(sizes) - sizes
        places = np.arange(int(sizes.sum())) + np.repeat(self.ends[rows] - sizes - first, sizes)
        behind: NDArray[np.uint64] = (
            np.repeat(np.arange(len(rows), dtype=np.uint64), sizes) << _SIDE | self.parts[places]
        )
        return behind

    def may_say_the_same(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Not where only numbers differ, or one short answer from another: then the rows ask different things."""
        one, other = pairs.T
        others = (self.template[one] == self.template[other]) & (self.numbers[one] != self.numbers[other])
        labels = (self.answer[one] != 0) & (self.answer[other] != 0) & (self.answer[one] != self.answer[other])
        result: NDArray[np.bool_] = ~(others | labels)
        return result


def jaccard(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """The share of two sets (each sorted) that is in both: of {1, 2, 3} and {2, 3, 4} it is 0.5."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / max(1, len(one) + len(other) - both)


def _beyond_template(texts: _Texts, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs (P, 2) are alike in what their group's rows do not all share."""
    kept = np.ones(len(pairs), np.bool_)
    label = groups(len(texts), pairs)
    order = np.argsort(label[pairs[:, 0]], kind="stable")
    for of_group in np.split(order, np.flatnonzero(np.diff(label[pairs[order, 0]])) + 1):
        members = np.unique(pairs[of_group])
        if len(members) < FEW:
            continue
        parts, counts = np.unique(np.concatenate([texts.parts_of(row) for row in members.tolist()]), return_counts=True)
        common = parts[counts * 2 > len(members)]
        has = [len(np.intersect1d(texts.parts_of(row), common, assume_unique=True)) for row in members.tolist()]
        if np.mean(np.array(has) >= thresholds[2].value * len(common)) < 0.9:
            continue
        own = {int(row): np.setdiff1d(texts.parts_of(int(row)), common, assume_unique=True) for row in members}
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
