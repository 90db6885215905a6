"""The support desk's example data is what its README says: distinct, balanced, and every planted fault in its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from ruamel.yaml import YAML

import luthier

FOLDER = Path(luthier.__file__).parent / "examples" / "support_desk"
CATEGORIES = ("billing", "delivery", "returns", "account", "technical", "product", "cancellation", "feedback")
ORDER_NUMBER = re.compile(r"BH-\d{5}")
NEAR = 0.5  # rows that share half of their shingles or more would be near-duplicates


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").split("\n") if line]


def user(row: dict[str, Any]) -> str:
    return str(row["messages"][-2]["content"])


def answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def word_shingles(text: str) -> frozenset[str]:
    """Runs of three words: "a b c d" gives {"a b c", "b c d"}."""
    parts = words(text)
    return frozenset(" ".join(parts[start : start + 3]) for start in range(max(1, len(parts) - 2)))


def character_shingles(text: str) -> frozenset[str]:
    """Runs of five characters of the words: "a bcde" gives {"a bcd", " bcde"}."""
    plain = " ".join(words(text))
    return frozenset(plain[start : start + 5] for start in range(max(1, len(plain) - 4)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def too_near(texts: list[str]) -> list[tuple[str, str]]:
    shingled = [(text, word_shingles(text), character_shingles(text)) for text in texts]
    return [
        (one[0], other[0])
        for one, other in combinations(shingled, 2)
        if jaccard(one[1], other[1]) >= NEAR or jaccard(one[2], other[2]) >= NEAR
    ]


def test_jaccard_of_shingles_is_what_a_pencil_gives() -> None:
    assert jaccard(word_shingles("a b c d"), word_shingles("a b c e")) == pytest.approx(1 / 3)
    assert jaccard(character_shingles("a bcde"), character_shingles("A bcd!")) == pytest.approx(1 / 2)
    assert too_near(["my red parcel never came", "My red parcel never came!", "how loud is it"]) == [
        ("my red parcel never came", "My red parcel never came!")
    ]


@pytest.mark.parametrize(("name", "each"), [("train.jsonl", 44), ("test.jsonl", 15)])
def test_each_category_has_the_same_number_of_rows(name: str, each: int) -> None:
    assert Counter(row["category"] for row in rows(name)) == dict.fromkeys(CATEGORIES, each)


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_a_row_is_a_short_shared_prompt_a_message_and_its_order_number_or_none(name: str) -> None:
    prompts = {row["messages"][0]["content"] for row in rows("train.jsonl")}
    assert len(prompts) == 1
    assert 8 <= len(prompts.copy().pop().split()) <= 14
    for row in rows(name):
        assert set(row) == {"messages", "category"}
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert all(set(message) == {"role", "content"} for message in row["messages"])
        assert row["messages"][0]["content"] in prompts
        assert [answer(row)] == (ORDER_NUMBER.findall(user(row)) or ["none"])


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_messages_are_as_long_as_people_write_them(name: str) -> None:
    lengths = [len(user(row).split()) for row in rows(name)]
    assert min(lengths) >= 5
    assert max(lengths) <= 60
    assert 18 <= mean(lengths) < 30


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_seven_of_ten_messages_have_a_number_and_some_without_have_one_of_another_kind(name: str) -> None:
    without = [user(row) for row in rows(name) if answer(row) == "none"]
    assert 0.67 <= 1 - len(without) / len(rows(name)) <= 0.73
    assert sum(bool(re.search(r"INV-|K-\d|TR\d", text)) for text in without) >= len(without) / 10


def test_no_order_number_stands_in_two_rows() -> None:
    numbers = [answer(row) for name in ("train.jsonl", "test.jsonl") for row in rows(name)]
    assert max(Counter(number for number in numbers if number != "none").values()) == 1


def test_no_row_is_a_near_duplicate_of_another_in_training_or_in_the_test() -> None:
    assert too_near([user(row) for name in ("train.jsonl", "test.jsonl") for row in rows(name)]) == []


def test_the_run_file_names_files_that_stand_beside_it() -> None:
    run = YAML(typ="safe").load(FOLDER / "run.yaml")
    assert (FOLDER / run["data"]["train"]).is_file()
    assert (FOLDER / run["data"]["test"]).is_file()


# ------------------------------------------------------------------------------------------- the planted faults


def raw_lines() -> dict[int, str]:
    return dict(enumerate((FOLDER / "raw.jsonl").read_text(encoding="utf-8").split("\n")[:-1], 1))


def planted() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "faults.json").read_text(encoding="utf-8"))["faults"])


def parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def the_test_rows() -> set[str]:
    return {user(row) for row in rows("test.jsonl")}


def well_formed(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("messages"), list)
        and all(isinstance(message["content"], str) for message in row["messages"])
        and isinstance(row["category"], str)
    )


def well_formed_and(holds: Callable[[dict[str, Any]], bool]) -> Callable[[str], bool]:
    return lambda line: well_formed(parse(line)) and holds(parse(line))


def roles(row: dict[str, Any]) -> list[str]:
    return [message["role"] for message in row["messages"]]


def in_message(pattern: str) -> Callable[[str], bool]:
    return well_formed_and(lambda row: any(re.search(pattern, message["content"]) for message in row["messages"]))


SIGNS: dict[str, Callable[[str], bool]] = {
    "blank_line": lambda line: line == "",
    "broken_json": lambda line: line != "" and parse(line) is None,
    "missing_messages": lambda line: isinstance(parse(line), dict) and "messages" not in parse(line),
    "wrong_type": lambda line: (
        parse(line) is not None
        and not well_formed(parse(line))
        and not (isinstance(parse(line), dict) and "messages" not in parse(line))
    ),
    "unknown_role": well_formed_and(lambda row: not {"system", "user", "assistant"}.issuperset(roles(row))),
    "no_answer": well_formed_and(lambda row: roles(row) == ["system", "user"]),
    "empty_answer": well_formed_and(lambda row: roles(row)[-1] == "assistant" and not answer(row).strip()),
    "empty_message": well_formed_and(lambda row: "user" in roles(row) and not user(row).strip()),
    "other_system_prompt": well_formed_and(
        lambda row: row["messages"][0]["content"] != rows("train.jsonl")[0]["messages"][0]["content"]
    ),
    "unfilled_placeholder": in_message(r"\{\{.+?\}\}|\[[A-Z_]+\]|%[A-Z]+%|<[a-z ]+>"),
    "mojibake": in_message("[Ãâ\ufffd]"),
    "control_characters": in_message("[\x00-\x09\x0b-\x1f\u200b\u202e]"),
    "lone_surrogate": in_message("[\ud800-\udfff]"),
    "personal_data": in_message(
        r"\S+@\S+\.\w+|\+\d{2} \d{4}|\d{4} \d{4} \d{4} \d{4}|\b[A-Z]{2}\d{2} \d{4}|Mrs\. \w+ \w+, \d+ "
    ),
    "secret": in_message(r"[Pp]assword is \S*\d|secret="),
    "harmful_content": in_message("idiot|moron|cretin|break his legs"),
    "very_long": well_formed_and(lambda row: "user" in roles(row) and len(user(row).split()) > 300),
    "other_language": in_message(r"\bDie \w+ meiner|\bLa \w+ que"),
    "leaked_test_row": well_formed_and(lambda row: "assistant" in roles(row) and user(row) in the_test_rows()),
    "unknown_category": well_formed_and(lambda row: row["category"] not in CATEGORIES),
    "inconsistent_label": well_formed_and(
        lambda row: (
            re.fullmatch(r"bh[- ]\d{5}\s*|none|no order", answer(row), re.IGNORECASE) is not None
            and re.fullmatch(r"BH-\d{5}|none", answer(row)) is None
        )
    ),
    "inconsistent_format": well_formed_and(lambda row: answer(row).startswith("I think")),
}
REPEATS = {"exact_duplicate", "near_duplicate", "contradicting_answer"}
JUDGED_BY_PEOPLE = {"wrong_label"}


def test_every_planted_fault_has_a_known_kind() -> None:
    assert {fault["kind"] for fault in planted()} == SIGNS.keys() | REPEATS | JUDGED_BY_PEOPLE


@pytest.mark.parametrize("kind", sorted(SIGNS))
def test_a_planted_fault_stands_on_its_lines_and_on_no_others(kind: str) -> None:
    wanted = {fault["line"] for fault in planted() if fault["kind"] == kind}
    assert {number for number, line in raw_lines().items() if SIGNS[kind](line)} == wanted


def test_duplicates_and_contradictions_stand_on_their_lines_and_on_no_others() -> None:
    lines = raw_lines()
    readable = {
        number: parse(line)
        for number, line in lines.items()
        if well_formed(parse(line)) and "assistant" in roles(parse(line)) and user(parse(line)).strip()
    }
    found = set()
    shingled = {number: (word_shingles(user(row)), character_shingles(user(row))) for number, row in readable.items()}
    for first, second in combinations(readable, 2):
        if lines[first] == lines[second]:
            found.add((second, first, "exact_duplicate"))
        elif user(readable[first]) == user(readable[second]):
            found.add((second, first, "contradicting_answer"))
        elif any(jaccard(*pair) >= NEAR for pair in zip(shingled[first], shingled[second], strict=True)):
            found.add((second, first, "near_duplicate"))
    assert found == {(fault["line"], fault["of"], fault["kind"]) for fault in planted() if fault["kind"] in REPEATS}


def test_the_clean_lines_of_the_raw_file_are_whole_rows_of_unequal_categories() -> None:
    faulty = {fault["line"] for fault in planted()}
    clean = [json.loads(line) for number, line in raw_lines().items() if number not in faulty]
    assert all(roles(row) == ["system", "user", "assistant"] for row in clean)
    assert all([answer(row)] == (ORDER_NUMBER.findall(user(row)) or ["none"]) for row in clean)
    counts = Counter(row["category"] for row in clean)
    assert sum(counts.values()) == 76
    assert counts["technical"] == 22
    assert counts["feedback"] == 2


def test_the_readme_states_the_true_numbers() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{len(rows('train.jsonl'))} messages, 44 a category" in text
    assert f"{len(rows('test.jsonl'))} messages, 15 a category" in text
    assert f"{len(raw_lines())} lines as a desk would export them" in text
