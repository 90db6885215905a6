"""A model's sizes from its configuration alone: no weight is read or allocated."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import mistake
from luthier.models.loading import load_config, read_config
from luthier.models.source import Source


@dataclass(frozen=True, slots=True)
class LinearShape:
    """The linear layers of one name: `count` matrices from `inputs` to `outputs`."""

    name: str
    inputs: int
    outputs: int
    count: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model's sizes. SmolLM2-135M: 134,515,008 parameters, 28,311,552 of them its embedding (49,152 x 576), which is
    its head as well (`tied`, counted once); 30 layers of 9 heads and 3 key-value heads, each 64 wide.

    `context_length` is None for a model without a limit. `linears` leaves out the head.
    """

    architecture: str
    parameters: int
    embedding_parameters: int
    tied: bool
    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    vocabulary: int
    context_length: int | None
    linears: tuple[LinearShape, ...]

    @property
    def linear_names(self) -> tuple[str, ...]:
        """What `all-linear` means for this model, each name once."""
        return tuple(dict.fromkeys(linear.name for linear in self.linears))


REQUIRED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
"""What a configuration must say itself, where its kind of model has it: transformers fills in another's."""


def describe(model: Source | Path) -> ModelShape:
    """The sizes of a source, a model folder or a bare configuration file (`config.json` under any name).

    Raises `UserError` where it is no causal language model that transformers knows.
    """
    return measure(_built(load_config(_place(model)), "AutoModelForCausalLM"))


def skeleton(model: Source | Path, layers: int | None = None) -> Any:
    """The model itself without memory: every weight on the meta device, with the first `layers` layers alone where that
    is given. An encoder and a decoder in one are built as well, which no method trains.

    Raises `UserError` for a kind that transformers does not know, and with the sizes that the configuration leaves out.
    """
    place = _place(model)
    config = read_config(place)
    _refuse_gaps(config, place)
    built = _built(config, "AutoModelForSeq2SeqLM" if config.is_encoder_decoder else "AutoModelForCausalLM")
    if layers is not None:
        stack = layer_stack(built)
        del stack[layers:]
        config.get_text_config().num_hidden_layers = len(stack)
    return built


def layer_stack(built: Any) -> Any:
    """The list of a model's layers."""
    from torch.nn import ModuleList

    depth = built.config.get_text_config().num_hidden_layers
    return next(module for module in built.modules() if isinstance(module, ModuleList) and len(module) == depth)


def _place(model: Source | Path) -> Path:
    return model if isinstance(model, Path) else model.folder


def _built(config: Any, kind: str) -> Any:
    import torch
    import transformers

    with torch.device("meta"):
        return getattr(transformers, kind).from_config(config, trust_remote_code=False)


def _refuse_gaps(config: Any, place: Path) -> None:
    file = place / "config.json" if place.is_dir() else place
    written = json.loads(file.read_text(encoding="utf-8"))
    written = written.get("text_config") or written
    own = config.get_text_config()
    names = {name: own.attribute_map.get(name, name) for name in REQUIRED}
    known = own.to_dict()
    gaps = [name for asked, name in names.items() if name in known and name not in written and asked not in written]
    if gaps:
        message = f"the configuration does not say {', '.join(gaps)}"
        raise mistake(message, str(file), "write what the model has, or take the file that its weights came with")


def measure(built: Any) -> ModelShape:
    """The sizes of a model that is built, on any device."""
    config = built.config.get_text_config()
    embedding = built.get_input_embeddings().weight
    head = built.get_output_embeddings()
    width, heads = config.hidden_size, config.num_attention_heads
    return ModelShape(
        architecture=config.model_type,
        parameters=sum(parameter.numel() for parameter in built.parameters()),
        embedding_parameters=embedding.numel(),
        tied=head is None or head.weight is embedding,
        layers=config.num_hidden_layers,
        width=width,
        heads=heads,
        key_value_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_width=getattr(config, "head_dim", None) or width // heads,
        vocabulary=embedding.shape[0],
        context_length=getattr(config, "max_position_embeddings", None),
        linears=_linears(built, head),
    )


def _linears(built: Any, head: Any) -> tuple[LinearShape, ...]:
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found: Counter[tuple[str, int, int]] = Counter()
    for path, module in built.named_modules():
        if module is not head and isinstance(module, Linear | Conv1D):
            rows, columns = module.weight.shape
            # GPT-2's Conv1D keeps its matrix the other way round: inputs by outputs.
            inputs, outputs = (rows, columns) if isinstance(module, Conv1D) else (columns, rows)
            found[path.rpartition(".")[2], inputs, outputs] += 1
    return tuple(LinearShape(*shape, count) for shape, count in found.items())
