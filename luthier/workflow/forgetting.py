"""Base's numbers on the general set, computed once a model and kept beside the models."""

from __future__ import annotations

from collections.abc import Generator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from luthier import models
from luthier.engine.forward import Engine
from luthier.engine.memory import available_bytes
from luthier.evaluation.forgetting import KEPT, LIMIT, Memory, remember
from luthier.evaluation.general import General
from luthier.flow import Event, Note, Tuned
from luthier.models.cache import home
from luthier.workflow import run_file
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.once import fingerprint, written_aside
from luthier.workflow.opened_run import Opened

ROOM = 1.3
"""What plain weights take to be asked, in times of their own size."""


def remembered(base: Engine, general: General) -> Generator[Event, None, Memory]:
    """What this base model says to the general set: from the cache, or computed and put there.

    It is known by the weights themselves and by the set's tokens. Where the cache cannot be written, it is said.
    """
    if not general.rows:
        return (yield from remember(base, general))
    key = blake2b(f"{general.key} {fingerprint(base.tuned.model)} {KEPT} {LIMIT}".encode(), digest_size=16).hexdigest()
    path = home() / "general" / f"{key}.safetensors"
    try:
        return _read(path)
    except (OSError, SafetensorError, KeyError):
        memory = yield from remember(base, general)
    try:
        _write(path, memory)
    except OSError as error:
        yield Note("warning", f"what base says to the general set cannot be kept ({error.strerror or error}): {path}")
    return memory


def plainly(opened: Opened, general: General) -> Generator[Event, None, Memory | None]:
    """What the model says to the general set with its weights as its files hold them, where the run's method keeps them
    in fewer bits; None where it does not, or where there is no room for them."""
    if not hasattr(run_file.method(opened.settings.tuning_method), "load_base") or not general.rows:
        return None
    precision: Any = opened.settings.training_config.hyperparameters.precision
    dtype = getattr(torch, precision)
    needed, free = ROOM * opened.base.parameters * dtype.itemsize, available_bytes(torch.device("cpu"))
    if needed > free:
        text = f"the plain weights would take {needed / 2**30:.1f} GiB of {free / 2**30:.1f} free"
        yield Note("warning", f"what quantization did is not measured: {text}")
        return None
    model = models.load_model(opened.base.source, dtype)
    return (yield from remembered(opened.in_passes(engine_of(Tuned(model, None, {}))), general))


def _write(path: Path, memory: Memory) -> None:
    arrays = {
        "losses": memory.losses,
        "likeliest": np.concatenate([*memory.likeliest, np.zeros(0, np.int64)]),
        "sizes": np.array([len(part) for part in memory.likeliest], np.int64),
        "answers": np.concatenate([*memory.answers, np.zeros(0, np.int32)]),
        "lengths": np.array([len(part) for part in memory.answers], np.int64),
        "tokens": np.concatenate([*memory.tokens, np.zeros((0, KEPT), np.int64)]),
        "log_probabilities": np.concatenate([*memory.log_probabilities, np.zeros((0, KEPT), np.float32)]),
    }
    with written_aside(path) as aside:
        save_file(arrays, aside)


def _read(path: Path) -> Memory:
    if not path.is_file():
        raise FileNotFoundError(path)
    arrays = load_file(path)

    def parts(name: str, sizes: str) -> tuple[Any, ...]:
        return tuple(np.split(arrays[name], np.cumsum(arrays[sizes])[:-1])) if len(arrays[sizes]) else ()

    return Memory(
        arrays["losses"],
        parts("likeliest", "sizes"),
        parts("answers", "lengths"),
        parts("tokens", "lengths"),
        parts("log_probabilities", "lengths"),
    )
