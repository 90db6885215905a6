"""A folder of files is a list of plug-ins: the file's name is the plug-in's name, and listing names imports nothing."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from luthier.errors import mistake


def names(folder: str) -> list[str]:
    """The plug-ins of a package, sorted: `names("luthier.methods")` gives `["full", "lora", ...]`.

    A package outside joins by an entry point in the group of the same name.
    """
    spec = find_spec(folder)
    own = {
        file.stem
        for place in (spec.submodule_search_locations or [] if spec else [])
        for file in Path(place).glob("*.py")
        if not file.stem.startswith("_")
    }
    return sorted(own | {entry.name for entry in _outside(folder)})


def load(folder: str, name: str) -> ModuleType:
    """The module of one plug-in. Raises `UserError` with the names that exist."""
    for entry in _outside(folder):
        if entry.name == name:
            module = entry.load()
            assert isinstance(module, ModuleType), f"the entry point {name} in {folder} must name a module"
            return module
    if name not in names(folder):
        kind = folder.rpartition(".")[2]
        raise mistake(f"{name!r} is none of the {kind}", remedy=f"one of: {', '.join(names(folder))}")
    return import_module(f"{folder}.{name}")


@cache  # reading the metadata of every installed package takes 20 ms
def _outside(folder: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=folder))
