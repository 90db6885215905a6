"""QLoRA: LoRA on frozen weights of four bits. Its settings stand beside `lora_config`.

The model before tuning is the quantized one, here and wherever the run is used: embeddings, norms and the head are kept
as they are. The codes come from the weights as the model's files hold them, whatever `precision` is computed in.
Dettmers et al., QLoRA (2023).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Tuned
from luthier.methods import lora
from luthier.methods._adapter import AGAIN, hush
from luthier.settings.schema import Section

if TYPE_CHECKING:
    import torch

    from luthier.models import Source

SECTION: str | None = "qlora_config"
SETTINGS_FROM = lora.SECTION
COMPUTING = f"{SECTION}.compute_dtype"
GROWS_BY = lora.GROWS_BY
TRAINS_THE_BASE = False
STARTS_AS_THE_BASE = True
NEEDS = "bitsandbytes>=0.46.1"


class Settings(Section):
    """QLoRA: how the frozen weights are kept in four bits."""

    quant_type: Literal["nf4", "fp4"] = Field(default="nf4", description="The sixteen values that a weight may take.")
    double_quant: bool = Field(default=True, description="Keep the blocks' scales in eight bits too.")
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="What weights are unpacked to. auto: as hyperparameters.precision."
    )


learning_rate = lora.learning_rate
virtual_tokens = lora.virtual_tokens
trainable_parameters = lora.trainable_parameters
base_of = lora.base_of
load = lora.load
interpolates, interpolate = lora.interpolates, lora.interpolate


def missing() -> Mistake | None:
    """bitsandbytes, where it is not installed or too old."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    needed = Requirement(NEEDS)
    try:
        if needed.specifier.contains(version(needed.name), prereleases=True):
            return None
        found = f"is {version(needed.name)} here"
    except PackageNotFoundError:
        found = "is not installed"
    return Mistake(f"qlora needs {NEEDS}, which {found}", "tuning_method", f"python -m pip install '{NEEDS}'")


def resolve(
    settings: lora.Settings, model: torch.nn.Module, written: Callable[[str], bool], tokenizer: Any = None
) -> list[tuple[str, Any, str]]:
    """As LoRA does, and what `compute_dtype: auto` means.

    Raises `UserError` for `init: pissa` as well, which needs whole weights.
    """
    if settings.init == "pissa":
        remedy = "write `init: default`, or `tuning_method: lora`"
        raise mistake(
            "`init: pissa` needs whole weights, and these have four bits", "training_config.lora_config.init", remedy
        )
    changes = lora.resolve(settings, model, written, tokenizer)
    if not written(COMPUTING):
        config: Any = model.config
        used = getattr(config, "quantization_config", None)  # a model that is only counted is not packed
        found = str(used.bnb_4bit_compute_dtype).removeprefix("torch.") if used else "the type"
        changes.append((COMPUTING, "auto", f"{found}, as hyperparameters.precision"))
    return changes


def weight_memory(settings: Settings, model: torch.nn.Module, number_bytes: int) -> tuple[int, int]:
    """The bytes of a plain model's weights once its linear layers are packed, and of the largest matrix unpacked.

    64 numbers have 32 bytes and a scale of four; with double quantization of one, and 256 scales one of four bytes in
    common: 0.5 + 1/64 + 4/16384 bytes a number. Dettmers et al., QLoRA (2023), section 3.
    """
    import torch

    packed = [
        layer.weight.numel() for layer in lora.linear_layers(model).values() if isinstance(layer, torch.nn.Linear)
    ]
    scales = 1 / 64 + 4 / (64 * 256) if settings.double_quant else 4 / 64
    others = sum(parameter.numel() for parameter in model.parameters()) - sum(packed)
    return round(sum(packed) * (0.5 + scales) + others * number_bytes), max(packed, default=0) * number_bytes


def load_base(source: Source, dtype: torch.dtype, settings: Settings) -> Any:
    """The model with its linear layers in four bits, each quantized as it is read: never is the whole of it in memory
    in any other form. All else is of `dtype`, which `compute_dtype: auto` stands for too."""
    import torch

    if lacking := missing():
        raise UserError(lacking)
    hush()
    from bitsandbytes.nn import Params4bit
    from transformers import BitsAndBytesConfig

    from luthier.models import load_model

    computing = dtype if settings.compute_dtype == "auto" else getattr(torch, settings.compute_dtype)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.quant_type,
        bnb_4bit_use_double_quant=settings.double_quant,
        bnb_4bit_compute_dtype=computing,
    )
    model = load_model(source, "auto", quantization=quantization)
    for parameter in model.parameters():
        if not isinstance(parameter, Params4bit):
            parameter.data = parameter.data.to(dtype)
    return model


