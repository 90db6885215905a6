"""The general set: enough of it, varied, our own, and the same for every model."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from itertools import combinations

import numpy as np
import orjson

from luthier.data.minhash import pairs_alike, shingles, signatures, words_of
from luthier.evaluation.general import ANSWERED, FILE, ROOM, general, passages, sampled
from luthier.models import Source, load_tokenizer


def texts() -> list[str]:
    return [passage.text or f"{passage.prompt}\n{passage.answer}" for passage in passages()]


def test_it_holds_over_300_passages_of_twelve_skills_in_equal_parts() -> None:
    skills = Counter(passage.skill for passage in passages())
    assert len(passages()) >= 300
    assert len(skills) == 12
    assert len(set(skills.values())) == 1


def test_each_is_a_text_or_a_question_with_an_answer() -> None:
    for passage in passages():
        assert bool(passage.text) != bool(passage.prompt and passage.answer), passage
        assert (passage.prompt == "") == (passage.answer == ""), passage
    for skill in {passage.skill for passage in passages()}:
        kinds = Counter(bool(passage.text) for passage in passages() if passage.skill == skill)
        assert kinds[True] >= 5, skill
        assert kinds[False] >= 15, skill


def test_no_two_passages_are_the_same_and_few_are_alike() -> None:
    asked = [passage.prompt or passage.text for passage in passages()]
    assert len({" ".join(text.casefold().split()) for text in asked}) == len(asked)
    alike = pairs_alike(signatures(*shingles(*words_of(texts()))), 0.8)
    assert not [(texts()[one], texts()[other]) for one, other in alike.tolist()]


def test_nothing_of_it_stands_in_the_example_that_is_packaged() -> None:
    example = files("luthier.examples") / "support_desk"
    rows = [
        orjson.loads(line)
        for name in ("train", "test")
        for line in (example / f"{name}.jsonl").read_text().splitlines()
    ]
    own = [message["content"] for row in rows for message in row["messages"] if message["role"] == "user"]
    words = [set(text.casefold().split()) for text in own]
    assert len(words) > 400
    for text in texts():
        mine = set(text.casefold().split())
        assert max(len(mine & other) / len(mine | other) for other in words) < 0.5, text


def test_what_can_be_computed_in_it_is_right() -> None:
    """The sums, by Python: a wrong answer in the set would count knowing better as forgetting."""
    answer = {passage.prompt: passage.answer for passage in passages() if passage.prompt}
    for prompt, value in {
        "What is 17 plus 26?": 17 + 26,
        "What is 84 minus 39?": 84 - 39,
        "What is 12 times 7?": 12 * 7,
        "What is 96 divided by 8?": 96 // 8,
        "What is 2 to the power of 10?": 2**10,
        "What is the value of 7 // 2 in Python?": 7 // 2,
        "Which remainder does 17 % 5 give in Python?": 17 % 5,
        "Add 3.5 and 2.75.": 3.5 + 2.75,
    }.items():
        assert answer[prompt] == str(value)
    assert answer["Spell the word house backwards."] == "house"[::-1]
    assert answer["Replace every a in banana with o."] == "banana".replace("a", "o")
    assert answer["Take the vowels out of the word table."] == "".join(c for c in "table" if c not in "aeiou")
    for passage in passages():
        if passage.skill == "code" and passage.text.startswith(("for", "def", "if", "with", "squares")):
            compile(passage.text, FILE, "exec")


def test_every_second_passage_of_each_skill_is_scored() -> None:
    counts = Counter(passage.skill for passage in sampled())
    assert set(counts.values()) == {13}
    assert [passage for passage in passages() if passage in set(sampled())] == list(sampled())


def test_a_model_reads_all_of_it_and_is_asked_some_of_each_skill(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    made = general(tokenizer)
    assert made.passages == sampled()
    assert {
        Counter(question.category for question in made.asked)[skill] for skill in {p.skill for p in made.passages}
    } == {ANSWERED}
    for at, question in zip(made.asked_at, made.asked, strict=True):
        assert made.passages[at].answer == question.wanted
        assert made.rows[at].tokens[: len(question.tokens)].tolist() == question.tokens.tolist()
        assert not made.rows[at].weights[: len(question.tokens)].any()
    at = next(number for number, passage in enumerate(made.passages) if passage.text)
    weights = made.rows[at].weights
    assert weights[0] == weights[-1] == 0  # nothing stands before the first token, and the end is no part of a text
    assert weights[1:-1].all()
    assert tokenizer.decode(made.rows[at].tokens[1 if weights[0] else 0 : -1]).endswith(made.passages[at].text)


def test_what_does_not_fit_into_the_context_is_left_out_and_the_key_tells_sets_apart(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    whole, short = general(tokenizer), general(tokenizer, context=140)
    assert 0 < len(short.rows) < len(whole.rows)
    assert max(len(row.tokens) for row in short.rows) + ROOM <= 140
    assert all(short.passages[at].answer == asked.wanted for at, asked in zip(short.asked_at, short.asked, strict=True))
    assert whole.key == general(tokenizer).key != short.key


def test_a_model_without_a_chat_template_is_asked_by_the_run_files(tiny_model: Source) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = None
    made = general(tokenizer)
    assert all(question.prompt.startswith("<|user|>\n") for question in made.asked)
    assert all(not np.array_equal(one.tokens, other.tokens) for one, other in combinations(made.asked[:12], 2))
