"""The model's own chat template, as its tokenizer carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from luthier.errors import mistake

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def jinja(formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's chat template, unedited. Raises `UserError` where it has none, or several without a default."""
    carried = tokenizer.chat_template
    if isinstance(carried, str) and carried:
        return carried
    if isinstance(carried, dict) and "default" in carried:
        return str(carried["default"])
    held = (
        f"chat templates named {', '.join(sorted(carried))} and none named default" if carried else "no chat template"
    )
    raise mistake(f"this model's tokenizer has {held}", "data.template", "write `data.template: formats`")
