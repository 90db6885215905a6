"""`luthier chat`: talk to a tuned model, or to any model, with exactly the template that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.render import stop_tokens
from luthier.data.templates import Template, load
from luthier.data.tokenize import prompt_tokens
from luthier.engine.forward import Engine
from luthier.engine.generation import grow
from luthier.errors import UserError
from luthier.flow import Message, Place, Question, result_of
from luthier.runs.run import Run
from luthier.workflow.loaded_model import find, open_for_use
from luthier.workflow.opened_run import decoder, open_run

LIMIT = 512
"""Tokens of an answer, unless the model stops by itself before."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A model that answers messages, greedily."""

    engine: Engine
    tokenizer: Any
    template: Template
    stops: tuple[int, ...]

    def why_padded(self) -> str | None:
        """Why the model reads questions its own way and not as a tree; None where it does not."""
        return self.engine.why_padded(LIMIT)

    def ask(self, messages: Sequence[Message], limit: int = LIMIT) -> str:
        """The whole answer to a conversation that ends in a user's message."""
        return "".join(self.stream(messages, limit))

    def stream(self, messages: Sequence[Message], limit: int = LIMIT) -> Iterator[str]:
        """The answer piece by piece, as it grows. Raises `UserError` where the template refuses the messages."""
        text, tokens = prompt_tokens(messages, self.template, self.tokenizer)
        question = Question(tokens, text, "", Place("chat", len(messages)))
        decode, said = decoder(self.tokenizer), ""
        emitted: list[int] = []
        for token in grow(self.engine, question, self.stops, limit):
            emitted.append(token)
            now = decode(emitted)
            if now.endswith("\ufffd"):
                continue
            yield now[len(said) :]
            said = now
        yield decode(emitted)[len(said) :]


def open_chat(run: str, root: Path = Path("runs")) -> Chat:
    """A chat with a run's tuned model, or with a model by any name that `model:` takes."""
    try:
        Run.find(run, root)
    except UserError as no_run:
        try:
            named = result_of(find(run))
        except UserError as no_model:
            raise UserError([*no_run.mistakes, *no_model.mistakes]) from None
        template = load("model", {}, named.tokenizer)
        return Chat(
            open_for_use(named, "float32"), named.tokenizer, template, stop_tokens(template, named.tokenizer, named.eos)
        )
    opened = result_of(open_run(run, root))
    return Chat(opened.tuned(opened.open_base()), opened.tokenizer, opened.template, opened.stops)
