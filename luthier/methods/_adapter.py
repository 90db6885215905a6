"""PEFT's two files of an adapter: written as PEFT writes them, and read with any damage said."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import mistake

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
AGAIN = "copy the folder again; `luthier train --resume RUN` writes a run's own weights anew"


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter's configuration. Raises `UserError` where it cannot be read."""
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise TypeError("it is no mapping")
    except (OSError, ValueError, TypeError) as error:
        raise mistake(f"the adapter's configuration cannot be read: {error}", str(path), AGAIN) from error
    return config


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises `UserError` where a safetensors file that is read inside is absent, cut or damaged."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise mistake(f"the weights cannot be read: {error}", str(path), AGAIN) from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file. Raises `UserError` where it is absent, cut or damaged."""
    from safetensors.torch import load_file

    with readable(path):
        return load_file(path)


def write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """One float32 tensor a weight, as PEFT saves trained ones."""
    from safetensors.torch import save_file

    own = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    save_file(own, path, metadata={"format": "pt"})


def write_config(path: Path, config: Any, base: str) -> None:
    """PEFT's configuration, ready for inference on `base`, the name that the model under it is loaded by."""
    facts = config.to_dict() | {"base_model_name_or_path": base, "inference_mode": True}
    path.write_text(json.dumps(facts, indent=2, sort_keys=True, default=sorted) + "\n", encoding="utf-8")


def hush() -> None:
    """Called before PEFT is imported, which imports bitsandbytes where it is there: on CPUs with bfloat16 instructions
    that warns of kernels that it can do without."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
