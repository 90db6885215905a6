"""Near-duplicates beside datasketch: 1,000 rows planted among 20,000, found by both, each side with 64 permutations.

Both sides compare the same things, words and pairs of neighbouring words, put them into 16 bands of 4 numbers, and
verify what the bands bring together by the exact Jaccard index, so that their recall is equal by construction; it is
measured all the same. datasketch's side is its fastest: hashes given by numpy at once, its own LSH.

    python -m benchmarks.near_duplicates --rounds 3
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measuring import ROOT, commit, machine, shown, spread
from luthier.data.checks.near_duplicates import ALIKE, SLACK, jaccard
from luthier.data.minhash import BAND, PERMUTATIONS, pairs_alike, shingles, signatures, words_of


@dataclass(frozen=True)
class Rows:
    """Texts, and for each planted copy its number and that of the text that it was made of."""

    texts: list[str]
    copies: list[tuple[int, int]]


def planted(count: int = 20_000, copies: int = 1_000, seed: int = 0) -> Rows:
    """Texts of 20 to 120 words, as common as a language's words are (Zipf's law), of which `copies` are others with
    words changed, left out, put in or swapped, as many as leave 0.7 or more of both (Jaccard), anything up to equal."""
    chance = random.Random(seed)
    vocabulary = [f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{number:x}" for number in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(vocabulary))]
    texts = [" ".join(chance.choices(vocabulary, weights, k=chance.randint(20, 120))) for _ in range(count - copies)]
    made: list[tuple[str, int]] = []
    while len(made) < copies:
        source = chance.randrange(len(texts))
        words = texts[source].split()
        for _ in range(chance.randint(1, max(1, len(words) // 8))):
            place = chance.randrange(len(words) - 1)
            change = chance.randrange(4)
            if change == 0:
                words[place] = chance.choice(vocabulary)
            elif change == 1:
                words.insert(place, chance.choice(vocabulary))
            elif change == 2 and len(words) > 12:
                del words[place]
            else:
                words[place : place + 2] = words[place + 1], words[place]
        if ALIKE <= exact(texts[source], " ".join(words)) < 1:
            made.append((" ".join(words), source))
    order = list(range(count))
    chance.shuffle(order)
    every = texts + [text for text, _ in made]
    moved = {old: new for new, old in enumerate(order)}
    return Rows(
        [every[old] for old in order],
        [(moved[len(texts) + number], moved[source]) for number, (_, source) in enumerate(made)],
    )


def exact(one: str, other: str) -> float:
    """The Jaccard index of two texts' words and pairs of words, by Python's own sets."""
    first, second = (_parts(text) for text in (one, other))
    return len(first & second) / len(first | second)


def _parts(text: str) -> set[str]:
    words = text.split()
    return {*words, *(" ".join(pair) for pair in pairwise(words))}


def ours(texts: list[str]) -> set[tuple[int, int]]:
    """The pairs that Luthier finds and verifies."""
    parts, counts = shingles(*words_of(texts))
    pairs = pairs_alike(signatures(parts, counts), ALIKE - SLACK)
    ends = np.cumsum(counts)
    needed = {row: np.unique(parts[ends[row] - counts[row] : ends[row]]) for row in np.unique(pairs).tolist()}
    return {
        (min(pair), max(pair)) for pair in pairs.tolist() if jaccard(needed[pair[0]], needed[pair[1]]) >= ALIKE
    }  # fmt: skip


def theirs(texts: list[str]) -> set[tuple[int, int]]:
    """The pairs that datasketch finds, verified by sets."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(num_perm=PERMUTATIONS, params=(PERMUTATIONS // BAND, BAND))
    parts = [_parts(text) for text in texts]
    found = set()
    made = MinHash.generator([[part.encode() for part in own] for own in parts], num_perm=PERMUTATIONS)
    for number, signature in enumerate(made):
        for other in lsh.query(signature):
            both = len(parts[number] & parts[other])
            if both / (len(parts[number]) + len(parts[other]) - both) >= ALIKE:
                found.add((other, number))
        lsh.insert(number, signature)
    return found


def measured(find: Callable[[list[str]], set[tuple[int, int]]], rows: Rows) -> dict[str, Any]:
    """Seconds, the share of planted copies that stand in a pair, and of the pairs' rows that are planted or copied."""
    started = time.perf_counter()
    pairs = find(rows.texts)
    seconds = time.perf_counter() - started
    together = {row for pair in pairs for row in pair}
    known = {row for pair in rows.copies for row in pair}
    return {
        "seconds": seconds,
        "recall": sum(copy in together for copy, _ in rows.copies) / len(rows.copies),
        "precision": len(together & known) / max(1, len(together)),
    }


def main() -> None:
    """Measures both sides by turns and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "near_duplicates.json")
    asked = parser.parse_args()
    rows = planted(asked.rows, asked.rows // 20)
    rounds = []
    for number in range(asked.rounds):
        both = {"luthier": measured(ours, rows), "datasketch": measured(theirs, rows)}
        rounds.append(both)
        for side, one in both.items():
            print(
                f"round {number + 1}  {side:10} {one['seconds']:7.2f} s  recall {one['recall']:.4f}  "
                f"precision {one['precision']:.4f}",
                flush=True,
            )
    ratio = spread([one["datasketch"]["seconds"] / one["luthier"]["seconds"] for one in rounds])
    recall = {side: median(one[side]["recall"] for one in rounds) for side in ("luthier", "datasketch")}
    whole = {"commit": commit(), **machine(), "rows": asked.rows, "times_as_fast": ratio, "recall": recall}
    asked.out.write_text(json.dumps({**whole, "rounds": rounds}, indent=1) + "\n", encoding="utf-8")
    print(f"{shown(ratio, 1)} times as fast as datasketch; recall {recall}; kept in {asked.out}")


if __name__ == "__main__":
    main()
