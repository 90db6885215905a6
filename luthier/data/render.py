"""Renders a conversation: for each trained answer what inference sends before it, what the model must emit, its end.

Inference wins. The prompt is the template on the messages before the answer with its generation prompt, unedited; the
answer is what has to follow that very prompt. A template that writes an answer otherwise than it asks for one (marks of
thinking in the generation prompt, blocks behind the last message) is followed as far as its own text says how, and
refused with the reason where it does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from luthier.data.templates import (
    PROBE_TOOL,
    RenderError,
    Template,
    beginnings,
    call_of_probe,
    send,
    special_marks,
)
from luthier.flow import Conversation, Message, Place, Problem, Rendered, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["answers", "last_answer", "everything"]

Tools = Sequence[Mapping[str, Any]]

STAND_IN = "\ue000\ue001"
"""Two letters without a meaning that stand for an answer when a template is asked what it puts around one."""

_BEGUN = re.compile(r"<([\w:]+)>\s*$")
"""A text that ends in a part just begun: `<think>` and spaces."""

_OVER = re.compile(r"\s*(?:<([\w:]+)>\s*)?</[\w:]+>\s*")
"""A part without content, or the end of one: `<think>\n</think>`, `</think>`."""


def render(
    conversation: Conversation, template: Template, tokenizer: PreTrainedTokenizerBase, train_on: TrainOn = "answers"
) -> Rendered | Problem:
    r"""The trained turns of a conversation, or why it has none.

    `answers` takes each assistant message with a weight above 0, `last_answer` the last of them, `everything` all of
    them, those of weight 0 too: there the tokens between answers are trained on and a turn's weight is its answer's.

    A ChatML template on user `2+2?`, assistant `4`: prompt `<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n`,
    answer `4`, end `<|im_end|>`.
    """
    messages = conversation.messages
    answers = [number for number, message in enumerate(messages) if message.role == "assistant"]
    if train_on != "everything":
        answers = [number for number in answers if messages[number].weight > 0]
    if train_on == "last_answer":
        answers = answers[-1:]
    if not any(messages[number].weight > 0 for number in answers):
        return _problem("nothing_trained", conversation.place, "no answer of this row has a weight above 0", "give one")
    turns = []
    texts: list[tuple[str, str] | None] | None = None
    if not conversation.tools and answers[0] > 0:
        # A refusal is told below, by the answer at which it comes.
        with suppress(RenderError):
            texts = beginnings(messages[: answers[-1] + 1], template, tokenizer)
    for number in answers:
        typed = _special(tokenizer).search(_own_words(messages[number]))
        if typed:
            return _problem(
                "special_mark",
                conversation.place,
                f"an answer holds {typed[0]}, one of the model's own special marks, at which it would go astray",
                "write it otherwise in that answer, or leave it out",
            )
        try:
            before, whole = (texts[number - 1], texts[number]) if texts else (None, None)
            known = (before[0], whole[1]) if before and whole else None
            turn = _turn(messages[: number + 1], template, tokenizer, conversation.tools, known)
        except RenderError as refusal:
            message = f"the {template.name} template: {refusal}"
            return _problem("template", conversation.place, message, refusal.remedy)
        if not turn.prompt and conversation.form != "text":
            return _problem("empty_prompt", conversation.place, "nothing stands before the answer", "give it an input")
        turns.append(turn)
    return Rendered(tuple(turns), conversation.place, conversation.category)


def render_all(
    conversations: Iterable[Conversation],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn = "answers",
) -> Iterable[Rendered | Problem]:
    """`render` for each conversation, in order, one at a time."""
    return (render(conversation, template, tokenizer, train_on) for conversation in conversations)


def stop_tokens(
    template: Template, tokenizer: PreTrainedTokenizerBase, generation_eos: int | Iterable[int] | None = ()
) -> tuple[int, ...]:
    """The token numbers at which inference stops: the tokenizer's end mark, those of the model's generation config, and
    the marks that the template puts behind an answer and behind a call of a tool. Sorted."""
    stops = {generation_eos} if isinstance(generation_eos, int) else set(generation_eos or ())
    if tokenizer.eos_token_id is not None:
        stops.add(tokenizer.eos_token_id)
    if usual := _usual(template, tokenizer):
        stops.add(token_number(usual.end, tokenizer))
    if end := _call_end(template, tokenizer):
        stops.add(token_number(end, tokenizer))
    return tuple(sorted(stops))


@lru_cache(maxsize=64)
def token_number(mark: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The number of a token that stands in the vocabulary as a whole."""
    number = tokenizer.convert_tokens_to_ids(mark)
    assert isinstance(number, int), f"{mark!r} is no token"
    return number


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these texts, the longest first; none of them where there are none."""
    longest_first = sorted({text for text in texts if text.strip()}, key=len, reverse=True)
    return re.compile("|".join(re.escape(text) for text in longest_first) or "(?!)")


_WITHOUT_THINKING = "take the thinking out of the row, or write it into the content as the model should say it"


@dataclass(frozen=True, slots=True)
class _Surrounding:
    """What a template puts around an answer.

    `head` is all the text before its content and `tail` all behind it; `opening` is the part of the head that the model
    itself must emit after the prompt, `closing` the part of the tail that it must emit before the mark `end`.
    """

    head: str
    tail: str
    opening: str
    closing: str
    end: str


def _turn(
    messages: Sequence[Message],
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: Tools,
    known: tuple[str, str] | None = None,
) -> Turn:
    """The turn whose answer is the last message. Raises `RenderError`.

    `known` are the texts of the messages before it with a generation prompt, and of all without, if they are at hand.
    """
    before, answer = messages[:-1], messages[-1]
    if known:
        prompt, whole = known
    else:
        prompt = send(before, template, tokenizer, tools)
        whole = send(messages, template, tokenizer, tools, ask=False)
    for tool in tools:
        if _tool_name(tool) not in prompt:
            raise RenderError(
                f"it leaves the tool {_tool_name(tool)} out: the model would not know of it",
                "describe the tools in the system message, and take `tools` out of the row",
            )
    usual = _usual(template, tokenizer)
    if answer.reasoning or answer.tool_calls:
        text, end = _composed(messages, prompt, whole, template, tokenizer, tools)
        _require_all(answer, text)
    elif usual and whole == f"{prompt}{usual.opening}{answer.content}{usual.tail}":
        text, end = f"{usual.opening}{answer.content}{usual.closing}", usual.end
    else:
        text, end = _plain(messages, prompt, whole, template, tokenizer, tools)
    return Turn(prompt, text, end, answer.weight)


def _plain(
    messages: Sequence[Message],
    prompt: str,
    whole: str,
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: Tools,
) -> tuple[str, str]:
    """What the model must emit for a last message that is content alone, and its end mark."""
    content = messages[-1].content
    around = _surrounding(messages[:-1], prompt, template, tokenizer, tools)
    if whole.startswith(prompt) and whole.endswith(around.tail):
        answer = whole[len(prompt) : len(whole) - len(around.tail)]
    elif whole.startswith(around.head) and whole.endswith(around.tail):
        answer = around.opening + whole[len(around.head) : len(whole) - len(around.tail)]
    else:
        answer = around.opening + content
    begun = _BEGUN.search(prompt)
    if begun and content.lstrip().startswith(f"<{begun[1]}>"):
        # The prompt has opened the part with which this content begins: the model goes on inside it.
        answer = content.lstrip().removeprefix(f"<{begun[1]}>")
        answer = answer.removeprefix(_shared(answer, prompt[begun.end(1) + 1 :]))
    if not answer.strip():
        raise RenderError("it renders nothing of the answer")
    if not _squeezed(prompt + answer).endswith(_squeezed(content)):
        raise RenderError(f"it changes the answer: the row has {_shown(content)}, the template writes {_shown(answer)}")
    return answer + around.closing, around.end


def _composed(
    messages: Sequence[Message],
    prompt: str,
    whole: str,
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    tools: Tools,
) -> tuple[str, str]:
    """What the model must emit for a last message with thinking or calls, and its end mark.

    Where the answer ends is found by the same message with a stand-in as its last part: the last call's arguments, or
    the content.
    """
    before, answer = messages[:-1], messages[-1]
    begun = _BEGUN.search(prompt)
    if answer.reasoning and begun and _squeezed(answer.reasoning) not in _squeezed(whole):
        # The template shows no thinking, and its prompt begins some: the model has to end it.
        rest = _turn((*before, replace(answer, reasoning=None)), template, tokenizer, tools)
        if rest.answer.lstrip().startswith(f"</{begun[1]}>"):
            return answer.reasoning.strip() + rest.answer, rest.end
    if answer.tool_calls:
        *calls, last = answer.tool_calls
        name = next(iter(last.arguments), "value")
        other = replace(answer, tool_calls=(*calls, replace(last, arguments={name: STAND_IN})))
    else:
        other = replace(answer, content=STAND_IN)
    written = send((*before, other), template, tokenizer, tools, ask=False)
    if answer.reasoning and _squeezed(answer.reasoning) not in _squeezed(whole):
        raise RenderError("it leaves the answer's thinking out", _WITHOUT_THINKING)
    if written.count(STAND_IN) != 1:
        many = len(answer.tool_calls)
        part = f"call {many} of {many}" if many > 1 else "call" if many else "content"
        if STAND_IN not in written:
            raise RenderError(f"it leaves the answer's {part} out")
        raise RenderError(f"it renders the answer's {part} {written.count(STAND_IN)} times")
    head, _, tail = written.partition(STAND_IN)
    silent = send(before, template, tokenizer, tools, ask=False)
    asked = prompt[len(silent) :] if prompt.startswith(silent) else ""
    end, after = _ending(tail, head[_parting(prompt, head) :], asked, template, tokenizer)
    if not whole.endswith(after):
        raise RenderError(f"it writes {_shown(after)} behind other answers and not behind this one")
    around = _surrounding(before, prompt, template, tokenizer, tools)
    return _emitted(prompt, whole.removesuffix(after), asked, around, answer, tokenizer), end


def _ending(
    tail: str, emitted: str, asked: str, template: Template, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, str]:
    """An answer's end mark, and all that the template writes from there on; `tail` is what stands behind its last part.

    The end mark is the first that closes nothing which the model has opened itself (`emitted`). Where the template goes
    on with what begins a message (`asked`), or writes nothing more, the answer ends as plain ones do.
    """
    usual = _usual(template, tokenizer)
    ends = {usual.end if usual else None, tokenizer.eos_token} - {None}
    place = len(tail)
    for mark in added_marks(tokenizer).finditer(tail):
        if mark[0] in asked:
            place = mark.start()
            break
        if mark[0] in ends or not _closes(mark[0], emitted + tail[: mark.start()]):
            return mark[0], tail[mark.start() :]
    end = usual.end if usual else tokenizer.eos_token
    if not end:
        raise RenderError("it puts no end mark behind an answer and the tokenizer names none")
    return str(end), tail[place:]


def _closes(mark: str, text: str) -> bool:
    """Whether a mark is the end of a part that the text has begun: `</call>` of `<call>`, `<call|>` of `<|call>`,
    `<|call_end|>` of `<|call_begin|>`, `<|"|>` of `<|"|>`."""
    begin = mark.rstrip(">]")
    begins = {begin.replace("</", "<"), begin.replace("[/", "["), re.sub(r"^<(\w+)\|$", r"<|\1", begin)}
    begins |= {begin.replace("end", word) for word in ("begin", "start")}
    quoted = text.count(mark) % 2 == 1
    return quoted or any(other in text for other in begins - {begin})


def _emitted(
    prompt: str,
    whole: str,
    asked: str,
    around: _Surrounding,
    answer: Message,
    tokenizer: PreTrainedTokenizerBase,
) -> str:
    """What the model must emit behind the prompt, so that the answer is as the template writes it in `whole`.

    `asked` is the end of the prompt with which the template asks for an answer; `around` is how it writes plain ones.
    """
    if whole.startswith(prompt):
        return whole[len(prompt) :]
    parting = _parting(prompt, whole)
    wanted, written = prompt[parting:], whole[parting:]
    if not wanted.strip():
        return written
    begun = re.fullmatch(r"\s*<([\w:]+)>\s*", wanted)
    if begun and written.lstrip().startswith(f"<{begun[1]}>"):
        return written.lstrip().removeprefix(f"<{begun[1]}>")
    if answer.reasoning and added_marks(tokenizer).search(wanted):
        raise RenderError(
            f"inference asks for the answer with {_shown(wanted)}, and the row's thinking has no place behind that",
            _WITHOUT_THINKING,
        )
    if whole.startswith(around.head) and not (answer.reasoning and around.opening):
        return around.opening + whole[len(around.head) :]
    if _OVER.fullmatch(wanted):
        empty = _OVER.match(written)
        return written[empty.end() :] if empty else written
    if added_marks(tokenizer).search(asked) and (place := whole.rfind(asked)) >= 0:
        return whole[place + len(asked) :]
    raise RenderError(
        f"it asks for an answer with {_shown(wanted)} and writes one as {_shown(written)}: "
        "what the model should emit cannot be told from that"
    )


def _parting(prompt: str, whole: str) -> int:
    """Where two texts begin to differ, at the beginning of a mark if that is inside of one."""
    same = len(_shared(prompt, whole))
    cut = prompt.rfind("<", 0, same)
    return cut if cut > prompt.rfind(">", 0, same) else same


def _tool_name(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or tool).get("name", ""))


def _require_all(answer: Message, text: str) -> None:
    """Raises `RenderError` where a template leaves part of an answer out, or writes it otherwise."""
    squeezed = _squeezed(text)
    if answer.reasoning and _squeezed(answer.reasoning) not in squeezed:
        raise RenderError("it leaves the answer's thinking out", _WITHOUT_THINKING)
    if _squeezed(answer.content) not in squeezed:
        raise RenderError(f"it leaves the content beside the {'call' if answer.tool_calls else 'thinking'} out")
    for number, call in enumerate(answer.tool_calls, 1):
        of = f"call {number} of {len(answer.tool_calls)}" if len(answer.tool_calls) > 1 else "the call"
        for value in (call.name, *_leaves(call.arguments)):
            if not any(_squeezed(form) in squeezed for form in _forms(value)):
                raise RenderError(f"it leaves {_shown(str(value))} out of {of} of the tool {call.name}")


def _leaves(value: Any) -> Iterator[Any]:
    """The names and the plain values in a call's arguments."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _forms(value: Any) -> set[str]:
    """The ways in which templates write a plain value: as text, as JSON, as JSON in ASCII, as Python does in a list."""
    if not isinstance(value, str):
        return {str(value), json.dumps(value)}
    quoted = (json.dumps(value, ensure_ascii=False), json.dumps(value), repr(value))
    return {value, *(text[1:-1] for text in quoted)}


