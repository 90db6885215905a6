"""Text from data and models, made safe to print: no control character reaches the terminal, nothing is hidden."""

from __future__ import annotations

import re

NEWLINE = "⏎"
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline; among them what begins a colour
    "\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"  # what hides or turns the text beside it
    "\ud800-\udfff]"  # halves of pairs, which no encoding can write
)


def visible(text: str) -> str:
    r"""Every control character as its picture or its code: `"\x1b[31m"` is `␛[31m`. Tabs and newlines stay."""
    return _UNSAFE.sub(_shown, text)


def one_line(text: str) -> str:
    """`visible`, with newlines as a mark."""
    return visible(text).replace("\n", NEWLINE).replace("\t", " ")


def shortened(text: str, cells: int) -> str:
    """One line of at most so many cells of a terminal, with `…` where something is left out. Wide letters take two."""
    from rich.cells import cell_len, set_cell_size

    line = one_line(text)
    return line if cell_len(line) <= cells else set_cell_size(line, max(0, cells - 1)).rstrip() + "…"


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
