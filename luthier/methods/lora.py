"""LoRA: a product of two thin matrices beside each chosen linear layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from luthier.errors import Mistake, UserError, mistake
from luthier.flow import Base, Tuned
from luthier.methods._adapter import (
    AGAIN,
    CONFIG_FILE,
    WEIGHTS_FILE,
    hush,
    read_config,
    read_weights,
    write_config,
    write_weights,
)
from luthier.settings import mission
from luthier.settings.schema import Names, Section, Share, Text, together

if TYPE_CHECKING:
    import torch

SECTION: str | None = "lora_config"
TARGETS = f"{SECTION}.target_modules"
TRAINS_THE_BASE = False
STARTS_AS_THE_BASE = True
GROWS_BY = "r"
QUANTIZATION_FILE = "quantization_config.json"
"""Beside an adapter that was trained on quantized weights: how they were made."""
PEFT_PREFIX = "base_model.model."
ADAPTER, START = "default", "start"
"""PEFT's names of what is trained, and of what `init: pissa` takes away from it so that step 0 is the base."""
USUAL_TARGETS = (
    *(("q_proj", "v_proj"), ("c_attn",), ("qkv_proj",), ("query_key_value",), ("Wqkv",), ("query", "value")),
    *(("q", "v"), ("q_proj", "kv_b_proj"), ("q_b_proj", "kv_b_proj")),
)
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
    init: Literal["default", "gaussian", "pissa"] = Field(
        default="default",
        description="How the first matrix begins; the second is 0. pissa: both as the weight's principal directions.",
    )

    @model_validator(mode="after")
    def _pissa_and_dora(self) -> Self:
        if self.init == "pissa" and self.use_dora:
            raise together("init", "`init: pissa` does not go with `use_dora`", "write `use_dora: false`")
        return self


def learning_rate(settings: Settings, model: torch.nn.Module) -> tuple[float, str, str]:
    """The learning rate where none is written, with reason and source.

    Ten times what full tuning takes, and about the same for every rank, because alpha / r scales the update.
    """
    del model
    if settings.init == "pissa":
        reason = "a tenth of LoRA's: the matrices begin as long as the weight, not at 0"
        return 1e-4, reason, "Meng et al., PiSSA (2024) takes full tuning's; docs/log.md"
    dense = settings.target_modules == "all-linear" or len(settings.target_modules) > 4
    value = 5e-4 if dense else 1e-3
    reason = "LoRA takes about ten times full tuning's rate" + ("" if dense else "; twice that on few layers")
    return value, reason, "Schulman et al., LoRA Without Regret (2025); docs/log.md"


def virtual_tokens(settings: Settings) -> int:
    """None: rows stand alone."""
    del settings
    return 0


def trainable_parameters(settings: Settings, model: torch.nn.Module) -> int:
    """r (inputs + outputs) beside each chosen layer, and with DoRA a length for each output.

    Llama-2-7B, r = 16 on q and v of 32 layers: 32 x 2 x 16 x (4,096 + 4,096) = 8,388,608.
    """
    layers = linear_layers(model)
    if mistakes := list(_misfits(settings, model, layers)):
        raise UserError(mistakes)
    total = 0
    for name in _chosen(settings, list(layers)):
        inputs, outputs = _sides(layers[name])
        total += settings.r * (inputs + outputs) + (outputs if settings.use_dora else 0)
    return total


def linear_layers(model: torch.nn.Module) -> dict[str, Any]:
    """The model's linear layers by their whole names, the output head left out."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }


def usual_targets(names: list[str]) -> tuple[str, ...] | None:
    """The query and value projections of a model that has layers of these names: `("c_attn",)` for GPT-2's."""
    return next((usual for usual in USUAL_TARGETS if all(name in names for name in usual)), None)


