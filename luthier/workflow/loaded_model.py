"""A model's name -> weights, tokenizer and template in memory, with an earlier adapter merged in or put on top."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from luthier import models
from luthier.engine.forward import Engine
from luthier.errors import mistake
from luthier.flow import Event, Note, Tuned
from luthier.models import Source
from luthier.settings.schema import Settings
from luthier.workflow import run_file


@dataclass(frozen=True, slots=True)
class Named:
    """A model that is on this machine, its tokenizer and the end marks of its generation settings."""

    source: Source
    tokenizer: Any
    context_length: int | None
    parameters: int
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
    return Named(source, tokenizer, shape.context_length, shape.parameters, models.generation_stops(source, tokenizer))


def open_base(named: Named, settings: Settings) -> Any:
    """The model before tuning, as the method of these settings wants it. Where it is an earlier run's adapter, that is
    merged into its weights.

    Raises `UserError` where the two do not go together.
    """
    precision = settings.training_config.hyperparameters.precision
    method = run_file.method(settings.tuning_method)
    own = getattr(settings.training_config, method.SECTION) if method.SECTION else None
    if named.source.adapter is None:
        return _loaded(method, named, precision, own)
    earlier, adapter = run_file.method_of(named.source.adapter), named.source.adapter
    plain = f"write `model: {named.source.base}`, the model that it was made for"
    if not hasattr(earlier, "merge"):
        message = "its result stands before the rows and in no weights, so no other run can begin at it"
        raise mistake(message, f"model: {named.source.name}", plain)
    if hasattr(method, "load_base"):
        message = f"an adapter is merged before a run begins at it, and {settings.tuning_method} wants files to load"
        merged = f"luthier export {named.source.name} --format merged, and write the folder that it names"
        raise mistake(message, f"model: {named.source.name}", f"{merged}; or {plain}")
    model = _under(earlier, named, precision)
    earlier.merge(earlier.open_adapter(model, adapter))
    return model


def open_for_use(named: Named, precision: str) -> Engine:
    """The engine of a model by its name, with its adapter on it where it is one."""
    import torch

    adapter = named.source.adapter
    if adapter is None:
        return engine_of(Tuned(models.load_model(named.source, getattr(torch, precision)), None, {}))
    method = run_file.method_of(adapter)
    return engine_of(method.open_adapter(_under(method, named, precision), adapter))


def engine_of(tuned: Tuned) -> Engine:
    """The engine of a model that is only used, not trained."""
    tuned.model.requires_grad_(False)
    tuned.model.eval()
    return Engine(tuned)


def _loaded(method: Any, named: Named, precision: str, settings: Any) -> Any:
    import torch

    dtype = getattr(torch, precision)
    if hasattr(method, "load_base"):
        return method.load_base(named.source, dtype, settings)
    return models.load_model(named.source, dtype)


def _under(method: Any, named: Named, precision: str) -> Any:
    """The model under an adapter of this method."""
    assert named.source.adapter is not None
    saved = method.saved_settings(named.source.adapter) if hasattr(method, "saved_settings") else None
    return _loaded(method, named, precision, saved)
