"""The mask under the chat templates of real models, unedited: each is proven, or refused with a reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from luthier.data.render import render, stop_tokens
from luthier.data.templates import Template, load
from luthier.data.tokenize import prove, tokenize
from luthier.flow import Conversation, Message, Place, Problem, Rendered

MARK = re.compile(
    r"<[|｜][^<>\s{}]*?[|｜]?>|<[^<>\s{}]*?\|>|</?[A-Za-z_:]+>|\[/?[A-Z_]{3,}\]|〈\|EOS\|〉|\]~b\]|\[e~\["
)
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
    "fireworks-ai-llama-3-firefunction-v2": "it wants something that inference does not send it: 'functions' is undefined",
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


def byte_tokenizer(chat_template: str) -> Any:
    """A token for each byte, and one for each special mark that the template writes; thoughts have no special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    marks = sorted(set(MARK.findall(chat_template)))
    tokenizer.add_tokens([AddedToken(mark, special="think" not in mark) for mark in marks])
    tokenizer.chat_template = chat_template
    return tokenizer


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
