"""How messages become text: Jinja chat templates, the one mechanism for training, for `chat` and for every other tool.

A file here defines `jinja(formats, tokenizer) -> str`, the Jinja text of its template. The text that a run uses is
saved with its weights, so that whoever loads them sends the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import jinja2
import jinja2.exceptions

from luthier import plugins
from luthier.data.templates import _prefixes, _sandbox
from luthier.data.templates._messages import PROBE_TOOL, Dialect, Plain, call_of_probe, find_dialect
from luthier.errors import mistake
from luthier.flow import Form, Message
from luthier.settings.schema import Formats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "PROBE_TOOL",
    "RenderError",
    "Template",
    "beginnings",
    "call_of_probe",
    "choose",
    "load",
    "send",
    "special_marks",
]

Setting = Literal["auto", "model", "formats"]


class RenderError(Exception):
    """A template cannot render these messages. The text says why, in the template's own words where it has any;
    `remedy` is what to do."""

    def __init__(
        self, reason: str, remedy: str = "mend the row, or choose another template with data.template"
    ) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template: `name` is the file that made it (`model`, `instruction`, ...), `text` is Jinja.

    `day` is what a template prints that asks for the date, as `2026-11-23`; empty: the day of now.
    """

    name: str
    text: str
    day: str = ""

    @property
    def prints_the_day(self) -> bool:
        return "strftime_now" in self.text


def choose(setting: Setting, form: Form, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """The template's name and the reason for it, by `data.template` and the rows' form.

    `auto` takes the model's own for chat and preference rows where it has one, else `formats.<form>`. Text rows stand
    as they are.
    """
    if form == "text":
        return "text", "the rows are text rows, which stand as they are"
    written = "chat" if form == "preference" else form
    if setting == "model":
        return "model", "data.template asks for the model's own chat template"
    if setting == "formats":
        return written, f"data.template asks for formats.{written}"
    if written != "chat":
        return written, f"the rows are {form} rows, so formats.{written}"
    if tokenizer.chat_template:
        return "model", f"the rows are {form} rows and the model has a chat template of its own"
    return "chat", f"the rows are {form} rows and the model has no chat template of its own, so formats.chat"


def load(name: str, formats: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> Template:
    """The template of that name. `formats` maps a form to the text of the run file's `formats.<form>.template`.

    Raises `UserError` where the tokenizer has no chat template, or a text's placeholders are wrong.
    """
    module = plugins.load("luthier.data.templates", name)
    template = Template(name, module.jinja(formats, tokenizer))
    try:
        _sandbox.compiled(template.text)
    except jinja2.TemplateSyntaxError as error:
        raise mistake(
            f"the chat template is no valid Jinja: {error.message} (its line {error.lineno})",
            "data.template",
            "write `data.template: formats`, or mend chat_template.jinja beside the tokenizer",
        ) from None
    return template


def for_chat(tokenizer: PreTrainedTokenizerBase) -> Template:
    """What chat rows stand under where no run file says otherwise: the model's own template, else `formats.chat`."""
    name, _ = choose("auto", "chat", tokenizer)
    return load(name, {"chat": Formats().chat.template}, tokenizer)


def send(
    messages: Sequence[Message],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    ask: bool = True,
) -> str:
    """The text of the messages; with `ask`, up to where the model goes on with its answer.

    The same as `tokenizer.apply_chat_template(messages, tools, tokenize=False, add_generation_prompt=ask)`, except that
    the date is the template's `day`, or stands still while the process runs, so that all rows of a run get the same.
    Calls and thinking are handed over as this template reads them (`Dialect`). Raises `RenderError`.
    """
    plain: list[dict[str, Any]] = []
    dialect = None
    for message in messages:
        if message.tool_calls or message.reasoning or message.role == "tool" or message.name is not None:
            dialect = dialect or _dialect(template, tokenizer)
            plain.append(dialect.plain(message))
        else:
            plain.append({"role": message.role, "content": message.content})
    return _rendered(plain, template, tokenizer, [dict(tool) for tool in tools] or None, ask)


def beginnings(
    messages: Sequence[Message], template: Template, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, str] | None] | None:
    """`send` of the first message, of the first two and so on, each with `ask` and without, from one rendering.

    None where this template may write a message otherwise before other ones, or for messages with more than a role and
    content; None in the list for a system message alone, where the template takes it out. Raises `RenderError`.
    """
    program = _prefixes.by_message(template.text)
    if program is None:
        return None
    for message in messages:
        if message.tool_calls or message.reasoning or message.role == "tool" or message.name is not None:
            return None
        if _prefixes.MARK in message.content:
            return None
    plain = [{"role": message.role, "content": message.content} for message in messages]
    values = {"messages": plain, "tools": None, "documents": None, **_marks(tokenizer)}
    text = _checked(lambda: _sandbox.run(program, template.day, **values), template)
    parts = text.split(_prefixes.MARK)
    rounds = len(parts) // 3
    if rounds not in (len(messages), len(messages) - 1):
        return None
    found: list[tuple[str, str] | None] = [None] * (len(messages) - rounds)
    written = ""
    for number in range(0, 3 * rounds, 3):
        written += parts[number]
        found.append((written + parts[number + 1], written + parts[number + 2]))
    return found


def _rendered(
    plain: list[dict[str, Any]],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: list[dict[str, Any]] | None,
    ask: bool,
) -> str:
    values = {"messages": plain, "add_generation_prompt": ask, "tools": tools, "documents": None, **_marks(tokenizer)}
    return _checked(lambda: _sandbox.run(_sandbox.compiled(template.text), template.day, **values), template, tools)


def _checked(render: Callable[[], str], template: Template, tools: Sequence[Any] | None = None) -> str:
    """A rendering, with all that a template may raise as a `RenderError`."""
    try:
        return render()
    except RecursionError:
        raise RenderError("it was stopped: it calls itself without an end") from None
    except MemoryError:
        raise RenderError("it takes more memory than there is") from None
    except jinja2.UndefinedError as error:
        raise RenderError(f"it wants something that inference does not send it: {error}") from error
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        if type(error) in (jinja2.TemplateError, _sandbox.Stopped):
            raise RenderError(str(error)) from error
        if isinstance(error, jinja2.exceptions.SecurityError):
            raise RenderError(f"it does what no template may, here and elsewhere: {error}") from error
        # A template is somebody's program: beside its own refusals it fails like any Python code.
        lack = ", as templates made only for rows with tools do" if "tools" in template.text and not tools else ""
        raise RenderError(f"it fails on these messages{lack} ({error or type(error).__name__})") from error


@lru_cache(maxsize=16)
def _dialect(template: Template, tokenizer: PreTrainedTokenizerBase) -> Dialect:
    def ask(messages: list[Plain]) -> str | None:
        try:
            return _rendered(messages, template, tokenizer, [PROBE_TOOL], ask=False)
        except RenderError:
            return None

    return find_dialect(ask)


def special_marks(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The texts of the tokens that belong to the model alone: what a person types never means one of them."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | {str(token) for token in tokenizer.all_special_tokens}


@lru_cache(maxsize=16)
def _marks(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """`{"bos_token": "<s>", "eos_token": "</s>", ...}`, which templates know by these names."""
    return dict(tokenizer.special_tokens_map)
