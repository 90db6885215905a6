"""What the run file's template texts become, and what is said about those that cannot work."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from luthier.data.templates import RenderError, Template, choose, load, send
from luthier.errors import UserError
from luthier.flow import Message
from luthier.settings.mission import FORMATS

QUESTION = (Message("user", "2+2?"),)
PAIR = (*QUESTION, Message("assistant", "4"))
SYSTEM = Message("system", "Be short.")


def byte_tokenizer(*, adds_begin_mark: bool = False, **marks: str) -> Any:
    """A token for each byte, `<s>` and `</s>` beside them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(["<s>", "</s>", "<stop>"])
    if adds_begin_mark:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 256), ("</s>", 257)]
        )
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=backend, **({"bos_token": "<s>", "eos_token": "</s>"} | marks))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_tokenizer()


def written(form: str, text: str, tokenizer: Any) -> Template:
    return load(form, {form: text}, tokenizer)


def mistakes(form: str, text: str, tokenizer: Any) -> list[tuple[str, str]]:
    with pytest.raises(UserError) as caught:
        written(form, text, tokenizer)
    assert {mistake.where for mistake in caught.value.mistakes} == {f"formats.{form}.template"}
    return [(mistake.message, mistake.remedy) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("form", "asked", "whole"),
    [
        (
            "instruction",
            "### Instruction\n2+2?\n\n### Response\n",
            "### Instruction\n2+2?\n\n### Response\n4</s>",
        ),
        ("chat", "<|user|>\n2+2?\n<|assistant|>\n", "<|user|>\n2+2?\n<|assistant|>\n4</s>"),
        ("completion", "2+2?", "2+2?4</s>"),
    ],
)
def test_the_missions_templates_ask_up_to_the_answer_and_end_right_behind_it(
    form: str, asked: str, whole: str, tokenizer: Any
) -> None:
    template = load(form, FORMATS, tokenizer)
    assert send(QUESTION, template, tokenizer) == asked
    assert send(PAIR, template, tokenizer, ask=False) == whole


def test_pairs_follow_each_other_with_only_the_end_mark_between(tokenizer: Any) -> None:
    template = load("chat", FORMATS, tokenizer)
    more = (*PAIR, Message("user", "3+3?"))
    assert send(more, template, tokenizer) == ("<|user|>\n2+2?\n<|assistant|>\n4</s><|user|>\n3+3?\n<|assistant|>\n")


@pytest.mark.parametrize(
    ("form", "beginning"),
    [
        ("chat", "<|system|>\nBe short.\n<|user|>\n2+2?"),
        ("instruction", "Be short.\n\n### Instruction\n2+2?"),
    ],
)
def test_a_system_message_comes_first(form: str, beginning: str, tokenizer: Any) -> None:
    template = load(form, FORMATS, tokenizer)
    assert send((SYSTEM, *QUESTION), template, tokenizer).startswith(beginning)


def test_a_completion_refuses_a_system_message(tokenizer: Any) -> None:
    with pytest.raises(RenderError, match=r"formats\.completion has no place for a system message"):
        send((SYSTEM, *QUESTION), load("completion", FORMATS, tokenizer), tokenizer)


@pytest.mark.parametrize(
    "messages",
    [(*QUESTION, *QUESTION), (Message("assistant", "4"), *QUESTION), (*PAIR, SYSTEM, *QUESTION)],
    ids=["two users", "assistant first", "system in the middle"],
)
def test_messages_out_of_turn_are_refused(messages: tuple[Message, ...], tokenizer: Any) -> None:
    with pytest.raises(RenderError, match=r"formats\.chat wants a user's and an assistant's message in turn"):
        send(messages, load("chat", FORMATS, tokenizer), tokenizer)


@pytest.mark.parametrize("text", ['"', "\\n", "{% x %}", "{{ y }}", "{#", "\u2028", "😀", "\x00\x7f", "'", "{", "}}"])
def test_a_templates_own_letters_are_sent_as_they_are(text: str, tokenizer: Any) -> None:
    if text == "{{ y }}":
        text = "{{ y z }}"
    template = written("completion", f"{text}{{input}}{text}{{output}}{text}", tokenizer)
    assert send(QUESTION, template, tokenizer) == f"{text}2+2?{text}"
    assert send(PAIR, template, tokenizer, ask=False) == f"{text}2+2?{text}4{text}</s>"


