"""What a run trains on beside the rows of its files: changed rows, classes weighed evenly, and base's own answers."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.data import templates
from luthier.data.account import Account
from luthier.data.balance import balanced
from luthier.data.changed import change_block
from luthier.data.check import Source
from luthier.data.parallel import bytes_of, each_block
from luthier.data.prepared import Fitted, Recipe, Table
from luthier.data.render import render
from luthier.data.tokenize import tokenize
from luthier.errors import UserError, mistake
from luthier.evaluation.general import general, unscored
from luthier.flow import Conversation, Event, Message, Note, Place, Progress, Question, Rendered, Tokenized
from luthier.report.numbers import count

REPLAY_TOKENS = 64
"""Tokens of an answer of base's own; a longer one is trained on up to there, without an end."""
FEWEST_REPLAY_TOKENS = 8
REPLAY = "the base model's own answers"
"""Their source in rows.json."""


def with_changed(
    table: Table, training: NDArray[np.bool_], account: Account, recipe: Recipe, folder: Path, asked: Asked
) -> Generator[Event, None, tuple[Table, NDArray[np.bool_], Account]]:
    """The table with the changed training rows behind the others, which of all its rows are trained on, and the account
    with them. `training` (R) says it of the rows of the files."""
    applied: list[list[NDArray[np.bool_]]] = [[] for _ in asked.names]
    paths, first = [source.path for source in asked.sources], len(table.files)
    before, made = bytes_of(paths), 0
    by_name: list[list[tuple[int, Path]]] = [[] for _ in asked.names]
    for number, end, found in each_block(
        paths, lambda number, block: change_block(block, asked.sources[number], recipe, folder, asked.names, asked.seed)
    ):
        if isinstance(found, UserError):
            raise found
        for place, changed in enumerate(found):
            by_name[place].append((first + place * len(paths) + number, changed.path))
            applied[place].append(changed.applied)
            made += len(changed.applied)
        yield Progress("changing rows", made, round(made * before[-1] / (before[number] + end)))
    shards = [shard for own in by_name for shard in own]
    files = [f"{name} of {source.name}" for name in asked.names for source in asked.sources]
    whole = Table([*table.files, *files], [*table.numbered, *shards])
    rows = sum(map(len, applied[0]))
    of_files = training[:rows] & (table.pieces[:rows] > 0)
    which = [np.concatenate(own) & of_files for own in applied]
    for name, chosen in zip(asked.names, which, strict=True):
        nothing = "" if chosen.any() else ", so it does nothing here"
        yield Note(
            "rows" if chosen.any() else "warning",
            f"data.augment {name}: it applies to {chosen.sum():,} of {count(int(of_files.sum()), 'training row')}, "
            f"which are trained on changed too{nothing}",
        )
    both = np.concatenate([training, *which])
    new = np.flatnonzero(both)
    new = new[new >= len(training)]
    account = account.with_made(whole.cells(new))
    unfit = new[whole.pieces[new] == 0]
    return whole, both, account.with_dropped("changed", whole.cells(unfit))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes (`names`) of which files' rows (`sources`), by which seed."""

    names: Sequence[str]
    sources: Sequence[Source]
    seed: int


def evenly(table: Table, train: Fitted) -> Generator[Event, None, NDArray[np.float32] | None]:
    """The factor of each training row under `data.balance`, said. Raises `UserError` where no row has a category."""
    found = balanced(table.category[train.kept], table.names)
    if not found.classes:
        remedy = "name the field of their class: `data.columns: {category: FIELD}`, or leave `data.balance` out"
        raise mistake("no training row has a category, so there are no classes to weigh", "data.balance", remedy)
    (rare, few, most), (common, many, least) = found.classes[0], found.classes[-1]
    if len(found.classes) == 1:
        yield Note("warning", f"data.balance does nothing: all {many:,} rows with a category are of {common!r}")
        return None
    each = sum(rows for _, rows, _ in found.classes) / len(found.classes)
    rest = f"; {count(found.without, 'row')} without a category keep theirs" if found.without else ""
    yield Note(
        "rows",
        f"data.balance: each of {len(found.classes)} categories weighs as {each:,.1f} rows, from {least:.3g} a row "
        f"({common}, {count(many, 'row')}) to {most:.3g} ({rare}, {count(few, 'row')}){rest}",
    )
    of_conversation = np.ones(len(table), np.float32)
    of_conversation[train.kept] = found.factors
    factors: NDArray[np.float32] = of_conversation[train.rows.conversations]
    return factors


@dataclass(frozen=True, slots=True)
class Replay:
    """What base is asked before training, with at most `limit` tokens an answer, and how many `rows` that makes; of
    fewer answers some are taken several times. `prompts` are the users' messages in `questions`; `stops` end an
    answer."""

    questions: tuple[Question, ...]
    prompts: tuple[str, ...]
    stops: tuple[int, ...]
    rows: int
    limit: int