def _own_words(answer: Message) -> str:
    """All that an answer's writer has typed."""
    if not answer.tool_calls and not answer.reasoning:
        return answer.content
    calls = [text for call in answer.tool_calls for text in (call.name, *map(str, _leaves(call.arguments)))]
    return "\n".join((answer.reasoning or "", answer.content, *calls))


@lru_cache(maxsize=16)
def _usual(template: Template, tokenizer: PreTrainedTokenizerBase) -> _Surrounding | None:
    """What the template puts around an answer to a plain question; None where it takes no such conversation."""
    for messages, tools in _PLAIN_QUESTIONS:
        try:
            prompt = send(messages, template, tokenizer, tools)
            return _surrounding(messages, prompt, template, tokenizer, tools)
        except RenderError:
            continue
    return None


_QUESTION = Message("user", "?")
_PLAIN_QUESTIONS: tuple[tuple[tuple[Message, ...], Tools], ...] = (
    ((_QUESTION,), ()),
    ((Message("system", "?"), _QUESTION), ()),
    ((_QUESTION,), (PROBE_TOOL,)),
)


@lru_cache(maxsize=16)
def _call_end(template: Template, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The mark that the template puts behind a call of a tool; None where it takes none."""
    messages = (_QUESTION, call_of_probe("x"))
    try:
        prompt = send(messages[:1], template, tokenizer, (PROBE_TOOL,))
        whole = send(messages, template, tokenizer, (PROBE_TOOL,), ask=False)
        return _composed(messages, prompt, whole, template, tokenizer, (PROBE_TOOL,))[1]
    except RenderError:
        return None


def _surrounding(
    before: Sequence[Message], prompt: str, template: Template, tokenizer: PreTrainedTokenizerBase, tools: Tools
) -> _Surrounding:
    """What the template puts around an answer to these messages. Raises `RenderError`."""
    whole = send((*before, Message("assistant", STAND_IN)), template, tokenizer, tools, ask=False)
    if whole.count(STAND_IN) != 1:
        raise RenderError(f"it renders an answer {whole.count(STAND_IN)} times")
    head, _, tail = whole.partition(STAND_IN)
    mark = added_marks(tokenizer).search(tail)
    if mark is None and not tokenizer.eos_token:
        raise RenderError("it puts no end mark behind an answer and the tokenizer names none")
    closing, end = (tail[: mark.start()], mark[0]) if mark else ("", str(tokenizer.eos_token))
    return _Surrounding(head, tail, _opening(prompt, head, tokenizer), closing, end)


def _opening(prompt: str, head: str, tokenizer: PreTrainedTokenizerBase) -> str:
    r"""What the model must emit after the prompt, before the answer's content, by how the template writes answers.

    - `..assistant\n` and `..assistant\n<think>\n\n</think>\n\n`: the empty thinking, as the template writes it
    - `..assistant\n<think>\n` and `..assistant\n<think></think>`: `</think>`
    - `..assistant\n<think>\n` and `..assistant\n`: the prompt began to think and the answer has no thought, so the part
      is closed: `\n</think>\n\n`
    - `..assistant\n<think></think>` and `..assistant\n`: nothing
    - `..<block><assistant>` and `..<assistant>`, a block before the generation prompt that answers do not have: nothing
    """
    if head.startswith(prompt):
        return head[len(prompt) :]
    parting = _parting(prompt, head)
    asked, written = prompt[parting:], head[parting:]
    begun = _BEGUN.search(asked)
    if begun:
        close = f"</{begun[1]}>"
        return written[written.index(close) :] if close in written else f"\n{close}\n\n{written}"
    if not written:
        return ""
    if not asked.strip():
        return written
    if added_marks(tokenizer).search(_shared(prompt[::-1], head[::-1])[::-1]):
        return ""
    raise RenderError(
        f"it asks for an answer with {_shown(asked)} and writes one behind {_shown(written)}: "
        "what the model should emit cannot be told from that"
    )


@lru_cache(maxsize=16)
def added_marks(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds the tokens that were added to the vocabulary as whole words, special or not, but for those of spaces."""
    return any_of(str(token) for token in tokenizer.added_tokens_decoder.values())


@lru_cache(maxsize=16)
def _special(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds the tokens that belong to the model alone."""
    return any_of(special_marks(tokenizer))


def _problem(check: str, place: Place, message: str, remedy: str) -> Problem:
    return Problem(check, "error", place, message, remedy)


def _shared(one: str, other: str) -> str:
    """The beginning that two texts have in common."""
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:38]}...{text[-38:]}")
