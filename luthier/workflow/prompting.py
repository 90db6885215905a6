"""How far the untouched model is from the targets: asked with no examples, and with few examples in the prompt."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import msgspec

from luthier.advice.facts import Prompting
from luthier.data import templates
from luthier.data.render import render_all, stop_tokens
from luthier.data.split import prompt_key
from luthier.data.templates import Template
from luthier.data.tokenize import questions, tokenize_all
from luthier.engine.forward import Engine, in_order
from luthier.engine.generation import answers
from luthier.evaluation import metrics
from luthier.evaluation.evaluate import Scored
from luthier.evaluation.evaluate import evaluate as judge_all
from luthier.evaluation.labels import labels_of, not_labels
from luthier.evaluation.metrics import Sample
from luthier.evaluation.metrics.accuracy import unfit
from luthier.evaluation.targets import judge
from luthier.flow import Conversation, Event, Measure, Message, Note, Problem, Question, Rendered, Tokenized
from luthier.settings.loading import Loaded
from luthier.settings.targets import parse_target
from luthier.workflow import run_file
from luthier.workflow.evaluate import ROOM
from luthier.workflow.loaded_model import Named, open_for_use
from luthier.workflow.opened_run import decoder

MEASURED_ROWS = 100
"""35 right answers of 35 clear 90% by Wilson's interval; 100 leave room for 3 wrong ones."""
FEWEST_MEASURED = 20
MEASURED_TOKENS = 30_000
"""Of long rows fewer are measured: so many tokens of rows at most, twice."""
EXAMPLES, MOST_EXAMPLES = 8, 16
"""Examples in the prompt; where there are more labels, one a label up to the second number."""
EXAMPLE_TOKENS = 2_048
NAMED_LABELS = 50


