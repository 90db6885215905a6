"""Holds rows back from training without leaks: rows of the same prompt stay on one side."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from luthier.errors import mistake
from luthier.flow import Conversation

FEWEST_ROWS = 10  # below that a validation row says nothing and is missed in training


@dataclass(frozen=True, slots=True)
class Split:
    """Two sides, each in the rows' order. `groups` counts the prompts that more than one row has, `grouped_rows` their
    rows; `note` says why fewer rows were held back than asked for."""

    train: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    groups: int
    grouped_rows: int
    note: str = ""


def split(conversations: Sequence[Conversation], share: float, seed: int) -> Split:
    """Holds back `share` of the rows (0 to below 1), of each category as near to its share as whole groups allow.

    A group is all rows with the same `prompt_key`. Which groups go is decided by the hash of their content and the
    seed, not by their order or number, so added rows move few others. A category of two rows or more is never
    held back whole. From 10 rows on at least one row is held back.
    """
    if not 0 <= share < 1:
        raise mistake(f"{share} is no share of the rows", "data.validation", "write a number from 0 to below 1")
    groups: dict[str, list[int]] = defaultdict(list)
    for index, conversation in enumerate(conversations):
        groups[prompt_key(conversation)].append(index)
    order = sorted(groups, key=lambda key: _digest(key, seed))
    held: set[int] = set()
    note = ""
    if share and len(conversations) < FEWEST_ROWS:
        note = f"no validation rows: {len(conversations)} rows are fewer than {FEWEST_ROWS}"
    elif share and len(groups) == 1:
        note = "no validation rows: all rows have the same prompt, and on both sides it would be a leak"
    elif share:
        held = _choose(conversations, groups, order, share, seed)
    shared = [len(rows) for rows in groups.values() if len(rows) > 1]
    return Split(
        tuple(row for index, row in enumerate(conversations) if index not in held),
        tuple(row for index, row in enumerate(conversations) if index in held),
        len(shared),
        sum(shared),
        note,
    )


def overlap(train: Sequence[Conversation], test: Sequence[Conversation]) -> list[Conversation]:
    """The test rows whose prompt stands in training as well."""
    known = {prompt_key(conversation) for conversation in train}
    return [conversation for conversation in test if prompt_key(conversation) in known]


def sample(conversations: Sequence[Conversation], limit: int) -> tuple[list[Conversation], list[Conversation]]:
    """The `limit` rows to keep and the rest, each in order: chosen by the hash of their content, so that a file sorted
    by class gives all of its classes."""
    digests = [_digest(repr(row.messages), 0) for row in conversations]
    kept = set(sorted(range(len(digests)), key=digests.__getitem__)[:limit])
    return (
        [row for index, row in enumerate(conversations) if index in kept],
        [row for index, row in enumerate(conversations) if index not in kept],
    )


def prompt_key(conversation: Conversation) -> str:
    """What makes two rows ask the same: the users' messages without regard to case and white space.

    A system message is not part of it, because all rows may share one; nor are the answers.
    """
    return "\x1e".join(
        " ".join(message.content.casefold().split()) for message in conversation.messages if message.role == "user"
    )


def _choose(
    conversations: Sequence[Conversation], groups: dict[str, list[int]], order: list[str], share: float, seed: int
) -> set[int]:
    """The indices to hold back: in each category the first groups of `order` that fit into its quota."""
    categories = {key: _category(conversations, groups[key]) for key in order}
    rows = Counter(categories[key] for key in order for _ in groups[key])
    strata: dict[str, list[str]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    for key in order:
        category = categories[key] if rows[categories[key]] > 1 else ""
        strata[category].append(key)
        sizes[category] += len(groups[key])
    wanted = max(1, round(share * len(conversations)))
    quotas = {category: math.floor(share * size) for category, size in sizes.items()}
    fractions = sorted(sizes, key=lambda name: (quotas[name] - share * sizes[name], _digest(name, seed)))
    for category in fractions[: wanted - sum(quotas.values())]:
        quotas[category] += 1
    held: set[int] = set()
    for category, keys in strata.items():
        room = min(quotas[category], sizes[category] - 1)
        for key in keys:
            if len(groups[key]) <= room:
                held.update(groups[key])
                room -= len(groups[key])
    return held or set(groups[min(order, key=lambda key: len(groups[key]))])


def _category(conversations: Sequence[Conversation], rows: list[int]) -> str:
    """The commonest category of a group, the first in the alphabet of equals."""
    counts = Counter(conversations[index].category or "" for index in rows)
    return min(counts, key=lambda name: (-counts[name], name))


def _digest(text: str, seed: int) -> bytes:
    return blake2b(text.encode(), digest_size=16, salt=(seed % 2**64).to_bytes(8, "little")).digest()
