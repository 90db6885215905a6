"""Which of many texts are nearly the same: MinHash signatures of their words, and groups whose signatures agree.

A text is known here by the hashes of its words in order, so that millions of texts are a few arrays. R texts, N words
in all, 64 numbers a signature.

Source: Broder 1997, "On the resemblance and containment of documents" (MinHash); Li and König 2010, "b-Bit minwise
hashing" (a byte of each minimum is enough); Leskovec et al., "Mining of massive datasets", section 3.4 (bands).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PERMUTATIONS: Final = 64
BAND: Final = 4
"""Numbers a band: two texts are compared where all numbers of one of the 16 bands are equal, which happens to 99 of 100
pairs that share 0.7 of their words and pairs of words."""

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint32]
Counts = NDArray[np.int64]

_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
"""A word, or one letter of a script that is written without spaces."""
_GOLDEN = np.uint32(0x9E3779B1)
_CHUNK = 2**18
_TEXTS = 2_000
_LONGEST = 1_024
"""Letters of a word after which the factors of its hash begin again."""


def words_of(texts: Sequence[str]) -> tuple[Hashes, Counts]:
    """The hash of each word of each text, one text after another (N), and how many words each has (R).

    Case, punctuation and white space don't count: `"Hi, Bo!"` and `"hi bo"` have the same two words.
    """
    parts = [_words(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]
    none = (np.zeros(0, np.uint32), np.zeros(0, np.int64))
    hashes, counts = zip(*parts, strict=True) if parts else ((none[0],), (none[1],))
    return np.concatenate(hashes), np.concatenate(counts)


def shingles(words: Hashes, counts: Counts) -> tuple[Hashes, Counts]:
    """What texts are compared by: each word, and each pair of neighbours in its order. `a b a` has a, b, a, ab, ba.

    A text of n words has 2n - 1 of them, text by text: its words first, then its pairs.
    """
    text = np.repeat(np.arange(len(counts)), counts)
    inside = text[1:] == text[:-1]
    first, second = words[:-1][inside], words[1:][inside]
    pairs = _mixed(first * _GOLDEN + (second ^ (second >> np.uint32(15))))
    order = np.argsort(np.concatenate([text, text[:-1][inside]]), kind="stable")
    return np.concatenate([_mixed(words), pairs])[order], counts + np.maximum(counts - 1, 0)


def signatures(parts: Hashes, counts: Counts) -> Bytes:
    """The signature (R, 64) of each text's `shingles`: the share of equal numbers in two of them estimates how much of
    what either text has stands in both (Jaccard), with a standard error of at most 0.063. Shingles may repeat.

    A text without any has only zeros.
    """
    made = np.zeros((len(counts), PERMUTATIONS), np.uint8)
    ends = np.cumsum(counts)
    some = np.flatnonzero(counts)
    start = 0
    while start < len(some):
        before = ends[some[start]] - counts[some[start]]
        stop = max(start + 1, int(np.searchsorted(ends[some], before + _CHUNK, side="right")))
        rows = some[start:stop]
        own = parts[before : ends[rows[-1]]]
        first = ends[rows] - counts[rows] - before
        for number, (factor, shift) in enumerate(_permutations()):
            made[rows, number] = np.minimum.reduceat(own * factor + shift, first) & np.uint32(0xFF)
        start = stop
    return made


def pairs_alike(signature: Bytes, least: float) -> NDArray[np.int64]:
    """Pairs of texts (P, 2) whose signatures agree in a share of at least `least` of their numbers.

    Not every such pair: of texts that are all alike, each is joined to the next, which is enough to find the groups.
    Texts whose signature is zeros take no part.
    """
    bands = np.ascontiguousarray(signature).view(np.uint32)
    some = np.flatnonzero(signature.any(axis=1))
    found = [np.zeros((0, 2), np.int64)]
    for band in range(bands.shape[1]):
        order = some[np.lexsort((bands[some, (band + 1) % bands.shape[1]], bands[some, band]))]
        equal = np.flatnonzero(bands[order[1:], band] == bands[order[:-1], band])
        for begin in range(0, len(equal), _CHUNK):
            at = equal[begin : begin + _CHUNK]
            pairs = np.column_stack([order[at], order[at + 1]])
            agree = np.count_nonzero(signature[pairs[:, 0]] == signature[pairs[:, 1]], axis=1)
            found.append(pairs[agree >= least * PERMUTATIONS])
    return np.concatenate(found)


def groups(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the group of each of `count` things, of which each pair (P, 2) stands in one group: for 4 things
    and the pairs 0-2 and 2-3 it is [0, 1, 0, 0]."""
    ones = np.ones(len(pairs), np.bool_)
    joined = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    labels: NDArray[np.int64] = connected_components(joined, directed=False)[1].astype(np.int64)
    return labels


def _words(texts: Sequence[str]) -> tuple[Hashes, Counts]:
    """`words_of` for a few texts, letter by letter in numpy: a word's hash is a polynomial of its bytes.

    Texts of ASCII alone need no search for words: there they are runs of letters and digits.
    """
    plain = [
        (text.lower() if text.isascii() else " ".join(_WORD.findall(text.casefold()))).encode("utf-8", "surrogatepass")
        for text in texts
    ]
    letters = np.frombuffer(b"\n".join([b"", *plain, b""]), np.uint8)
    inside = _in_words()[letters]
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    begins, sizes = edges[::2], edges[1::2] - edges[::2]
    if not len(begins):
        return np.zeros(0, np.uint32), np.zeros(len(texts), np.int64)
    first = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum())) - np.repeat(first, sizes)
    values = (letters[inside].astype(np.uint64) + np.uint64(1)) * _powers()[place % _LONGEST]
    sums = np.add.reduceat(values, first)
    starts = np.cumsum([1, *(len(text) + 1 for text in plain)])
    counts = np.diff(np.searchsorted(begins, starts))
    return ((sums ^ (sums >> np.uint64(29))) * _powers()[3] >> np.uint64(32)).astype(np.uint32), counts


@lru_cache(maxsize=1)
def _in_words() -> NDArray[np.bool_]:
    """Which bytes stand in words: letters and digits, and all of a letter beyond ASCII."""
    return np.array([byte >= 128 or chr(byte).isalnum() for byte in range(256)])


@lru_cache(maxsize=1)
def _powers() -> NDArray[np.uint64]:
    """What the letters of a word are multiplied by."""
    return np.cumprod(np.full(_LONGEST, 0x9E3779B97F4A7C15, np.uint64), dtype=np.uint64)


def _mixed(hashes: Hashes) -> Hashes:
    """Each number as another that looks like chance. Source: Appleby's MurmurHash3, 32-bit finalizer."""
    mixed = hashes.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    result: Hashes = mixed ^ (mixed >> np.uint32(16))
    return result


@lru_cache(maxsize=1)
def _permutations() -> tuple[tuple[np.uint32, np.uint32], ...]:
    """64 ways to put numbers of 32 bits in another order: times an odd number, plus another."""
    drawn = np.random.default_rng(20261123).integers(0, 2**32, (PERMUTATIONS, 2), np.uint32)
    return tuple((factor | np.uint32(1), shift) for factor, shift in drawn)
