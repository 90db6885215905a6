"""The battery that every template file passes, new ones included."""

from __future__ import annotations

from typing import Any

import pytest

from luthier import plugins
from luthier.data.render import render, stop_tokens
from luthier.data.templates import Template, load, send
from luthier.data.tokenize import prove, question, tokenize
from luthier.flow import Conversation, Form, Message, Place, Rendered
from luthier.models import Source, load_tokenizer
from luthier.settings.mission import FORMATS

NAMES = plugins.names("luthier.data.templates")
CONVERSATIONS = {
    "one pair": (Message("user", "2+2?"), Message("assistant", "4")),
    "two pairs": (
        Message("user", "2+2?"),
        Message("assistant", "4"),
        Message("user", "And\n\n3+3?"),
        Message("assistant", "Sechs – ✓\n\nok"),
    ),
    "template marks and braces": (
        Message("user", "{response} {{ eos_token }} {% if x %} <|user|>"),
        Message("assistant", '{"a": {"b": "{output}"}}'),
    ),
}


@pytest.fixture(scope="module", params=["tiny", "packaged"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """A tokenizer with a chat template of its own: a made one, and the packaged model's."""
    source: Source = request.getfixturevalue(f"{request.param}_model")
    return load_tokenizer(source)


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest, tokenizer: Any) -> Template:
    return load(request.param, FORMATS, tokenizer)


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_each_row_is_what_inference_sends_and_stops_at(
    messages: tuple[Message, ...], template: Template, tokenizer: Any
) -> None:
    form: Form = "chat" if template.name == "model" else template.name  # type: ignore[assignment]
    rendered = render(Conversation(form, messages, Place("rows.jsonl", 1)), template, tokenizer)
    assert isinstance(rendered, Rendered)
    assert len(rendered.turns) == len(messages) // 2
    whole = send(messages, template, tokenizer, ask=False)
    for number, turn in enumerate(rendered.turns):
        assert turn.prompt == send(messages[: 2 * number + 1], template, tokenizer)
        assert whole.startswith(turn.prompt + turn.answer + turn.end)
        assert turn.answer.endswith(messages[2 * number + 1].content)

    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple)
    assert prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer)) is None
    end = tokenizer.convert_tokens_to_ids(rendered.turns[-1].end)
    assert rows[-1].tokens[-1] == end
    assert rows[-1].weights[-1] == 1

    asked = question(Conversation(form, messages, Place("rows.jsonl", 1)), template, tokenizer)
    length = len(asked.tokens)  # type: ignore[union-attr]
    assert rows[-1].tokens[:length].tolist() == asked.tokens.tolist()  # type: ignore[union-attr]
    assert rows[-1].weights[length:].all()


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
@pytest.mark.parametrize("ask", [True, False])
def test_other_tools_render_the_same_text_and_tokens(
    messages: tuple[Message, ...], ask: bool, template: Template, tokenizer: Any
) -> None:
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = {"chat_template": template.text, "add_generation_prompt": ask}
    text = send(messages, template, tokenizer, ask=ask)
    assert text == tokenizer.apply_chat_template(plain, tokenize=False, **theirs)
    tokens = tokenizer.apply_chat_template(plain, tokenize=True, return_dict=False, **theirs)
    assert tokens == tokenizer(text, add_special_tokens=False)["input_ids"]
