"""A review that is ready, and what comes of its votes: sums, a verdict, the run's page. No model is needed here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from luthier.errors import mistake
from luthier.evaluation import review as evaluated
from luthier.evaluation.review import BASE, TARGET, Reviewed
from luthier.evaluation.votes_report import human_eval as measured
from luthier.flow import Event, Note, ReviewItem, Vote
from luthier.runs.reviews import KeptReview, Terms
from luthier.runs.run import Run
from luthier.workflow import run_file
from luthier.workflow.page import write_page
from luthier.workflow.people import with_people

MOST_ROWS: Final = 100
MOST_TOKENS: Final = 512
"""Tokens of an answer, unless the model stops by itself before."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A review ready to be voted on."""

    run: Run
    review: KeptReview
    terms: Terms
    items: Sequence[ReviewItem]


def opened_review(run: str, against: str | None, root: Path) -> Prepared:
    """The newest review of a run, or the newest against that, without asking any model. Raises `UserError` where there
    is none."""
    found = Run.find(run, root)
    against = Run.find(against, root).name if against not in (None, BASE) else against
    reviews = [one for one in KeptReview.all(found) if against in (None, one.terms().against)]
    if not reviews:
        raise mistake("nobody was asked about this run yet", str(found.folder), f"luthier review {found.folder}")
    return Prepared(found, reviews[-1], reviews[-1].terms(), reviews[-1].items())


def conclude(prepared: Prepared, votes: Sequence[Vote], raters: Sequence[str]) -> Generator[Event, None, Reviewed]:
    """Sums the votes up: into votes.jsonl, reports/review.json, the verdict on `human_eval` and the run's page."""
    found = summed_up(prepared, votes, raters)
    content = {"version": 1} | found.data() | {"measure": asdict(measured(found.report))}
    path = prepared.review.write_result(prepared.run, content, votes)
    yield Note("file", f"the votes are in {path}")
    if prepared.run.evaluated:
        prepared.run.write_report(with_people(prepared.run.read_report(), prepared.run))
    yield from write_page(prepared.run)
    return found


def summed_up(prepared: Prepared, votes: Sequence[Vote], raters: Sequence[str]) -> Reviewed:
    """What the votes say so far."""
    return evaluated.reviewed(asked_of(prepared, raters), prepared.items, votes, target_of(prepared.run))


def asked_of(prepared: Prepared, raters: Sequence[str]) -> evaluated.Asked:
    """What a review asks, and whom."""
    terms = prepared.terms
    return evaluated.Asked(
        run=name_of(prepared.run),
        against=terms.against,
        kind=terms.kind,
        items=sum(not item.check for item in prepared.items),
        same=terms.same,
        each_by=terms.each_by,
        raters=tuple(raters),
    )


def name_of(run: Run) -> str:
    """A run's name, told apart from `base`, which is the model before tuning."""
    return f"{run.name} (run)" if run.name == BASE else run.name


def target_of(run: Run) -> str | None:
    """What the run file expects of people's preference."""
    return run_file.read([str(run.settings_path)]).settings.targets.get(TARGET)