def saved_settings(folder: Path) -> Settings:
    """How the weights under an adapter of this method were quantized. Raises `UserError` where that cannot be read."""
    path = folder / lora.QUANTIZATION_FILE
    try:
        return Settings.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise mistake(f"cannot be read: {error}", str(path), AGAIN) from error


def attach(model: torch.nn.Module, settings: lora.Settings, seed: int, tokenizer: Any = None) -> Tuned:
    """The quantized model with LoRA beside its chosen layers."""
    return lora.attach(model, settings, seed, tokenizer)


def files(tuned: Tuned, settings: lora.Settings, base: str) -> Mapping[str, Callable[[Path], None]]:
    """PEFT's files of the adapter, and how the weights under it were quantized."""
    model: Any = tuned.model

    def write(path: Path) -> None:
        used = model.config.quantization_config
        computing = str(used.bnb_4bit_compute_dtype).removeprefix("torch.")
        own = Settings(
            quant_type=used.bnb_4bit_quant_type,
            double_quant=used.bnb_4bit_use_double_quant,
            compute_dtype=computing,  # type: ignore[arg-type]
        )
        path.write_text(json.dumps(own.model_dump(), indent=2) + "\n", encoding="utf-8")

    return {**lora.files(tuned, settings, base), lora.QUANTIZATION_FILE: write}


def opens(folder: Path, config: Mapping[str, Any]) -> bool:
    """An adapter of PEFT's kind LORA that says how the weights under it were quantized."""
    return config.get("peft_type") == "LORA" and (folder / lora.QUANTIZATION_FILE).is_file()


def open_adapter(model: torch.nn.Module, folder: Path) -> Tuned:
    """The quantized model with a saved adapter, ready for inference."""
    return lora.open_adapter(model, folder)


def merge(tuned: Tuned) -> None:
    """Unpacks the weights to float32, adds the adapter, and keeps the sum in the type of the model's other weights: a
    plain model is left, several times as large."""
    import torch
    from bitsandbytes.nn import Linear4bit
    from peft.tuners.lora import LoraLayer

    model: Any = tuned.model
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer) and isinstance(module.get_base_layer(), Linear4bit):
            tuner: Any = module
            weight = _weight(tuner.get_base_layer()) + tuner.get_delta_weight(lora.ADAPTER)
            if lora.ADAPTER in tuner.lora_magnitude_vector:
                lengths = tuner.lora_magnitude_vector[lora.ADAPTER].weight
                weight = weight * (lengths / torch.linalg.norm(weight, dim=1))[:, None]
            _put_plain(model, name, tuner.get_base_layer(), weight)
    for name, module in list(model.named_modules()):
        if isinstance(module, Linear4bit):
            _put_plain(model, name, module, _weight(module))
    del model.peft_config
    model.hf_quantizer.remove_quantization_config(model)
    model.is_loaded_in_4bit = False


def _weight(layer: Any) -> torch.Tensor:
    """A quantized layer's weight in float32, (outputs, inputs)."""
    import copy

    import torch
    from bitsandbytes.functional import dequantize_4bit

    state = copy.copy(layer.weight.quant_state)
    state.dtype = torch.float32
    weight: torch.Tensor = dequantize_4bit(layer.weight.data, state)
    return weight


def _put_plain(model: Any, name: str, layer: Any, weight: torch.Tensor) -> None:
    """A layer of the kind that the model had before it was quantized, in the type of its other weights."""
    import torch
    from transformers.pytorch_utils import Conv1D

    own = weight.detach().to(model.get_input_embeddings().weight.dtype)
    with torch.device("meta"):
        if issubclass(layer.source_cls, Conv1D):
            plain: Any = Conv1D(layer.out_features, layer.in_features)
            own = own.T.contiguous()
        else:
            plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    plain.weight, plain.bias = torch.nn.Parameter(own, requires_grad=False), layer.bias
    model.set_submodule(name, plain)
