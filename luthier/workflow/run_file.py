"""Run files with the plug-ins that are there: what may stand in them, and what this version does not do yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier import plugins
from luthier.errors import Mistake, UserError
from luthier.settings.loading import AUTO, DEFAULT, Loaded, load
from luthier.settings.schema import Section, Settings

METHODS = "luthier.methods"
MEASURED_WHILE_TRAINING = ("loss", "perplexity", "token_accuracy")


def sections() -> dict[str, type[Section]]:
    """What each method adds to `training_config`: `{"lora_config": its Settings, ...}`."""
    modules = [plugins.load(METHODS, name) for name in plugins.names(METHODS)]
    return {module.SECTION: module.Settings for module in modules if module.SECTION}


def read(files: Sequence[str], data: str | None = None, overrides: Sequence[str] = ()) -> Loaded:
    """The merged settings. Raises `UserError` with every mistake, and with what this version cannot do yet."""
    loaded = load(files, data=data, overrides=overrides, sections=sections())
    if mistakes := list(_not_yet(loaded.settings)):
        raise UserError(mistakes)
    return loaded


def written(loaded: Loaded, path: str) -> bool:
    """Whether the user wrote this setting."""
    return loaded.provenance[path].source not in (AUTO, DEFAULT)


def method_settings(settings: Settings, method: Any) -> Any:
    """The settings of the method that a run uses."""
    return getattr(settings.training_config, method.SECTION) if method.SECTION else method.Settings()


def method(name: str) -> Any:
    """The module of a tuning method."""
    return plugins.load(METHODS, name)


def data_files(settings: Settings) -> list[Path]:
    """Every file of rows that the settings name."""
    named = [file.path for file in settings.data.train or ()]
    named += [name for name in (settings.data.validation, settings.data.test) if isinstance(name, str)]
    return [Path(name) for name in dict.fromkeys(named)]


def shown(path: str) -> str:
    """A file's path as people read it: from the current folder where it stands below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _not_yet(settings: Settings) -> list[Mistake]:
    """Settings whose part is not built yet: an error, because a setting that does nothing would be silent."""
    data, training = settings.data, settings.training_config
    trainable = [name for name in plugins.names(METHODS) if hasattr(plugins.load(METHODS, name), "attach")]
    wanted = settings.tuning_method
    asked = [
        (
            "objective",
            settings.objective == "preference",
            "write `objective: supervised`: the better answers are trained on",
        ),
        ("data.balance", data.balance, "leave it out"),
        ("data.augment", bool(data.augment), "leave it out"),
        ("data.replay", data.replay > 0, "leave it out"),
        ("tuning_method", wanted not in ("auto", *trainable), f"write one of: {', '.join(trainable)}"),
        (
            "training_config.evaluation.metric",
            training.evaluation.metric not in MEASURED_WHILE_TRAINING,
            f"while training, one of these is measured: {', '.join(MEASURED_WHILE_TRAINING)}",
        ),
    ]
    return [Mistake("this version cannot do that yet", where, remedy) for where, is_asked, remedy in asked if is_asked]
