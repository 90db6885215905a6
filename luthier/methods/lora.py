"""LoRA: a product of two thin matrices beside each chosen linear layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from luthier.errors import mistake
from luthier.flow import Tuned
from luthier.settings import mission
from luthier.settings.schema import Names, Section, Share, Text

if TYPE_CHECKING:
    import torch

SECTION: str | None = "lora_config"
TRAINS_THE_BASE = False
ADAPTER_FILE = "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."
USUAL_TARGETS = (("q_proj", "v_proj"), ("c_attn",), ("qkv_proj",), ("query_key_value",), ("Wqkv",), ("query", "value"))
"""What models call their query and value projections, or the layer that holds them, where `q_proj` is missing."""


class Settings(Section):
    """LoRA: a product of two thin matrices beside each chosen linear layer."""

    r: Annotated[int, Field(ge=1)] = Field(
        default=mission.LORA_CONFIG.r, description="The rank: width of the thin matrices."
    )
    alpha: Annotated[float, Field(gt=0)] = Field(
        default=mission.LORA_CONFIG.alpha,
        description="Scales the update by alpha / r, or by alpha / sqrt(r) with use_rslora.",
    )
    dropout: Share = Field(
        default=mission.LORA_CONFIG.dropout, description="Share of the inputs set to zero while training."
    )
    target_modules: Text | Annotated[Names, Field(min_length=1)] = Field(
        default=mission.LORA_CONFIG.target_modules,
        description="Names of linear layers, a pattern that matches their whole names, or `all-linear`.",
    )
    use_rslora: bool = Field(default=False, description="Scale by alpha / sqrt(r), which keeps high ranks learning.")
    use_dora: bool = Field(default=False, description="Learn the length of each weight row apart from its direction.")
    init: Literal["default", "gaussian"] = Field(
        default="default", description="How the first matrix begins; the second is 0."
    )


def learning_rate(settings: Settings) -> tuple[float, str, str]:
    """The learning rate where none is written, with reason and source.

    Ten times what full tuning takes, and about the same for every rank, because alpha / r scales the update.
    """
    dense = settings.target_modules == "all-linear" or len(settings.target_modules) > 4
    value = 5e-4 if dense else 1e-3
    reason = "LoRA takes about ten times full tuning's rate" + ("" if dense else "; twice that on few layers")
    return value, reason, "Schulman et al., LoRA Without Regret (2025); docs/log.md"


def linear_layers(model: torch.nn.Module) -> list[str]:
    """The last names of the model's linear layers, the output head left out: `["q_proj", "k_proj", ...]`."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    names = (
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    )
    return list(dict.fromkeys(names))


def usual_targets(layers: list[str]) -> tuple[str, ...] | None:
    """The query and value projections of a model that has these layers: `("c_attn",)` for GPT-2's."""
    return next((names for names in USUAL_TARGETS if all(name in layers for name in names)), None)


def resolve(settings: Settings, model: torch.nn.Module, written: bool) -> tuple[Settings, str | None]:
    """The settings with target modules that this model has, and why they were changed, where they were.

    `written` tells whether the user chose them: then they stay, and absent ones raise `UserError`.
    """
    layers, wanted = linear_layers(model), settings.target_modules
    where = "training_config.lora_config.target_modules"
    if isinstance(wanted, str):
        import re

        full = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in layers]
        if wanted != "all-linear" and not any(re.fullmatch(wanted, name) for name in full):
            remedy = f"layers are named like {full[0]}; or a list of {', '.join(layers)}; or all-linear"
            raise mistake(f"the pattern {wanted!r} matches no linear layer of the model", where, remedy)
        return settings, None
    if absent := [name for name in wanted if name.rpartition(".")[2] not in layers]:
        own = usual_targets(layers)
        if written or own is None:
            raise mistake(
                f"the model has no linear layer named {', '.join(absent)}", where, f"it has {', '.join(layers)}"
            )
        return (
            settings.model_copy(update={"target_modules": own}),
            f"the model has no {', '.join(absent)}; these hold its queries and values",
        )
    return settings, None


