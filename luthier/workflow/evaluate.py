"""`luthier evaluate`: the tuned model and the one before tuning on the same rows, against the targets."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from luthier.data.check import Problems, listed, load_rows
from luthier.data.likeness import Words
from luthier.data.render import render_all
from luthier.data.sampled import strided
from luthier.data.sides import sides
from luthier.data.tokenize import questions, tokenize_all
from luthier.engine.forward import Engine, in_order
from luthier.engine.generation import answers
from luthier.errors import UserError, mistake
from luthier.evaluation.evaluate import INSTALL, Scored
from luthier.evaluation.evaluate import evaluate as judge_all
from luthier.evaluation.forgetting import ALL, forgotten, quantized
from luthier.evaluation.general import general, passages
from luthier.evaluation.generalization import gaps
from luthier.evaluation.kept import Kept, content_hash, lines_of
from luthier.evaluation.matching import same_answer
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics import load as load_metric
from luthier.evaluation.metrics.accuracy import unfit
from luthier.flow import (
    Answer,
    Conversation,
    Event,
    Measure,
    Note,
    Problem,
    Question,
    Rendered,
    Report,
    RowScore,
    Tokenized,
    Tuned,
)
from luthier.report.numbers import count
from luthier.settings.schema import Settings
from luthier.workflow.forgetting import plainly, remembered
from luthier.workflow.generalization import by_nearness, under_changes
from luthier.workflow.labels import labels_behind
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.once import once, questions_asked, rows_asked
from luthier.workflow.opened_run import Opened, decoder, open_run
from luthier.workflow.page import write_page
from luthier.workflow.people import with_people
from luthier.workflow.preferences import preferences
from luthier.workflow.prepare import leaks
from luthier.workflow.run_file import shown

ROOM = 8
"""Tokens that an answer may have beyond the longest wanted one: a longer one is wrong, however it goes on."""
LONG_ANSWERS = 100
"""Of rows with long free answers, so many are answered, evenly spread: their answers take long."""
KEPT = "evaluation_rows"
"""The answers file that `luthier compare` reads: what both models did with every row."""


def evaluate(
    run: str,
    *,
    data: str | None = None,
    own_metrics: Sequence[str] = (),
    schema: str | None = None,
    root: Path = Path("runs"),
) -> Generator[Event, None, Report]:
    """Scores and answers each row with both models; keeps the answers, the report and the page in the run.

    `own_metrics` are functions of the user's own, `module:function`; `schema` is a file with a JSON schema that answers
    must keep.
    """
    started = time.perf_counter()
    kept_schema = schema_in(schema)
    opened = yield from open_run(run, root)
    own = [*own_metrics, *(name for name in opened.settings.targets if ":" in name)]
    yield from own_metrics_said(own)
    judged = yield from rows_to_judge(opened.settings, data)
    conversations, source = judged.conversations, judged.source
    yield from judged.notes
    asked, rows = asked_rows(conversations, opened)
    yield Note("rows", f"{len(asked):,} rows of {source}")
    whole = general(opened.base.tokenizer, opened.base.eos, opened.base.context_length)
    plain = yield from plainly(opened, whole)
    model = opened.open_base()
    engine, longest = opened.in_passes(engine_of(Tuned(model, None, {}))), max(len(row.tokens) for row in rows)
    if why_base := engine.why_padded(longest):
        yield Note("warning", why_base)
    base_scores = yield from _base_scores(engine, rows)
    answered = range(len(asked))
    if unfit(Sample(asked, (), base_scores)):
        answered = strided(len(asked), LONG_ANSWERS)
    limit = max(len(rows[index].tokens) - len(asked[index].tokens) for index in answered) + ROOM
    questioned = [asked[index] for index in answered]
    labels = labels_behind(conversations, asked, rows, opened)
    base_answers = yield from _base_answers(engine, questioned, limit, opened)
    base_labels = (yield from labels.scores_once(engine, asked)) if labels else []
    compared = preferences(conversations, opened)
    base_preferences = (yield from compared.scores_once(engine)) if compared else []
    base = Scored(_spread(base_answers, answered, len(asked)), base_scores, base_labels)
    yield Note("rows", f"{len(whole.rows)} of the general set's {len(passages())} passages tell what was forgotten")
    known = yield from remembered(engine, whole)
    engine = opened.tuned(model)
    if (why := engine.why_padded(longest)) and why != why_base:
        yield Note("warning", f"the tuned model: {why}")
    tuned_scores = yield from in_order(engine.scores(rows), "scoring tuned", len(rows))
    tuned_answers = yield from _answers("tuned", engine, questioned, limit, opened)
    tuned_labels = (yield from labels.scores(engine, asked, "tuned")) if labels else []
    found = (yield from compared.scores(engine, "tuned")) if compared else []
    preferred = compared.margins(found, base_preferences) if compared else ()
    tuned = Scored(_spread(tuned_answers, answered, len(asked)), tuned_scores, tuned_labels, preferred)
    forgot = yield from forgotten(engine, whole, known, opened.settings.seed)
    changes: dict[str, dict[str, Measure]] = {}
    distances: Mapping[str, Measure] = {}
    if len(answered) == len(asked) and not unfit(Sample(asked, (), base_scores)):
        changes, lines = yield from under_changes(engine, conversations, tuned_answers, opened, limit)
        opened.run.write_answers("changes", lines)
        distances = by_nearness(conversations, tuned_answers, [one.wanted for one in asked], judged.words)
    history = opened.run.evaluations()
    test = [(score.loss, score.tokens) for score in tuned_scores] if judged.test else []
    report = judge_all(
        asked,
        tuned,
        base,
        opened.settings.targets,
        history,
        opened.settings.seed,
        run=opened.run.name,
        data=source,
        own_metrics=own,
        schema=kept_schema,
        on_other_rows={"forgetting": forgot.measures[ALL]["rise"]},
    )
    report = replace(
        report,
        forgetting=forgot.measures,
        gaps=gaps(history, test, opened.settings.seed),
        changes=changes,
        distances=distances,
        quantization=quantized(whole, plain, known, opened.settings.seed) if plain else {},
        seconds=time.perf_counter() - started,
    )
    report = with_people(report, opened.run)
    opened.run.write_answers("general", forgot.passages)
    losses = [tuned_scores[index] for index in answered]
    path = opened.run.write_answers("evaluation", _answer_rows(questioned, base_answers, tuned_answers, losses))
    hashes = [content_hash(conversation) for conversation in conversations]
    opened.run.write_answers(KEPT, lines_of(Kept(asked, hashes, tuned, base)))
    opened.run.write_report(report)
    yield Note("file", f"the answers are in {path}")
    yield from write_page(opened.run)
    return report


def own_metrics_said(names: Sequence[str]) -> Generator[Event, None, None]:
    """Imports functions of the user's own, and says where they are from. Raises `UserError` where one cannot be had."""
    for name in dict.fromkeys(names):
        if ":" not in name:
            remedy = "all others are measured by themselves; a function of your own is `module:function`"
            raise mistake(f"{name!r} is no function", "--metric", remedy)
        yield Note("file", f"the metric {name} is in {getattr(load_metric(name), 'file', name)}")


