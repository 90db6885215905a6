"""`luthier generate`: a run's answers to every row of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from luthier.data.check import Problems, listed
from luthier.data.prompts import prompts
from luthier.data.tokenize import prompt_tokens
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.errors import UserError, mistake
from luthier.flow import Answer, Conversation, Event, Note, Problem, Progress, Question
from luthier.report.numbers import count
from luthier.runs.kept_answers import Asked, KeptAnswers
from luthier.runs.run import Run
from luthier.runs.whole import make_folder, write_bytes
from luthier.workflow.opened_run import Opened, decoder, open_run

MOST_TOKENS = 512
"""Tokens of an answer, unless the model stops by itself before."""


@dataclass(frozen=True, slots=True)
class Generated:
    """How many rows were answered, the file that holds the answers, and where the run keeps them. `asked` counts the
    rows that the model was shown this time: fewer than `rows` where an earlier start had answered some."""

    rows: int
    out: str
    asked: int
    kept: str


def generate(
    run: str, *, data: str, out: str, max_tokens: int = MOST_TOKENS, root: Path = Path("runs")
) -> Generator[Event, None, Generated]:
    """Answers each row of `data` into `out`, one JSON line a row in the same order: file, line, prompt, answer,
    stopped (false where the limit of `max_tokens` cut it).

    An answer that a row already has is not shown to the model. Each answer is kept in the run as it is found; stopped
    half-way and started again, only the other rows are asked. `out` is written whole at the end, or not at all.
    """
    if Path(out).exists():
        raise mistake("the file exists, and is left as it is", out, "name another file with --out")
    if max_tokens < 1:
        raise mistake(f"an answer of {max_tokens} tokens is none", "--max-tokens", "write a number from 1 on")
    rows = _rows(data)
    opened = yield from open_run(run, root)
    questions = list(_questions(rows, opened))
    kept = KeptAnswers.find(opened.run.folder / "answers", _asked(opened.run, data, out, len(rows), max_tokens))
    with kept.lock():
        found = {line["line"]: line for line in kept.lines()}
        left = [question for question in questions if question.place.line not in found]
        if found:
            yield Note("rows", f"going on: {len(found):,} of {len(rows):,} rows were answered before, in {kept.path}")
        if left:
            engine = opened.tuned(opened.open_base())
            yield from _answered(engine, left, opened, max_tokens, kept)
        lines = {line["line"]: line for line in kept.lines()}
        make_folder(Path(out).parent, above=True)
        ordered = (lines[question.place.line] for question in questions)
        write_bytes(Path(out), b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in ordered))
    yield Note("file", f"the answers are in {out}, and kept in {kept.path}")
    return Generated(len(rows), out, len(left), str(kept.path))


def _rows(data: str) -> list[Conversation]:
    rows = list(prompts(data))
    if bad := [row for row in rows if isinstance(row, Problem)]:
        raise UserError(
            listed(Problems.of(bad), f"{count(len(bad), 'row')} cannot be used", "mend them, or take them out")
        )
    return [row for row in rows if isinstance(row, Conversation)]


def _questions(rows: Sequence[Conversation], opened: Opened) -> Iterator[Question]:
    for row in rows:
        text, tokens = prompt_tokens(row.messages, opened.template, opened.tokenizer, row.tools)
        yield Question(tokens, text, "", row.place, row.category)


def _asked(run: Run, data: str, out: str, rows: int, max_tokens: int) -> Asked:
    """What the answers depend on. The weights' manifest holds a hash of each of their files."""
    return Asked(
        str(Path(out).absolute()),
        data,
        rows,
        data_sha256=_sha256(Path(data)),
        weights_sha256=_sha256(run.weights / "manifest.json"),
        settings_sha256=_sha256(run.settings_path),
        max_tokens=max_tokens,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _answered(
    engine: Engine, asked: Sequence[Question], opened: Opened, max_tokens: int, kept: KeptAnswers
) -> Generator[Event, None, None]:
    """Keeps the answer to each question as it is found."""
    if why := engine.why_padded(max(len(question.tokens) for question in asked) + max_tokens):
        yield Note("warning", why)
    found = answers(engine, asked, decoder(opened.tokenizer), opened.stops, max_tokens)
    for done, (index, answer) in enumerate(found, 1):
        kept.add(_line(asked[index], answer))
        yield Progress("answering", done, len(asked))


def _line(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "file": question.place.file,
        "line": question.place.line,
        "prompt": question.prompt,
        "answer": answer.text,
        "stopped": answer.stopped,
    }
