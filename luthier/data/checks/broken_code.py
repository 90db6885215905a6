"""Blocks of Python that Python cannot read."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from luthier.data.checks import Hit, Row, Threshold

criterion = "high_quality_outputs"
what = "Blocks marked `python` in answers that Python cannot read."
why = "The model learns to write programs that do not start."
remedy = "mend the code, or leave the row out: luthier check FILE --write KEPT"
thresholds = (Threshold(0, "may be broken", "Python's own grammar, of the version that runs Luthier"),)

_BLOCK = re.compile(r"^[ \t]*```(?:python|py)3?[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_NO_PROGRAM = re.compile(r"^\s*(?:>>>|[%!$]|In \[|print [\"'\w])|^\s*except \w+, \w+:|\.\.\.\s*$|<\w+>", re.MULTILINE)


def look(row: Row) -> Iterator[Hit]:
    """Each block of Python, but sessions, shell lines, Python 2 and code with gaps."""
    if "```" not in row.answer:
        return
    for code in _BLOCK.findall(row.answer):
        if _NO_PROGRAM.search(code):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(dedent(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            line = error.lineno if isinstance(error, SyntaxError) else 0
            yield Hit(f"the answer's Python cannot be read: {reason} (line {line} of the block)")
            return


def faulty() -> list[dict[str, Any]]:
    return [{"instruction": "Print an egg.", "response": "```python\nprint('egg'\n```"}]


def clean() -> list[dict[str, Any]]:
    return [
        {"instruction": "Print an egg.", "response": "```python\nprint('egg')\n```"},
        {"instruction": "Print two eggs.", "response": "```python\n>>> print('egg' * 2)\neggegg\n```"},
        {"instruction": "Print in C.", "response": '```c\nprintf("egg")\n```'},
    ]
