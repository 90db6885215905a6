"""Text as it stands: what a user writes is its beginning, and the model goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from luthier.data.templates._written import begin_marks, end_mark, quoted, refuses

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def jinja(formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's own begin mark where it puts one, the texts one behind the other, an end mark behind what the
    model says. Raises `UserError` where the tokenizer names no end mark."""
    end_mark(tokenizer, "take a model whose tokenizer has one")
    return (
        f"{{% if tools %}}{refuses('text rows have no place for tools')}{{% endif %}}"
        f"{{{{ {quoted(begin_marks(tokenizer))} }}}}"
        "{% for message in messages %}"
        "{% if message.role == 'assistant' %}{{ message.content + eos_token }}"
        "{% elif message.role == 'user' %}{{ message.content }}"
        f"{{% else %}}{refuses('text rows have no place for a system message or a reply of a tool')}{{% endif %}}"
        "{% endfor %}"
    )
