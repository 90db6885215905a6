"""`luthier review`: what people are asked, made of two models' answers to the same rows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from luthier.data.check import Problems, listed
from luthier.data.prompts import prompts, without_answer
from luthier.data.sampled import strided
from luthier.data.tokenize import prompt_tokens
from luthier.engine.forward import Engine
from luthier.engine.generation import answers
from luthier.errors import UserError, mistake
from luthier.evaluation.kept import content_hash
from luthier.evaluation.review import BASE
from luthier.flow import (
    Answer,
    Conversation,
    Event,
    Note,
    Problem,
    Progress,
    Question,
    ReviewItem,
    Tuned,
)
from luthier.report.numbers import count
from luthier.runs.kept_answers import Asked, KeptAnswers
from luthier.runs.reviews import KeptReview, Kind, Terms
from luthier.runs.run import Run
from luthier.workflow.evaluate import rows_to_judge
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.opened_run import Opened, decoder, open_run
from luthier.workflow.voted import MOST_ROWS, MOST_TOKENS, Prepared

ROWS_A_CHECK: Final = 20
"""Of so many items one more is an attention check, unless the user says otherwise."""
FEWEST_WORDS: Final = 6
"""Of an answer that is put in disorder: of fewer words, disorder may still read well."""


def prepare_review(
    run: str,
    *,
    against: str = BASE,
    data: str | None = None,
    rows: int = MOST_ROWS,
    each_by: int = 1,
    checks: int | None = None,
    kind: Kind = "person",
    max_tokens: int = MOST_TOKENS,
    new: bool = False,
    root: Path = Path("runs"),
) -> Generator[Event, None, Prepared]:
    """The review of a run against the model before tuning, or another run: both answer the same rows first, as `chat`
    would have them answer. One that was begun on the same terms is gone on with.

    The rows are those of the run's evaluation, or of `data`, `rows` of them at most, evenly spread. Rows that both
    answer alike are shown to nobody. Raises `UserError` where no row is left.
    """
    opened = yield from open_run(run, root)
    other = None if against == BASE else (yield from open_run(against, root))
    if other is not None and other.run.name in (BASE, opened.run.name):
        message = "a run cannot be held against itself" if other.run.name != BASE else "a run named base"
        raise mistake(message, "--against", "name another run's folder, or `base`: the model before tuning")
    conversations, source = yield from _conversations(opened, data)
    chosen = [conversations[at] for at in strided(len(conversations), rows)]
    few = f" of {len(conversations):,}, evenly spread (--rows)" if len(chosen) < len(conversations) else ""
    yield Note("rows", f"{count(len(chosen), 'row')}{few} of {source}")
    terms = Terms(
        against=BASE if other is None else other.run.name,
        kind=kind,
        each_by=each_by,
        rows=source,
        rows_sha256=_digest(*(content_hash(row) for row in chosen)),
        run_sha256=_weights(opened.run),
        against_sha256=_digest(BASE, _file(opened.run.settings_path)) if other is None else _weights(other.run),
        max_tokens=max_tokens,
        checks=-(-len(chosen) // ROWS_A_CHECK) if checks is None else checks,
        seed=opened.settings.seed,
    )
    begun = KeptReview.last(opened.run, terms.against)
    if begun and not new:
        begun.require(terms)
        return Prepared(opened.run, begun, begun.terms(), begun.items())
    texts = yield from _both_answer(chosen, opened, other, terms)
    items, same = _items(chosen, *texts, terms)
    if not items:
        message = f"both answer {'the row' if same == 1 else f'all {same:,} rows'} alike, so there is nothing to choose"
        raise mistake(message, source, "name other rows with --data")
    if same:
        yield Note("rows", f"{count(same, 'row')} that both answer alike {'is' if same == 1 else 'are'} left out")
    terms = replace(terms, same=same, began=datetime.now(UTC).isoformat())
    review = KeptReview.begin(opened.run, terms, items)
    yield Note("file", f"the review is in {review.folder}")
    return Prepared(opened.run, review, terms, items)


# ------------------------------------------------------------------------------------------------ rows and answers


def _conversations(opened: Opened, data: str | None) -> Generator[Event, None, tuple[list[Conversation], str]]:
    """The rows without their answers, and where they are from."""
    if data is not None:
        found, source = list(prompts(data)), data
    else:
        judged = yield from rows_to_judge(opened.settings, None)
        found, source = [without_answer(row) for row in judged.conversations], judged.source
    if bad := [row for row in found if isinstance(row, Problem)]:
        raise UserError(
            listed(Problems.of(bad), f"{count(len(bad), 'row')} cannot be used", "mend them, or take them out")
        )
    rows = [row for row in found if isinstance(row, Conversation)]
    if not rows:
        raise mistake("there are no rows to ask about", source, "name a file with rows: --data F")
    return rows, source


def _both_answer(
    rows: Sequence[Conversation], opened: Opened, other: Opened | None, terms: Terms
) -> Generator[Event, None, tuple[list[Answer], list[Answer]]]:
    """The run's answers and the other's, each kept in the run as it is found."""
    mine, theirs = _kept(opened.run, terms, "run", len(rows)), _kept(opened.run, terms, "against", len(rows))
    with mine.lock(), theirs.lock():
        left, others_left = _left(mine, rows), _left(theirs, rows)
        if other is not None:
            if others_left:
                engine = other.tuned(other.open_base())
                yield from _answer(engine, rows, others_left, other, terms, theirs, terms.against)
                del engine
            if left:
                yield from _answer(opened.tuned(opened.open_base()), rows, left, opened, terms, mine, "the run")
        elif left or others_left:
            model = opened.open_base()
            engine = opened.in_passes(engine_of(Tuned(model, None, {})))
            yield from _answer(engine, rows, others_left, opened, terms, theirs, BASE)
            if left:
                yield from _answer(opened.tuned(model), rows, left, opened, terms, mine, "the run")
        return _found(mine), _found(theirs)


def _kept(run: Run, terms: Terms, side: str, rows: int) -> KeptAnswers:
    """Where the answers of a side stand; those to other rows, or of other weights, have another name."""
    weights = terms.run_sha256 if side == "run" else terms.against_sha256
    name = f"review-{terms.against}-{side}-{_digest(terms.rows_sha256, weights, str(terms.max_tokens))[:8]}"
    where = str(run.folder.resolve() / "answers" / name)
    asked = Asked(where, terms.rows, rows, terms.rows_sha256, weights, "", terms.max_tokens)
    return KeptAnswers.find(run.folder / "answers", asked)


def _left(kept: KeptAnswers, rows: Sequence[Conversation]) -> list[int]:
    there = {line["row"] for line in kept.lines()}
    return [at for at in range(len(rows)) if at not in there]


def _answer(
    engine: Engine,
    rows: Sequence[Conversation],
    left: Sequence[int],
    opened: Opened,
    terms: Terms,
    kept: KeptAnswers,
    name: str,
) -> Generator[Event, None, None]:
    """Keeps the answer to each row of `left` as it is found: the likeliest token each time."""
    if not left:
        return
    asked = [_question(rows[at], opened) for at in left]
    if why := engine.why_padded(max(len(question.tokens) for question in asked) + terms.max_tokens):
        yield Note("warning", why)
    found = answers(engine, asked, decoder(opened.tokenizer), opened.stops, terms.max_tokens)
    for done, (index, answer) in enumerate(found, 1):
        place = asked[index].place
        line = {"row": left[index], "file": place.file, "line": place.line}
        kept.add(line | {"answer": answer.text, "tokens": answer.tokens, "stopped": answer.stopped})
        yield Progress(f"answering, {name}", done, len(asked))


def _question(row: Conversation, opened: Opened) -> Question:
    text, tokens = prompt_tokens(row.messages, opened.template, opened.tokenizer, row.tools)
    return Question(tokens, text, "", row.place, row.category)


def _found(kept: KeptAnswers) -> list[Answer]:
    lines = sorted(kept.lines(), key=lambda line: int(line["row"]))
    return [Answer(line["answer"], line["tokens"], line["stopped"]) for line in lines]


# ------------------------------------------------------------------------------------------------------------ items


def _items(
    rows: Sequence[Conversation], run: Sequence[Answer], against: Sequence[Answer], terms: Terms
) -> tuple[list[ReviewItem], int]:
    """What people are asked, attention checks at the end, and how many rows both answer alike.

    A check is made of a row that both answer alike where there is one, because those are asked nowhere else.
    """
    whole = [
        ReviewItem(number, row.place, row.category, row.messages, a.text, b.text, a.stopped, b.stopped, tools=row.tools)
        for number, (row, a, b) in enumerate(zip(rows, run, against, strict=True), 1)
    ]
    items = [item for item in whole if item.run != item.against]
    alike = [item for item in whole if item.run == item.against]
    if not items:
        return [], len(alike)
    generator = random.Random(f"{terms.seed} checks")
    spare = [*generator.sample(alike, len(alike)), *generator.sample(items, len(items))]
    checks: list[ReviewItem] = []
    for item in spare[: terms.checks]:
        broken = _in_disorder(item.run, generator) if len(checks) % 2 else None
        check = replace(item, number=len(whole) + len(checks) + 1, against=broken or item.run)
        checks.append(replace(check, check="broken" if broken else "same", against_stopped=item.run_stopped))
    return items + checks, len(alike)


def _in_disorder(text: str, generator: random.Random) -> str | None:
    """The words of an answer in another order; None where there are too few."""
    words = text.split()
    if len(set(words)) < FEWEST_WORDS:
        return None
    mixed = generator.sample(words, len(words))
    return None if mixed == words else " ".join(mixed)


def _weights(run: Run) -> str:
    """What a run's answers depend on. The weights' manifest holds a hash of each of their files."""
    return _digest(_file(run.weights / "manifest.json"), _file(run.settings_path))


def _file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
