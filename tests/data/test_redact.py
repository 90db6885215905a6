"""Redaction: the same value is the same placeholder within a row, wherever it stands, and another row begins anew."""

from __future__ import annotations

import pytest

from luthier.data.checks.personal_data import spans
from luthier.data.redact import Redactor, finders
from luthier.errors import UserError
from tests.data.personal_texts import FRAMES, texts

FIND = [*finders(["all"]).values()]
ROW = {
    "messages": [
        {"role": "user", "content": "I am Ann@posteo.de, call +49 171 5529441."},
        {"role": "assistant", "content": "Thanks, ann@posteo.de and bo@posteo.de! I call +49-171-5529441."},
    ],
    "note": ["ann@posteo.de"],
    "price": 12,
}


def test_a_value_has_one_placeholder_in_prompt_answer_and_every_other_field() -> None:
    redactor = Redactor(FIND)
    assert redactor.value(ROW) == {
        "messages": [
            {"role": "user", "content": "I am <EMAIL_1>, call <PHONE_1>."},
            {"role": "assistant", "content": "Thanks, <EMAIL_1> and <EMAIL_2>! I call <PHONE_1>."},
        ],
        "note": ["<EMAIL_1>"],
        "price": 12,
    }
    assert redactor.counts == {"mail": 4, "phone": 2}  # ann three times, bo once; the phone twice


def test_every_row_counts_its_placeholders_from_one() -> None:
    assert Redactor(FIND).text("bo@posteo.de") == "<EMAIL_1>"
    assert Redactor(FIND).text("ann@posteo.de") == "<EMAIL_1>"


def test_only_the_checks_and_kinds_that_are_named_are_redacted() -> None:
    text = "ann@posteo.de has " + "ghp_" + "k7QmZt3VxW9sLr2NcYb8HpDf5JgXa1Te6UoR"
    assert Redactor([*finders(["secrets"]).values()]).text(text) == "ann@posteo.de has <GITHUB_1>"
    assert (
        Redactor([*finders(["mail"]).values()]).text(f"{text} or +49 171 5529441")
        == f"<EMAIL_1>{text[13:]} or +49 171 5529441"
    )
    with pytest.raises(UserError, match="refusals is nothing that is redacted"):
        finders(["refusals"])


def test_a_redacted_text_holds_no_value_any_more_and_stays_as_it_is_the_second_time() -> None:
    for text in texts(seed=5, each=20, nothing=20):
        redacted = Redactor(FIND).text(text.content)
        assert spans(redacted) == [], redacted
        assert Redactor(FIND).text(redacted) == redacted
    assert len(FRAMES) == 6
