"""The run file's `formats.instruction`: an instruction and the response to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from luthier.data.templates._written import chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def jinja(formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> str:
    """A system message stands before the instruction's part, with an empty line between them."""
    text = formats["instruction"]
    return chat_template("instruction", text, "instruction", "response", tokenizer, system=("", "\n\n"))
