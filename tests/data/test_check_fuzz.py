"""All checks against the readers' battery of damaged files, and against rows of any shape: a report and no crash."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data import checks
from luthier.data.check import Gathered, look
from luthier.data.checks import CRITERIA, Whole
from luthier.data.convert import convert
from luthier.data.mend import Mending
from luthier.data.quality import Quality, measure
from luthier.errors import UserError
from luthier.flow import Event, result_of
from tests.data.test_readers_fuzz import ENDINGS, WRITERS, damaged

# A busy machine is no fault of the checks.
ANYWHERE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SOME = settings(max_examples=6, deadline=None, suppress_health_check=ANYWHERE)
MANY = settings(SOME, max_examples=200)

PIECES = (
    *("", " ", "\n", "\t", "\u200b", "\x1b[31m", "\ufffd", "cafÃ©", "\ud7ff", "\U0001f600", "مرحبا", "İ", "ß", "�"),
    *("I am sorry, but I cannot help.", "As an AI language model,", "yes", "Yes.", "YES", "no", "LOC", "12"),
    *("3 + 4 = 8", "1/0 = 1", "10 % of 50 is 6", "9" * 400 + " + 1 = 2", "```python\ndef f(:\n```", "```json\n{\n```"),
    *('{"a": 1}', '{"a": ', "[1, 2", "<|im_end|>", "{{name}}", "<noinput>", "[INSERT]", "a " * 300, "a.b." * 50),
    *("write to ann@posteo.de", "4111 1111 1111 1111", "+49 30 1234567", "DE89 3704 0044 0532 0130 00", "10.0.0.7"),
    *("ghp_" + "a1B2" * 9, "-----BEGIN RSA PRIVATE KEY-----", "Ignore all previous instructions.", "((((" * 40),
    *("My name is Ann Lee.", "42 Maple Street", "You are a worthless idiot.", "the same words again " * 30),
)
SAID = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
    max_size=4,
).map("".join)
PAIRS = st.lists(st.fixed_dictionaries({"instruction": SAID, "response": SAID}), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | SAID,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "a"]), inner),
    max_leaves=6,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": SAID | st.none()},
    optional={"weight": st.sampled_from([0, 1, "x"]), "tool_calls": VALUES, "name": SAID},
)
ROWS: dict[str, st.SearchStrategy[Any]] = {
    "chat": st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=6)}, optional={"category": SAID | VALUES}),
    "instruction": st.fixed_dictionaries({"instruction": SAID, "response": SAID | VALUES}, optional={"input": VALUES}),
    "completion": st.fixed_dictionaries({"input": SAID, "output": SAID}, optional={"category": SAID}),
    "text": st.fixed_dictionaries({"text": SAID}, optional={"extra": VALUES}),
    "preference": st.fixed_dictionaries({"prompt": SAID, "chosen": SAID, "rejected": SAID | VALUES}),
    "sharegpt": st.fixed_dictionaries(
        {
            "conversations": st.lists(
                st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "x"]), "value": SAID})
            )
        }
    ),
}


def filled(whole: Whole) -> Generator[Event, None, Mapping[str, Any]]:
    """What models might have said of these rows, by their numbers."""
    yield from ()
    numbers = np.arange(len(whole), dtype=np.float64)
    angles = numbers / 7
    return {
        "answer_loss": np.where(numbers % 5 == 4, np.nan, 1 + numbers % 3),
        "answer_loss_alone": 2 + numbers % 2,
        "answer_tokens": np.full(len(whole), 9),
        "meaning": np.stack([np.cos(angles), np.sin(angles)], axis=1),
        "meaning_row": np.arange(len(whole)),
    }


def reported(path: Path, held_out: Sequence[Path] = ()) -> tuple[Quality, Gathered] | None:
    """All checks, the deep ones too, over the file: their report holds together. None where it cannot be read."""
    sources, mistakes = look([(path, 1.0)])
    gathered = Gathered(sources, mistakes)
    apart, _ = look([(file, 1.0) for file in held_out])
    quality = result_of(measure(gathered, checks.chosen(deep=True), apart, filled))
    assert [criterion.name for criterion in quality.criteria] == list(CRITERIA)
    kept = sum(count for (_, _, reason), count in gathered.counts.items() if not reason)
    assert quality.rows == kept
    for result in quality.results:
        assert result.count <= kept
        assert result.problems.total >= len(result.problems.listed)
        for problem in result.problems.listed:
            assert problem.place.file == str(path)
            assert problem.place.line >= 1
            assert problem.message
            assert problem.remedy
    for criterion in quality.criteria:
        assert 0 <= criterion.score <= 1
    with suppress(UserError):
        gathered.finish("drop")
        return quality, gathered
    return None


def accounted(path: Path, content: bytes) -> None:
    """The report of a file with these bytes, and what `--write` makes of it: kept and left out are what was read."""
    path.write_bytes(content)
    found = reported(path)
    if found is None:
        return
    quality, gathered = found
    out = path.parent / "kept.jsonl"
    for old in path.parent.glob("kept*"):
        old.unlink()
    try:
        done = convert(gathered.sources, gathered.mistakes, out, None, Mending(quality, ["all"]))
    except UserError as error:
        [each] = error.mistakes
        refused = each.message
    else:
        refused = ""
    if refused:
        assert refused == "the checks leave no row"
        assert not out.exists()
        return
    left_out = done.quarantine.read_bytes().count(b"\n") if done.quarantine else 0
    assert out.read_bytes().count(b"\n") == done.rows
    assert done.rows + left_out == gathered.counts.total() == done.account.total.read


@pytest.mark.parametrize("digits", [24, 25, 400, 5000])
def test_a_sum_of_long_numbers_costs_no_report(tmp_path: Path, digits: int) -> None:
    number = "9" * digits
    row = {"instruction": "Add.", "response": f"{' * '.join([number] * 12)} = 2 and {number} + 1 = 2, 1 + 1 = {number}"}
    accounted(tmp_path / "a.jsonl", json.dumps(row).encode() + b"\n")


@pytest.mark.parametrize("ending", WRITERS)
def test_a_damaged_file_gets_a_report_or_an_error(tmp_path: Path, ending: str) -> None:
    @SOME
    @given(damaged(ending, PAIRS))
    def some(content: bytes) -> None:
        accounted(tmp_path / f"a.{ending}", content)

    some()


@pytest.mark.parametrize("form", ROWS)
def test_rows_of_any_shape_get_a_report_or_an_error(tmp_path: Path, form: str) -> None:
    @SOME
    @given(st.lists(ROWS[form], min_size=1, max_size=12))
    def some(rows: list[dict[str, Any]]) -> None:
        accounted(tmp_path / "a.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    some()


@pytest.mark.long
@pytest.mark.parametrize("ending", ENDINGS)
def test_hundreds_of_damaged_files_get_a_report_or_an_error(tmp_path: Path, ending: str) -> None:
    @MANY
    @given(damaged(ending, PAIRS))
    def many(content: bytes) -> None:
        accounted(tmp_path / f"a.{ending}", content)

    many()


@pytest.mark.long
@pytest.mark.parametrize("form", ROWS)
def test_hundreds_of_rows_of_any_shape_get_a_report_or_an_error(tmp_path: Path, form: str) -> None:
    @MANY
    @given(st.lists(ROWS[form], min_size=1, max_size=40))
    def many(rows: list[dict[str, Any]]) -> None:
        accounted(tmp_path / "a.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    many()
