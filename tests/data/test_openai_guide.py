"""The guide's seven format errors and its counts, each worked out by hand on small files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.openai_guide import LIMIT, Guide, epochs_for, guide
from luthier.flow import result_of

ASKED = {"role": "user", "content": "12345678"}  # 8 bytes: 2 tokens, and `user` 1
ANSWERED = {"role": "assistant", "content": "1234"}  # 4 bytes: 1 token, and `assistant` 3
SYSTEM = {"role": "system", "content": "123"}  # 3 bytes: 1 token, and `system` 2


def of(folder: Path, *rows: Any) -> Guide:
    path = folder / "chat.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return result_of(guide([path]))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (["a list"], "data_type"),
        ({"prompt": "x", "completion": "y"}, "missing_messages_list"),
        ({"messages": [{"role": "user"}, ANSWERED]}, "message_missing_key"),
        ({"messages": [ASKED, {**ANSWERED, "mood": "good"}]}, "message_unrecognized_key"),
        ({"messages": [{**ASKED, "role": "human"}, ANSWERED]}, "unrecognized_role"),
        ({"messages": [{**ASKED, "content": 7}, ANSWERED]}, "missing_content"),
        ({"messages": [SYSTEM, ASKED]}, "example_missing_assistant_message"),
    ],
)
def test_each_of_the_seven_errors_is_found_with_its_line_and_nothing_is_wrong_with_good_rows(
    row: Any, error: str, tmp_path: Path
) -> None:
    good = {"messages": [SYSTEM, ASKED, {**ANSWERED, "weight": 0}, ASKED, ANSWERED]}
    found = of(tmp_path, good, row, good)
    assert found.errors[error] == 1
    problem = next(problem for problem in found.problems if problem.check == f"openai_{error}")
    assert (problem.place.line, problem.severity) == (2, "error")
    assert problem.remedy
    assert set(found.errors) <= {error, "missing_content"}  # a message without content lacks its key as well
    assert of(tmp_path, good).errors == {}


def test_the_counts_are_those_of_the_guide(tmp_path: Path) -> None:
    found = of(tmp_path, {"messages": [ASKED, ANSWERED]}, {"messages": [SYSTEM, ASKED, ANSWERED]})
    assert (found.missing_system, found.missing_user, found.over_limit) == (1, 0, 0)
    # Three tokens a row, three a message: 3 + (3 + 1 + 2) + (3 + 3 + 1) = 16, and with system 16 + 3 + 2 + 1 = 22.
    assert (found.tokens.least, found.tokens.largest, found.tokens.mean) == (16, 22, 19.0)
    assert (found.messages.least, found.messages.largest) == (2, 3)
    assert found.answer_tokens.mean == 1.0
    # 2 rows: 100 / 2 = 50 epochs, at most 25; an epoch bills 38 tokens.
    assert (found.epochs, found.billed_tokens, found.billed_in_all) == (25, 38, 950)


def test_a_row_over_the_limit_is_counted_and_billed_up_to_it(tmp_path: Path) -> None:
    found = of(tmp_path, {"messages": [ASKED, {"role": "assistant", "content": "1234" * LIMIT}]})
    assert (found.over_limit, found.billed_tokens) == (1, LIMIT)


@pytest.mark.parametrize(("rows", "epochs"), [(0, 3), (10, 10), (33, 3), (34, 3), (8_333, 3), (8_334, 2), (40_000, 1)])
def test_epochs_keep_the_shown_rows_between_100_and_25000(rows: int, epochs: int) -> None:
    assert epochs_for(rows) == epochs
