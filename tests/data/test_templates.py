"""What the run file's template texts become, and what is said about those that cannot work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from luthier.data.templates import RenderError, Template, beginnings, choose, load, send
from luthier.data.templates._prefixes import MARK
from luthier.errors import UserError
from luthier.flow import Message, ToolCall
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
    assert choose("auto", "preference", chatty)[0] == "model"
    assert choose("auto", "preference", bare)[0] == choose("formats", "preference", chatty)[0] == "chat"
    assert {choose(setting, "text", chatty)[0] for setting in ("auto", "model", "formats")} == {"text"}


ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
TOO_LARGE = "it was stopped on the way to a value of more than 50,000,000 letters"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "access to attribute '__init__'"),
        ("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe"),
        ("{% set n = namespace(_x=1) %}", "a template may not keep '_x' in a namespace"),
        ("{% for i in range(10 ** 7) %}{% endfor %}", "Range too big"),
        (ENDLESS, "it was stopped after 5,000,000 rounds of its loops"),
        ("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}", "was stopped"),
        ("{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", TOO_LARGE),
        ("{{ 'x' * 10 ** 10 }}", TOO_LARGE),
        ("{{ 10 ** (10 ** 10) }}", TOO_LARGE),
        ("{{ 'x'.ljust(10 ** 10) }}", TOO_LARGE),
        ("{{ 'x' | center(10 ** 10) }}", TOO_LARGE),
        ("{{ '%10000000000d' % 1 }}", TOO_LARGE),
        ("{{ '{:10000000000}'.format(1) }}", TOO_LARGE),
        ("{{ raise_exception('no cats') }}", "^no cats$"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "it was stopped: it calls itself without an end"),
    ],
)
def test_a_template_that_goes_astray_is_stopped_with_a_reason(text: str, reason: str, tokenizer: Any) -> None:
    with pytest.raises(RenderError, match=reason):
        send(QUESTION, Template("model", text), tokenizer)


def test_what_is_of_measure_is_left_alone(tokenizer: Any) -> None:
    text = "{{ 3 * 4 }} {{ 'ab' * 3 }} {{ 2 ** 10 }} {{ 7 % 2 }} {{ '%03d' % 3 }} {{ '{:>4}'.format(1) }} "
    text += "{{ 'a'.ljust(2) }}|"
    assert send(QUESTION, Template("model", text), tokenizer) == "12 ababab 1024 1 003    1 a |"


# ----------------------------------------------------------------------------------- calls of tools and thinking

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = Message("assistant", "", tool_calls=(ToolCall("look", {"at": "é"}, "c1"),))
CALLS = (
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.name }}:ARGUMENTS;{% endfor %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("{{ c.function.arguments | tojson }}", 'look:{"at": "é"};'),
        ("{{ '(' + c.function.arguments + ')' }}", 'look:({"at": "é"});'),
        ("{{ c.function.arguments }}", 'look:{"at": "é"};'),
        ("{% for name, value in c.function.arguments.items() %}{{ name }}={{ value }}{% endfor %}", "look:at=é;"),
    ],
    ids=["as JSON", "as a text that is added to", "as it stands", "one by one"],
)
def test_arguments_are_handed_over_as_the_template_reads_them(arguments: str, written: str, tokenizer: Any) -> None:
    template = Template("model", CALLS.replace("ARGUMENTS", arguments))
    assert send((*QUESTION, CALL), template, tokenizer, (TOOL,), ask=False) == written


def test_a_call_without_content_has_none_or_an_empty_one_as_the_template_wants(tokenizer: Any) -> None:
    wants_none = "{% for m in messages %}{% if m.content is none %}CALLS{% endif %}{% endfor %}".replace("CALLS", CALLS)
    body = wants_none.replace("ARGUMENTS", "{{ c.function.arguments | tojson }}")
    assert 'look:{"at": "é"};' in send((*QUESTION, CALL), Template("model", body), tokenizer, ask=False)


@pytest.mark.parametrize(
    "field", ["m.reasoning_content", "m.reasoning", "m.thinking", "m.content[0].thinking if m.content is not string"]
)
def test_thinking_stands_in_the_field_that_the_template_reads(field: str, tokenizer: Any) -> None:
    template = Template("model", f"{{% for m in messages %}}[{{{{ {field} }}}}]{{% endfor %}}")
    thoughtful = Message("assistant", "4", reasoning="Two and two.")
    assert send((*QUESTION, thoughtful), template, tokenizer, ask=False) == "[][Two and two.]"


def test_a_reply_of_a_tool_has_its_name_and_its_calls_identifier(tokenizer: Any) -> None:
    template = Template("model", "{{ messages[-1].name }} {{ messages[-1].tool_call_id }} {{ messages[-1].content }}")
    reply = Message("tool", "21", name="look", tool_call_id="c1")
    assert send((*QUESTION, CALL, reply), template, tokenizer, ask=False) == "look c1 21"


def test_tools_reach_the_template_as_they_are_and_are_none_without(tokenizer: Any) -> None:
    template = Template("model", "{{ tools | tojson if tools is not none else 'none' }}")
    assert send(QUESTION, template, tokenizer) == "none"
    assert json.loads(send(QUESTION, template, tokenizer, (TOOL,))) == [TOOL]


# --------------------------------------------------------------------------------------------------- beginnings

STATEFUL = (
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if loop.first and messages[0].role != 'system' %}(s){% endif %}{{ ns.n }}{{ m.role }}:{{ m.content }};"
    "{% endfor %}{% if add_generation_prompt %}{{ ns.n }}>{% endif %}"
)
FROM_THE_SECOND = (
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}|{% set rest = messages[1:] %}{% else %}"
)
FROM_THE_SECOND += "{% set rest = messages %}{% endif %}{% for m in rest %}{{ m.content }};{% endfor %}END"


@pytest.mark.parametrize("text", [STATEFUL, FROM_THE_SECOND, *FORMATS], ids=["counts", "takes one out", *FORMATS])
def test_beginnings_from_one_rendering_are_those_of_many(text: str, tokenizer: Any) -> None:
    template = load(text, FORMATS, tokenizer) if text in FORMATS else Template("model", text)
    for messages in ((*PAIR, *PAIR), (SYSTEM, *PAIR, *PAIR)):
        if text == "completion" and SYSTEM in messages:
            continue
        found = beginnings(messages, template, tokenizer)
        assert found is not None
        for number in range(1, len(messages) + 1):
            if text == FROM_THE_SECOND and messages[:number] == (SYSTEM,):
                assert found[0] is None
                continue
            assert found[number - 1] == tuple(
                send(messages[:number], template, tokenizer, ask=ask) for ask in (True, False)
            )


@pytest.mark.parametrize(
    "text",
    [
        "{% for m in messages %}{{ loop.last }}{% endfor %}",
        "{% for m in messages %}{{ messages | length }}{% endfor %}",
        "{% for m in messages %}{{ messages[-1].content }}{% endfor %}",
        "{% for m in messages %}{{ messages[1].content }}{% endfor %}",
        "{% for m in messages %}{{ messages[loop.index].content }}{% endfor %}",
        "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages[-1].role }}",
        "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ add_generation_prompt }}{% endfor %}",
        "{% for m in messages %}{{ m.content }}{% endfor %}{% for m in messages %}{{ m.role }}{% endfor %}",
        "{% for m in messages %}{% for n in messages %}{{ n.content }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
        "{% set all = messages %}{% for m in messages %}{{ all[-1].content }}{% endfor %}",
        "{% macro f(x) %}{{ x | length }}{% endmacro %}{% for m in messages %}{{ f(messages) }}{% endfor %}",
        "{% for m in messages | reverse %}{{ m.content }}{% endfor %}",
        "{% set j = joiner() %}{% for m in messages %}{{ j() }}{{ m.content }}{% endfor %}",
        "{% set n = namespace(x=0) %}{% for m in messages %}{{ n.x }}{% endfor %}{% set n.x = 1 %}",
        "no loop",
    ],
)
def test_a_template_that_may_look_ahead_is_rendered_message_by_message(text: str, tokenizer: Any) -> None:
    assert beginnings(PAIR, Template("model", text), tokenizer) is None


def test_a_conversation_with_the_mark_that_parts_messages_is_rendered_message_by_message(tokenizer: Any) -> None:
    template = load("chat", FORMATS, tokenizer)
    assert beginnings(PAIR, template, tokenizer) is not None
    assert beginnings((Message("user", MARK), PAIR[1]), template, tokenizer) is None


# -------------------------------------------------------------------------------------------------------- text


def test_text_stands_as_it_is_between_the_tokenizers_own_marks() -> None:
    text = (Message("assistant", "Once upon a time."),)
    for adds, begin in ((False, ""), (True, "<s>")):
        tokenizer = byte_tokenizer(adds_begin_mark=adds)
        template = load("text", FORMATS, tokenizer)
        assert send(text, template, tokenizer, ask=False) == f"{begin}Once upon a time.</s>"
        assert send((Message("user", "Once"),), template, tokenizer) == f"{begin}Once"
        with pytest.raises(RenderError, match="no place for a system message"):
            send((SYSTEM, *QUESTION), template, tokenizer)
    with pytest.raises(UserError, match="names no end mark"):
        load("text", FORMATS, byte_tokenizer(eos_token=None))  # type: ignore[arg-type]
