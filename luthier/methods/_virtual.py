"""What stands before the rows: where its start comes from, and PEFT's file of it.

Sizes: n virtual tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import mistake
from luthier.flow import Base, Tuned
from luthier.methods._adapter import AGAIN, WEIGHTS_FILE, read_config, read_weights
from luthier.settings.schema import together

if TYPE_CHECKING:
    import torch

SAVED = "prompt_embeddings"
"""PEFT's name of the one tensor in the file."""
TEXT = (
    "Read what is asked, think about what kind of answer is wanted, and then give that answer in as few words as it "
    "needs, in the same form each time, with nothing before it and nothing after it."
)
"""What a start from text begins with where no text is written: as many of its tokens as there are virtual ones."""


def check_text(init: str, text: str | None) -> None:
    """Raises the error of settings that do not fit each other."""
    if init == "text" and text is None:
        raise together("init", "`init: text` has no text to begin with", "write `init_text: ...` beside it")
    if init not in ("auto", "text") and text is not None:
        raise together("init_text", f"`init: {init}` does not use it", "write `init: text`, or leave it out")


def text_tokens(text: str, tokenizer: Any) -> list[int]:
    """The text as a row would begin with it: after the begin mark, where the tokenizer puts one, and without an end."""
    tokens: list[int] = tokenizer.encode(text)
    return tokens[:-1] if tokens[-1:] == [tokenizer.eos_token_id] else tokens


def check_length(text: str, tokenizer: Any, length: int, section: str) -> None:
    """Raises `UserError` where a text is empty, or has more tokens than there are virtual ones."""
    place, count = f"training_config.{section}.init_text", len(text_tokens(text, tokenizer))
    if not text.strip() or not count:
        raise mistake("the text is empty", place, "write what the virtual tokens should begin as, or leave it out")
    if count > length:
        message = f"the text has {count} tokens, and there are {length} virtual tokens"
        raise mistake(message, place, f"write a shorter text, or `num_virtual_tokens: {count}`")


def beginning(tokenizer: Any, length: int) -> str:
    """As much of `TEXT` as fits into so many tokens."""
    tokens = tokenizer.encode(TEXT, add_special_tokens=False)
    for count in range(min(length, len(tokens)), 0, -1):
        text = str(tokenizer.decode(tokens[:count])).strip()
        if text and len(text_tokens(text, tokenizer)) <= length:
            return text
    return TEXT[0]


def repeated(tokens: list[int], length: int) -> list[int]:
    """[5, 6, 7] over 5 places is [5, 6, 7, 5, 6]."""
    return [tokens[place % len(tokens)] for place in range(length)]


def length_reason(text: str, tokenizer: Any, length: int) -> str:
    """Says where a text is repeated to fill the virtual tokens."""
    count = len(text_tokens(text, tokenizer))
    return f"; its {count} tokens are repeated to {length}" if count < length else ""


def base_of(tuned: Tuned) -> Base:
    """The same model without what its rows stand on."""
    return Base(Tuned(tuned.model, None, {}))


def saved_tensor(folder: Path, width: int) -> torch.Tensor:
    """The saved tensor (n, width). Raises `UserError` where it is damaged, or made for another model."""
    facts, weights = read_config(folder), read_weights(folder / WEIGHTS_FILE)
    tensor, length = weights.get(SAVED), facts.get("num_virtual_tokens")
    place = str(folder / WEIGHTS_FILE)
    if tensor is None or tensor.dim() != 2 or len(tensor) != length:
        raise mistake(f"the file does not hold {length} virtual tokens", place, AGAIN)
    if tensor.shape[1] != width:
        message = f"the adapter does not fit the model: {tensor.shape[1]} numbers a virtual token instead of {width}"
        base = facts.get("base_model_name_or_path")
        raise mistake(message, place, f"name the model that it was made for ({base})")
    return tensor


def fill(parameters: Mapping[str, torch.Tensor], path: Path) -> None:
    """Puts saved tensors into these. Raises `UserError` where they do not fit."""
    import torch

    saved = read_weights(path)
    unlike = [name for name in parameters if name not in saved or saved[name].shape != parameters[name].shape]
    if unlike:
        raise mistake(
            f"the saved adapter does not fit the settings: {unlike[0]}",
            str(path),
            "resume with the settings that it was made with (settings.yaml beside it)",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
