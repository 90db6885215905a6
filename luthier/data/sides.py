"""The sides of a run's training files, found again: validation rows as conversations, of the others their hashes.

So what is judged of millions of rows takes the memory of the rows that are judged.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from luthier.data import same_source
from luthier.data.check import Checked, Gathered, Source, check_block, look
from luthier.data.likeness import Words
from luthier.data.parallel import bytes_of, each_block
from luthier.data.read import Block, blocks
from luthier.data.same_source import Asked
from luthier.data.split import content_hash, hold_back, sample
from luthier.errors import UserError
from luthier.flow import Conversation, Progress


@dataclass(frozen=True, slots=True)
class Sides:
    """`held_back`: the validation rows, in the files' order. `prompts` (R): the `prompt_hash` of each training row;
    `words`: the words of what these ask, by block."""

    held_back: tuple[Conversation, ...]
    prompts: NDArray[np.uint64]
    words: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A block's rows as numbers: what is `asked`, `content` (R, hashes), `category` (R, a place in `names`; "" is
    none)."""

    checked: Checked
    asked: Asked
    content: NDArray[np.uint64]
    category: NDArray[np.integer]
    names: list[str]


def sides(
    paths: Sequence[tuple[str | Path, float]],
    format: str,
    columns: Mapping[str, str],
    limit: int | None,
    share: float,
    seed: int,
) -> Generator[Progress, None, Sides]:
    """Both sides of `hold_back` over the rows of files that can be used, of which `limit` are taken.

    The files are read twice: for the hashes, and then again those blocks in which a row was held back. Raises
    `UserError` for what is wrong with a file, and where no row is left.
    """
    sources, mistakes = look(paths, format, columns)
    gathered = Gathered(sources, mistakes)
    found: list[_Hashed] = []
    files = [source.path for source in sources]
    before, rows = bytes_of(files), 0
    for number, end, block in each_block(files, lambda number, block: _hashed(block, sources[number])):
        if isinstance(block, UserError):
            gathered.mistakes += block.mistakes
            continue
        gathered.add(number, block.checked)
        found.append(block)
        rows += sum(count for _, _, count in block.checked.counts)
        yield Progress("finding the validation rows", rows, round(rows * before[-1] / (before[number] + end)))
    gathered.finish("drop")
    prompts = np.concatenate([block.asked.prompt for block in found])
    taken = np.ones(len(prompts), np.bool_)
    if limit is not None:
        taken = sample(np.concatenate([block.content for block in found]), limit)
    names = sorted({name for block in found for name in block.names})
    place = {name: number for number, name in enumerate(names)}
    categories = np.concatenate([np.array([place[name] for name in block.names])[block.category] for block in found])
    held = np.zeros(len(prompts), np.bool_)
    if share:
        source = same_source.sources(lambda: (block.asked for block in found))
        held[taken] = hold_back(source[taken], categories[taken], names, share, seed).rows
    ends = np.cumsum([len(block.asked.prompt) for block in found])
    trained = np.split(taken & ~held, ends[:-1])
    words = tuple(_words(block.asked, rows) for block, rows in zip(found, trained, strict=True))
    return Sides(_read_again(sources, np.split(held, ends[:-1])), prompts[taken & ~held], words)


def _words(asked: Asked, rows: NDArray[np.bool_]) -> Words:
    return asked.words[np.repeat(rows, asked.counts)], asked.counts[rows]


def _hashed(block: Block, source: Source) -> _Hashed:
    checked = check_block(block, source)
    rows = checked.conversations
    names, category = np.unique([row.category or "" for row in rows] or [""], return_inverse=True)
    return _Hashed(
        Checked([], checked.problems, checked.counts, checked.unused, checked.fields),
        same_source.asked(rows),
        np.array([content_hash(row) for row in rows], np.uint64),
        category[: len(rows)],
        names.tolist(),
    )


def _read_again(sources: Sequence[Source], held: Sequence[NDArray[np.bool_]]) -> tuple[Conversation, ...]:
    """The rows that are held back: `held` says of each block's rows, over all files, which."""
    kept: list[Conversation] = []
    which = iter(held)
    for source in sources:
        for block in blocks(source.path):
            some = next(which)
            if some.any():
                kept += compress(check_block(block, source).conversations, some)
    return tuple(kept)