def test_only_one_final_line_break_is_no_part_of_the_template(tokenizer: Any) -> None:
    template = written("completion", "{input} {output}\n\n", tokenizer)
    assert send(PAIR, template, tokenizer, ask=False) == "2+2? 4\n</s>"


@pytest.mark.parametrize("mark", ["<stop>", "</s>", "\n<stop>\n"])
def test_a_mark_written_behind_the_answer_is_the_end_mark(mark: str, tokenizer: Any) -> None:
    template = written("completion", f"{{input}} {{output}}{mark} ", tokenizer)
    assert send(PAIR, template, tokenizer, ask=False) == f"2+2? 4{mark} "


def test_the_begin_mark_that_a_tokenizer_adds_is_part_of_the_template() -> None:
    tokenizer = byte_tokenizer(adds_begin_mark=True)
    assert tokenizer("")["input_ids"] == [256, 257]
    template = load("completion", FORMATS, tokenizer)
    assert send(PAIR, template, tokenizer, ask=False) == "<s>2+2?4</s>"
    template = written("completion", "<s>{input} {output}", tokenizer)
    assert send(PAIR, template, tokenizer, ask=False) == "<s>2+2? 4</s>"


def test_tools_are_refused_by_a_written_template(tokenizer: Any) -> None:
    template = load("chat", FORMATS, tokenizer)
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    with pytest.raises(Exception, match=r"formats\.chat has no place for tools"):
        tokenizer.apply_chat_template(
            [{"role": "user", "content": "?"}], tools=[tool], chat_template=template.text, tokenize=False
        )


def test_all_that_is_wrong_with_placeholders_is_said_at_once(tokenizer: Any) -> None:
    assert mistakes("instruction", "{insturction} {response} {response}", tokenizer) == [
        ("it lacks {instruction}", "write {instruction} where the row's instruction goes"),
        ("it holds {response} 2 times", "keep one {response}"),
        ("it holds {insturction}, which is none of its placeholders", "write {instruction}"),
    ]


def test_an_input_placeholder_is_told_where_a_rows_input_goes(tokenizer: Any) -> None:
    ((message, remedy),) = mistakes("instruction", "{instruction} {input} {response}", tokenizer)
    assert message == "it holds {input}, which is none of its placeholders"
    assert remedy == "leave it out: a row's input stands under its instruction, after an empty line"


def test_an_answer_before_its_question_is_a_mistake(tokenizer: Any) -> None:
    assert mistakes("completion", "{output}{input}", tokenizer) == [
        ("{output} stands before {input}", "put it behind the question")
    ]


def test_a_tokenizer_without_an_end_mark_is_a_mistake() -> None:
    with pytest.raises(UserError, match="names no end mark"):
        load("chat", FORMATS, byte_tokenizer(eos_token=None))  # type: ignore[arg-type]


def test_a_model_without_a_chat_template_says_what_to_write(tokenizer: Any) -> None:
    with pytest.raises(UserError) as caught:
        load("model", FORMATS, tokenizer)
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "data.template: this model's tokenizer has no chat template\n  write `data.template: formats`"
    ]


def test_a_broken_chat_template_says_its_line() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}\n{{ m.content }\n{% endfor %}"
    with pytest.raises(UserError, match=r"no valid Jinja.*its line 2"):
        load("model", FORMATS, tokenizer)


def test_the_choice_goes_by_setting_form_and_model() -> None:
    bare, chatty = byte_tokenizer(), byte_tokenizer()
    chatty.chat_template = "x"
    assert choose("auto", "chat", chatty)[0] == "model"
    assert choose("auto", "chat", bare) == (
        "chat",
        "the rows are chat rows and the model has no chat template of its own, so formats.chat",
    )
    assert choose("auto", "instruction", chatty)[0] == "instruction"
    assert choose("model", "completion", chatty)[0] == "model"
    assert choose("formats", "chat", chatty)[0] == "chat"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ ''.__class__.__mro__ }}", "it fails on these messages"),
        ("{% set n = namespace(_x=1) %}", "a template may not keep '_x' in a namespace"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{{ raise_exception('no cats') }}", "^no cats$"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "it calls itself without an end"),
    ],
)
def test_a_template_that_goes_astray_is_stopped_with_a_reason(text: str, reason: str, tokenizer: Any) -> None:
    with pytest.raises(RenderError, match=reason):
        send(QUESTION, Template("model", text), tokenizer)
