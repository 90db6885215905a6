"""Text: every token of a text, each given all before it."""

from __future__ import annotations

from luthier.engine.objectives import supervised
from luthier.flow import Form

FORMS: tuple[Form, ...] = ("text",)
CHOSEN_FOR: tuple[Form, ...] = FORMS
REASON = "the rows are text"
PAIRS = False

divisor, backward = supervised.divisor, supervised.backward
"""The loss of answers is that of texts: only which tokens are trained on is another."""


def refused(form: Form) -> tuple[str, str]:
    """Rows with answers."""
    return f"{form} rows, which have answers", "write `data.train_on: everything` to train on all of them"
