"""Renders a conversation: for each trained answer what inference sends before it, what the model must emit, its end.

Inference wins. The prompt is the template on the messages before the answer with its generation prompt, unedited; the
answer is what has to follow that very prompt. A template that writes an answer otherwise than it asks for one (marks of
thinking in the generation prompt, blocks behind the last message) is followed as far as its own text says how, and
refused with the reason where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from luthier.data.templates import RenderError, Template, send, special_marks
from luthier.flow import Conversation, Message, Place, Problem, Rendered, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["answers", "last_answer", "everything"]

STAND_IN = "\ue000\ue001"
"""Two letters without a meaning that stand for an answer when a template is asked what it puts around one."""


_BEGUN = re.compile(r"<([\w:]+)>\s*$")
"""A text that ends in a part just begun: `<think>` and spaces."""


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
    for number in answers:
        typed = _special(tokenizer).search(messages[number].content)
        if typed:
            return _problem(
                "special_mark",
                conversation.place,
                f"an answer holds {typed[0]}, one of the model's own special marks, at which it would go astray",
                "write it otherwise in that answer, or leave it out",
            )
        try:
            turns.append(_turn(messages[: number + 1], template, tokenizer))
        except RenderError as refusal:
            remedy = "mend the row, or choose another template with data.template"
            return _problem("template", conversation.place, f"the {template.name} template: {refusal}", remedy)
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
    the mark that the template puts behind an answer. Sorted."""
    stops = {generation_eos} if isinstance(generation_eos, int) else set(generation_eos or ())
    if tokenizer.eos_token_id is not None:
        stops.add(tokenizer.eos_token_id)
    if usual := _usual(template, tokenizer):
        stops.add(token_number(usual.end, tokenizer))
    return tuple(sorted(stops))


def token_number(mark: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The number of a token that stands in the vocabulary as a whole."""
    number = tokenizer.convert_tokens_to_ids(mark)
    assert isinstance(number, int), f"{mark!r} is no token"
    return number


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


def _turn(messages: Sequence[Message], template: Template, tokenizer: PreTrainedTokenizerBase) -> Turn:
    """The turn whose answer is the last message. Raises `RenderError`."""
    content, weight = messages[-1].content, messages[-1].weight
    prompt = send(messages[:-1], template, tokenizer)
    whole = send(messages, template, tokenizer, ask=False)
    usual = _usual(template, tokenizer)
    if usual and whole == f"{prompt}{usual.opening}{content}{usual.tail}":
        return Turn(prompt, f"{usual.opening}{content}{usual.closing}", usual.end, weight)

    around = _surrounding(messages[:-1], prompt, template, tokenizer)
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
    return Turn(prompt, answer + around.closing, around.end, weight)


@lru_cache(maxsize=16)
def _usual(template: Template, tokenizer: PreTrainedTokenizerBase) -> _Surrounding | None:
    """What the template puts around an answer to a plain question; None where it takes no such conversation."""
    for messages in ((Message("user", "?"),), (Message("system", "?"), Message("user", "?"))):
        try:
            return _surrounding(messages, send(messages, template, tokenizer), template, tokenizer)
        except RenderError:
            continue
    return None


def _surrounding(
    before: Sequence[Message], prompt: str, template: Template, tokenizer: PreTrainedTokenizerBase
) -> _Surrounding:
    """What the template puts around an answer to these messages. Raises `RenderError`."""
    whole = send((*before, Message("assistant", STAND_IN)), template, tokenizer, ask=False)
    if whole.count(STAND_IN) != 1:
        raise RenderError(f"it renders an answer {whole.count(STAND_IN)} times")
    head, _, tail = whole.partition(STAND_IN)
    mark = _added(tokenizer).search(tail)
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
    same = len(_shared(prompt, head))
    if (cut := prompt.rfind("<", 0, same)) > prompt.rfind(">", 0, same):
        same = cut
    asked, written = prompt[same:], head[same:]
    begun = _BEGUN.search(asked)
    if begun:
        close = f"</{begun[1]}>"
        return written[written.index(close) :] if close in written else f"\n{close}\n\n{written}"
    if not written:
        return ""
    if not asked.strip():
        return written
    if _added(tokenizer).search(_shared(prompt[::-1], head[::-1])[::-1]):
        return ""
    raise RenderError(
        f"it asks for an answer with {_shown(asked)} and writes one behind {_shown(written)}: "
        "what the model should emit cannot be told from that"
    )


@lru_cache(maxsize=16)
def _added(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds the tokens that were added to the vocabulary as whole words, special or not, but for those of spaces."""
    return _any_of(str(token) for token in tokenizer.added_tokens_decoder.values())


@lru_cache(maxsize=16)
def _special(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Finds the tokens that belong to the model alone."""
    return _any_of(special_marks(tokenizer))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted({text for text in texts if text.strip()}, key=len, reverse=True)
    return re.compile("|".join(re.escape(text) for text in longest_first) or "(?!)")


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