def attach(model: torch.nn.Module, settings: Settings, seed: int) -> Tuned:
    """The model with LoRA beside its chosen layers, all else frozen. Changes `model`; at first its output is the same.

    The thin matrices are float32 whatever the model's type. Hu et al., LoRA (2021): y = W x + alpha/r B A x, B = 0.
    """
    import torch
    from peft import inject_adapter_in_model

    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(_peft_config(settings, linear_layers(model), model), model)
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in trainable.values():
        parameter.data = parameter.data.float()
    return Tuned(model, None, trainable)


def files(tuned: Tuned, settings: Settings, base: str) -> Mapping[str, Callable[[Path], None]]:
    """PEFT's files of the adapter, each with what writes it. `base` is the name that the base model is loaded by."""

    def write_weights(path: Path) -> None:
        from safetensors.torch import save_file

        weights = {_peft_name(name): parameter.detach().cpu() for name, parameter in tuned.trainable.items()}
        save_file(weights, path, metadata={"format": "pt"})

    def write_config(path: Path) -> None:
        import json

        layers = dict.fromkeys(name.partition(".lora_")[0].rpartition(".")[2] for name in tuned.trainable)
        config = _peft_config(settings, list(layers), tuned.model).to_dict()
        config |= {"base_model_name_or_path": base, "inference_mode": True}
        path.write_text(json.dumps(config, indent=2, sort_keys=True, default=sorted) + "\n", encoding="utf-8")

    return {ADAPTER_FILE: write_weights, "adapter_config.json": write_config}


def load(tuned: Tuned, folder: Path) -> None:
    """Puts saved weights into an attached adapter. Raises `UserError` where they do not fit."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(folder / ADAPTER_FILE)
    wanted = {_peft_name(name): parameter for name, parameter in tuned.trainable.items()}
    unlike = [name for name in wanted.keys() & saved.keys() if wanted[name].shape != saved[name].shape]
    if saved.keys() != wanted.keys() or unlike:
        first = next(iter([*sorted(saved.keys() ^ wanted.keys()), *unlike]))
        raise mistake(
            f"the saved adapter does not fit the settings: {first}",
            str(folder / ADAPTER_FILE),
            "resume with the settings that it was made with (settings.yaml beside it)",
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(saved[name])


def open_adapter(model: torch.nn.Module, folder: Path) -> Tuned:
    """The model with a saved adapter, ours or PEFT's own, ready for inference. Changes `model`."""
    from peft import PeftConfig, inject_adapter_in_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    model.requires_grad_(False)
    inject_adapter_in_model(PeftConfig.from_pretrained(str(folder)), model)
    saved = {name.removeprefix(PEFT_PREFIX): tensor for name, tensor in load_file(folder / ADAPTER_FILE).items()}
    outcome: Any = set_peft_model_state_dict(model, saved)
    if outcome.unexpected_keys:
        raise mistake(
            f"the adapter does not fit the model: {outcome.unexpected_keys[0]}", str(folder), "check the base model"
        )
    model.eval()
    return Tuned(model, None, {})


def merge(tuned: Tuned) -> None:
    """Adds the adapter to the weights that it stands beside, in place, and takes it out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(tuned.model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(tuned.model.get_submodule(parent), own, module.get_base_layer())
    del tuned.model.peft_config


def _peft_name(name: str) -> str:
    return PEFT_PREFIX + name.replace(".default", "")


def _peft_config(settings: Settings, layers: list[str], model: torch.nn.Module) -> Any:
    """PEFT's configuration; `layers` are what `all-linear` means for the model."""
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    wanted = settings.target_modules
    targets = layers if wanted == "all-linear" else wanted if isinstance(wanted, str) else list(wanted)
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        init_lora_weights="gaussian" if settings.init == "gaussian" else True,
        task_type="CAUSAL_LM",
    )
