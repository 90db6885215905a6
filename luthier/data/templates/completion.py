"""The run file's `formats.completion`: a beginning and what comes after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from luthier.data.templates._written import chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def jinja(formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> str:
    """A completion has no place for a system message: one is refused, with what to do instead."""
    return chat_template("completion", formats["completion"], "input", "output", tokenizer, system=None)
