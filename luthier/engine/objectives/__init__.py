"""What a step learns from its rows, one objective a file, named as `objective` names it.

Each defines

- `FORMS`: the forms of rows that it trains on, and `CHOSEN_FOR`: those for which `objective: auto` means it;
- `REASON`: why it is chosen for them, in a few words;
- `refused(form)`: what is wrong with rows of a form that is none of `FORMS`, and what to write instead;
- `PAIRS`: whether an example is a pair of rows, a better and a worse answer, or one row alone;
- `divisor(examples)`: what a step's summed loss is divided by, 0 where nothing is learned from its examples;
- `backward(engine, examples, divisor, tokens_a_pass, beta, hold)`: adds the gradients of the examples' summed loss over
  `divisor`, and of what a `hold` near base adds to it, to those of the trained parameters, as a `Computed`. `beta` is
  the run's, for pairs; `hold` is none where the run wants none.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from luthier import plugins

FOLDER: Final = "luthier.engine.objectives"


def names() -> list[str]:
    """All objectives, sorted."""
    return plugins.names(FOLDER)


def load(name: str) -> ModuleType:
    """The objective of a name. Raises `UserError` with the names that exist."""
    return plugins.load(FOLDER, name)
