"""A review that is ready, and what comes of its votes: sums, a verdict, the run's page. No model is needed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final

from luthier.errors import mistake
from luthier.evaluation import review as evaluated
from luthier.evaluation.review import BASE, TARGET, Reviewed
from luthier.evaluation.votes_report import Meeting
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


def opened_review(run: str, against: str | Sequence[str] | None, root: Path) -> Prepared:
    """The newest review of a run, or the newest against those, without asking any model. Raises `UserError` where there
    is none."""
    found = Run.find(run, root)
    named = [against] if isinstance(against, str) else against or []
    names = {one if one == BASE else Run.find(one, root).name for one in named}
    reviews = [one for one in KeptReview.all(found) if not names or set(one.terms().others) == names]
    if not reviews:
        raise mistake("nobody was asked about this run yet", str(found.folder), f"luthier review {found.folder}")
    return Prepared(found, reviews[-1], reviews[-1].terms(), reviews[-1].items())


def conclude(prepared: Prepared, votes: Sequence[Vote], raters: Sequence[str]) -> Generator[Event, None, Reviewed]:
    """Sums the votes up: into votes.jsonl, reports/review.json, the verdict on `human_eval` and the run's page."""
    found = summed_up(prepared, votes, raters)
    content = {"version": 1} | found.data() | {"measure": asdict(measured(found.report))}
    path = prepared.review.write_result(prepared.run, content, votes, names_of(prepared))
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
    real = [item for item in prepared.items if not item.check]
    asked = evaluated.Asked(
        run=name_of(prepared.run),
        against=terms.against,
        kind=terms.kind,
        items=len(real),
        same=terms.same,
        each_by=terms.each_by,
        raters=tuple(raters),
    )
    if not terms.systems:
        return asked
    systems = systems_of(prepared)
    rows = terms.same + len({item.row for item in real})
    asked_about = Counter(frozenset(pair) for item in real for pair in item.pairs)
    meetings = tuple(
        Meeting(systems[one], systems[other], many := asked_about[frozenset((one, other))], rows - many)
        for one, other in combinations(range(len(systems)), 2)
    )
    first = meetings[0]
    return replace(asked, items=first.items, same=first.same, systems=systems, meetings=meetings, whole=len(real))


def systems_of(prepared: Prepared) -> tuple[str, ...]:
    """The names of all systems, the run first; an item's `pairs` are places in them."""
    return (name_of(prepared.run), *prepared.terms.others)


def names_of(prepared: Prepared) -> dict[int, list[tuple[str, str]]]:
    """The pairs of systems of each item by name, where there are more than two; attention checks have none."""
    if not prepared.terms.systems:
        return {}
    names = systems_of(prepared)
    return {item.number: [(names[one], names[other]) for one, other in item.pairs] for item in prepared.items}


def name_of(run: Run) -> str:
    """A run's name, told apart from `base`, which is the model before tuning."""
    return f"{run.name} (run)" if run.name == BASE else run.name


def target_of(run: Run) -> str | None:
    """What the run file expects of people's preference."""
    return run_file.read([str(run.settings_path)]).settings.targets.get(TARGET)