def resolve(
    settings: Settings, model: torch.nn.Module, written: Callable[[str], bool], tokenizer: Any = None
) -> list[tuple[str, Any, str]]:
    """The model's own query and value projections, where nobody named layers and it has none of the usual names.

    Raises `UserError` for layers that the model lacks or that are not linear, and for a rank over their width.
    """
    del tokenizer
    changes: list[tuple[str, Any, str]] = []
    layers, wanted = linear_layers(model), settings.target_modules
    names = _own_names(layers)
    if not isinstance(wanted, str) and not written(TARGETS):
        absent = [name for name in wanted if name not in names]
        own = usual_targets(names)
        if absent and own:
            reason = f"the model has no {', '.join(absent)}; these hold its queries and values"
            changes.append((TARGETS, own, reason))
            settings = settings.model_copy(update={"target_modules": own})
    if mistakes := list(_misfits(settings, model, layers)):
        raise UserError(mistakes)
    return changes


def attach(model: torch.nn.Module, settings: Settings, seed: int, tokenizer: Any = None) -> Tuned:
    """The model with LoRA beside its chosen layers, all else frozen. Changes `model`; at first its output is the same.

    The thin matrices are float32 whatever the model's type. Hu et al., LoRA (2021): y = W x + alpha/r B A x, B = 0.
    """
    del tokenizer
    import torch

    hush()
    from peft import inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    from luthier.methods import _thin

    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = _peft_config(settings, model, _own_names(linear_layers(model)))
        inject_adapter_in_model(config, model, ADAPTER)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                _thin.put_on(layer)
                if settings.use_dora:
                    _measure(layer)
                if settings.init == "pissa":
                    _start_from_principal_directions(layer, config)
    return Tuned(model, None, {name: one for name, one in model.named_parameters() if one.requires_grad})


def base_of(tuned: Tuned) -> Base:
    """The same model without the adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in tuned.model.modules() if isinstance(module, BaseTunerLayer)]

    @contextmanager
    def without() -> Iterator[None]:
        # Not by PEFT's `enable_adapters`, which decides anew which matrices are trained.
        for layer in layers:
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in layers:
                layer._disable_adapters = False

    return Base(Tuned(tuned.model, None, {}), without)


def files(tuned: Tuned, settings: Settings, base: str) -> Mapping[str, Callable[[Path], None]]:
    """PEFT's files of the adapter, each with what writes it. `base` is the name that the base model is loaded by."""

    def config() -> Any:
        layers = dict.fromkeys(name.partition(".lora_")[0].rpartition(".")[2] for name in tuned.trainable)
        own = _peft_config(settings, tuned.model, list(layers))
        if settings.init == "pissa":  # saved with what is taken away: twice the rank, the same scale
            own.r *= 2
            own.lora_alpha *= 2**0.5 if settings.use_rslora else 2
        return own

    def write(path: Path) -> None:
        import torch

        parts = _parts(tuned)
        write_weights(path, {name: torch.cat(own, _rank_side(name)) for name, own in parts.items()})

    return {WEIGHTS_FILE: write, CONFIG_FILE: lambda path: write_config(path, config(), base)}


def load(tuned: Tuned, folder: Path) -> None:
    """Puts saved weights into an attached adapter. Raises `UserError` where they do not fit."""
    import torch

    path = folder / WEIGHTS_FILE
    saved, parts = read_weights(path), _parts(tuned)
    whole = {name: torch.cat(own, _rank_side(name)).shape for name, own in parts.items()}
    unlike = [name for name in whole.keys() & saved.keys() if whole[name] != saved[name].shape]
    if saved.keys() != whole.keys() or unlike:
        first = next(iter([*sorted(saved.keys() ^ whole.keys()), *unlike]))
        raise mistake(
            f"the saved adapter does not fit the settings: {first}",
            str(path),
            "resume with the settings that it was made with (settings.yaml beside it)",
        )
    with torch.no_grad():
        for name, own in parts.items():
            for parameter, tensor in zip(own, saved[name].chunk(len(own), _rank_side(name)), strict=True):
                parameter.copy_(tensor)


def opens(folder: Path, config: Mapping[str, Any]) -> bool:
    """An adapter of PEFT's kind LORA that was trained on plain weights."""
    return config.get("peft_type") == "LORA" and not (folder / QUANTIZATION_FILE).is_file()


