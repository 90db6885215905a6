"""Tokens looked up by words equal the tokenizer's own, for every pattern that is known, on the nastiest of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from luthier.data.words import MOST_WORDS, PATTERNS, Words
from luthier.models import Source, load_tokenizer

LEARNED_FROM = [
    "the order 4711 hasn't arrived, and I'd like  the\n\n money  back!\n\t- one\n\t- two 22 333",
    "It's   5 o'clock  \n 12 %   (or so)\r\n  the the  the  \n  THE OrderNumber éà 中文 字\n 7",
] * 3
ALPHABET = [*" \n\r\t'abcTHEs.,(/%59é中\u0301\u00a0\u2028\0😀", "  ", "\n ", " the", "'s ", " 4711", "\r\n "]


def trained(*steps: Any, normalizer: Any = None, added: tuple[AddedToken, ...] = ()) -> Any:
    backend = Tokenizer(models.BPE())
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(LEARNED_FROM, trainer)
    backend.add_special_tokens(["<|end|>"])
    backend.add_tokens(list(added))
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=backend, eos_token="<|end|>")


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
KINDS = {
    **{
        f"pattern {number}": (pre_tokenizers.Split(Regex(pattern), "isolated"), BYTES)
        for number, pattern in enumerate(sorted(PATTERNS))
    },
    "digits, then GPT-2": (pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)),
    "numbers, then a pattern": (
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex(sorted(PATTERNS)[0]), "isolated"),
        BYTES,
    ),
}
TOKENIZERS = {name: trained(*steps) for name, steps in KINDS.items()} | {
    "NFC": trained(*KINDS["pattern 0"], normalizer=normalizers.NFC())
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_known_pattern_is_recognized_and_its_texts_come_back(name: str) -> None:
    words = Words(TOKENIZERS[name])
    assert words.cuts_at_spaces
    ids = words.ids(LEARNED_FROM)
    assert ids == words._asked(LEARNED_FROM)
    assert any(len(one) < len(text) / 2 for one, text in zip(ids, LEARNED_FROM, strict=True)), "nothing was merged"
    if name != "NFC":
        assert words.texts(ids) == LEARNED_FROM


@given(st.lists(st.lists(st.sampled_from(ALPHABET), max_size=25).map("".join), max_size=4))
@settings(max_examples=150, deadline=None)
def test_looked_up_tokens_are_the_tokenizer_s_own(texts: list[str]) -> None:
    for tokenizer in TOKENIZERS.values():
        words = Words(tokenizer)
        asked = words._asked(texts)
        assert words.ids(texts) == words.ids(texts) == asked
        assert words.texts(asked) == [tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in asked]


@pytest.mark.parametrize(
    "tokenizer",
    [
        trained(pre_tokenizers.Split(Regex(r"\s?\w+|\W"), "isolated"), BYTES),
        trained(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        trained(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        trained(pre_tokenizers.Metaspace()),
        trained(pre_tokenizers.ByteLevel(False), normalizer=normalizers.Strip()),
        trained(pre_tokenizers.ByteLevel(False), added=(AddedToken("<x>", rstrip=True),)),
        trained(pre_tokenizers.ByteLevel(False), added=(AddedToken("two words"),)),
    ],
)
def test_what_is_not_known_to_cut_there_is_asked_for_the_whole_text(tokenizer: Any) -> None:
    words = Words(tokenizer)
    assert not words.cuts_at_spaces
    assert words.ids(LEARNED_FROM) == words._asked(LEARNED_FROM)
    assert not words.known


def test_real_tokenizers_are_recognized(packaged_model: Source, real_data: Path) -> None:
    fast: Any = PreTrainedTokenizerFast
    gpt2 = fast(tokenizer_file=str(real_data / "tokenizers" / "gpt2" / "tokenizer.json"))
    texts = [*LEARNED_FROM, (real_data / "llama_factory" / "wiki_demo.txt").read_text(encoding="utf-8")[:200_000]]
    for tokenizer in (load_tokenizer(packaged_model), gpt2):
        words = Words(tokenizer)
        assert words.cuts_at_spaces
        ids = words.ids(texts)
        assert ids == words._asked(texts)
        assert words.texts(ids) == [tokenizer.decode(one, clean_up_tokenization_spaces=False) for one in ids]


def test_half_a_letter_reads_as_the_tokenizer_reads_it() -> None:
    tokenizer = TOKENIZERS["pattern 0"]
    words = Words(tokenizer)
    ids = words._asked(["😀"])[0]
    assert words.texts([ids[:-1], [*ids[1:], 5]]) == [
        tokenizer.decode(one, clean_up_tokenization_spaces=False) for one in (ids[:-1], [*ids[1:], 5])
    ]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.data.words.MOST_WORDS", 50)
    words = Words(TOKENIZERS["pattern 0"])
    for number in range(40):
        words.ids([" ".join(f"w{number}x{other}" for other in range(10)) + " " + "long" * 20])
    assert 0 < len(words.known) <= 60
    assert all(len(word) <= 40 for word in words.known)
    assert MOST_WORDS > 50
