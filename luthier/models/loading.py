"""Weights and a tokenizer into memory, from a folder on this machine: no network, no code of the model's own."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from luthier.errors import Mistake, UserError, mistake
from luthier.models.quiet import quiet
from luthier.models.source import Source

if TYPE_CHECKING:
    import torch


CAUSAL = "take a causal language model"
PACKS_ANEW = "support_avx512bf16_for_cpu"
"""What bitsandbytes calls it in a layer."""


def load_config(path: Path) -> Any:
    """transformers' configuration of a causal language model, from its folder or its configuration file.

    Raises `UserError` where only code that comes with the model could read it, or where it does not continue text.
    """
    from transformers import AutoModelForCausalLM

    config = read_config(path)
    if type(config) not in AutoModelForCausalLM._model_mapping:
        file = path / "config.json" if path.is_dir() else path
        raise mistake(f"{config.model_type!r} is not a model that continues text", str(file), CAUSAL)
    return config


def read_config(path: Path) -> Any:
    """transformers' configuration of a model that gives text, one that reads and writes in two parts included.

    Raises `UserError` where only code that comes with the model could read it, or where it gives no text.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    file = path / "config.json" if path.is_dir() else path
    try:
        kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise mistake(f"the configuration cannot be read: {error}", str(file), "name a model's config.json") from error
    if kind not in CONFIG_MAPPING:
        remedy = "take a model that transformers knows by itself, or a newer transformers: pip install -U transformers"
        raise mistake(f"{kind!r} models need code of their own, which is never run", str(file), remedy)
    with quiet():
        config = AutoConfig.from_pretrained(file, local_files_only=True, trust_remote_code=False)
    if all(type(config) not in one._model_mapping for one in (AutoModelForCausalLM, AutoModelForSeq2SeqLM)):
        raise mistake(f"{kind!r} is not a model that gives text", str(file), CAUSAL)
    return config


def load_model(
    source: Source, dtype: torch.dtype | Literal["auto"], attention: str = "sdpa", quantization: Any = None
) -> Any:
    """The model of `source.folder` on the CPU, in evaluation mode; its adapter, if any, is left to the caller.

    `dtype` "auto" is that of the files. `quantization` is transformers' configuration of weights to be packed as they
    are read.

    Raises `UserError` where a weight is missing or has another shape: transformers would start it at random.
    """
    from transformers import AutoModelForCausalLM

    causal: Any = AutoModelForCausalLM
    config = load_config(source.folder)
    with quiet():
        model, loaded = causal.from_pretrained(
            source.folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            quantization_config=quantization,
            device_map=None if quantization is None else {"": "cpu"},
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are listed, and refused below
        )
    _refuse_gaps(source, loaded)
    keep_packed_as_read(model)
    return model


def keep_packed_as_read(model: torch.nn.Module) -> None:
    """Has bitsandbytes compute with four-bit weights as they were read.

    On a CPU with bfloat16 instructions its first pass without gradients packs them anew: that rounds their scales to
    bfloat16, leaves them without a way back, and fails for layers of under 64 columns.
    """
    for module in model.modules():
        if hasattr(module, PACKS_ANEW):
            setattr(module, PACKS_ANEW, False)


def load_tokenizer(source: Source) -> Any:
    """The tokenizer, with the chat template that was saved with it: the adapter's own where it carries one."""
    from transformers import AutoTokenizer

    own = source.adapter if source.adapter and (source.adapter / "tokenizer_config.json").is_file() else source.folder
    with quiet():
        return AutoTokenizer.from_pretrained(own, local_files_only=True, trust_remote_code=False)


def generation_stops(source: Source, tokenizer: Any = None) -> tuple[int, ...]:
    """The tokens at which generation ends: the end marks of the generation settings, the configuration and the
    tokenizer (loaded where not given), each once, in this order. Raises `UserError` where there are none."""
    tokenizer = tokenizer or load_tokenizer(source)
    stops: list[int] = []
    for name in ("generation_config.json", "config.json"):
        path = source.folder / name
        marks = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
        stops += marks if isinstance(marks, list) else [] if marks is None else [marks]
    if tokenizer.eos_token_id is not None:
        stops.append(tokenizer.eos_token_id)
    if not stops:
        remedy = 'write "eos_token_id": N into generation_config.json'
        raise mistake("the model names no end mark, so no answer would ever end", str(source.folder), remedy)
    return tuple(dict.fromkeys(stops))


def _refuse_gaps(source: Source, loaded: dict[str, Any]) -> None:
    gaps = [f"{name} is missing" for name in sorted(loaded["missing_keys"])]
    gaps += [
        f"{name} has shape {tuple(there)}, not {tuple(wanted)}" for name, there, wanted in loaded["mismatched_keys"]
    ]
    if gaps:
        remedy = "fetch the folder again: its weights do not fit its config.json"
        raise UserError([Mistake(gap, str(source.folder), remedy) for gap in gaps[:20]])
    if extra := sorted(loaded["unexpected_keys"]):
        text = f"{source.name}: {len(extra)} tensors have no place in the model and were left out, {extra[0]} first"
        warnings.warn(text, stacklevel=3)