def open_adapter(model: torch.nn.Module, folder: Path) -> Tuned:
    """The model with a saved adapter, ours or PEFT's own, ready for inference. Changes `model`.

    Raises `UserError` where its files are damaged, or made for another model.
    """
    hush()
    from peft import PeftConfig, inject_adapter_in_model, set_peft_model_state_dict

    facts, saved = read_config(folder), read_weights(folder / WEIGHTS_FILE)
    base = facts.get("base_model_name_or_path")
    remedy = f"name the model that it was made for ({base}), or {AGAIN}"
    model.requires_grad_(False)
    try:
        inject_adapter_in_model(PeftConfig.from_pretrained(str(folder)), model)
        own = {name.removeprefix(PEFT_PREFIX): tensor for name, tensor in saved.items()}
        outcome: Any = set_peft_model_state_dict(model, own)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        reason = str(error).partition("\n\t")[2] or str(error)
        raise mistake(f"the adapter does not fit the model: {reason.strip()}", str(folder), remedy) from error
    absent = [name for name in outcome.missing_keys if f".{ADAPTER}" in name]
    if wrong := [*outcome.unexpected_keys, *absent]:
        raise mistake(f"the adapter does not fit the model: {wrong[0]}", str(folder), remedy)
    model.requires_grad_(False)
    model.eval()
    return Tuned(model, None, {})


def merge(tuned: Tuned) -> None:
    """Adds the adapter to the weights that it stands beside, in place, and takes it out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(tuned.model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            tuned.model.set_submodule(name, module.get_base_layer())
    del tuned.model.peft_config


def interpolates(settings: Settings) -> bool:
    """Whether there are weights between base's and these: DoRA's change is no multiple of anything that it keeps."""
    return not settings.use_dora


def interpolate(tuned: Tuned, share: float, base: Callable[[], torch.nn.Module]) -> None:
    """The weights become base + `share` x (tuned - base), in place: B A is scaled, and so is what PiSSA takes away."""
    del base
    import torch

    with torch.no_grad():
        for name, own in _parts(tuned).items():
            if ".lora_B." in name:
                for part in own:
                    part.mul_(share)


# --------------------------------------------------------------------------------------- layers that are asked for


def _own_names(layers: Mapping[str, Any]) -> list[str]:
    """The last parts of whole names, each once: `["q_proj", "k_proj", ...]`."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in layers))


def _chosen(settings: Settings, names: list[str]) -> list[str]:
    """Those of some whole names that the settings ask for, as PEFT reads them."""
    wanted = settings.target_modules
    if wanted == "all-linear":
        return names
    if isinstance(wanted, str):
        return [name for name in names if re.fullmatch(wanted, name)]
    return [name for name in names if any(name == one or name.endswith(f".{one}") for one in wanted)]


def _misfits(settings: Settings, model: torch.nn.Module, layers: Mapping[str, Any]) -> Iterator[Mistake]:
    wanted, place = settings.target_modules, "training_config.lora_config.target_modules"
    has = f"it has {', '.join(_own_names(layers))}"
    if isinstance(wanted, str):
        try:
            re.compile(wanted)
        except re.error as error:
            yield Mistake(f"the pattern {wanted!r} cannot be read: {error}", place, "write a list of names")
            return
        remedy = (
            f"layers are named like {next(iter(layers))}; or a list of {', '.join(_own_names(layers))}; or all-linear"
        )
        if not _chosen(settings, list(layers)):
            yield Mistake(f"the pattern {wanted!r} matches no linear layer of the model", place, remedy)
    else:
        unknown = [
            one for one in wanted if not _chosen(settings.model_copy(update={"target_modules": (one,)}), list(layers))
        ]
        every = [name for name, _ in model.named_modules()]
        known = [one for one in unknown if _chosen(settings.model_copy(update={"target_modules": (one,)}), every)]
        if absent := [one for one in unknown if one not in known]:
            yield Mistake(f"the model has no linear layer named {', '.join(absent)}", place, has)
        if known:
            yield Mistake(f"no linear layer of those that LoRA stands beside: {', '.join(known)}", place, has)
    every = [name for name, _ in model.named_modules() if name and name not in layers]
    if isinstance(wanted, str) and wanted != "all-linear" and (others := _chosen(settings, every)):
        yield Mistake(f"the pattern {wanted!r} matches {others[0]} too, which is no linear layer", place, has)
    widths = {name: _width(layers[name]) for name in _chosen(settings, list(layers))}
    narrow = min(widths, key=lambda name: widths[name], default=None)
    if narrow is not None and settings.r > widths[narrow]:
        message = f"the rank {settings.r} is over the width {widths[narrow]} of {narrow}"
        remedy = f"write at most {widths[narrow]}; more could not change the layer further"
        yield Mistake(message, "training_config.lora_config.r", remedy)


