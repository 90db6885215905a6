"""Which rows say the same, or ask the same and answer otherwise; which validation rows ask what training rows do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LISTED: Final = 1000
"""Rows of a kind that are named; all are counted."""
SHORT: Final = 16
"""Trained tokens of a short answer. Longer answers to one question may all be right; two labels exclude each other."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows by their number (of R), in order. `copies` say all that a training row before them says; `contradicting`
    ask what another training row asks and have another short answer; `against` are those of them that a larger part of
    the rows with this prompt, or the first of equal parts, speaks against. `leaked` are validation rows that ask what a
    training row asks. `training` counts the training rows."""

    training: int
    copies: NDArray[np.int64]
    contradicting: NDArray[np.int64]
    against: NDArray[np.int64]
    leaked: NDArray[np.int64]

    def to_data(self, place: Mapping[int, Any]) -> dict[str, Any]:
        """What rows.json holds: counts, and `place` of those rows that may be left out."""
        return {
            "copies": len(self.copies),
            "contradicting": len(self.contradicting),
            "leaked": len(self.leaked),
            "copied_rows": [place[row] for row in self.copies[:LISTED].tolist()],
            "contradicting_rows": [place[row] for row in self.against[:LISTED].tolist()],
        }

    def named(self) -> list[int]:
        """The rows whose places `to_data` asks for."""
        return [*self.copies[:LISTED].tolist(), *self.against[:LISTED].tolist()]


def repeats(
    prompt: NDArray[np.uint64],
    content: NDArray[np.uint64],
    short: NDArray[np.bool_],
    training: NDArray[np.bool_],
    validation: NDArray[np.bool_],
) -> Repeats:
    """The repeats of R rows, by the hashes of what they ask and of all that they say, and by which answers are `short`.

    Of the training rows (asked, said) = (1, 1), (1, 1), (1, 2), (2, 3) the second is a copy; the first three
    contradict each other where all are short, and the third stands against two.
    """
    rows = np.flatnonzero(training)
    _, first = np.unique(content[rows], return_index=True)
    copies = np.ones(len(rows), np.bool_)
    copies[first] = False
    held = np.flatnonzero(validation)
    leaked = held[np.isin(prompt[held], prompt[rows])]
    contradicting, against = _contradictions(prompt, content, rows[short[rows]])
    return Repeats(len(rows), rows[copies], contradicting, against, leaked)


def _contradictions(
    prompt: NDArray[np.uint64], content: NDArray[np.uint64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of these rows those whose prompt has several contents, and those of them whose content the others outnumber."""
    _, first, sizes = np.unique(content[rows], return_index=True, return_counts=True)
    prompts, group = np.unique(prompt[rows], return_inverse=True)
    group_of_content = group[first]
    contents = np.bincount(group_of_content, minlength=len(prompts))
    contradicting = contents[group] > 1
    # The content of a prompt that most rows have, the earliest of equals, is not `against`.
    order = np.lexsort((first, -sizes, group_of_content))
    winners = np.ones(len(order), np.bool_)
    winners[1:] = group_of_content[order][1:] != group_of_content[order][:-1]
    won = content[rows][first[order[winners]]]
    against = contradicting & ~np.isin(content[rows], won)
    return rows[contradicting], rows[against]
