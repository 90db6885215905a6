"""`luthier train --on-trouble`: a run, and where trouble ended it and it is to be remedied, what remedies come to."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from luthier.errors import mistake
from luthier.flow import Event, Note
from luthier.runs.run import Run
from luthier.settings.schema import Settings
from luthier.training.distribution import processes
from luthier.workflow import run_file
from luthier.workflow.remedy import remedy
from luthier.workflow.train import Trained, train


def trained_and_remedied(
    files: Sequence[str] = (),
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    on_trouble: str = "say",
    root: Path = Path("runs"),
) -> Generator[Event, None, Trained]:
    """What `train` does; with `on_trouble="remedy"` a run that trouble ended is then put right by `luthier remedy`, in
    its usual budget.

    Raises `UserError` before the first step where such a run could not be measured, or where several processes train.
    """
    if on_trouble == "remedy":
        settings = run_file.read(files, data, overrides).settings if resume is None else _settings_of(resume, root)
        _require_measurable(settings)
    trained = yield from train(
        files, data=data, overrides=overrides, name=name, resume=resume, on_trouble=on_trouble, root=root
    )
    if on_trouble != "remedy" or not trained.trouble:
        return trained
    yield Note("rows", f"{trained.run} is put right: luthier remedy {trained.folder}")
    return replace(trained, remedied=(yield from remedy(str(trained.folder))))


def _settings_of(run: str, root: Path) -> Settings:
    return run_file.read([str(Run.find(run, root, to_mend=True).settings_path)]).settings


def _require_measurable(settings: Settings) -> None:
    if processes() > 1:
        remedy = "--on-trouble stop, and then, in one process, luthier remedy RUN"
        raise mistake("a run of several processes cannot be remedied by them", "--on-trouble", remedy)
    if not settings.data.validation and settings.data.test is None:
        remedy = "hold rows back (`data.validation: 0.1`), or name a file of them (`data.test`)"
        raise mistake("without validation and test rows no remedy can be measured", "--on-trouble", remedy)
