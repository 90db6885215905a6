"""`luthier compare`: tells finished runs, which are compared as they are, from files, of which methods are trained."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from luthier.errors import mistake
from luthier.evaluation.compare import Comparison
from luthier.flow import Event
from luthier.workflow.compare import compare
from luthier.workflow.compare_methods import RATES, compare_methods


def comparison(
    what: Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    methods: Sequence[str] = (),
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (),
    minutes: float | None = None,
    tokens: int | None = None,
    rates: Sequence[float] = (),
    name: str | None = None,
    root: Path = Path("runs"),
) -> Generator[Event, None, Comparison]:
    """Compares finished runs where `what` names two or more of them; else the methods on the rows of files.

    Raises `UserError` where it names both, or gives runs what only methods take.
    """
    are_files = [Path(one).is_file() for one in what]
    of_methods = data or overrides or methods or variants or seeds or minutes or tokens or rates or name
    if what and not any(are_files):
        if of_methods and not data:
            remedy = "name a run file, or a file of rows: luthier compare rows.jsonl --methods lora,full"
            raise mistake("finished runs take no settings: they are compared as they are", what[0], remedy)
        if not data:
            return (yield from compare(what, root))
    if not all(are_files):
        wrong = what[are_files.index(False)]
        remedy = "compare finished runs (luthier compare RUN RUN), or methods on files (luthier compare FILE)"
        raise mistake("is no file, though others are", wrong, remedy)
    return (
        yield from compare_methods(
            what,
            data=data,
            overrides=overrides,
            methods=methods,
            variants=variants,
            seeds=seeds or (0,),
            minutes=minutes,
            tokens=tokens,
            rates=rates or RATES,
            name=name,
            root=root,
        )
    )
