"""Full fine-tuning: every weight of the model is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import mistake
from luthier.flow import Base, Tuned
from luthier.methods._adapter import AGAIN, readable
from luthier.settings.schema import Section

if TYPE_CHECKING:
    import torch

SECTION: str | None = None
TRAINS_THE_BASE = True
STARTS_AS_THE_BASE = True
WEIGHTS_FILE = "model.safetensors"


class Settings(Section):
    """Full fine-tuning has no settings of its own."""


def learning_rate(settings: Settings, model: torch.nn.Module) -> tuple[float, str, str]:
    """The learning rate where none is written, with reason and source."""
    del settings, model
    return 2e-5, "the mission's rate, and usual for full tuning", "contract, training_config"


def virtual_tokens(settings: Settings) -> int:
    """None: rows stand alone."""
    del settings
    return 0


def trainable_parameters(settings: Settings, model: torch.nn.Module) -> int:
    """All of them, tied ones once."""
    del settings
    return sum(parameter.numel() for parameter in model.parameters())


def resolve(
    settings: Settings, model: torch.nn.Module, written: Callable[[str], bool], tokenizer: Any = None
) -> list[tuple[str, Any, str]]:
    """Nothing to change."""
    del settings, model, written, tokenizer
    return []


def attach(model: torch.nn.Module, settings: Settings, seed: int, tokenizer: Any = None) -> Tuned:
    """The model with every weight trainable."""
    del settings, seed, tokenizer
    model.requires_grad_(True)
    return Tuned(model, None, dict(model.named_parameters()))


def base_of(tuned: Tuned) -> Base:
    """A copy of the weights as they are now, frozen."""
    import copy

    model: Any = copy.deepcopy(tuned.model)
    return Base(Tuned(model.requires_grad_(False), None, {}))


def files(tuned: Tuned, settings: Settings, base: str) -> Mapping[str, Callable[[Path], None]]:
    """The files of a model folder, each with what writes it."""
    del settings, base
    model: Any = tuned.model

    def write_weights(path: Path) -> None:
        from safetensors.torch import save_file

        # One entry of metadata, because safetensors writes several in a random order; tied weights stand there once.
        once = {name for name, _ in model.named_parameters()}
        tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied}
        save_file(weights, path, metadata={"format": "pt"})

    def write_generation(path: Path) -> None:
        path.write_text(model.generation_config.to_json_string(), encoding="utf-8")

    return {
        WEIGHTS_FILE: write_weights,
        "config.json": lambda path: path.write_text(model.config.to_json_string(), encoding="utf-8") and None,
        "generation_config.json": write_generation,
    }


def load(tuned: Tuned, folder: Path) -> None:
    """Puts saved weights into the model. Raises `UserError` where they cannot be read, or are another model's."""
    from safetensors.torch import load_model

    path = folder / WEIGHTS_FILE
    with readable(path):
        try:
            load_model(tuned.model, path)
        except RuntimeError as error:
            raise mistake(f"the weights are not this model's: {error}", str(path), AGAIN) from error


def interpolates(settings: Settings) -> bool:
    """Whether there are weights between base's and these: there are."""
    del settings
    return True


def interpolate(tuned: Tuned, share: float, base: Callable[[], torch.nn.Module]) -> None:
    """The weights become base + `share` x (tuned - base), in place. Wortsman et al., Robust fine-tuning of zero-shot
    models (2022)."""
    import torch

    before = dict(base().named_parameters())
    with torch.no_grad():
        for name, own in tuned.model.named_parameters():
            own.copy_(torch.lerp(before[name].to(own), own, share))
