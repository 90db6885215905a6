"""`luthier generate`: a run's answers to every row of a file."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import orjson

from luthier.data.check import Problems, listed
from luthier.data.prompts import prompts
from luthier.data.tokenize import prompt_tokens
from luthier.engine.forward import in_order
from luthier.engine.generation import answers
from luthier.errors import UserError, mistake
from luthier.flow import Conversation, Event, Note, Problem, Question
from luthier.report.numbers import count
from luthier.runs.whole import make_folder, write_bytes
from luthier.workflow.opened_run import decoder, open_run

LIMIT = 512
"""Tokens of an answer, unless the model stops by itself before."""


@dataclass(frozen=True, slots=True)
class Generated:
    """How many rows were answered, and the file that holds the answers."""

    rows: int
    out: str


def generate(run: str, *, data: str, out: str, root: Path = Path("runs")) -> Generator[Event, None, Generated]:
    """Answers each row of `data` into `out`, one JSON line a row in the same order: file, line, prompt, answer,
    stopped (false where the limit of 512 tokens cut it).

    An answer that a row already has is not shown to the model. `out` is written whole at the end, or not at all.
    """
    if Path(out).exists():
        raise mistake("the file exists, and is left as it is", out, "name another file with --out")
    rows = list(prompts(data))
    if bad := [row for row in rows if isinstance(row, Problem)]:
        raise UserError(
            listed(Problems.of(bad), f"{count(len(bad), 'row')} cannot be used", "mend them, or take them out")
        )
    opened = yield from open_run(run, root)
    asked = []
    for row in rows:
        assert isinstance(row, Conversation)
        text, tokens = prompt_tokens(row.messages, opened.template, opened.tokenizer, row.tools)
        asked.append(Question(tokens, text, "", row.place, row.category))
    engine = opened.tuned(opened.open_base())
    found = answers(engine, asked, decoder(opened.tokenizer), opened.stops, LIMIT)
    given = yield from in_order(found, "answering", len(asked))
    lines = [
        {
            "file": question.place.file,
            "line": question.place.line,
            "prompt": question.prompt,
            "answer": answer.text,
            "stopped": answer.stopped,
        }
        for question, answer in zip(asked, given, strict=True)
    ]
    make_folder(Path(out).parent)
    write_bytes(Path(out), b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    yield Note("file", f"the answers are in {out}")
    return Generated(len(lines), out)
