"""Holds rows back from training without leaks: rows of the same source stay on one side.

Rows are known here by two hashes, of what they ask and of all that they say, so millions of them take little room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from msgspec import json
from numpy.typing import NDArray

from luthier.errors import mistake
from luthier.flow import Conversation

FEWEST_ROWS = 10  # below that a validation row says nothing and is missed in training


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Which of R rows are held back (`rows`, bool). `groups` counts the sources that more than one row has,
    `grouped_rows` their rows; `note` says why fewer rows were held back than asked for, `leaks` how many held-back rows
    would have an equal or nearly equal row in training, had rows been drawn one by one."""

    rows: NDArray[np.bool_]
    groups: int
    grouped_rows: int
    note: str = ""
    leaks: int = 0


def hold_back(
    sources: NDArray[np.uint64], categories: NDArray[np.integer], names: Sequence[str], share: float, seed: int
) -> HeldBack:
    """Holds back `share` of the rows (0 to below 1), of each category as near to its share as whole groups allow.

    `sources` (R) are equal for rows that must stay together (`same_source.sources`), `categories` (R) their places in
    `names`, which is sorted. Which sources go is decided by their number and the seed, not by their order or how many
    they are, so added rows move few others. A category of two rows or more is never held back whole. From 10 rows on
    at least one row is held back.
    """
    if not 0 <= share < 1:
        raise mistake(f"{share} is no share of the rows", "data.validation", "write a number from 0 to below 1")
    keys, group, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    held = np.zeros(len(keys), np.bool_)
    note = ""
    if share and len(sources) < FEWEST_ROWS:
        note = f"no validation rows: {len(sources)} rows are fewer than {FEWEST_ROWS}"
    elif share and len(keys) == 1:
        note = "no validation rows: all rows have the same prompt, and on both sides it would be a leak"
    elif share:
        held = _choose(keys, sizes, _commonest(group, categories, len(names)), names, share, seed)
    shared = sizes[sizes > 1]
    rows = held[group] if len(sources) else np.zeros(0, np.bool_)
    return HeldBack(rows, len(shared), int(shared.sum()), note, _leaks(group, sizes, int(rows.sum()), seed))


def overlap(trained: NDArray[np.uint64], test: Sequence[Conversation]) -> list[Conversation]:
    """The test rows whose prompt stands in training as well: `trained` is its rows' `prompt_hash`."""
    known = np.isin(np.array([prompt_hash(row) for row in test], np.uint64), trained)
    return [row for row, is_known in zip(test, known, strict=True) if is_known]


def sample(contents: NDArray[np.uint64], limit: int) -> NDArray[np.bool_]:
    """Which of R rows stay (bool), `limit` of them at most: chosen by their `content_hash`, so that a file sorted by
    class gives all of its classes."""
    kept = np.zeros(len(contents), np.bool_)
    kept[np.argsort(_mixed(contents, 0), kind="stable")[:limit]] = True
    return kept


def prompt_key(conversation: Conversation) -> str:
    """What makes two rows ask the same: the users' messages without regard to case and white space.

    A system message is not part of it, because all rows may share one; nor are the answers. A text row, which asks
    nothing, is its own text.
    """
    return "\x1e".join(" ".join(text.casefold().split()) for text in asked_messages(conversation))


def asked_messages(conversation: Conversation) -> list[str]:
    """What a row asks: the users' messages, or the text of a text row."""
    asked = [message for message in conversation.messages if message.role == "user"] or conversation.messages
    return [message.content for message in asked]


def prompt_hash(conversation: Conversation) -> int:
    """64 bits of the `prompt_key`: equal for rows that ask the same."""
    return hashed(prompt_key(conversation).encode())


def content_hash(conversation: Conversation) -> int:
    """64 bits of all that the row's messages and tools say."""
    return hashed(json.encode((conversation.messages, conversation.tools, conversation.rejected)))


def _leaks(group: NDArray[np.integer], sizes: NDArray[np.integer], count: int, seed: int) -> int:
    """Of so many rows drawn one by one, how many leave another row of their group behind."""
    drawn = np.random.default_rng(seed).permutation(len(group))[:count]
    inside = np.bincount(group[drawn], minlength=len(sizes))
    return int(inside[inside < sizes].sum()) if count else 0


def _choose(
    keys: NDArray[np.uint64],
    sizes: NDArray[np.integer],
    categories: NDArray[np.integer],
    names: Sequence[str],
    share: float,
    seed: int,
) -> NDArray[np.bool_]:
    """Which groups to hold back: in each category the first groups by hash that fit into its quota. Categories of one
    row go together with the rows that have none."""
    rows = np.bincount(categories, weights=sizes, minlength=len(names))
    together = names.index("") if "" in names else len(names)
    stratum = np.where(rows[categories] > 1, categories, together)
    named = [*names, ""][: len(names) + (together == len(names))]
    filled = np.bincount(stratum, weights=sizes, minlength=len(named)).astype(np.int64)
    used = [int(number) for number in np.flatnonzero(filled)]
    quotas = {number: math.floor(share * filled[number]) for number in used}
    wanted = max(1, round(share * int(sizes.sum())))
    by_fraction = sorted(
        used, key=lambda number: (quotas[number] - share * filled[number], hashed(f"{seed} {named[number]}".encode()))
    )
    for number in by_fraction[: wanted - sum(quotas.values())]:
        quotas[number] += 1
    room = {number: min(quotas[number], int(filled[number]) - 1) for number in used}
    held = np.zeros(len(keys), np.bool_)
    order = np.argsort(_mixed(keys, seed), kind="stable")
    for number in used:
        for key in order[stratum[order] == number]:
            if not room[number]:
                break
            if sizes[key] <= room[number]:
                held[key] = True
                room[number] -= int(sizes[key])
    if not held.any():
        held[order[np.argmin(sizes[order])]] = True
    return held


def _commonest(group: NDArray[np.integer], categories: NDArray[np.integer], count: int) -> NDArray[np.integer]:
    """The commonest category of each group, the first in the alphabet of equals."""
    pairs, rows = np.unique(group.astype(np.int64) * count + categories, return_counts=True)
    best = np.lexsort((pairs % count, -rows, pairs // count))
    _, first = np.unique((pairs // count)[best], return_index=True)
    chosen: NDArray[np.integer] = (pairs % count)[best][first]
    return chosen


def hashed(content: bytes) -> int:
    """64 bits that look like chance."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def _mixed(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """The hashes in another random order for each seed. Source: Steele et al. 2014, SplitMix64's finalizer."""
    mixed = hashes ^ np.uint64(hashed(str(seed).encode()))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result
