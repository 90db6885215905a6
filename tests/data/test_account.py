"""The account: read = kept + dropped, by source and category, at every stage."""

from __future__ import annotations

import json

import pytest

from luthier.data.account import Account, Tally

ACCOUNT = Account(
    {
        ("a.jsonl", "x"): Tally(read=5, kept=5),
        ("a.jsonl", None): Tally(read=3, kept=1, dropped={"invalid_json": 2}),
        ("b.csv", "x"): Tally(read=4, kept=3, dropped={"empty_answer": 1}),
    }
)


def test_the_total_and_the_sums_by_source_and_category_add_up() -> None:
    assert ACCOUNT.total == Tally(12, 9, {"invalid_json": 2, "empty_answer": 1})
    assert ACCOUNT.sources() == {
        "a.jsonl": Tally(8, 6, {"invalid_json": 2}),
        "b.csv": Tally(4, 3, {"empty_answer": 1}),
    }
    assert ACCOUNT.categories() == {"x": Tally(9, 8, {"empty_answer": 1}), None: Tally(3, 1, {"invalid_json": 2})}


def test_later_stages_move_and_mark_rows_and_leave_the_account_before_as_it_was() -> None:
    a, b = ("a.jsonl", "x"), ("b.csv", "x")
    after = ACCOUNT.with_dropped("too_long", {a: 1}).with_dropped("too_long", {a: 1}).with_cut({b: 1})
    after = after.with_validation({b: 1}).with_tokens({a: 6}, {a: 3})
    assert after.total == Tally(
        12, 7, {"invalid_json": 2, "empty_answer": 1, "too_long": 2}, validation=1, cut=1, tokens=6, trained_tokens=3
    )
    assert after.total.masked_tokens == 3
    assert after.sources()["b.csv"].cut == 1
    assert ACCOUNT.total.kept == 9


def test_an_account_that_does_not_add_up_is_refused() -> None:
    for tally in (
        Tally(3, 3, {"limit": 1}),
        Tally(3, 1),
        Tally(3, 3, validation=4),
        Tally(3, 3, cut=4),
        Tally(3, 3, tokens=2, trained_tokens=3),
    ):
        with pytest.raises(AssertionError, match="do not add up"):
            Account({("a.jsonl", None): tally}).check()
    with pytest.raises(AssertionError, match="do not add up"):
        ACCOUNT.with_cut({("b.csv", "x"): 4})


def test_the_data_of_rows_json_holds_every_part() -> None:
    data = ACCOUNT.with_tokens(
        {("a.jsonl", "x"): 6, ("b.csv", "x"): 2}, {("a.jsonl", "x"): 3, ("b.csv", "x"): 1}
    ).to_data()
    assert json.loads(json.dumps(data)) == data
    assert data["read"] == data["kept"] + sum(data["dropped"].values()) == 12
    assert data["tokens"] == data["masked_tokens"] + data["trained_tokens"] == 8
    assert [part["category"] for part in data["categories"]] == ["x", None]
    assert sum(part["read"] for part in data["sources"].values()) == 12
    assert set(data["sources"]["b.csv"]) == {
        "read", "kept", "dropped", "validation", "cut", "tokens", "trained_tokens", "masked_tokens", "made",
    }  # fmt: skip


def test_rows_that_were_made_are_counted_by_a_source_of_their_own() -> None:
    account = ACCOUNT.with_made({("typos of a.jsonl", "x"): 4})
    assert account.sources()["typos of a.jsonl"] == Tally(4, 4, made=4)
    assert (account.total.read, account.total.kept, account.total.made) == (16, 13, 4)
    assert account.categories()["x"].made == 4
