"""How a row with its trained tokens marked looks in a terminal."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from luthier.app.cli.mask import marked, show_masks
from luthier.flow import Marked, Place

ROW = Marked(
    tokens=(
        ("<|user|>", False),
        ("2+2?\n", False),
        ("\x1b[31m", False),
        ("<|bot|>", False),
        ("4", True),
        ("[red]", True),
        ("<|end|>", True),
        ("\n", False),
    ),
    marks=("<|bot|>", "<|end|>", "<|user|>"),
    sent="<|user|>2+2?\n\x1b[31m<|bot|>",
    place=Place("rows.jsonl", 17),
)


def shown(row: Marked, colour: bool) -> str:
    stream = StringIO()
    options = {"force_terminal": True, "color_system": "standard"} if colour else {}
    show_masks([row], Console(file=stream, markup=False, highlight=False, emoji=False, width=72, **options))  # type: ignore[arg-type]
    return stream.getvalue()


def test_without_colour_trained_text_stands_between_brackets_and_every_token_is_visible() -> None:
    assert [line.rstrip(" ─") for line in shown(ROW, colour=False).splitlines()] == [
        "row 1, rows.jsonl:17: what is marked is trained on",
        "<|user|>2+2?⏎",
        "␛[31m<|bot|>⟦4[red]<|end|>⟧⏎",
        "",
        "row 1: inference sends this for its last answer",
        "<|user|>2+2?⏎",
        "␛[31m<|bot|>",
    ]


def test_with_colour_trained_text_is_reversed_and_marks_are_bold() -> None:
    spans = {ROW_TEXT[span.start : span.end]: span.style for span in marked(ROW, coloured=True).spans}
    assert spans["<|user|>"] == spans["<|bot|>"] == "bold cyan"
    assert spans["4[red]"] == "reverse green"
    assert spans["<|end|>"] == "bold reverse green"
    assert "\x1b[1;7;32m<|end|>" in shown(ROW, colour=True)
    assert "\x1b[31m<" not in shown(ROW, colour=True)


def test_a_row_of_which_no_prompt_is_known_says_nothing_of_inference() -> None:
    text = Marked((("Once", False), (" upon", True)), (), "", Place("rows.txt", 1))
    assert "inference" not in shown(text, colour=False)


ROW_TEXT = "<|user|>2+2?⏎\n␛[31m<|bot|>4[red]<|end|>⏎\n"