@dataclass(frozen=True, slots=True)
class Prompted:
    """What was measured, and the messages that stand before each question: the prompt to use where that is enough.

    `measured` is None where it could not be; `why` then says so.
    """

    measured: Prompting | None
    messages: tuple[Message, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows as asked, and as scored, under one prompt."""

    asked: list[Question]
    scored: list[Tokenized]


def prompted(
    loaded: Loaded, base: Named, held_out: Sequence[Conversation], others: Sequence[Conversation]
) -> Generator[Event, None, Prompted]:
    """Asks the untouched model `held_out` rows as they are, and behind examples taken from `others`.

    It is asked in its own chat template where it has one, as anyone who prompts it would; else in the run's.
    """
    form = held_out[0].form if held_out else "text"
    if form == "text":
        return Prompted(None, why="text rows ask nothing that a prompt could answer")
    template = _template(loaded, base, form)
    shown = _examples(others, held_out, base, template)
    keys = {prompt_key(row) for row in shown}
    rows = [row for row in held_out if prompt_key(row) not in keys]
    before = _messages(shown, [*held_out, *others])
    plain, few = _both(rows, before, template, base)
    if not plain.asked:
        return Prompted(None, before, "no row could be asked in the model's template")
    kept = _as_many_as_fit(plain.scored)
    plain, few = (_Rows(side.asked[:kept], side.scored[:kept]) for side in (plain, few))
    yield Note(
        "rows", f"{kept:,} rows measured that no example shows, with 0 and with {len(shown)} examples before them"
    )
    engine = open_for_use(base, precision())
    stops = stop_tokens(template, base.tokenizer, base.eos)
    wanted = _answers_wanted(loaded)
    none = yield from _scored(engine, plain, base, stops, wanted, "as they are")
    with_few = none
    if shown:
        with_few = yield from _scored(engine, few, base, stops, wanted, "behind examples")
    return Prompted(_judged(loaded, plain.asked, none, with_few, len(shown)), before)


def precision() -> str:
    """What the untouched model is asked in."""
    import torch

    from luthier.engine.precision import fast_precision

    return fast_precision(torch.device("cpu"))[0]


def _template(loaded: Loaded, base: Named, form: Any) -> Template:
    settings = loaded.settings
    asked = "model" if base.tokenizer.chat_template else settings.data.template
    name, _ = templates.choose(asked, form, base.tokenizer)
    formats = {name: getattr(settings.formats, name).template for name in ("instruction", "chat", "completion")}
    template = templates.load(name, formats, base.tokenizer)
    return replace(template, day=settings.data.date) if settings.data.date != "auto" else template


def _examples(
    others: Sequence[Conversation], held_out: Sequence[Conversation], base: Named, template: Template
) -> list[Conversation]:
    """Rows to show: one a label in turn where there are labels, else the first ones; as many as leave room."""
    candidates = [row for row in others if row.form != "text" and not row.tools and len(_turns(row)) == 2]
    labels = labels_of([_wanted(row) for row in candidates]) if not _no_labels(candidates) else ()
    many = min(MOST_EXAMPLES, max(EXAMPLES, len(labels)))
    chosen: list[Conversation] = []
    if labels:
        by_label: dict[str, list[Conversation]] = {}
        for row in candidates:
            by_label.setdefault(_wanted(row), []).append(row)
        while len(chosen) < min(many, len(candidates)):
            chosen += [rows.pop(0) for rows in by_label.values() if rows][: many - len(chosen)]
    else:
        chosen = list(candidates[:many])
    context = base.context_length or EXAMPLE_TOKENS * 4
    longest = max((_length(row, (), template, base) for row in held_out[:MEASURED_ROWS]), default=0)
    while chosen and _length(held_out[0], _messages(chosen, ()), template, base) > min(
        EXAMPLE_TOKENS, (context - longest) // 2
    ):
        chosen.pop()
    return chosen


def _turns(row: Conversation) -> list[Message]:
    return [message for message in row.messages if message.role != "system"]


def _wanted(row: Conversation) -> str:
    return row.messages[-1].content


def _no_labels(rows: Sequence[Conversation]) -> str:
    return not_labels([_wanted(row) for row in rows])


def _messages(shown: Sequence[Conversation], known: Sequence[Conversation]) -> tuple[Message, ...]:
    """What stands before a question: the system message of the rows with their labels named, and the examples."""
    if not shown:
        return ()
    system = next((message.content for message in shown[0].messages if message.role == "system"), "")
    if known and not _no_labels(known):
        labels = labels_of([_wanted(row) for row in known])
        if len(labels) <= NAMED_LABELS:
            system = "\n\n".join(part for part in (system, f"Answer with one of: {', '.join(labels)}") if part)
    pairs = [message for row in shown for message in _turns(row)]
    return (*((Message("system", system),) if system else ()), *pairs)


def _behind(row: Conversation, before: tuple[Message, ...]) -> Conversation:
    """The row with these messages first; its own system message gives way to theirs."""
    if not before:
        return row
    own = _turns(row) if before[0].role == "system" else list(row.messages)
    return msgspec.structs.replace(row, messages=(*before, *own))


def _length(row: Conversation, before: tuple[Message, ...], template: Template, base: Named) -> int:
    asked = next(questions([_behind(row, before)], template, base.tokenizer))
    return len(asked.tokens) if isinstance(asked, Question) else 0


def _both(
    rows: Sequence[Conversation], before: tuple[Message, ...], template: Template, base: Named
) -> tuple[_Rows, _Rows]:
    """The rows under both prompts; one that cannot be asked under one of them is left out of both."""
    sides = []
    for messages in ((), before):
        changed = [_behind(row, messages) for row in rows]
        rendered = list(render_all(changed, template, base.tokenizer, "last_answer"))
        fine = [row for row in rendered if isinstance(row, Rendered)]
        made = iter(tokenize_all(fine, base.tokenizer, "last_answer"))
        tokens = [next(made) if isinstance(row, Rendered) else row for row in rendered]
        asked = list(questions(changed, template, base.tokenizer))
        sides.append(list(zip(asked, tokens, strict=True)))
    context = base.context_length
    fitting = [
        at
        for at, pair in enumerate(zip(*sides, strict=True))
        if all(isinstance(asked, Question) and not isinstance(row, Problem) for asked, row in pair)
        and (context is None or all(len(row[0].tokens) + ROOM <= context for _, row in pair))
    ]
    plain, few = (
        _Rows([side[at][0] for at in fitting], [side[at][1][0] for at in fitting])  # type: ignore[misc,index]
        for side in sides
    )
    return plain, few


def _as_many_as_fit(rows: Sequence[Tokenized]) -> int:
    each = mean(len(row.tokens) for row in rows)
    return min(len(rows), MEASURED_ROWS, max(FEWEST_MEASURED, int(MEASURED_TOKENS / each)))


def _answers_wanted(loaded: Loaded) -> bool:
    """Whether a target that the user wrote needs answers, however long they are."""
    targets = loaded.settings.targets
    return any(
        text is not None and run_file.written(loaded, f"targets.{name}") and metrics.load(name).needs == "answers"
        for name, text in targets.items()
    )


def _scored(
    engine: Engine, rows: _Rows, base: Named, stops: Sequence[int], wanted: bool, how: str
) -> Generator[Event, None, Scored]:
    scores = yield from in_order(engine.scores(rows.scored), f"scoring base, {how}", len(rows.scored))
    if unfit(Sample(rows.asked, (), scores)) and not wanted:
        return Scored((), scores)
    limit = max(len(row.tokens) - len(asked.tokens) for asked, row in zip(rows.asked, rows.scored, strict=True)) + ROOM
    found = answers(engine, rows.asked, decoder(base.tokenizer), stops, limit)
    given = yield from in_order(found, f"answering base, {how}", len(rows.asked))
    return Scored(given, scores)


def _judged(loaded: Loaded, asked: Sequence[Question], none: Scored, few: Scored, shown: int) -> Prompting:
    settings = loaded.settings
    report = judge_all(asked, few, none, {}, seed=settings.seed, run="prompting", data="held-out rows")
    targets = {
        name: text for name, text in settings.targets.items() if text is not None and _counts(loaded, name, text)
    }

    def verdicts(measures: Mapping[str, Measure], difference: Mapping[str, Measure]) -> Any:
        return tuple(
            judge(parse_target(text), name, _of(name, measures), _of(name, difference))
            for name, text in targets.items()
        )

    return Prompting(
        rows=len(asked),
        shown=shown,
        none=report.base,
        few=report.metrics,
        difference=report.difference,
        none_targets=verdicts(report.base, {}),
        few_targets=verdicts(report.metrics, report.difference),
    )


def _of(name: str, measures: Mapping[str, Measure]) -> Measure:
    return measures.get(metrics.OTHER_NAMES.get(name, name), Measure(None, reason="nothing to compare it with"))


def _counts(loaded: Loaded, name: str, text: str) -> bool:
    """Whether a target can say that prompting is enough: one that names a value, of what answers are worth, or that the
    user wrote. That a model is confident says by itself not that it is right."""
    if name in metrics.ON_OTHER_ROWS or ":" in name or parse_target(text).kind != "value":
        return False
    return run_file.written(loaded, f"targets.{name}") or metrics.load(name).needs == "answers"
