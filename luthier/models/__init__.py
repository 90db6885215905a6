"""A name becomes weights and a tokenizer: packaged, from the hub, a folder, a .gguf file, or a run's result."""

from luthier.models.cache import home
from luthier.models.loading import generation_stops, load_model, load_tokenizer
from luthier.models.packaged import PACKAGED
from luthier.models.shape import LinearShape, ModelShape, describe
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
    "resolve",
]
