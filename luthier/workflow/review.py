"""`luthier review`: what people are asked, made of two or more models' answers to the same rows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
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
from luthier.evaluation.pairing import laid_out, meetings
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
    against: str | Sequence[str] = BASE,
    data: str | None = None,
    rows: int = MOST_ROWS,
    each_by: int = 1,
    checks: int | None = None,
    kind: Kind = "person",
    max_tokens: int = MOST_TOKENS,
    new: bool = False,
    root: Path = Path("runs"),
) -> Generator[Event, None, Prepared]:
    """The review of a run against the model before tuning, another run, or several: all answer the same rows first, as
    `chat` would have them answer. One that was begun on the same terms is gone on with.

    The rows are those of the run's evaluation, or of `data`, `rows` of them at most, evenly spread. Rows that all
    answer alike are shown to nobody. Of several systems every two answers to a row that differ are an item. Raises
    `UserError` where no row is left.
    """
    opened = yield from open_run(run, root)
    systems = yield from _opened_others(opened, [against] if isinstance(against, str) else against, root)
    others = tuple(systems)
    conversations, source = yield from _conversations(opened, data)
    chosen = [conversations[at] for at in strided(len(conversations), rows)]
    few = f" of {len(conversations):,}, evenly spread (--rows)" if len(chosen) < len(conversations) else ""
    yield Note("rows", f"{count(len(chosen), 'row')}{few} of {source}")
    terms = Terms(
        against=others[0],
        kind=kind,
        each_by=each_by,
        rows=source,
        rows_sha256=_digest(*(content_hash(row) for row in chosen)),
        run_sha256=_weights(opened.run),
        against_sha256=_against(opened, systems),
        max_tokens=max_tokens,
        checks=-(-len(chosen) // ROWS_A_CHECK) if checks is None else checks,
        seed=opened.settings.seed,
        systems=others if len(others) > 1 else (),
    )
    begun = KeptReview.last(opened.run, terms.others)
    if begun and not new:
        begun.require(terms)
        return Prepared(opened.run, begun, begun.terms(), begun.items())
    texts = yield from _all_answer(chosen, opened, systems, terms)
    items, same = (
        _items_of_several(chosen, texts, terms) if terms.systems else _items(chosen, texts[0], texts[1], terms)
    )
    everyone = "all" if terms.systems else "both"
    if not items:
        alike = "the row" if same == 1 else f"all {same:,} rows"
        message = f"{everyone} answer {alike} alike, so there is nothing to choose"
        raise mistake(message, source, "name other rows with --data")
    if same:
        yield Note("rows", f"{count(same, 'row')} that {everyone} answer alike {'is' if same == 1 else 'are'} left out")
    if terms.systems:
        yield _said(items, terms)
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


def _opened_others(
    opened: Opened, against: Sequence[str], root: Path
) -> Generator[Event, None, dict[str, Opened | None]]:
    """What the run is held against, by name; None for the model before tuning. The first is what its target is of:
    base where it is among them, else the first that was named. The others follow by name."""
    found: dict[str, Opened | None] = {}
    for one in against or (BASE,):
        other = None if one == BASE else (yield from open_run(one, root))
        name = BASE if other is None else other.run.name
        remedy = "name another run's folder, or `base`: the model before tuning"
        if other is not None and name in (BASE, opened.run.name):
            message = "a run cannot be held against itself" if name != BASE else "a run named base"
            raise mistake(message, "--against", remedy)
        if name in found:
            raise mistake(f"{name} is named twice", "--against", "name each system once")
        found[name] = other
    first = BASE if BASE in found else next(iter(found))
    return {name: found[name] for name in (first, *sorted(found.keys() - {first}))}


def _against(opened: Opened, systems: Mapping[str, Opened | None]) -> str:
    """What the answers of all that the run is held against depend on."""
    digests = [_weights_of(opened, other) for other in systems.values()]
    return digests[0] if len(digests) == 1 else _digest(*digests)


def _weights_of(opened: Opened, other: Opened | None) -> str:
    return _digest(BASE, _file(opened.run.settings_path)) if other is None else _weights(other.run)


def _all_answer(
    rows: Sequence[Conversation], opened: Opened, systems: Mapping[str, Opened | None], terms: Terms
) -> Generator[Event, None, list[list[Answer]]]:
    """The run's answers and each other's, all kept in the run as they are found. Base and the run come last, because
    both need the model before tuning."""
    mine = _kept(opened.run, terms, f"{terms.against}-run", terms.run_sha256, len(rows))
    theirs = {
        name: _kept(opened.run, terms, f"{name}-against", _weights_of(opened, other), len(rows))
        for name, other in systems.items()
    }
    with ExitStack() as locks:
        for kept in (mine, *theirs.values()):
            locks.enter_context(kept.lock())
        for name, other in systems.items():
            if other is not None and (left := _left(theirs[name], rows)):
                engine = other.tuned(other.open_base())
                yield from _answer(engine, rows, left, other, terms, theirs[name], name)
                del engine
        left = _left(mine, rows)
        of_base = _left(theirs[BASE], rows) if BASE in theirs else []
        if left or of_base:
            model = opened.open_base()
            if BASE in theirs:
                engine = opened.in_passes(engine_of(Tuned(model, None, {})))
                yield from _answer(engine, rows, of_base, opened, terms, theirs[BASE], BASE)
            if left:
                yield from _answer(opened.tuned(model), rows, left, opened, terms, mine, "the run")
        return [_found(kept) for kept in (mine, *theirs.values())]


def _kept(run: Run, terms: Terms, whose: str, weights: str, rows: int) -> KeptAnswers:
    """Where the answers of a system stand; those to other rows, or of other weights, have another name."""
    name = f"review-{whose}-{_digest(terms.rows_sha256, weights, str(terms.max_tokens))[:8]}"
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
    return items + _checks(spare[: terms.checks], len(whole), generator), len(alike)


def _items_of_several(
    rows: Sequence[Conversation], answers: Sequence[Sequence[Answer]], terms: Terms
) -> tuple[list[ReviewItem], int]:
    """What people are asked of more than two systems, the first lap first, and how many rows all answer alike."""
    texts = [[answer.text for answer in of_row] for of_row in zip(*answers, strict=True)]
    choices = [meetings(of_row) for of_row in texts]
    alike = [at for at, found in enumerate(choices) if not found]
    if len(alike) == len(rows):
        return [], len(alike)
    generator = random.Random(f"{terms.seed} pairs")
    items = [
        ReviewItem(
            number,
            rows[at].place,
            rows[at].category,
            rows[at].messages,
            texts[at][pairs[0][0]],
            texts[at][pairs[0][1]],
            all(answers[one][at].stopped for one, _ in pairs),
            all(answers[other][at].stopped for _, other in pairs),
            tools=rows[at].tools,
            row=at + 1,
            pairs=pairs,
        )
        for number, (at, pairs) in enumerate(laid_out(choices, generator), 1)
    ]
    generator = random.Random(f"{terms.seed} checks")
    unlike = sorted({item.row - 1 for item in items})
    spare = [*generator.sample(alike, len(alike)), *generator.sample(unlike, len(unlike))]
    whole = [
        ReviewItem(
            0,
            rows[at].place,
            rows[at].category,
            rows[at].messages,
            texts[at][0],
            texts[at][0],
            answers[0][at].stopped,
            answers[0][at].stopped,
            tools=rows[at].tools,
        )
        for at in spare[: terms.checks]
    ]
    return items + _checks(whole, len(items), generator), len(alike)


def _checks(spare: Sequence[ReviewItem], before: int, generator: random.Random) -> list[ReviewItem]:
    """Attention checks of these items, every other one with an answer in disorder; numbered from `before` on."""
    checks: list[ReviewItem] = []
    for item in spare:
        broken = _in_disorder(item.run, generator) if len(checks) % 2 else None
        check = replace(item, number=before + len(checks) + 1, against=broken or item.run)
        checks.append(replace(check, check="broken" if broken else "same", against_stopped=item.run_stopped))
    return checks


def _said(items: Sequence[ReviewItem], terms: Terms) -> Note:
    """How much is to be voted on, and that one may stop before."""
    asked = [item for item in items if not item.check]
    rows, systems = len({item.row for item in asked}), len(terms.others) + 1
    return Note(
        "rows",
        f"{systems} systems in {systems * (systems - 1) // 2} pairs make {count(len(asked), 'item')} of "
        f"{count(rows, 'row')}; every row is asked once before any comes again, so the review may be ended sooner",
    )


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
