"""Near-duplicates by MinHash: what counts as a word, how far the estimate is off, which texts are found together."""

from __future__ import annotations

from itertools import combinations
from random import Random

import numpy as np

from luthier.data.minhash import PERMUTATIONS, groups, pairs_alike, shingles, signatures, words_of
from luthier.data.minhash import Bytes as Signature


def signed(texts: list[str]) -> Signature:
    return signatures(*shingles(*words_of(texts)))


def sets_of(texts: list[str]) -> list[set[int]]:
    parts, counts = shingles(*words_of(texts))
    return [set(own.tolist()) for own in np.split(parts, np.cumsum(counts)[:-1])]


def jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other)


def phrases(count: int, random: Random) -> list[str]:
    words = [f"w{number}" for number in range(400)]
    return [" ".join(random.choices(words, k=random.randint(6, 40))) for _ in range(count)]


def test_case_punctuation_and_spaces_do_not_count_and_letters_of_scripts_without_spaces_are_words() -> None:
    words, counts = words_of(["Hi, Bo!", "hi\n bo", "日本の車 is", "", "don't"])
    assert counts.tolist() == [2, 2, 5, 0, 2]
    assert words[:2].tolist() == words[2:4].tolist()


def test_a_text_is_its_words_and_then_its_pairs_of_neighbours() -> None:
    words, counts = words_of(["a b a", "", "c"])
    parts, sizes = shingles(words, counts)
    assert sizes.tolist() == [5, 0, 1]
    assert parts[0] == parts[2] != parts[1]
    assert parts[3] != parts[4]  # a b is not b a
    assert len(set(parts.tolist())) == 5


def test_no_pair_crosses_from_one_text_into_the_next() -> None:
    together, _ = shingles(*words_of(["a b", "c d"]))
    apart = [part for text in ("a b", "c d") for part in shingles(*words_of([text]))[0].tolist()]
    assert together.tolist() == apart


def test_equal_numbers_estimate_the_share_of_words_and_pairs_in_both_texts() -> None:
    random = Random(0)
    texts = phrases(40, random)
    changed = [" ".join(w if random.random() > 0.15 else "x" for w in text.split()) for text in texts]
    every = texts + changed
    signature, sets = signed(every), sets_of(every)
    errors = [
        np.mean(signature[one] == signature[other]) - jaccard(sets[one], sets[other])
        for one, other in combinations(range(len(every)), 2)
    ]
    assert abs(np.mean(errors)) < 0.01
    own = [errors[i] for i, (one, other) in enumerate(combinations(range(80), 2)) if other - one == 40]
    assert 0.02 < np.std(own) < 0.075  # sqrt(0.25 / 64) = 0.0625 at the most


def test_a_signature_does_not_depend_on_the_texts_around_it() -> None:
    texts = phrases(30, Random(1))
    alone = np.concatenate([signed([text]) for text in texts])
    assert np.array_equal(signed(texts), alone)
    assert np.array_equal(signed(["", *texts, ""])[1:-1], alone)


def test_copies_with_a_word_changed_are_found_together_and_others_are_not() -> None:
    random = Random(2)
    texts = phrases(300, random)
    texts = [text for text in texts if len(text.split()) >= 16]
    edited = []
    for text in texts:
        words = text.split()
        words[random.randrange(len(words))] = "new"
        edited.append(" ".join(words))
    every = texts + edited
    number = groups(len(every), pairs_alike(signed(every), 0.7))
    together = sum(number[i] == number[i + len(texts)] for i in range(len(texts)))
    assert together >= 0.97 * len(texts)
    assert len(set(number.tolist())) >= len(texts)  # no two originals in one group


def test_texts_without_words_are_like_nothing() -> None:
    assert not len(pairs_alike(signed(["", "", "?!", "a b c"]), 0.5))
    assert signed([]).shape == (0, PERMUTATIONS)
    assert pairs_alike(signed([]), 0.5).shape == (0, 2)


def test_groups_follow_chains_of_pairs() -> None:
    assert groups(4, np.array([[0, 2], [2, 3]])).tolist() == [0, 1, 0, 0]
    assert groups(3, np.zeros((0, 2), np.int64)).tolist() == [0, 1, 2]


def test_many_copies_of_one_text_are_one_group() -> None:
    copies = ["where is the parcel that I sent on monday"] * 500
    assert len(set(groups(501, pairs_alike(signed([*copies, "another thing"]), 0.7)).tolist())) == 2