def _width(layer: Any) -> int:
    """The smaller side of a linear layer's matrix."""
    return min(_sides(layer))


def _sides(layer: Any) -> tuple[int, int]:
    """Inputs and outputs of a linear layer, whose matrix may be kept in four bits. GPT-2's has them the other way."""
    inputs, outputs = (layer.in_features, layer.out_features) if hasattr(layer, "in_features") else layer.weight.shape
    return int(inputs), int(outputs)


# ------------------------------------------------------------------------------------------------- PEFT's layers


def _peft_config(settings: Settings, model: torch.nn.Module, layers: list[str]) -> Any:
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


def _measure(layer: Any) -> None:
    """DoRA's lengths of the weight's rows, in float32 as each forward pass measures them.

    PEFT takes them in the weight's own type, which moves the output at step 0.
    """
    import torch
    from peft.utils.integrations import dequantize_module_weight

    lengths = layer.lora_magnitude_vector[ADAPTER]
    weight = dequantize_module_weight(layer.get_base_layer()).float()
    lengths.weight.data = lengths.get_weight_norm(weight, torch.zeros((), device=weight.device), scaling=1.0)


def _start_from_principal_directions(layer: Any, config: Any) -> None:
    """Both matrices from the weight's r largest singular values: s B A is its best approximation of rank r.

    A second, frozen pair takes the same away, so the weight stays as it is and step 0 is the base, exactly; PiSSA takes
    it out of the weight, which is the same function. Source: Meng et al., PiSSA (2024).
    """
    import copy

    import torch

    plain = copy.copy(config)
    plain.lora_dropout = 0.0
    layer.update_layer(START, config.r, lora_alpha=config.lora_alpha, config=plain)
    weight = layer.get_base_layer().weight.detach().float()
    weight = weight.T if layer.fan_in_fan_out else weight
    left, lengths, right = torch.svd_lowrank(weight, q=min(2 * config.r, *weight.shape), niter=8)
    scale = (lengths[: config.r] / layer.scaling[ADAPTER]).sqrt()
    first, second = scale[:, None] * right[:, : config.r].T, left[:, : config.r] * scale
    for name, sign in ((ADAPTER, 1), (START, -1)):
        layer.lora_A[name].weight.data = first.clone(memory_format=torch.contiguous_format)
        layer.lora_B[name].weight.data = (sign * second).contiguous()
    layer.set_adapter([ADAPTER, START])
    for part in (layer.lora_A[START], layer.lora_B[START]):
        part.requires_grad_(False)


def _parts(tuned: Tuned) -> dict[str, list[torch.Tensor]]:
    """PEFT's name of each saved tensor, with what is put together in it: the trained one, and the frozen start."""
    every = dict(tuned.model.named_parameters())
    starts = {name: every.get(name.replace(f".{ADAPTER}.", f".{START}.")) for name in tuned.trainable}
    return {
        _peft_name(name): [own, *(one for one in (starts[name],) if one is not None)]
        for name, own in tuned.trainable.items()
    }


def _rank_side(name: str) -> int:
    """The side of a saved matrix that is as wide as the rank: A (r, inputs), B (outputs, r)."""
    return 1 if ".lora_B." in name else 0


def _peft_name(name: str) -> str:
    """`q_proj.lora_A.default.weight` is saved as `base_model.model.q_proj.lora_A.weight`, DoRA's lengths without the
    last part."""
    plain = PEFT_PREFIX + re.sub(rf"(\.lora_\w+)\.{ADAPTER}(?=\.|$)", r"\1", name)
    return plain.removesuffix(".weight") if ".lora_magnitude_vector" in plain else plain
