"""Real small things that many tests need: a 2-layer model, the packaged model, and where the real data stands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import UserError
from luthier.models import Source, resolve

# Before huggingface_hub is first imported: a test that wants the hub is a mistake.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Before torch is: on a 2-layer model a second thread only waits. Tests of the packaged model take it back.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LEARNED_FROM = [
    "the order has not arrived and the customer asks for the money back",
    "Where is my package? I would like to change the address of the delivery.",
    "instruction response user assistant system question answer",
]


def write_tiny_tokenizer(folder: Path) -> Any:
    """A byte-level BPE tokenizer of 300 tokens with a ChatML template, saved in `folder`; 0, 1 and 2 are
    `<|endoftext|>`, `<|im_start|>` and `<|im_end|>`, as in the packaged model."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LEARNED_FROM, trainer)
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


def write_tiny_model(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A Llama of 2 layers, 4 heads and 2 key-value heads of width 8, random from `seed`, with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from luthier.models.quiet import quiet

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = write_tiny_tokenizer(folder)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(LlamaConfig(**(sizes | changes)))
    with quiet():
        model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_writer() -> Callable[..., Path]:
    """`write_tiny_model(folder, seed=0, **changes of the configuration)`, for a test that wants its own."""
    return write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A folder with the 2-layer Llama: 28,192 random parameters, 300 tokens, 512 positions."""
    return resolve(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="session")
def packaged_model() -> Source:
    """SmolLM2-135M-Instruct from the user's own cache, converted on first use (about a minute)."""
    try:
        return resolve("smollm2-135m-instruct")
    except UserError as error:
        pytest.skip(f"the packaged model cannot be had here: {error}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: `$LUTHIER_REAL_DATA`, or ../shared/data beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LUTHIER_REAL_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (export LUTHIER_REAL_DATA=/the/folder)")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, as the pages are tested in it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()
