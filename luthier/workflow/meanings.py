"""Where the meanings of rows point, by a small sentence model: what a deep check looks for the same meaning by."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Row, Whole
from luthier.flow import Event, Note, Progress
from luthier.models import sentences
from luthier.report.numbers import count
from luthier.workflow.answer_losses import spread

ROWS: Final = 5_000
"""Rows that are compared, evenly spread: a core of an AMD EPYC (Zen 3) reads 7 to 20 a second."""
LETTERS: Final = 300
"""Of the question and of the answer: about as many as the model reads of both together."""
AT_ONCE: Final = 64


def meanings(whole: Whole, stopped: Callable[[], bool]) -> Generator[Event, None, Mapping[str, NDArray[Any]]]:
    """The columns `meaning` (S, 384; float16) and `meaning_row` (S). Where `stopped()` gets true, those so far."""
    rows = spread(np.flatnonzero(~whole.held_out), ROWS)
    if len(rows) < len(whole):
        yield Note("rows", f"{len(rows):,} of {len(whole):,} rows, evenly spread, are compared by their meaning")
    model = sentences.load()
    texts = [_text(row) for row in whole.read_again(rows)]
    directions = np.zeros((len(texts), 384), np.float16)
    # Those of one length go together, so that little is padding.
    order = np.argsort([len(text) for text in texts], kind="stable")
    done = 0
    for first in range(0, len(texts), AT_ONCE):
        group = order[first : first + AT_ONCE]
        directions[group] = model.directions([texts[place] for place in group])
        done += len(group)
        yield Progress("reading meanings", done, len(texts))
        if stopped():
            yield Note("warning", f"stopped: the meanings of {count(done, 'row')} were compared")
            break
    kept = np.sort(order[:done])
    return {"meaning": directions[kept], "meaning_row": rows[kept]}


def _text(row: Row) -> str:
    return f"{row.question[:LETTERS]}\n{row.answer[:LETTERS]}"
