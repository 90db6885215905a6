"""The rows that training is measured on, as (tokens, how many of them are the prompt)."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import Any

from benchmarks.measuring import DATA

EVEN_LENGTH = 256
ALONE_LENGTH = 128
UNTRAINED = 32

Row = tuple[list[int], int]


def rows(kind: str, count: int, tokenizer: Any) -> list[Row]:
    """`count` rows of a kind.

    - mixed: real instructions with their answers, 10 to 160 words long together;
    - shared: banking77's messages under one system prompt that lists its 77 labels;
    - even, alone: text cut to 256 or 128 tokens, so that eight rows, or a power of two of them, make a round number of
      tokens; nothing is shared.
    """
    found = {"mixed": _mixed, "shared": _shared, "even": _even, "alone": _alone}[kind](count, tokenizer)
    if len(found) < count:
        raise SystemExit(f"there are only {len(found)} rows of the kind {kind}, not {count}")
    return found[:count]


def _mixed(count: int, tokenizer: Any) -> list[Row]:
    texts = ((row, f"{row['instruction']} {row['input']} {row['output']}") for row in _alpaca())
    chosen = [row for row, text in texts if 10 < len(text.split()) < 160]
    return [
        chat_row([("user", f"{row['instruction']}\n\n{row['input']}".strip())], row["output"].strip(), tokenizer)
        for row in chosen[:count]
    ]


def _shared(count: int, tokenizer: Any) -> list[Row]:
    with _there("banking77/train.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    labels = sorted({row["category"] for row in found})
    system = f"Classify the customer's message. Answer with one of these labels: {', '.join(labels)}"
    found.sort(key=lambda row: hashlib.sha1(row["text"].encode()).hexdigest())
    return [chat_row([("system", system), ("user", row["text"])], row["category"], tokenizer) for row in found[:count]]


def _even(count: int, tokenizer: Any) -> list[Row]:
    return cut(EVEN_LENGTH, count, tokenizer)


def _alone(count: int, tokenizer: Any) -> list[Row]:
    return cut(ALONE_LENGTH, count, tokenizer)


def cut(length: int, count: int, tokenizer: Any) -> list[Row]:
    """All text one after another, cut into rows of equal length."""
    text = "\n\n".join(f"{row['instruction']} {row['input']}\n{row['output']}" for row in _alpaca())
    tokens: list[int] = tokenizer(text[: 12 * length * count], add_special_tokens=False)["input_ids"]
    return [(tokens[at : at + length], UNTRAINED) for at in range(0, len(tokens) - length, length)]


def chat_row(messages: list[tuple[str, str]], answer: str, tokenizer: Any) -> Row:
    """A conversation, given as (role, content), and its answer: all tokens up to and with the end mark."""
    before = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in messages], tokenize=False, add_generation_prompt=True
    )
    prompt: list[int] = tokenizer(before, add_special_tokens=False)["input_ids"]
    answered: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return [*prompt, *answered, tokenizer.eos_token_id], len(prompt)


def _alpaca() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_there("llama_factory/alpaca_en_demo.json").read_text(encoding="utf-8"))
    return found


def _there(name: str) -> Any:
    if not (DATA / name).is_file():
        raise SystemExit(f"the benchmark's rows are absent: {DATA / name}")
    return DATA / name
