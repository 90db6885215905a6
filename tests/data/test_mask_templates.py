"""The mask under the chat templates of real models, unedited: each is proven, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data.render import render, stop_tokens
from luthier.data.templates import Template, load
from luthier.data.tokenize import marked, prove, tokenize
from luthier.flow import Conversation, Message, Place, Problem, Rendered, ToolCall
from scripts.template_table import CONVERSATIONS, byte_tokenizer, column, page

TWO_PAIRS = (
    Message("user", "2+2?"),
    Message("assistant", "4."),
    Message("user", "3+3?"),
    Message("assistant", "6."),
)
NEEDS_TOOLS = "it fails on these messages, as templates made only for rows with tools do"

# What the first prompt ends with, what must be emitted for the answer `4.`, the end mark, and how many rows two pairs
# make (two where a template writes an earlier answer otherwise than the model had to emit it).
EXPECTED: dict[str, tuple[str, str, str, int] | str] = {
    "Apriel-1.6-15b-Thinker-fixed": ("reasoning steps:\n", "4.", "</s>", 2),
    "ByteDance-Seed-OSS": ("<seed:bos>assistant\n", "4.", "<seed:eos>", 1),
    "CohereForAI-c4ai-command-r-plus-tool_use": NEEDS_TOOLS,
    "GLM-4.6": ("<|assistant|>", "\n<think></think>\n4.", "</s>", 2),
    "GigaChat3-10B-A1.8B": ("assistant<|role_sep|>\n", "4.", "<|message_sep|>", 1),
    "HuggingFaceTB-SmolLM3-3B": ("<|im_start|>assistant\n", "4.", "<|im_end|>", 1),
    "Kimi-K2-Thinking": ("assistant<|im_middle|>", "<think></think>4.", "<|im_end|>", 1),
    "LFM2-8B-A1B": ("<|im_start|>assistant\n", "4.", "<|im_end|>", 1),
    "LFM2.5-Instruct": ("<|im_start|>assistant\n", "4.", "<|im_end|>", 1),
    "MiniMax-M1": ("ai name=assistant\n", "4.", "<end_of_sentence>", 1),
    "MiniMax-M3": ("]~b]ai\n", "</mm:think>4.", "[e~[", 1),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("assistant\n<think>\n", "</think>4.", "<|im_end|>", 2),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": NEEDS_TOOLS,
    "Qwen-QwQ-32B": ("assistant\n<think>\n</think>", "4.", "<|im_end|>", 2),
    "Qwen-Qwen3-0.6B": ("<|im_start|>assistant\n", "<think>\n\n</think>\n\n4.", "<|im_end|>", 2),
    "Qwen3.5-4B": ("assistant\n<think>\n", "\n</think>\n\n4.", "<|im_end|>", 2),
    "Spark2.5": ("<|Bot|><think>", "</think>4.", "<｜end▁of▁sentence｜>", 2),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": (
        "<｜Assistant｜><think>\n",
        "\n</think>\n\n4.",
        "<｜end▁of▁sentence｜>",
        2,
    ),
    "deepseek-ai-DeepSeek-V3.1": ("<｜Assistant｜><think></think>", "4.", "<｜end▁of▁sentence｜>", 1),
    "deepseek-ai-DeepSeek-V4-Flash-0731": ("<｜Assistant｜></think>", "4.", "<｜end▁of▁sentence｜>", 1),
    "fireworks-ai-llama-3-firefunction-v2": "it wants something that inference does not send it: 'functions' is",
    "google-gemma-4-31B-it-interleaved": ("model\n<|channel>thought\n<channel|>", "4.", "<turn|>", 2),
    "ibm-granite-granite-3.3-2B-Instruct": ("assistant<|end_of_role|>", "4.", "<|end_of_text|>", 1),
    "ibm-granite-granite-4.1": ("assistant<|end_of_role|>", "4.", "<|end_of_text|>", 1),
    "llama-cpp-deepseek-r1": ("<｜Assistant｜><think>\n", "\n</think>\n\n4.", "<｜end▁of▁sentence｜>", 2),
    "meetkai-functionary-medium-v3.1": ("assistant<|end_header_id|>\n\n", "4.", "<|eot_id|>", 1),
    "meta-llama-Llama-3.1-8B-Instruct": ("assistant<|end_header_id|>\n\n", "4.", "<|eot_id|>", 1),
    "meta-llama-Llama-3.3-70B-Instruct": ("assistant<|end_header_id|>\n\n", "4.", "<|eot_id|>", 1),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("2+2?[/INST]", "4.", "</s>", 1),
    "moonshotai-Kimi-K2": ("assistant<|im_middle|>", "4.", "<|im_end|>", 1),
    "openai-gpt-oss-120b": ("<|start|>assistant", "<|channel|>final<|message|>4.", "<|return|>", 2),
    "poolside-Laguna-S-2.1": ("<assistant><think>", "</think>4.", "</assistant>", 1),
    "poolside-Laguna-XS.2": ("<assistant>\n</think>", "\n4.\n", "</assistant>", 1),
    "unsloth-Apriel-1.5": ("<|assistant|>\n", "4.\n", "<|end|>", 1),
    "upstage-Solar-Open-100B": ("<|begin|>assistant", "<|content|>4.", "<|end|>", 1),
}


def under(folder: Path, name: str) -> tuple[Template, Any]:
    tokenizer = byte_tokenizer((folder / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8"))
    return load("model", {}, tokenizer), tokenizer


def chat(*messages: Message) -> Conversation:
    return Conversation("chat", messages, Place("chats.jsonl", 7))


@pytest.mark.parametrize("name", EXPECTED)
def test_two_pairs_are_proven_or_refused_with_a_reason(name: str, real_data: Path) -> None:
    template, tokenizer = under(real_data, name)
    rendered = render(chat(*TWO_PAIRS), template, tokenizer)
    expected = EXPECTED[name]
    if isinstance(expected, str):
        assert isinstance(rendered, Problem)
        assert expected in rendered.message
        return
    assert isinstance(rendered, Rendered), rendered
    prompt, answer, end, rows_made = expected
    first, second = rendered.turns
    assert first.prompt.endswith(prompt)
    assert "2+2?" in first.prompt
    assert (first.answer, first.end) == (answer, end)
    assert (second.answer, second.end) == (answer.replace("4", "6"), end)
    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple)
    assert len(rows) == rows_made
    assert prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer)) is None
    # A byte is a token here, so what is trained can be counted: the two answers and their end marks.
    assert sum(row.trained_tokens for row in rows) == sum(
        len(tokenizer(turn.answer, add_special_tokens=False)["input_ids"]) + 1 for turn in rendered.turns
    )


def test_every_template_at_hand_is_in_the_table(real_data: Path) -> None:
    assert {file.name.removesuffix(".jinja") for file in (real_data / "chat_templates").glob("*.jinja")} == set(
        EXPECTED
    )


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if not isinstance(expected, str)])
def test_system_messages_and_uncommon_letters_are_proven(name: str, real_data: Path) -> None:
    template, tokenizer = under(real_data, name)
    messages = (
        Message("system", "Sei kurz – {{ bos_token }} 😀"),
        Message("user", "What is\n\n  <b>2+2</b>?\t\u2028 “x”"),
        Message("assistant", '{"sum": [4, "vier ✓"]}\n\n```\nok\n```'),
    )
    rendered = render(chat(*messages), template, tokenizer)
    assert isinstance(rendered, Rendered), rendered
    (turn,) = rendered.turns
    assert turn.answer.strip().endswith(messages[2].content)
    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple)
    assert prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer)) is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("Qwen-Qwen3-0.6B", "<think>\nAdd.\n</think>\n\n4."),
        ("GLM-4.6", "\n<think>Add.</think>\n4."),
        ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "Add.\n</think>\n\n4."),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "Add.\n</think>\n\n4."),
    ],
)
def test_thoughts_in_an_answer_go_on_where_the_prompt_stops(name: str, answer: str, real_data: Path) -> None:
    template, tokenizer = under(real_data, name)
    thoughtful = Message("assistant", "<think>\nAdd.\n</think>\n\n4.")
    rendered = render(chat(Message("user", "2+2?"), thoughtful, *TWO_PAIRS[2:]), template, tokenizer)
    assert isinstance(rendered, Rendered), rendered
    assert rendered.turns[0].answer == answer
    # Inference does not show an earlier turn's thoughts, so the later prompt has none either.
    assert "Add." not in rendered.turns[1].prompt


def test_a_template_that_drops_part_of_an_answer_is_refused(real_data: Path) -> None:
    template, tokenizer = under(real_data, "deepseek-ai-DeepSeek-V3.1")
    rendered = render(chat(Message("user", "2+2?"), Message("assistant", "<think>Add.</think>4.")), template, tokenizer)
    assert isinstance(rendered, Problem)
    assert str(rendered.place) == "chats.jsonl:7"
    assert rendered.message == (
        "the model template: it changes the answer: the row has '<think>Add.</think>4.', the template writes '4.'"
    )


# --------------------------------------------------------------------------------------- calls of tools, thinking

PAGE = Path(__file__).resolve().parents[2] / "docs" / "templates.md"
CALL = '{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}'

# What must be emitted for the call of a tool behind a thought, and the mark behind it.
THOUGHTFUL_CALLS = {
    "Qwen-Qwen3-0.6B": (
        f"<think>\nI need the weather.\n</think>\n\n<tool_call>\n{CALL}\n</tool_call>",
        "<|im_end|>",
    ),
    "openai-gpt-oss-120b": (
        "<|channel|>analysis<|message|>I need the weather.<|end|><|start|>assistant to=functions.get_weather"
        '<|channel|>commentary json<|message|>{"city": "Paris", "days": 2}',
        "<|call|>",
    ),
    "mistralai-Ministral-3-14B-Reasoning-2512": (
        '[THINK]I need the weather.[/THINK][TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 2}',
        "</s>",
    ),
    "GLM-4.6": (
        "\n<think>I need the weather.</think>\n<tool_call>get_weather\n<arg_key>city</arg_key>\n"
        "<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        "</s>",
    ),
    "poolside-Laguna-S-2.1": (
        "I need the weather.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value>"
        "<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
        "</assistant>",
    ),
}
CALLS = {
    "meetkai-functionary-medium-v3.1": ('<function=get_weather>{"city": "Paris", "days": 2}</function>', "<|eom_id|>"),
    "meta-llama-Llama-3.1-8B-Instruct": (CALL.replace("arguments", "parameters"), "<|eot_id|>"),
    "Qwen-QwQ-32B": (f"<tool_call>\n{CALL}\n</tool_call>", "<|im_end|>"),
    "google-gemma-4-31B-it-interleaved": (
        '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:2}<tool_call|>',
        "<turn|>",
    ),
    "CohereForAI-c4ai-command-r-plus-tool_use": (
        '\nAction:\n```json\n[\n    {\n        "tool_name": "get_weather",\n        "parameters": {\n'
        '            "city": "Paris",\n            "days": 2\n        }\n    }\n]```\n',
        "<|END_OF_TURN_TOKEN|>",
    ),
    "moonshotai-Kimi-K2": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        '{"city": "Paris", "days": 2}<|tool_call_end|><|tool_calls_section_end|>',
        "<|im_end|>",
    ),
}


@pytest.mark.parametrize(
    ("shape", "name", "answer", "end"),
    [
        *(("thinking and a call", name, *emitted) for name, emitted in THOUGHTFUL_CALLS.items()),
        *(("a call", name, *emitted) for name, emitted in CALLS.items()),
    ],
)
def test_a_call_is_emitted_as_the_template_writes_it(
    shape: str, name: str, answer: str, end: str, real_data: Path
) -> None:
    template, tokenizer = under(real_data, name)
    rendered = render(CONVERSATIONS[shape], template, tokenizer)
    assert isinstance(rendered, Rendered), rendered
    (turn,) = rendered.turns
    assert (turn.answer, turn.end) == (answer, end)
    assert tokenizer.convert_tokens_to_ids(end) in stop_tokens(template, tokenizer)


def test_a_reply_is_read_and_earlier_thinking_is_trained_in_its_own_row_alone(real_data: Path) -> None:
    template, tokenizer = under(real_data, "Qwen-Qwen3-0.6B")
    first, second = CONVERSATIONS["thinking everywhere"].messages[1::2]
    rendered = render(CONVERSATIONS["thinking everywhere"], template, tokenizer)
    assert isinstance(rendered, Rendered)
    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple)
    texts = ["".join(text for text, _ in marked(row, tokenizer)) for row in rows]
    assert [str(first.reasoning) in text for text in texts] == [True, False]
    assert [str(second.reasoning) in text for text in texts] == [False, True]
    rendered = render(CONVERSATIONS["call, reply, answer"], template, tokenizer)
    assert isinstance(rendered, Rendered)
    assert "degrees" in rendered.turns[1].prompt
    assert [turn.answer for turn in rendered.turns] == [
        f"<think>\n\n</think>\n\n<tool_call>\n{CALL}\n</tool_call>",
        "<think>\n\n</think>\n\n21 degrees.",
    ]


@pytest.mark.parametrize("name", ["MiniMax-M3", "fireworks-ai-llama-3-firefunction-v2", "upstage-Solar-Open-100B"])
def test_the_documents_table_is_true_of_some_templates(name: str, real_data: Path) -> None:
    found = page({name: column(real_data / "chat_templates" / f"{name}.jinja")})
    told = PAGE.read_text(encoding="utf-8")
    for line in found.split("|:-:|\n")[1].splitlines():
        if line and not line.startswith("## Why") and not line.startswith(("Most of", "thinking. A row")):
            assert f"{line}\n" in told


@pytest.mark.long
def test_the_documents_table_is_true(real_data: Path) -> None:
    files = sorted((real_data / "chat_templates").glob("*.jinja"))
    assert page({file.stem: column(file) for file in files}) == PAGE.read_text(encoding="utf-8")


def test_a_row_that_inference_would_cut_short_shows_where(real_data: Path) -> None:
    template, tokenizer = under(real_data, "upstage-Solar-Open-100B")
    rendered = render(CONVERSATIONS["thinking at the end"], template, tokenizer)
    assert isinstance(rendered, Rendered)
    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple)
    problem = prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer))
    assert problem is not None
    first, _, *lines = problem.message.splitlines()
    assert first == "inference would stop at <|end|> in the middle of the answer"
    assert [line.split()[3] for line in lines if line.startswith(">")] == ["'<|end|>'"]


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters="<>|"))
WORDS = WORD.filter(bool)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | WORD, lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
ANSWER = st.builds(
    lambda content, reasoning, arguments: Message(
        "assistant",
        content,
        reasoning=reasoning,
        tool_calls=() if arguments is None else (ToolCall("look", arguments, "a1b2c3d4e"),),
    ),
    WORDS,
    st.none() | WORDS,
    st.none() | st.dictionaries(WORDS, VALUE, max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(WORDS, ANSWER), min_size=1, max_size=3))
@pytest.mark.parametrize("name", ["Qwen-Qwen3-0.6B", "ByteDance-Seed-OSS", "poolside-Laguna-S-2.1"])
def test_random_thoughts_and_calls_read_back_exactly(
    name: str, pairs: list[tuple[str, Message]], real_data: Path
) -> None:
    template, tokenizer = under(real_data, name)
    messages = [message for question, answer in pairs for message in (Message("user", question), answer)]
    rendered = render(chat(*messages), template, tokenizer)
    assert isinstance(rendered, Rendered), rendered
    rows = tokenize(rendered, tokenizer)
    assert isinstance(rows, tuple), rows
    assert prove(rendered, rows, tokenizer, stop_tokens(template, tokenizer)) is None
    trained = "".join(text for row in rows for text, trained in marked(row, tokenizer) if trained)
    assert trained == "".join(turn.answer + turn.end for turn in rendered.turns)
    for turn, (_, answer) in zip(rendered.turns, pairs, strict=True):
        assert answer.content in turn.answer
        assert answer.reasoning is None or answer.reasoning in turn.answer
        assert ("look" in turn.answer) >= bool(answer.tool_calls)
