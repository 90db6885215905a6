"""Run files with the plug-ins that are there: what may stand in them, and what it wants installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from luthier import plugins
from luthier.data import augment
from luthier.errors import Mistake, UserError, mistake
from luthier.evaluation import metrics
from luthier.settings.loading import AUTO, DEFAULT, Loaded, load
from luthier.settings.schema import Section, Settings

METHODS = "luthier.methods"
BY_SCORES = ("loss", "perplexity", "token_accuracy")
"""What validation measures while training without an answer."""


def sections() -> dict[str, type[Section]]:
    """What each method adds to `training_config`: `{"lora_config": its Settings, ...}`."""
    modules = [plugins.load(METHODS, name) for name in plugins.names(METHODS)]
    return {module.SECTION: module.Settings for module in modules if module.SECTION}


def read(files: Sequence[str], data: str | None = None, overrides: Sequence[str] = ()) -> Loaded:
    """The merged settings. Raises `UserError` with every mistake, and with what has to be installed first."""
    loaded = load(files, data=data, overrides=overrides, sections=sections(), choices=choices())
    if mistakes := _missing(loaded.settings):
        raise UserError(mistakes)
    return loaded


def choices() -> dict[str, tuple[str, ...]]:
    """The names that plug-ins bring, by the path of their setting."""
    return {
        "data.augment": tuple(augment.names()),
        "targets": measured(),
        "training_config.evaluation.metric": chosen_by(),
    }


def measured() -> tuple[str, ...]:
    """What a target may be set for."""
    return tuple(sorted({*metrics.names(), *metrics.OTHER_NAMES, *metrics.ON_OTHER_ROWS}))


def chosen_by() -> tuple[str, ...]:
    """What the best checkpoint may be chosen by: what validation measures while training, by answers and by pairs
    of them too."""
    known = [*metrics.names(), *metrics.OTHER_NAMES]
    measurable = [name for name in known if metrics.load(name).needs in ("answers", "preferences")]
    return tuple(sorted({*BY_SCORES, *(name for name in measurable if metrics.load(name).direction != "neither")}))


def written(loaded: Loaded, path: str) -> bool:
    """Whether the user chose this setting's value."""
    source = loaded.provenance[path]
    return source.source not in (AUTO, DEFAULT) and source.value != AUTO


def method_settings(settings: Settings, method: Any) -> Any:
    """The settings of the method that a run uses."""
    section = getattr(method, "SETTINGS_FROM", method.SECTION)
    return getattr(settings.training_config, section) if section else method.Settings()


def method(name: str) -> Any:
    """The module of a tuning method."""
    return plugins.load(METHODS, name)


def method_of(adapter: Path) -> Any:
    """The module of the method whose adapter stands in a folder. Raises `UserError` where it is none's."""
    path = adapter / "adapter_config.json"
    config = orjson.loads(path.read_bytes())
    modules = [method(name) for name in plugins.names(METHODS)]
    for module in modules:
        if hasattr(module, "opens") and module.opens(adapter, config):
            return module
    kinds = ", ".join(module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "opens"))
    raise mistake(
        f"an adapter of the kind {config.get('peft_type')} cannot be opened", str(path), f"take one of {kinds}"
    )


def data_files(settings: Settings) -> list[Path]:
    """Every file of rows that the settings name."""
    named = [file.path for file in settings.data.train or ()]
    named += [name for name in (settings.data.validation, settings.data.test) if isinstance(name, str)]
    return [Path(name) for name in dict.fromkeys(named)]


def shown(path: str) -> str:
    """A file's path as people read it: from the current folder where it stands below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _missing(settings: Settings) -> list[Mistake]:
    """What the method needs and this machine lacks."""
    found = None if settings.tuning_method == AUTO else lacking(method(settings.tuning_method))
    return [found] if found else []


def lacking(of_method: Any) -> Mistake | None:
    """What a method needs and this machine lacks."""
    found: Mistake | None = of_method.missing() if hasattr(of_method, "missing") else None
    return found
