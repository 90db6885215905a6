"""How messages become text: Jinja chat templates, the one mechanism for training, for `chat` and for every other tool.

A file here defines `jinja(formats, tokenizer) -> str`, the Jinja text of its template. The text that a run uses is
saved with its weights, so that whoever loads them sends the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from luthier import plugins
from luthier.errors import mistake
from luthier.flow import Form, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Setting = Literal["auto", "model", "formats"]


class RenderError(Exception):
    """A template cannot render these messages. The text says why, in the template's own words where it has any."""


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template: `name` is the file that made it (`model`, `instruction`, ...), `text` is Jinja."""

    name: str
    text: str


def choose(setting: Setting, form: Form, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """The template's name and the reason for it, by `data.template` and the rows' form.

    `auto` takes the model's own for chat rows where it has one, else `formats.<form>`.
    """
    if setting == "model":
        return "model", "data.template asks for the model's own chat template"
    if setting == "formats":
        return form, f"data.template asks for formats.{form}"
    if form != "chat":
        return form, f"the rows are {form} rows, so formats.{form}"
    if tokenizer.chat_template:
        return "model", "the rows are chat rows and the model has a chat template of its own"
    return "chat", "the rows are chat rows and the model has no chat template of its own, so formats.chat"


def load(name: str, formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> Template:
    """The template of that name. `formats` maps a form to the text of the run file's `formats.<form>.template`.

    Raises `UserError` where the tokenizer has no chat template, or a text's placeholders are wrong.
    """
    module = plugins.load("luthier.data.templates", name)
    template = Template(name, module.jinja(formats, tokenizer))
    try:
        _compiled(template.text)
    except jinja2.TemplateSyntaxError as error:
        raise mistake(
            f"the chat template is no valid Jinja: {error.message} (its line {error.lineno})",
            "data.template",
            "write `data.template: formats`, or mend chat_template.jinja beside the tokenizer",
        ) from None
    return template


def send(
    messages: Sequence[Message], template: Template, tokenizer: PreTrainedTokenizerBase, *, ask: bool = True
) -> str:
    """The text of the messages; with `ask`, up to where the model goes on with its answer.

    The same as `tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)`, except that the
    date stands still while the process runs, so that all rows of a run get the same. Raises `RenderError`.
    """
    plain = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return _compiled(template.text).render(
            messages=plain, add_generation_prompt=ask, tools=None, documents=None, **_marks(tokenizer)
        )
    except RecursionError:
        raise RenderError("it calls itself without an end") from None
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        if type(error) is jinja2.TemplateError:
            raise RenderError(str(error)) from error
        # A template is somebody's program: beside its own refusals it fails like any Python code.
        lack = ", as templates made only for rows with tools do" if "tools" in template.text else ""
        raise RenderError(f"it fails on these messages{lack} ({error or type(error).__name__})") from error


def special_marks(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The texts of the tokens that belong to the model alone: what a person types never means one of them."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | {str(token) for token in tokenizer.all_special_tokens}


@lru_cache(maxsize=16)
def _marks(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """`{"bos_token": "<s>", "eos_token": "</s>", ...}`, which templates know by these names."""
    return dict(tokenizer.special_tokens_map)


class _Generation(jinja2.ext.Extension):
    """`{% generation %} ... {% endgeneration %}`, by which some templates mark what is trained: rendered as it stands.

    Trained tokens are found by what inference sends, never by these marks.
    """

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Namespace(jinja2.utils.Namespace):
    """Jinja's namespace without names that begin with an underscore, which would reach behind the sandbox."""

    def __init__(*args: Any, **attributes: Any) -> None:
        for name in dict(*args[1:], **attributes):
            _refuse_hidden(name)
        jinja2.utils.Namespace.__init__(*args, **attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        super().__setitem__(name, value)


def _refuse_hidden(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a template may not keep {name!r} in a namespace")


@lru_cache(maxsize=16)
def _compiled(text: str) -> jinja2.Template:
    """The template in a sandbox that knows what chat templates expect to find there."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    now = datetime.now()

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = cast(Callable[..., Any], raise_exception)
    environment.globals["strftime_now"] = now.strftime
    environment.globals["namespace"] = _Namespace
    template = environment.from_string(text)
    # A chain of dictionaries otherwise, walked at each rendering: a third of the time for a short conversation.
    template.globals = dict(template.globals)
    return template
