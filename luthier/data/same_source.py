"""Which rows come from the same source: the same prompt or nearly the same, or the same beginning of a conversation.

Rows are known here by numbers, so millions of them take little room; these may be handed over in parts. R rows of a
part, N words in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.minhash import PERMUTATIONS, groups, pairs_alike, shingles, signatures, words_of
from luthier.data.split import asked_messages, hashed, prompt_hash
from luthier.flow import Conversation

ALIKE: Final = 0.7
"""Prompts are nearly the same where they share so much of the words and pairs of words of either: one word in eight may
differ. It is estimated, with a standard error of 0.06."""
FEW: Final = 8
MANY: Final = 0.01
"""Words that stand in more than `FEW` prompts and in more than this share of them are their template: only what is not
template is compared, because rows that fill the same template are no copies of each other."""
FEWEST: Final = 4
"""Words and pairs of words that a prompt must have beside its template to be compared."""
MOST_WORDS: Final = 128
"""Of a longer prompt, half as many of its first and of its last words are compared."""

_BUCKETS: Final = 2**22


@dataclass(frozen=True, slots=True)
class Asked:
    """What rows ask, as numbers: `prompt` (R) is `prompt_hash`; `opening` (R) a hash of the first user's message and
    the first answer, 0 where the row has none; `words` (N) are those of all prompts, `counts` (R) how many each has."""

    prompt: NDArray[np.uint64]
    opening: NDArray[np.uint64]
    words: NDArray[np.uint32]
    counts: NDArray[np.int64]


def asked(rows: Sequence[Conversation]) -> Asked:
    """The numbers of some rows."""
    words, counts = words_of(["\n".join(asked_messages(row)) for row in rows])
    if counts.max(initial=0) > MOST_WORDS:
        ends = np.cumsum(counts)
        place = np.arange(len(words)) - np.repeat(ends - counts, counts)
        kept = (place < MOST_WORDS // 2) | (place >= np.repeat(counts, counts) - MOST_WORDS // 2)
        words, counts = words[kept], np.minimum(counts, MOST_WORDS)
    return Asked(
        np.array([prompt_hash(row) for row in rows], np.uint64),
        np.array([_opening(row) for row in rows], np.uint64),
        words,
        counts,
    )


def sources(parts: Callable[[], Iterable[Asked]]) -> NDArray[np.uint64]:
    """A number for each row, over all parts (R): rows of the same source have the same, which is the prompt's hash of
    one of them. `parts` is called twice, so that words need not stay in memory.

    It does not depend on how rows are cut into parts.
    """
    prompts, openings, common = _first_pass(parts())
    keys, first, row_key = np.unique(prompts, return_index=True, return_inverse=True)
    signature = np.zeros((len(keys), PERMUTATIONS), np.uint8)
    ends = 0
    for part in parts():
        begins, ends = ends, ends + len(part.prompt)
        own = (first >= begins) & (first < ends)
        signature[own] = _signatures(part, common)[first[own] - begins]
    pairs = np.concatenate([pairs_alike(signature, ALIKE), _opened_alike(openings, row_key)])
    label = groups(len(keys), pairs)
    least = np.full(label.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, label, keys)
    found: NDArray[np.uint64] = least[label][row_key]
    return found


def _first_pass(parts: Iterable[Asked]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """All rows' prompts and openings, and by bucket which words and pairs of words are template."""
    prompts, openings = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    times = np.zeros(_BUCKETS, np.int64)
    for part in parts:
        prompts.append(part.prompt)
        openings.append(part.opening)
        found, counts = shingles(part.words, part.counts)
        row = np.repeat(np.arange(len(counts)), counts)
        once = np.unique(row * _BUCKETS + found % _BUCKETS) % _BUCKETS
        times += np.bincount(once, minlength=_BUCKETS)
    every = np.concatenate(prompts)
    return every, np.concatenate(openings), times > max(FEW, MANY * len(every))


def _signatures(part: Asked, common: NDArray[np.bool_]) -> NDArray[np.uint8]:
    found, counts = shingles(part.words, part.counts)
    own = ~common[found % _BUCKETS]
    left = np.bincount(np.repeat(np.arange(len(counts)), counts)[own], minlength=len(counts))
    signature = signatures(found[own], left)
    signature[left < FEWEST] = 0
    return signature


def _opened_alike(openings: NDArray[np.uint64], row_key: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pairs of prompts of rows that begin alike, unless so many do that it is a greeting."""
    order = np.argsort(openings, kind="stable")
    order = order[openings[order] > 0]
    _, starts, counts = np.unique(openings[order], return_index=True, return_counts=True)
    most = max(FEW, MANY * len(openings))
    pairs = [np.zeros((0, 2), np.int64)]
    pairs += [
        np.array(list(pairwise(row_key[order[start : start + count]].tolist())), np.int64)
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
        if 1 < count <= most
    ]
    return np.concatenate(pairs)


def _opening(row: Conversation) -> int:
    """A conversation of several rounds may stand in several rows, each with another part of it."""
    first = [message for message in row.messages if message.role in ("user", "assistant")][:2]
    if [message.role for message in first] != ["user", "assistant"]:
        return 0
    return hashed("\x1e".join(" ".join(message.content.casefold().split()) for message in first).encode()) or 1
