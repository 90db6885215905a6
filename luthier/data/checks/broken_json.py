"""Answers that are meant to be JSON and are not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "high_quality_outputs"
what = "Answers, or blocks marked `json` in them, that begin as JSON and cannot be read."
why = "Whoever reads the model's answers by program gets an error for each of them."
remedy = "mend the JSON, or leave the row out: luthier check FILE --write KEPT"
severity = "error"
thresholds = (Threshold(0, "may be broken", "RFC 8259: a text is JSON or it is not"),)

_BEGINS = re.compile(r'\s*(?:\{\s*"|\[\s*(?:\{\s*"|"[^"\n]*"\s*,|-?\d+(?:\.\d+)?\s*,))')
_BLOCK = re.compile(r"```json\s*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def look(row: Row) -> Iterator[Hit]:
    """The last answer, or its blocks of JSON. Text behind a whole document is no fault."""
    answer = row.answer
    if row.is_text or ("{" not in answer and "[" not in answer):
        return
    texts = [answer] if _BEGINS.match(answer) else _BLOCK.findall(answer)
    for text in texts:
        try:
            json.JSONDecoder().raw_decode(text.strip())
        except RecursionError:
            continue
        except json.JSONDecodeError as error:
            if "..." in text or "//" in text:
                continue
            yield Hit(f"the answer's JSON cannot be read: {error.msg} (line {error.lineno}, column {error.colno})")
            return


def faulty() -> list[dict[str, Any]]:
    return [
        {"instruction": "Count the eggs.", "response": '{"eggs": 4, "geese": '},
        {"instruction": "Count the hens.", "response": "Here:\n```json\n{'hens': 4}\n```"},
    ]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Count the eggs.", "response": '{"eggs": 4}'},
        {"instruction": "Count the hens.", "response": "[1] says that there are four."},
        {"instruction": "Count the geese.", "response": "{about four}"},
    ]
