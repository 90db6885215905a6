"""Full fine-tuning: every weight of the model is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.flow import Tuned
from luthier.settings.schema import Section

if TYPE_CHECKING:
    import torch

SECTION: str | None = None
TRAINS_THE_BASE = True
WEIGHTS_FILE = "model.safetensors"


class Settings(Section):
    """Full fine-tuning has no settings of its own."""


def learning_rate(settings: Settings) -> tuple[float, str, str]:
    """The learning rate where none is written, with reason and source."""
    del settings
    return 2e-5, "the mission's rate, and usual for full tuning", "contract, training_config"


def resolve(settings: Settings, model: torch.nn.Module, written: bool) -> tuple[Settings, str | None]:
    """The settings as they are."""
    del model, written
    return settings, None


def attach(model: torch.nn.Module, settings: Settings, seed: int) -> Tuned:
    """The model with every weight trainable."""
    del settings, seed
    model.requires_grad_(True)
    return Tuned(model, None, dict(model.named_parameters()))


def files(tuned: Tuned, settings: Settings, base: str) -> Mapping[str, Callable[[Path], None]]:
    """The files of a model folder, each with what writes it."""
    del settings, base
    model: Any = tuned.model

    def write_weights(path: Path) -> None:
        from safetensors.torch import save_model

        save_model(model, str(path), metadata={"format": "pt"})

    def write_generation(path: Path) -> None:
        path.write_text(model.generation_config.to_json_string(), encoding="utf-8")

    return {
        WEIGHTS_FILE: write_weights,
        "config.json": lambda path: path.write_text(model.config.to_json_string(), encoding="utf-8") and None,
        "generation_config.json": write_generation,
    }


def load(tuned: Tuned, folder: Path) -> None:
    """Puts saved weights into the model."""
    from safetensors.torch import load_model

    load_model(tuned.model, folder / WEIGHTS_FILE)
