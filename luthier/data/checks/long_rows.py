"""How long rows are, and which of them hardly fit into a model's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from luthier.data.checks import Hit, Judged, Rows, Threshold, Whole

LETTERS_A_TOKEN: Final = 4
CONTEXT: Final = 8_192

criterion = "consistent_formatting"
what = "Rows that are longer than the context of a small model, by their letters."
why = "What does not fit is cut or left out, and a cut answer teaches the model to stop in the middle."
remedy = "split the row; what a model's tokenizer makes of it: luthier check RUN.yaml, and `data.too_long`"
leaves_out = False
thresholds = (
    Threshold(
        CONTEXT, "tokens", "the context of small models of today; a run file's check counts the model's own tokens"
    ),
    Threshold(LETTERS_A_TOKEN, "letters a token, about", "English text under tokenizers of 30,000 to 130,000 tokens"),
)


def gather(rows: Rows) -> NDArray[np.int32]:
    """The letters of question and answer of each row (R, 2), all other text counted as question."""
    return np.array(
        [[sum(len(m.content) for m in row.conversation.messages) - len(row.answer), len(row.answer)] for row in rows],
        np.int32,
    ).reshape(-1, 2)


def judge(parts: Sequence[NDArray[np.int32]], whole: Whole) -> Judged:
    letters = np.concatenate(parts)
    total = letters.sum(axis=1)
    rows = np.flatnonzero(~whole.held_out & (total > CONTEXT * LETTERS_A_TOKEN))

    def describe(row: int) -> Hit:
        return Hit(f"{total[row]:,} letters, about {total[row] // LETTERS_A_TOKEN:,} tokens")

    own = letters[~whole.held_out]
    numbers: dict[str, Any] = {
        name: {str(level): int(np.percentile(of, level)) for level in (5, 50, 95, 100)}
        for name, of in (("prompt_letters", own[:, 0]), ("answer_letters", own[:, 1]))
    }
    numbers["histogram"] = {
        name: _histogram(of) for name, of in (("prompt_letters", own[:, 0]), ("answer_letters", own[:, 1]))
    }
    return Judged(rows, describe, numbers=numbers)


def _histogram(lengths: NDArray[np.int32]) -> dict[str, int]:
    """How many lengths are under each power of two: 3, 5 and 6 give `{"2-3": 1, "4-7": 2}`; 0 counts by itself."""
    power, counts = np.unique(np.frexp(lengths.astype(np.float64))[1], return_counts=True)
    return {
        ("0" if two == 0 else f"{2 ** (two - 1):,}-{2**two - 1:,}"): many
        for two, many in zip(power.tolist(), counts.tolist(), strict=True)
    }


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "Count.", "response": " ".join(map(str, range(9_000)))}]


def clean() -> list[dict[str, Any]]:
    return [{"instruction": "Count.", "response": " ".join(map(str, range(900)))}]
