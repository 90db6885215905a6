"""Earlier comparisons of methods with the same model on the same rows, as advice takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from luthier.advice.facts import Evidence
from luthier.errors import UserError
from luthier.runs.comparison import KeptComparison, comparisons
from luthier.runs.environment import describe_environment
from luthier.runs.run import Run
from luthier.settings import mission
from luthier.settings.mission import TuningMethod
from luthier.settings.schema import Settings
from luthier.workflow import run_file


def evidence(settings: Settings, root: Path) -> tuple[Evidence, ...]:
    """The newest comparison first. Only those count that name a best method, and of which a run began from this model
    on these very files."""
    mine = _hashes(describe_environment([], run_file.data_files(settings))["data"][: len(settings.data.train or ())])
    found = []
    for kept in comparisons(root):
        best = _best(kept.content)
        if best is not None and any(_same(run, settings.model, mine) for run in _runs(kept, root)):
            found.append(Evidence(best, str(kept.path)))
    return tuple(found)


def _best(content: Mapping[str, Any]) -> TuningMethod | None:
    """The method that a comparison calls best, by its own name or by its run's."""
    best, methods = content.get("best"), content.get("methods")
    if not isinstance(best, str):
        return None
    for entry in methods if isinstance(methods, list) else []:
        if isinstance(entry, dict) and best == entry.get("run"):
            best = entry.get("tuning_method")
    return cast(TuningMethod, best) if best in mission.METHODS else None


def _runs(kept: KeptComparison, root: Path) -> Iterator[Run]:
    """The run that keeps the comparison or those in its folder, and those that it names."""
    yield from kept.runs()
    methods = kept.content.get("methods")
    for entry in methods if isinstance(methods, list) else []:
        name = entry.get("run") if isinstance(entry, dict) else None
        if isinstance(name, str):
            try:
                yield Run.find(name, root)
            except UserError:
                continue


def _same(run: Run, model: str, mine: set[str]) -> bool:
    try:
        settings = run_file.read([str(run.settings_path)]).settings
        data = run.read_environment()["data"]
    except (UserError, KeyError, TypeError):
        return False
    trained = len(settings.data.train or ())
    return settings.model == model and _hashes(data[:trained]) == mine


def _hashes(data: Any) -> set[str]:
    return {str(entry.get("sha256")) for entry in data if isinstance(entry, dict)}
