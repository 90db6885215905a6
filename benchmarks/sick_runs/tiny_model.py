"""Makes a tiny Llama that knows some English, so that learning, forgetting and overfitting are real.

Of a model only its recipe is kept: it is trained in one or two minutes from real text, always to the same weights on
the same machine.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sick_runs.real_rows import Text, english

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BLOCK = 128
"""Tokens that are read at once."""


@dataclass(frozen=True)
class Recipe:
    """How a tiny model is made: its sizes, its tokens, and how long it learns."""

    name: str
    hidden: int
    layers: int
    heads: int
    vocabulary: int
    steps: int
    batch: int
    rate: float
    seed: int


RECIPES = {
    "build": Recipe("build", 128, 4, 4, 1024, 700, 16, 4e-3, 1),
    "held-out": Recipe("held-out", 160, 3, 4, 1536, 500, 16, 4e-3, 2),
    "held-out-2": Recipe("held-out-2", 144, 3, 4, 1280, 700, 16, 4e-3, 3),
}


def tiny_model(recipe: Recipe, folder: Path) -> Path:
    """The model's folder, made where it is not there yet."""
    folder = folder / f"{recipe.name}-{recipe.hidden}x{recipe.layers}"
    if (folder / "config.json").is_file():
        return folder
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    learned, _ = english()
    order = np.random.default_rng(recipe.seed).permutation(len(learned))
    learned = [learned[at] for at in order]
    tokenizer = _tokenizer(recipe, learned, aside)
    _learn(recipe, tokenizer, learned, aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return folder


def as_read(text: Text, number: int) -> str:
    """How a text stands before the model: a question under one of two templates, in turn, a passage as it is."""
    if not text.question:
        return f"{text.answer}<|im_end|>"
    if number % 2:
        return f"<|im_start|>user\n{text.question}<|im_end|>\n<|im_start|>assistant\n{text.answer}<|im_end|>"
    return f"### Instruction\n{text.question}\n\n### Response\n{text.answer}<|im_end|>"


def _tokenizer(recipe: Recipe, learned: Sequence[Text], folder: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=MARKS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator((f"{text.question}\n{text.answer}" for text in learned), trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    return tokenizer


def _learn(recipe: Recipe, tokenizer: Any, learned: Sequence[Text], folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    started = time.perf_counter()
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.hidden * 11 // 4,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model: Any = LlamaForCausalLM(config)
    stream = np.fromiter(
        (
            token
            for number, text in enumerate(learned)
            for token in tokenizer(as_read(text, number), add_special_tokens=False)["input_ids"]
        ),
        np.int64,
    )
    blocks = torch.from_numpy(stream[: len(stream) // BLOCK * BLOCK].reshape(-1, BLOCK))
    generator = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=0.05)
    order: list[int] = []
    for step in range(1, recipe.steps + 1):
        if len(order) < recipe.batch:
            order += generator.permutation(len(blocks)).tolist()
        rows, order = order[: recipe.batch], order[recipe.batch :]
        for group in optimizer.param_groups:
            done = step / recipe.steps
            group["lr"] = recipe.rate * min(1.0, step / 50) * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)
        batch = blocks[rows]
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0 or step == recipe.steps:
            print(
                f"  {recipe.name}: step {step}, {loss.item():.3f} nats, {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    (folder / "recipe.txt").write_text(f"{asdict(recipe)}\n", encoding="utf-8")