def schema_in(path: str | None) -> Any:
    """The JSON schema in a file. Raises `UserError` where it is none, or jsonschema is not installed."""
    if path is None:
        return None
    if find_spec("jsonschema") is None:
        raise mistake("a schema needs jsonschema, which is not installed", "--schema", INSTALL)
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = orjson.loads(Path(path).read_bytes())
        validator_for(schema).check_schema(schema)
    except OSError as error:
        raise mistake(f"cannot be read: {error.strerror}", path, "name a file with a JSON schema") from error
    except (orjson.JSONDecodeError, SchemaError) as error:
        raise mistake(f"is no JSON schema: {str(error).splitlines()[0]}", path, "mend it") from error
    return schema


def _spread(answers: Sequence[Answer], rows: Sequence[int], total: int) -> list[Answer | None]:
    """The answers at their rows, None at all others."""
    spread: list[Answer | None] = [None] * total
    for row, answer in zip(rows, answers, strict=True):
        spread[row] = answer
    return spread


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows to evaluate on, where they are from, and what is to be said of them. `test` says that they took no part
    in training or in choosing a checkpoint; `words` are those of what the training rows ask."""

    conversations: Sequence[Conversation]
    source: str
    notes: list[Note]
    test: bool
    words: tuple[Words, ...]


def rows_to_judge(settings: Settings, data: str | None) -> Generator[Event, None, Judged]:
    """The rows to evaluate on: `--data`, the test file, or else the validation rows."""
    written = settings.data
    share = 0.0 if isinstance(written.validation, str) else written.validation
    files = [(shown(file.path), file.weight) for file in written.train or ()]
    found = yield from sides(files, written.format, written.columns, written.limit, share, settings.seed)
    path = data or written.test or (written.validation if isinstance(written.validation, str) else None)
    if path is not None:
        is_test = data is not None or path != written.validation
        path = shown(path)
        test = load_rows([(path, 1.0)], written.format, written.columns, written.bad_rows).conversations
        return Judged(test, str(path), leaks(found.prompts, test), is_test, found.words)
    if not found.held_back:
        raise mistake("the run has no rows to evaluate on", "data.validation", "type `--data F` with rows of your own")
    return Judged(found.held_back, "the validation rows", [], False, found.words)


def asked_rows(conversations: Sequence[Conversation], opened: Opened) -> tuple[list[Question], list[Tokenized]]:
    """The question of each row's last answer, and the row to score it by."""
    rendered = list(render_all(conversations, opened.template, opened.tokenizer, "last_answer"))
    bad = [row for row in rendered if isinstance(row, Problem)]
    fine = [row for row in rendered if isinstance(row, Rendered)]
    rows = list(tokenize_all(fine, opened.tokenizer, "last_answer"))
    bad += [row for row in rows if isinstance(row, Problem)]
    if bad:
        raise UserError(
            listed(Problems.of(bad), f"{count(len(bad), 'row')} cannot be used", "mend them, or take them out")
        )
    asked = [row for row in questions(conversations, opened.template, opened.tokenizer) if isinstance(row, Question)]
    return asked, [row[0] for row in rows if not isinstance(row, Problem)]


