"""Training rows under the changes of `data.augment`, kept on disk beside the rows that they are made of.

Every row of a file is changed, of whichever side it is, so that a file's changed rows stand in the order of its own and
are found again; who trains takes those of training rows.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from luthier.data import augment
from luthier.data.check import Source, check_block
from luthier.data.prepared import Recipe, arrays_of, keep, place_of, read_arrays, rows_of
from luthier.data.read import Block


@dataclass(frozen=True, slots=True)
class ChangedBlock:
    """The rows of a block under one change: `path` holds them as `prepare_block` keeps rows, none where the change does
    not apply; `applied` (R, bool) says where it does."""

    path: Path
    applied: NDArray[np.bool_]


def change_block(
    block: Block, source: Source, recipe: Recipe, folder: Path, names: Sequence[str], seed: int
) -> list[ChangedBlock]:
    """The block under each change, made unless `folder` has it. Raises `UserError` where it cannot be written."""
    paths = {name: place_of(block, source, recipe, folder, *_change(name, seed)) for name in names}
    found = {name: kept for name, path in paths.items() if (kept := _kept(path)) is not None}
    if len(found) < len(names):
        rows = check_block(block, source).conversations
        for name in names:
            if name in found:
                continue
            changed = [augment.augmented(row, name, seed) for row in rows]
            applied = np.array([row is not None for row in changed], np.bool_)
            made = rows_of([row for row in changed if row is not None], recipe)
            tokens = [next(made) if row is not None else () for row in changed]
            stand_ins = [new or row for new, row in zip(changed, rows, strict=True)]
            keep(paths[name], arrays_of(stand_ins, tokens) | {"applied": applied}, folder)
            found[name] = ChangedBlock(paths[name], applied)
    return [found[name] for name in names]


def _change(name: str, seed: int) -> tuple[bytes, ...]:
    """What changed rows depend on beside what the rows themselves do: the change's own file, and the seed."""
    code = Path(inspect.getfile(augment.load(name))).read_bytes()  # type: ignore[arg-type]
    return code, name.encode(), str(seed).encode()


def _kept(path: Path) -> ChangedBlock | None:
    try:
        applied = read_arrays(path, ("applied",))["applied"]
        os.utime(path)
    except (OSError, SafetensorError):
        return None
    return ChangedBlock(path, applied)
