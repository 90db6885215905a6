"""The run file's `formats.chat`: a user's message and the assistant's, repeated for each pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from luthier.data.templates._written import chat_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def jinja(formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> str:
    r"""A system message comes first as `<|system|>\n{content}\n`."""
    text = formats["chat"]
    return chat_template("chat", text, "user_message", "assistant_response", tokenizer, system=("<|system|>\n", "\n"))
