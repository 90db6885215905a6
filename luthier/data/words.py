"""Tokens of texts by looking up words: a text is cut where its tokenizer cuts in any case, and each part is known soon.

A byte-level tokenizer first cuts a text into words by a pattern, then tokenizes each by itself. All patterns below cut
before a single space that has no white space beside it, so `the answer is 4` is `the`, ` answer`, ` is`, ` 4` to each
of them, and the tokens of the parts joined are the tokens of the whole. Other tokenizers are asked for whole texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_WORDS = 100_000
"""Words that are remembered: beyond that all are forgotten."""
LONGEST_WORD = 40
"""Letters of a word worth remembering: longer ones hardly come again."""

_CUT = re.compile(r"(?<=\S)(?= \S)")
_LETTERS = r"[^\r\n\p{L}\p{N}]?"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PATTERNS = {
    # GPT-2; then cl100k as Llama 3 and Qwen 2 have it; then o200k and Mistral's Tekken.
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    rf"{_SHORT}|{_LETTERS}\p{{L}}+|\p{{N}}{{1,3}}|{_REST}",
    rf"{_SHORT}|{_LETTERS}\p{{L}}+|\p{{N}}|{_REST}",
    *(
        rf"{_LETTERS}{_UPPER}*{_LOWER}+{short}|{_LETTERS}{_UPPER}+{_LOWER}*{short}|{number}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        for short in ("", f"{_SHORT}?")
        for number in (r"\p{N}", r"\p{N}{1,3}")
    ),
}
"""Patterns by which known tokenizers cut texts into words."""


class Words:
    """A tokenizer's tokens, and the texts of tokens, faster than by asking it each time."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        model = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else None
        self.cuts_at_spaces = model is not None and _cuts_at_spaces(model)
        self.bytes = _token_bytes(model) if model is not None else None
        self.known: dict[str, list[int]] = {}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text as it stands: no marks are added, those that it holds are read."""
        if not self.cuts_at_spaces:
            return self._asked(texts)
        cut = [_CUT.split(text) for text in texts]
        known = self.known
        new = list(dict.fromkeys(word for words in cut for word in words if word not in known))
        found = dict(zip(new, self._asked(new), strict=True))
        made = [[token for word in words for token in (known[word] if word in known else found[word])] for words in cut]
        if len(known) > MOST_WORDS:
            known.clear()
        known.update((word, ids) for word, ids in found.items() if len(word) <= LONGEST_WORD)
        return made

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of tokens, marks included."""
        if self.bytes is None:
            return self._read(rows)
        table, made = self.bytes, []
        for ids in rows:
            try:
                made.append(b"".join([table[token] for token in ids]).decode())
            except (UnicodeDecodeError, KeyError):
                made += self._read([ids])
        return made

    def _read(self, rows: Sequence[Sequence[int]]) -> list[str]:
        if self.tokenizer.is_fast:
            return list(self.tokenizer.backend_tokenizer.decode_batch(list(rows), skip_special_tokens=False))
        return list(self.tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _asked(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        if not self.tokenizer.is_fast:
            # verbose=False: a text longer than the model's context is counted and said by `fit`.
            return list(self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"])
        # The tokenizer without transformers' wrapping, which takes as long again for short texts.
        backend: Any = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]


@lru_cache(maxsize=16)
def words_of(tokenizer: PreTrainedTokenizerBase) -> Words:
    """The words that a tokenizer is known to cut, one memory for each tokenizer."""
    return Words(tokenizer)


def _cuts_at_spaces(model: dict[str, Any]) -> bool:
    """Whether the parts cut at single spaces have the whole text's tokens, by the tokenizer's own description."""
    normalizer = model["normalizer"]
    if normalizer is not None and normalizer["type"] != "NFC":  # which joins nothing to a space before it
        return False
    if any(
        token["lstrip"] or token["rstrip"] or token["single_word"] or " " in token["content"]
        for token in model["added_tokens"]
    ):
        return False
    return (
        model["model"]["type"] == "BPE" and not model["model"].get("dropout") and _words_first(model["pre_tokenizer"])
    )


def _words_first(step: dict[str, Any] | None) -> bool:
    """Whether the first step that cuts at all cuts by a known pattern; single digits may be cut off before."""
    steps = [] if step is None else step["pretokenizers"] if step["type"] == "Sequence" else [step]
    for one in steps:
        if one["type"] == "Digits":
            continue
        if one["type"] == "ByteLevel":
            return bool(one["use_regex"]) and not one["add_prefix_space"]
        if one["type"] != "Split" or one["invert"] or one["behavior"] not in ("Isolated", "Removed"):
            return False
        pattern = one["pattern"].get("Regex", "")
        if one["behavior"] == "Isolated" and pattern in PATTERNS:
            return _no_prefix(steps)
        if pattern not in (r"\p{N}{1,3}", r"\p{N}"):
            return False
    return False


def _no_prefix(steps: Iterable[dict[str, Any]]) -> bool:
    return not any(one.get("add_prefix_space") for one in steps)


def _token_bytes(model: dict[str, Any]) -> dict[int, bytes] | None:
    """The bytes of each token, for byte-level tokenizers whose decoder only joins them; None for others."""
    if (model["decoder"] or {}).get("type") != "ByteLevel" or model["model"]["type"] != "BPE":
        return None
    letters = _byte_letters()
    added = {token["id"]: token["content"].encode() for token in model["added_tokens"]}
    table = {
        number: bytes(letters[letter] for letter in token)
        for token, number in model["model"]["vocab"].items()
        if number not in added and all(letter in letters for letter in token)
    }
    return table | added


def _byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for. Source: GPT-2's encoder, Radford et al. 2019:
    printable bytes stand for themselves, the others for the letters from 256 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + number): byte for number, byte in enumerate(others)}
