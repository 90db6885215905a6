"""Some rows of files of any size, chosen by what they say: the same ones each time, from all of the files."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from luthier.data.check import Source, check_block
from luthier.data.read import blocks
from luthier.data.split import content_hash
from luthier.flow import Conversation


def strided(rows: int, most: int) -> range:
    """At most so many of the numbers of some rows, evenly spread from the first on: of 10 rows and 4, 0, 3, 6 and 9."""
    return range(0, rows, max(1, -(-rows // most)))


def sampled(sources: Sequence[Source], most: int) -> list[Conversation]:
    """At most so many of the rows that can be used, those with the smallest `content_hash`, in that order; of rows that
    say the same, one."""
    kept: dict[int, Conversation] = {}
    largest: list[int] = []
    for source in sources:
        for block in blocks(source.path):
            for row in check_block(block, source).conversations:
                key = content_hash(row)
                if key in kept or (len(kept) == most and key > -largest[0]):
                    continue
                kept[key] = row
                heapq.heappush(largest, -key)
                if len(kept) > most:
                    del kept[-heapq.heappop(largest)]
    return [kept[key] for key in sorted(kept)]
