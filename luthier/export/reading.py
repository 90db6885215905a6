"""Exports loaded by transformers alone, from their files, as anybody would load them."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.models.loading import keep_packed_as_read
from luthier.models.quiet import quiet

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from luthier.export.finished import Finished
    from luthier.export.parity import Logits
    from luthier.flow import Tokenized

TEMPLATE_FILE = "chat_template.jinja"


def load_plain(folder: Path, precision: str, device: torch.device, **options: Any) -> Any:
    """The causal language model of a folder. `options` are transformers' own."""
    import torch
    from transformers import AutoModelForCausalLM

    causal: Any = AutoModelForCausalLM
    safely = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    with quiet():
        model = causal.from_pretrained(folder, dtype=getattr(torch, precision), **safely, **options)
    keep_packed_as_read(model)
    return (model if model.device == device else model.to(device)).eval()


def logits_of(model: Any, plain: Any) -> Logits:
    """What a model says after the last tokens of a row. `plain` is the model itself, or the one that it wraps."""
    import torch

    short = "logits_to_keep" in signature(plain.forward).parameters

    @torch.no_grad()
    def logits(tokens: Tensor, positions: int) -> Tensor:
        keep = {"logits_to_keep": positions} if short else {}
        found: Tensor = model(input_ids=tokens[None].to(plain.device), **keep).logits[0, -positions:]
        return found.float().cpu()

    return logits


def differences(finished: Finished, folder: Path, rows: list[Tokenized]) -> tuple[str, ...]:
    """What stands beside the weights and is not the run's: the tokenizer, its chat template, the tokens that end an
    answer. Empty where all is."""
    from transformers import AutoTokenizer, GenerationConfig

    ours: Any = finished.tokenizer
    with quiet():
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    found = []
    texts = [ours.decode(row.tokens, skip_special_tokens=False) for row in rows]
    if any(
        ours.encode(text, add_special_tokens=False) != theirs.encode(text, add_special_tokens=False) for text in texts
    ):
        found.append("the tokenizer makes other tokens of the rows")
    if ours.chat_template != theirs.chat_template:
        found.append("the chat template is not the run's")
    if (folder / "generation_config.json").is_file():
        with quiet():
            marks: Any = GenerationConfig.from_pretrained(folder).eos_token_id
        if set(marks if isinstance(marks, list) else [marks]) != set(finished.stops):
            found.append("an answer ends at other tokens")
    return tuple(found)
