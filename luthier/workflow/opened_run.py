"""A finished run, opened for use: its settings, its model with the tuned weights, and its template."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from luthier.data.render import stop_tokens
from luthier.data.templates import Template, load
from luthier.engine.forward import Engine
from luthier.engine.memory import Passes
from luthier.flow import Event, Note, Tuned
from luthier.runs.run import Run
from luthier.settings.schema import Settings
from luthier.workflow import run_file
from luthier.workflow.loaded_model import Named, engine_of, find, open_base


@dataclass(frozen=True, slots=True)
class Opened:
    """A run with what it needs to answer. `base` names the model before tuning, `stops` end an answer."""

    run: Run
    settings: Settings
    base: Named
    tokenizer: Any
    template: Template
    stops: tuple[int, ...]

    def open_base(self) -> Any:
        """The model before tuning."""
        return open_base(self.base, self.settings)

    def tuned(self, model: Any) -> Engine:
        """The tuned model, made from the one before tuning, which it changes."""
        method = run_file.method(self.settings.tuning_method)
        if not method.TRAINS_THE_BASE:
            return self.in_passes(engine_of(method.open_adapter(model, self.run.weights)))
        tuned = Tuned(model, None, {})
        method.load(tuned, self.run.weights)
        return self.in_passes(engine_of(tuned))

    def in_passes(self, engine: Engine) -> Engine:
        """The engine in passes as small as the run's own were in the end: what fitted there fits here."""
        kept = self.run.read_passes()
        if kept is None:
            return engine
        passes = passes_of(kept)
        return passes[max(passes)].put_on(engine)


def passes_of(kept: Any) -> dict[int, Passes]:
    """A run's passes.json: how much goes through the model at once, by the first step that it is for."""
    return {
        entry["from_step"]: Passes(**{name: value for name, value in entry.items() if name != "from_step"})
        for entry in kept["passes"]
    }


def open_run(name: str, root: Path) -> Generator[Event, None, Opened]:
    """The run of that name or folder. Raises `UserError` where it has no weights yet."""
    from luthier import models

    run = Run.find(name, root)
    weights = run.require_weights()
    if fault := run.damage():
        yield Note("warning", f"{run.folder} is not what it was when the run began: {fault}")
    settings = run_file.read([str(run.settings_path)]).settings
    base = yield from find(settings.model)
    tokenizer = models.load_tokenizer(models.Source(name, "folder", weights))
    template = load("model", {}, tokenizer)
    if settings.data.date != "auto":
        template = replace(template, day=settings.data.date)
    return Opened(run, settings, base, tokenizer, template, stop_tokens(template, tokenizer, base.eos))


def decoder(tokenizer: Any) -> Callable[[Sequence[int]], str]:
    """Tokens -> their exact text, special marks too: what a model emits before its stop is its answer."""
    return lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))
