"""What a finished run did to the general set, without the rest of an evaluation: answers/general.jsonl."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from luthier.errors import UserError
from luthier.evaluation.forgetting import forgotten
from luthier.evaluation.general import general
from luthier.flow import Event, Tuned
from luthier.runs.run import Run
from luthier.workflow.forgetting import remembered
from luthier.workflow.loaded_model import engine_of
from luthier.workflow.opened_run import open_run

GENERAL = "general"
"""The answers file."""


def asked_in_general(run: str, root: Path) -> Generator[Event, None, None]:
    """Scores the general set with the tuned model beside base, whose numbers are remembered; not twice."""
    with suppress(UserError):
        Run.find(run, root).read_answers(GENERAL)
        return
    opened = yield from open_run(run, root)
    whole = general(opened.base.tokenizer, opened.base.eos, opened.base.context_length)
    model = opened.open_base()
    known = yield from remembered(opened.in_passes(engine_of(Tuned(model, None, {}))), whole)
    found = yield from forgotten(opened.tuned(model), whole, known, opened.settings.seed)
    opened.run.write_answers(GENERAL, found.passages)
