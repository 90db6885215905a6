"""A model's name -> weights, tokenizer and template in memory, with an earlier adapter merged in or put on top."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from luthier import models
from luthier.engine.forward import Engine
from luthier.flow import Event, Note, Tuned
from luthier.models import Source

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Named:
    """A model that is on this machine, its tokenizer and the end marks of its generation settings."""

    source: Source
    tokenizer: Any
    context_length: int | None
    eos: tuple[int, ...]


def find(name: str) -> Generator[Event, None, Named]:
    """The model of that name, fetched first where need be and said at once; its weights are not loaded yet."""
    lines: SimpleQueue[str] = SimpleQueue()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(models.resolve, name, lines.put)
        while not (fetching.done() and lines.empty()):
            with suppress(Empty):
                yield Note("file", lines.get(timeout=0.05))
    source = fetching.result()
    tokenizer = models.load_tokenizer(source)
    shape = models.describe(source)
    return Named(source, tokenizer, shape.context_length, models.generation_stops(source, tokenizer))


def open_base(named: Named, precision: str) -> torch.nn.Module:
    """The model before tuning. Where it is a run's adapter, that is merged into its weights."""
    import torch

    from luthier.methods import lora

    model: torch.nn.Module = models.load_model(named.source, getattr(torch, precision))
    if named.source.adapter is not None:
        lora.merge(lora.open_adapter(model, named.source.adapter))
    return model


def engine_of(model: torch.nn.Module) -> Engine:
    """The engine of a model that is only used, not trained."""
    model.requires_grad_(False)
    model.eval()
    return Engine(Tuned(model, None, {}))