def planned(
    share: float, rows: int, max_length: int, tokenizer: Any, eos: Sequence[int], context: int | None
) -> Replay:
    """What a share of so many training rows in all asks of base, of the questions that `max_length` has room for.

    A share of 0.1 of 90 rows of the files is 10 more. Raises `UserError` where no question fits.
    """
    asked = _questions(tokenizer, eos, context)
    wanted = max(1, round(share / (1 - share) * rows))
    fits = [one for one in asked.turns if len(one[0].tokens) + FEWEST_REPLAY_TOKENS <= max_length]
    if not fits:
        remedy = "raise data.max_length, or leave `data.replay` out"
        raise mistake(f"base's answers need rows longer than data.max_length, {max_length}", "data.replay", remedy)
    questions, prompts = zip(*fits[:wanted], strict=True)
    limit = min(REPLAY_TOKENS, max_length - max(len(one.tokens) for one in questions))
    return Replay(questions, prompts, asked.stops, wanted, limit)


def longest_replay(tokenizer: Any, eos: Sequence[int], context: int | None) -> int:
    """The tokens of the longest row that a replay may make."""
    turns = _questions(tokenizer, eos, context).turns
    return max((len(question.tokens) for question, _ in turns), default=0) + REPLAY_TOKENS


def replayed_tokens(tokenizer: Any, eos: Sequence[int], context: int | None) -> float:
    """The tokens of a row that a replay makes, on average and at most: answers may be shorter."""
    turns = _questions(tokenizer, eos, context).turns
    return float(np.mean([len(question.tokens) for question, _ in turns])) + REPLAY_TOKENS if turns else 0.0


@dataclass(frozen=True, slots=True)
class _Questions:
    """The questions of the general set's half by which forgetting is not measured, each with its prompt, one of each
    skill in turn."""

    turns: list[tuple[Question, str]]
    stops: tuple[int, ...]


def _questions(tokenizer: Any, eos: Sequence[int], context: int | None) -> _Questions:
    whole = general(tokenizer, eos, context, unscored(), every_question=True)
    by_skill: dict[str, list[tuple[Question, str]]] = {}
    for at, question in zip(whole.asked_at, whole.asked, strict=True):
        by_skill.setdefault(whole.passages[at].skill, []).append((question, whole.passages[at].prompt))
    rounds = zip_longest(*by_skill.values())
    return _Questions([one for turn in rounds for one in turn if one is not None], whole.stops)


def answered(model: Any, replay: Replay, tokenizer: Any) -> Generator[Event, None, list[dict[str, Any]]]:
    """What base says to each question, a line each: skill, prompt, answer, and whether it stopped by itself."""
    from luthier.engine.forward import Engine, in_order
    from luthier.engine.generation import answers
    from luthier.flow import Tuned
    from luthier.workflow.opened_run import decoder

    found = answers(Engine(Tuned(model, None, {})), replay.questions, decoder(tokenizer), replay.stops, replay.limit)
    said = yield from in_order(found, "asking base for data.replay", len(replay.questions))
    return [
        {"skill": question.category, "prompt": prompt, "answer": answer.text, "stopped": answer.stopped}
        for question, prompt, answer in zip(replay.questions, replay.prompts, said, strict=True)
    ]


def replayed(
    lines: Sequence[Mapping[str, Any]], replay: Replay, tokenizer: Any, account: Account
) -> Generator[Event, None, tuple[list[Tokenized], Account]]:
    """The rows of tokens of base's own answers, as many as planned, and the account with them."""
    chat = templates.for_chat(tokenizer)
    made = []
    for number, line in enumerate(lines, 1):
        messages = (Message("user", line["prompt"]), Message("assistant", line["answer"]))
        rendered = render(Conversation("chat", messages, Place(REPLAY, number)), chat, tokenizer)
        found = tokenize(rendered, tokenizer) if isinstance(rendered, Rendered) else rendered
        if isinstance(found, tuple):
            made.append(found[0] if line["stopped"] else _without_end(found[0]))
    if not made:
        remedy = "leave `data.replay` out"
        raise mistake("base gives no answer that can be trained on", "data.replay", remedy)
    rows = [made[at % len(made)] for at in range(replay.rows)]
    times = f", each {replay.rows / len(made):.3g} times" if len(made) < replay.rows else ""
    unusable = f"; {count(len(lines) - len(made), 'answer')} cannot be used" if len(made) < len(lines) else ""
    yield Note(
        "rows",
        f"data.replay: {count(replay.rows, 'row')} of base's own answers mixed in, "
        f"to {count(len(made), 'question')} of the general set's other half{times}{unusable}",
    )
    account = account.with_made({(REPLAY, None): len(rows)})
    tokens, trained = sum(len(row.tokens) for row in rows), sum(row.trained_tokens for row in rows)
    return rows, account.with_tokens({(REPLAY, None): tokens}, {(REPLAY, None): trained})


def _without_end(row: Tokenized) -> Tokenized:
    """A cut answer's row: base did not end it, so no end is learned."""
    return Tokenized(row.tokens[:-1], row.weights[:-1], row.place, row.category)
