"""What a run answers while it trains, where its best checkpoint goes by answers: which validation rows."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from luthier.data.render import stop_tokens
from luthier.data.sampled import strided
from luthier.data.templates import Template
from luthier.data.tokenize import question_in
from luthier.errors import UserError, mistake
from luthier.evaluation import metrics
from luthier.evaluation.evaluate import INSTALL
from luthier.evaluation.metrics.accuracy import unfit
from luthier.flow import Event, Note, RowScore, Tokenized
from luthier.report.numbers import count

if TYPE_CHECKING:
    from luthier.training.answering import Asked

WHERE = "training_config.evaluation.metric"
ANSWERED = 100
"""Validation rows that are answered at each evaluation, evenly spread: of more, the time would go to answers."""


def asked_while_training(
    metric: str, validation: Sequence[Tokenized], template: Template, tokenizer: Any, eos: Sequence[int]
) -> Generator[Event, None, Asked | None]:
    """What is asked at each evaluation, said; None where the metric goes by the rows' scores.

    Raises `UserError` where answers to these rows say nothing about the metric.
    """
    from luthier.training.answering import Asked
    from luthier.workflow.evaluate import ROOM
    from luthier.workflow.opened_run import decoder

    known = metrics.load(metric)
    if known.needs != "answers":
        return None
    package = getattr(known, "package", None)
    if package and find_spec(package) is None:
        raise mistake(f"{metric} needs {package}, which is not installed", WHERE, INSTALL)
    if not validation:
        raise _refused(f"{metric} is measured on validation rows, and there are none", "raise `data.validation`")
    stops, decode = stop_tokens(template, tokenizer, eos), decoder(tokenizer)
    rows = [validation[at] for at in strided(len(validation), ANSWERED)]
    found = [(question, row) for row in rows if (question := question_in(row, decode, stops))]
    if not found:
        raise _refused(
            "no validation row has a question with a whole answer behind it", "write `data.train_on: answers`"
        )
    questions = [question for question, _ in found]
    sample = metrics.Sample(questions, (), [RowScore(0.0, row.trained_tokens, 0) for _, row in found])
    if reason := unfit(sample) or str(getattr(known, "unfit", lambda sample: "")(sample)):
        raise _refused(f"{metric} cannot choose the best checkpoint of these rows: {reason}", "")
    limit = max(len(row.tokens) - len(question.tokens) for question, row in found) + ROOM
    of = f" of {len(validation):,}, evenly spread" if len(questions) < len(validation) else ""
    yield Note(
        "setting",
        f"the best checkpoint goes by {metric.replace('_', ' ')}: at each evaluation "
        f"{count(len(questions), 'validation row')}{of} answered greedily, up to {limit} tokens each",
    )
    return Asked(metric, questions, decode, stops, limit)


def _refused(message: str, first: str) -> UserError:
    others = "write `metric: loss` or `metric: token_accuracy`, which go by the wanted answers themselves"
    return mistake(message, WHERE, "; or ".join(filter(None, [first, others])))
