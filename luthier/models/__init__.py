"""A name becomes weights and a tokenizer: packaged, from the hub, a folder, a .gguf file, or a run's result."""

import sys
from types import ModuleType

from luthier.models.cache import home
from luthier.models.loading import generation_stops, load_model, load_tokenizer
from luthier.models.packaged import PACKAGED
from luthier.models.shape import LinearShape, ModelShape, describe, measure, skeleton
from luthier.models.source import KnownModel, Source, cached, resolve

__all__ = [
    "PACKAGED",
    "KnownModel",
    "LinearShape",
    "ModelShape",
    "Source",
    "cached",
    "describe",
    "generation_stops",
    "home",
    "load_model",
    "load_tokenizer",
    "measure",
    "resolve",
    "skeleton",
]


class _Verb(ModuleType):
    """`luthier.models()` is the verb of that name, although this package has the name as well."""

    def __call__(self) -> tuple[KnownModel, ...]:
        """The packaged models, fetched or not, and the converted and fetched ones that are on this machine."""
        return tuple(cached())


sys.modules[__name__].__class__ = _Verb