def _answers(
    name: str, engine: Engine, asked: Sequence[Question], limit: int, opened: Opened
) -> Generator[Event, None, list[Answer]]:
    found = answers(engine, asked, decoder(opened.tokenizer), opened.stops, limit)
    return in_order(found, f"answering {name}", len(asked))


def _base_scores(engine: Engine, rows: Sequence[Tokenized]) -> Generator[Event, None, list[RowScore]]:
    def make() -> Generator[Event, None, list[RowScore]]:
        return in_order(engine.scores(rows), "scoring base", len(rows))

    return once(engine, "base's scores", rows_asked(rows), RowScore, make)


def _base_answers(
    engine: Engine, asked: Sequence[Question], limit: int, opened: Opened
) -> Generator[Event, None, list[Answer]]:
    until = f"{limit} {sorted(opened.stops)}".encode()
    key = [until, *questions_asked(asked)]
    return once(engine, "base's answers", key, Answer, lambda: _answers("base", engine, asked, limit, opened))


def _answer_rows(
    asked: Sequence[Question], base: Sequence[Answer], tuned: Sequence[Answer], losses: Sequence[RowScore]
) -> list[dict[str, Any]]:
    return [
        {
            "file": question.place.file,
            "line": question.place.line,
            "category": question.category,
            "prompt": question.prompt,
            "wanted": question.wanted,
            "base": before.text,
            "tuned": after.text,
            "base_stopped": before.stopped,
            "tuned_stopped": after.stopped,
            "base_right": before.stopped and same_answer(before.text, question.wanted),
            "tuned_right": after.stopped and same_answer(after.text, question.wanted),
            "tuned_loss": score.loss / score.tokens if score.tokens else None,
        }
        for question, before, after, score in zip(asked, base, tuned, losses, strict=True)
    ]
