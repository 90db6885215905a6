"""`luthier diagnose`: a run directory -> what is wrong with it, kept in the run and on its page."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

from luthier.diagnosis import diagnose as look_for_all
from luthier.diagnosis import seen as run_directory
from luthier.errors import UserError
from luthier.flow import Diagnosis, Event, Note
from luthier.runs import Run
from luthier.workflow.page import write_page


def diagnose(run: str, *, root: Path = Path("runs")) -> Generator[Event, None, Diagnosis]:
    """Looks for every symptom in a run, whatever state it is in: what cannot be looked for is said, with what to type.

    The diagnosis is kept in reports/diagnosis.json and on the run's page, where these may be written. Raises
    `UserError` where there is no such run.
    """
    found = Run.find(run, root, to_mend=True)
    seen = run_directory.read(found)
    for note in seen.notes:
        yield Note("warning", note)
    for part, why in seen.absent.items():
        if part not in ("report", "answers", "steps", "evaluations"):  # said by the symptoms that need them
            yield Note("warning", f"the {part} cannot be read: {why}")
    if seen.running:
        yield Note("warning", "the run is still training: this is how it stands now")
    diagnosis = look_for_all(seen)
    try:
        path = found.write_diagnosis(asdict(diagnosis))
        yield Note("file", f"the diagnosis is {path}")
        yield from write_page(found)
    except (UserError, OSError) as error:  # the run may be someone else's, or be on a disk that only reads
        yield Note("warning", f"the diagnosis is not kept: {str(error).splitlines()[0]}")
    return diagnosis
