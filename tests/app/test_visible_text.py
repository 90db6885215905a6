"""Text from data and models reaches a terminal as text, and as nothing else."""

from __future__ import annotations

import sys

import pytest

from luthier.app.cli.text import one_line, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("a\x00b\rc\x07\x7f", "a␀b␍c␇␡"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("half \ud83d", "half \\ud83d"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("größer, 猫, 👩‍👧, [bold]", "größer, 猫, 👩‍👧, [bold]"),
    ],
)
def test_control_characters_show_as_pictures_or_codes_and_other_text_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_character_that_a_terminal_acts_on_is_left() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {letter for letter in visible(every) if ord(letter) < 32 or 127 <= ord(letter) < 160}
    assert left == {"\n", "\t"}
    visible(every).encode()


def test_one_line_has_no_line_break() -> None:
    assert one_line("a\nb\r\nc\td") == "a⏎b␍⏎c d"


@pytest.mark.parametrize(
    ("text", "cells", "short"),
    [("four", 4, "four"), ("fives", 4, "fiv…"), ("ab cd", 4, "ab…"), ("猫猫猫", 6, "猫猫猫"), ("猫猫猫", 5, "猫猫…")],
)
def test_a_shortened_text_fits_its_cells_and_wide_letters_take_two(text: str, cells: int, short: str) -> None:
    assert shortened(text, cells) == short
