"""Text: every token of a text, each given all before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luthier.flow import Form, Tokenized

if TYPE_CHECKING:
    from luthier.engine.forward import Engine
    from luthier.engine.hold import Hold
    from luthier.engine.loss import Computed

FORMS: tuple[Form, ...] = ("text",)
CHOSEN_FOR: tuple[Form, ...] = FORMS
REASON = "the rows are text"
PAIRS = False


def refused(form: Form) -> tuple[str, str]:
    """Rows with answers."""
    return f"{form} rows, which have answers", "write `data.train_on: everything` to train on all of them"


def divisor(rows: Sequence[Tokenized]) -> int:
    """What a step's summed loss is divided by: the trained tokens of its rows."""
    return sum(row.trained_tokens for row in rows)


def backward(
    engine: Engine,
    rows: Sequence[Tokenized],
    divisor: float,
    tokens_a_pass: int,
    beta: float = 0.0,
    hold: Hold | None = None,
) -> Computed:
    """Adds the gradients of the rows' summed loss over `divisor`, and of what a `hold` adds, to those of the trained
    parameters."""
    from luthier.engine import step

    del beta
    return step.backward(engine, rows, divisor, tokens_a_pass, hold)
