"""The run file: its schema, its mistakes with line and column, and where each value came from."""

from luthier.settings.json_schema import json_schema
from luthier.settings.loading import Loaded, Source, load, require_rows, resolve, resolve_auto
from luthier.settings.schema import Section, Settings
from luthier.settings.targets import Target, parse_target
from luthier.settings.writing import to_data, to_yaml

__all__ = [
    "Loaded",
    "Section",
    "Settings",
    "Source",
    "Target",
    "json_schema",
    "load",
    "parse_target",
    "require_rows",
    "resolve",
    "resolve_auto",
    "to_data",
    "to_yaml",
]
