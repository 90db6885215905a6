"""Turns a template text of the run file, with its two placeholders, into an equivalent Jinja chat template."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from luthier.data.templates import special_marks
from luthier.errors import Mistake, UserError, mistake

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def chat_template(
    form: str,
    text: str,
    question: str,
    answer: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    system: tuple[str, str] | None,
) -> str:
    r"""The Jinja template of `formats.<form>.template`, where `question` and `answer` name its placeholders.

    `system` is what stands before and after a system message, None where the form has no place for one. One final line
    break of the text is not part of it. Pairs follow each other with nothing but the end mark between them. What the
    text holds behind the answer is part of what the model must emit; where that names one of the model's own special
    tokens, it is the end mark and none is added. A begin mark is rendered where the tokenizer adds one.

    `"Q: {instruction}\nA: {response}"` renders `2+2` -> `4` as `Q: 2+2\nA: 4</s>`, and asks with `Q: 2+2\nA: `.
    Raises `UserError` with all that is wrong with the placeholders.
    """
    text = text.removesuffix("\n")
    before, between, behind = _parts(form, text, question, answer)
    mark = [] if any(mark in behind for mark in special_marks(tokenizer)) else ["eos_token"]
    if mark:
        end_mark(tokenizer, f"write the mark behind {{{answer}}} in the template")
    opening = begin_marks(tokenizer)
    begin = "" if text.startswith(opening) else _says(quoted(opening))
    name = f"formats.{form}"
    if system is None:
        system_part = refuses(
            f"{name} has no place for a system message; move its text to the input, or use data.template: model"
        )
    else:
        system_part = _says(quoted(system[0]), "message.content", quoted(system[1]))
    order = f"{name} wants a user's and an assistant's message in turn, and a system message only before them"
    tools = f"{name} has no place for tools; use data.template: model with a model whose chat template knows tools"
    return (
        f"{{% if tools %}}{refuses(tools)}{{% endif %}}"
        f"{begin}"
        "{% set ns = namespace(asked=false) %}"
        "{% for message in messages %}"
        f"{{% if message.role == 'system' and loop.first %}}{system_part}"
        "{% elif message.role == 'user' and not ns.asked %}"
        f"{{% set ns.asked = true %}}{_says(quoted(before), 'message.content')}"
        "{% elif message.role == 'assistant' and ns.asked %}"
        f"{{% set ns.asked = false %}}{_says(quoted(between), 'message.content', quoted(behind), *mark)}"
        f"{{% else %}}{refuses(order)}{{% endif %}}"
        "{% endfor %}"
        f"{{% if add_generation_prompt and ns.asked %}}{_says(quoted(between))}{{% endif %}}"
    )


def end_mark(tokenizer: PreTrainedTokenizerBase, otherwise: str) -> str:
    """The tokenizer's end mark. Raises `UserError`, with what else to do, where it names none."""
    if not tokenizer.eos_token:
        raise mistake(
            "this model's tokenizer names no end mark, so a model would never learn to stop",
            "model",
            f"add `eos_token` to its tokenizer_config.json, or {otherwise}",
        )
    return str(tokenizer.eos_token)


def begin_marks(tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of the marks that the tokenizer itself puts in front of a text."""
    letter = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole)):
        if whole[start : start + len(letter)] == letter:
            return "".join(tokenizer.convert_ids_to_tokens(whole[:start]))
    return ""


def quoted(text: str) -> str:
    """The text as a Jinja string. JSON's escapes are Jinja's too; letters beyond ASCII stay as they are."""
    return json.dumps(text, ensure_ascii=False)


def refuses(reason: str) -> str:
    """Jinja that fails with the reason."""
    return f"{{{{ raise_exception({quoted(reason)}) }}}}"


def _parts(form: str, text: str, question: str, answer: str) -> tuple[str, str, str]:
    """The text before the question, between question and answer, and behind the answer."""
    where = f"formats.{form}.template"
    mistakes = []
    for name in (question, answer):
        count = text.count(f"{{{name}}}")
        if count == 0:
            mistakes.append(Mistake(f"it lacks {{{name}}}", where, f"write {{{name}}} where the row's {name} goes"))
        if count > 1:
            mistakes.append(Mistake(f"it holds {{{name}}} {count} times", where, f"keep one {{{name}}}"))
    for name in sorted(set(re.findall(r"\{([A-Za-z_]\w*)\}", text)) - {question, answer}):
        near = difflib.get_close_matches(name, [question, answer], n=1)
        remedy = f"write {{{near[0]}}}" if near else f"its placeholders are {{{question}}} and {{{answer}}}"
        if form == "instruction" and name == "input":
            remedy = "leave it out: a row's input stands under its instruction, after an empty line"
        mistakes.append(Mistake(f"it holds {{{name}}}, which is none of its placeholders", where, remedy))
    if not mistakes and text.index(f"{{{answer}}}") < text.index(f"{{{question}}}"):
        mistakes.append(Mistake(f"{{{answer}}} stands before {{{question}}}", where, "put it behind the question"))
    if mistakes:
        raise UserError(mistakes)
    before, _, rest = text.partition(f"{{{question}}}")
    between, _, behind = rest.partition(f"{{{answer}}}")
    return before, between, behind


def _says(*expressions: str) -> str:
    """Jinja that writes the expressions one after the other, without those that are an empty text."""
    said = [expression for expression in expressions if expression != '""']
    return f"{{{{ {' + '.join(said)} }}}}" if said else ""
